"""A response whose JSON was made here: it is rendered when somebody asks for its bytes.

Skipped: writing a reply as JSON for the SDK to parse it again, in the same process.

Safe, because the bytes are those that would have been written, and are made of the same value whenever they are asked
for. Who gets to see the response itself, with `with_raw_response`, gets one that is rendered, with its length.

Proved by tests/transport/test_held_reply.py and tests/client/test_quick_replies.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llm_adapter.provider import Json, json_bytes

RAW = "x-stainless-raw-response"  # the header of a call whose response goes to the caller (openai-python _constants.py)


class HeldReply:
    """The part of a response that makes it hold its JSON; see `held_response`."""

    held: Json

    @property
    def _content(self) -> bytes:  # where both HTTP libraries keep the bytes of a response that was read
        rendered: bytes | None = vars(self).get("rendered")
        if rendered is None:
            rendered = vars(self)["rendered"] = json_bytes(self.held)
        return rendered


def held_response(http: Any, value: Json, **options: Any) -> Any:
    """A response of an HTTP library, read and closed, with this JSON."""
    response = _kind(http)(200, stream=http.ByteStream(b""), **options)
    response.held = value
    response.is_closed = response.is_stream_consumed = True
    return response


def held_json(response: Any) -> Json | None:
    """The JSON that a response holds; None where it holds none."""
    return getattr(response, "held", None)


@lru_cache(maxsize=4)
def _kind(http: Any) -> Any:
    return type("Response", (HeldReply, http.Response), {})
