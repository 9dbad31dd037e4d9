"""Ollama's lines of JSON  →  OpenAI's server-sent events: one push decoder, fed bytes of any size.

Lines end at one byte, 0x0A: a reply may hold U+0085 and U+2028. A line with an error, and an end before `done`, raise
from the SDK's stream. Source: recordings of 0.24.0 and 0.32.15; middleware/openai.go ChatWriter, v0.33.0-rc2.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Done, Event, Json, ObjectEvents, Rejected, parsed_json
from llm_adapter.translation.errors import stream_envelope, stream_error
from llm_adapter.translation.reply_shapes import Shape
from llm_adapter.translation.wire import INTERRUPTED


class LineDecoder(ObjectEvents):
    """The decoder's common part. A subclass says what one native message becomes, in `chunks`."""

    shape: Shape  # of a native message

    def __init__(self, call: Call) -> None:
        self.call = call
        self._rest = b""
        self._over = False  # done, or failed: what comes after is not part of the reply
        self.pieces = 0

    def chunks(self, native: Json) -> list[Event]:
        raise NotImplementedError

    def text_chunk(self, native: Any) -> Event | None:
        """The chunk of a message that is a piece of text and nothing more, as nearly all are; None for any other."""
        return None

    def events(self, data: bytes) -> list[Event]:
        if data.find(b"\n") == len(data) - 1 and not self._rest:  # one line, as nearly always
            return self._line_events(data[:-1])
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [event for line in lines for event in self._line_events(line)]

    def last_events(self) -> list[Event]:
        rest, self._rest = self._line_events(self._rest), b""
        return rest if self._over else [*rest, *self._error_event(INTERRUPTED)]

    def _line_events(self, line: bytes) -> list[Event]:
        if self._over or not line or line.isspace():
            return []
        try:
            native = parsed_json(line)
            if (chunk := self.text_chunk(native)) is not None:
                self.pieces += 1
                return [chunk]
            self.shape.checked(native)
        except Rejected as refusal:
            return self.failed(stream_envelope(refusal))
        except ValueError:
            return self._error_event(f"the stream holds something that is not JSON: {line[:300]!r}")
        out = self.chunks(native)
        self.pieces += 1
        if native.get("done") and not self._over:
            self._over = True
            return [*out, Done()] if self.last else out
        return out

    @property
    def last(self) -> bool:
        """Whether the whole reply ends with this stream."""
        return True

    def failed(self, envelope: Json) -> list[Event]:
        """The event that ends the stream with an error."""
        self._over = True
        return [Event(envelope)]

    def _error_event(self, error: str) -> list[Event]:
        return self.failed(stream_error(error))
