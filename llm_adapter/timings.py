"""`completion.ollama`: the server's own figures, with attributes. Nanoseconds, but for the counts."""

from __future__ import annotations

from typing import Any

from openai import BaseModel


class Timings(BaseModel):
    """What Ollama says of the work it did; a figure that the server did not give is None."""

    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


def with_timings(reply: Any) -> Any:
    """The reply itself, its extra field `ollama` turned from a dictionary into `Timings`."""
    extra: dict[str, Any] | None = getattr(reply, "__pydantic_extra__", None)
    if extra and type(extra.get("ollama")) is dict:
        extra["ollama"] = Timings.construct(**extra["ollama"])
    return reply
