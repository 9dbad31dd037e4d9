"""A chat completion as chunks: what opens it, thoughts, text and calls, the finish_reason, the usage, [DONE]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llm_adapter.testing.personas.chat_parts import arguments, call_id, probabilities, usage
from llm_adapter.testing.personas.persona import Persona, Shape
from llm_adapter.testing.personas.saying import Frames, Said
from llm_adapter.testing.personas.wire import DONE, Asked, Json, event
from llm_adapter.testing.turns import ToolCall, Turn, pieces


def frames(persona: Persona, asked: Asked, turn: Turn, spoken: list[Said]) -> Frames:
    """The chunks of a reply, one choice after the other."""
    shape, counted = persona.shape, bool(asked.part("stream_options").get("include_usage"))
    nulls = {"usage": None} if counted and shape.usage_null else {}

    def chunks(choices: Iterable[Json]) -> tuple[bytes, ...]:
        return tuple(event({**_head(persona, asked), "choices": [choice], **nulls}) for choice in choices)

    opening = [_choice(shape, index, shape.opening) for index, _ in enumerate(spoken)] if shape.opening else []
    said = [choice for index, one in enumerate(spoken) for choice in _said(shape, asked, one, index)]
    closing = [_choice(shape, index, shape.closing, one.finish) for index, one in enumerate(spoken)]
    last = _last(persona, asked, closing.pop(), usage(shape, spoken) if counted else None, nulls)
    broken = persona.interrupted(persona, asked, turn.failure) if turn.failure else ()
    return Frames(chunks(said), (*chunks(closing), *last, DONE), broken, chunks(opening))


def _head(persona: Persona, asked: Asked) -> Json:
    return {
        "id": persona.shape.ids.format(number=asked.number),
        "object": "chat.completion.chunk",
        "created": int(asked.time),
        "model": persona.named(asked),
        **persona.shape.chunk,
    }


def _last(persona: Persona, asked: Asked, choice: Json, usage: Json | None, nulls: Json) -> Iterator[bytes]:
    """The chunk with the finish_reason, and the one with the usage; what the server adds stands in the very last."""
    head = _head(persona, asked)
    more = persona.shape.last(persona, asked) if persona.shape.last else {}
    yield event({**head, "choices": [choice], **nulls, **({} if usage else more)})
    if usage:
        yield event({**head, "choices": [], "usage": usage, **more})


def _choice(shape: Shape, index: int, delta: Json, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, **shape.chunk_choice, "finish_reason": finish}


def _said(shape: Shape, asked: Asked, spoken: Said, index: int) -> Iterator[Json]:
    """The choices of a reply's pieces. Ollama begins a reply even if it is empty."""
    deltas = list(_deltas(shape, asked, spoken)) or [({"content": ""}, "")] * shape.role_on_first
    for place, (delta, token) in enumerate(deltas):
        role = {"role": "assistant"} if shape.role_on_first and place == 0 else {}
        choice = _choice(shape, index, {**role, **delta})
        yield {**choice, **probabilities(shape, asked.fields, (token,))} if token else choice


def _deltas(shape: Shape, asked: Asked, spoken: Said) -> Iterator[tuple[Json, str]]:
    """The deltas of thoughts, text and calls, with their tokens."""
    for piece in spoken.thinking if shape.reasoning else ():
        yield {**shape.every, str(shape.reasoning): piece}, piece
    for piece in spoken.content:
        yield {**shape.every, "content": piece}, piece
    for place, call in enumerate(spoken.calls):
        for delta in _call(shape, call, place, call_id(shape, asked, call, place)):
            yield delta, ""


def _call(shape: Shape, call: ToolCall, place: int, name: str) -> Iterator[Json]:
    """One call: in a single chunk, or begun and then written piece by piece."""
    first = "" if shape.fragments else arguments(shape, call)
    function = {"name": call.name, "arguments": first}
    index = call.placed(place)
    yield {**shape.every, "tool_calls": [{**index, "id": name, "type": "function", "function": function}]}
    for part in pieces(call.text) if shape.fragments else ():
        yield {"tool_calls": [{**index, "function": {"arguments": part}}]}
