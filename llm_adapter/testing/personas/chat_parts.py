"""What a chat completion is made of, whole or streamed: ids of calls, counts, log probabilities."""

from __future__ import annotations

import json

from llm_adapter.testing.personas.persona import Shape
from llm_adapter.testing.personas.saying import Said, total
from llm_adapter.testing.personas.wire import Asked, Json
from llm_adapter.testing.turns import ToolCall, Usage

_ESCAPED = {letter: f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}  # Go encoding/json Marshal


def call_id(shape: Shape, asked: Asked, call: ToolCall, place: int) -> str:
    return call.id or shape.call_ids.format(number=asked.number, place=place)


def arguments(shape: Shape, call: ToolCall) -> str:
    """The arguments of a call, as OpenAI has them: JSON in a string. Ollama writes them anew, in Go's manner."""
    if not shape.rewrites:
        return call.text
    written = json.dumps(call.parsed, ensure_ascii=False, separators=(",", ":"))
    return "".join(_ESCAPED.get(letter, letter) for letter in written)


def usage(shape: Shape, spoken: list[Said]) -> Json:
    return {**counts(total(spoken)), **shape.usage}


def counts(usage: Usage) -> Json:
    """OpenAI's three numbers."""
    prompt, completion = usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def probabilities(shape: Shape, body: Json, tokens: tuple[str, ...]) -> Json:
    """Made-up log probabilities, one for each piece, where they are asked for."""
    if not body.get("logprobs"):
        return {}
    top = body.get("top_logprobs")
    places = range(top if isinstance(top, int) else 0)

    def one(token: str, place: int = 0) -> Json:
        return {**shape.token, "token": token, "logprob": -0.1 - place, "bytes": list(token.encode(errors="replace"))}

    content = [{**one(token), "top_logprobs": [one(token, place) for place in places]} for token in tokens]
    if not places and not shape.no_top:
        content = [one(token) for token in tokens]
    return {"logprobs": {"content": content}}
