"""POST /v1/completions: plain text, as each server writes it."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

from llm_adapter.testing.personas.chat import counted, limited
from llm_adapter.testing.personas.chat_parts import counts
from llm_adapter.testing.personas.persona import Persona, TextShape
from llm_adapter.testing.personas.saying import Frames, Said, complete, said, streamed, total
from llm_adapter.testing.personas.wire import DONE, Answer, Asked, Json, event
from llm_adapter.testing.turns import Turn


def completions(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """The reply to a completions call: a choice for every prompt and every `n`, where the server knows them."""
    body, shape = asked.fields, persona.text_shape
    many = _many(body) if shape.counts else 1
    turns = islice(cycle((turn, *turn.more)), many)
    limit = limited(persona, body)
    spoken = [said(one, counted(persona, asked), limit, body.get("stop")) for one in turns]
    if asked.streamed:
        return streamed(turn, _frames(persona, asked, turn, spoken))
    choices = [{"text": one.text, "index": place, "finish_reason": one.finish} for place, one in enumerate(spoken)]
    head = {**_head(persona, asked), "choices": [{**choice, **shape.choice} for choice in choices]}
    return complete(turn, {**head, "usage": _usage(shape, spoken), **shape.completion}, persona.kind)


def _many(body: Json) -> int:
    prompt, n = body.get("prompt"), body.get("n")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts * (n if isinstance(n, int) and n > 0 else 1)


def _head(persona: Persona, asked: Asked) -> Json:
    name = persona.text_shape.ids.format(number=asked.number)
    return {"id": name, "object": "text_completion", "created": int(asked.time), "model": persona.named(asked)}


def _usage(shape: TextShape, spoken: list[Said]) -> Json:
    return {**counts(total(spoken)), **shape.usage}


def _frames(persona: Persona, asked: Asked, turn: Turn, spoken: list[Said]) -> Frames:
    shape = persona.text_shape
    wanted = bool(asked.part("stream_options").get("include_usage"))
    early = shape.early_usage if wanted else {}

    def chunk(text: str, index: int, finish: str | None = None, **more: Any) -> bytes:
        choice = {"text": text, "index": index, "finish_reason": finish, **shape.choice}
        return event({**_head(persona, asked), **shape.chunk, "choices": [choice], **early, **more})

    sent, closing = [], []
    for index, one in enumerate(spoken):
        thoughts = ("",) * len(one.thinking) if shape.empty_thoughts else ()
        sent += [chunk(piece, index) for piece in (*thoughts, *one.content)]
        last = {} if shape.own_usage else {"usage": _usage(shape, spoken), **shape.completion}
        closing.append(chunk("", index, one.finish, **last))
    if wanted and shape.own_usage:
        whole = {**_head(persona, asked), **shape.chunk, "choices": [], "usage": _usage(shape, spoken)}
        closing.append(event(whole))
    broken = persona.interrupted(persona, asked, turn.failure) if turn.failure else ()
    return Frames(tuple(sent), (*closing, DONE), broken)
