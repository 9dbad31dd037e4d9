"""POST /v1/chat/completions, in the shape that each server gives it."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from llm_adapter.testing.personas.chat_parts import arguments, call_id, probabilities, usage
from llm_adapter.testing.personas.chat_stream import frames
from llm_adapter.testing.personas.persona import Persona, Shape
from llm_adapter.testing.personas.saying import Said, complete, prompt_tokens, said, streamed
from llm_adapter.testing.personas.wire import Answer, Asked, Json
from llm_adapter.testing.turns import ToolCall, Turn


def chat(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """The reply to a chat call, whole or streamed."""
    body = read(persona, asked)
    many = body.get("n") if persona.shape.counts else 1
    turns = list(islice(cycle((turn, *turn.more)), many if isinstance(many, int) and many > 0 else 1))
    spoken = [_said(persona, asked, body, one) for one in turns]
    if asked.streamed:
        return streamed(turn, frames(persona, asked, turn, spoken))
    return complete(turn, _completion(persona, asked, body, spoken), persona.kind)


def read(persona: Persona, asked: Asked) -> Json:
    """What the server reads of a request: Ollama's /v1 drops what it does not know, without a word."""
    if persona.reads is None:
        return asked.fields
    return {name: value for name, value in asked.fields.items() if name in persona.reads}


def limited(persona: Persona, body: Json) -> Any:
    """The most tokens that a reply may have; None without a limit."""
    return next((body[name] for name in persona.limits if body.get(name) is not None), None)


def counted(persona: Persona, asked: Asked) -> int:
    """The prompt's tokens, as far as they fit."""
    tokens = prompt_tokens(asked.body)
    size = persona.size(asked)
    return tokens if size is None else min(tokens, size)


def _said(persona: Persona, asked: Asked, body: Json, turn: Turn) -> Said:
    model = persona.model(asked.model)
    able = model is not None and "thinking" in model.capabilities
    thinks = able and body.get("reasoning_effort") != "none"
    return said(turn, counted(persona, asked), limited(persona, body), body.get("stop"), thinks=thinks)


def _completion(persona: Persona, asked: Asked, body: Json, spoken: list[Said]) -> Json:
    shape = persona.shape
    return {
        "id": shape.ids.format(number=asked.number),
        "object": "chat.completion",
        "created": int(asked.time),
        "model": persona.named(asked),
        "choices": [_choice(persona, asked, body, one, index) for index, one in enumerate(spoken)],
        "usage": usage(shape, spoken),
        **shape.completion,
    }


def _choice(persona: Persona, asked: Asked, body: Json, spoken: Said, index: int) -> Json:
    shape = persona.shape
    message: Json = {"role": "assistant", "content": spoken.text, **shape.message}
    if shape.reasoning and spoken.thinking:
        message[shape.reasoning] = spoken.thought
    if spoken.calls:
        message["content"] = spoken.text or shape.no_content
        message["tool_calls"] = [_call(shape, asked, call, place) for place, call in enumerate(spoken.calls)]
    choice = {"index": index, "message": message, **shape.choice, "finish_reason": spoken.finish}
    return {**choice, **probabilities(shape, body, (*spoken.thinking, *spoken.content))}


def _call(shape: Shape, asked: Asked, call: ToolCall, place: int) -> Json:
    index = call.placed(place) if shape.indexed else {}
    function = {"name": call.name, "arguments": arguments(shape, call)}
    return {"id": call_id(shape, asked, call, place), **index, "type": "function", "function": function}
