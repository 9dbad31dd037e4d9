"""What every backend writes: server-sent events, ids of tool calls, and the error of a stream that was cut."""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Rejected, json_bytes

CHOICES = 1000  # the numbers of a choice's tool calls begin at its index times this
INTERRUPTED = "the stream ended before the reply was complete"


def tool_call_id(call_id: str, place: int) -> str:
    """An id for a tool call that came without one: unique, and the same for the same call."""
    return f"call_{call_id[:20]}{place:04d}"


def event(chunk: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json_bytes(chunk) + b"\n\n"


class Interrupted(Rejected):
    """A whole reply that did not come to its end.

    Ollama answers so, with 200 and done=false, when it stops a model that repeats itself (routes.go ChatHandler,
    v0.24.0 and v0.33.0-rc2).
    """

    def __init__(self) -> None:
        super().__init__(INTERRUPTED, status=502, kind="api_error")
