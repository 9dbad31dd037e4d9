"""What a chat completion is made of, whole or streamed: ids of calls, counts, log probabilities."""

from __future__ import annotations

from llm_adapter.testing.personas.persona import Shape
from llm_adapter.testing.personas.saying import Said, total
from llm_adapter.testing.personas.wire import Asked, Json
from llm_adapter.testing.turns import ToolCall, Usage


def call_id(shape: Shape, asked: Asked, call: ToolCall, place: int) -> str:
    return call.id or shape.call_ids.format(number=asked.number, place=place)


def usage(shape: Shape, spoken: list[Said]) -> Json:
    return {**counts(total(spoken)), **shape.usage}


def counts(usage: Usage) -> Json:
    """OpenAI's three numbers."""
    prompt, completion = usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def probabilities(body: Json, tokens: tuple[str, ...]) -> Json:
    """Made-up log probabilities, one for each piece, where they are asked for."""
    if not body.get("logprobs"):
        return {}
    top = body.get("top_logprobs")
    places = range(top if isinstance(top, int) else 0)
    content = [{**_token(token), "top_logprobs": [_token(token, -place) for place in places]} for token in tokens]
    return {"logprobs": {"content": content}}


def _token(token: str, logprob: float = 0.0) -> Json:
    return {"token": token, "logprob": logprob - 0.1, "bytes": list(token.encode(errors="replace"))}
