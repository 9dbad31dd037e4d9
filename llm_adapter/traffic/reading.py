"""What a reply says of its model and its tokens, read from the bytes that the SDK reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from llm_adapter.transport.body import Observer

_LARGEST = 8 << 20  # bytes of a reply that is looked at
_COUNTS = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
}


def facts(reply: Any) -> dict[str, Any]:
    """The model and the tokens that a reply, or one event of a stream, states. OpenAI's form."""
    if not isinstance(reply, dict):
        return {}
    if isinstance(reply.get("response"), dict):  # an event of the Responses API
        reply = reply["response"]
    found = {"model": reply["model"]} if isinstance(reply.get("model"), str) else {}
    return found | tokens(reply.get("usage"))


def tokens(usage: Any) -> dict[str, int]:
    """`prompt_tokens` and `completion_tokens`, as far as a reply's `usage` states them, in either API's words."""
    found = {}
    for name, spellings in _COUNTS.items() if isinstance(usage, dict) else ():
        count = next((usage[one] for one in spellings if isinstance(usage.get(one), int)), None)
        if count is not None:
            found[name] = count
    return found


def facts_of_body(content: bytes) -> dict[str, Any]:
    """The same of the bytes of a whole reply; nothing where they are no JSON."""
    if len(content) > _LARGEST or not content.startswith(b"{"):
        return {}
    try:
        return facts(from_json(content))
    except ValueError:
        return {}


class StreamFacts(Observer):
    """Collects what a body states while the SDK reads it, and calls `end` once, when the body is read or closed."""

    def __init__(self, end: Callable[[dict[str, Any], BaseException | None], None], *, events: bool) -> None:
        self._end: Callable[[dict[str, Any], BaseException | None], None] | None = end
        self._events = events  # whether these are server-sent events, and not one JSON text
        self._rest = b""
        self._found: dict[str, Any] = {}

    def received(self, data: bytes) -> None:
        self._rest += data
        if len(self._rest) > _LARGEST:
            self._rest = b""
        if self._events:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                self._read_event(line)

    def _read_event(self, line: bytes) -> None:
        # The usage stands in one event of many, and the model in all of them.
        if line.startswith(b"data:") and (b'"usage"' in line or "model" not in self._found):
            self._found |= facts_of_body(line[5:].strip())

    def ended(self, error: BaseException | None) -> None:
        self._tell(error if isinstance(error, Exception) else None)

    def closed(self) -> None:
        self._tell(None)

    def _tell(self, error: BaseException | None) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(self._found if self._events else facts_of_body(self._rest), error)
