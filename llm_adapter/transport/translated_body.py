"""The body of an OpenAI stream, made while it is read: native bytes go in, OpenAI's events or bytes come out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from time import monotonic
from typing import Any

import openai

from llm_adapter.provider import Events, ObjectEvents, rendered
from llm_adapter.settings.errors import caller_kept
from llm_adapter.transport.body import http_library, set_elapsed
from llm_adapter.transport.pieces import async_pieces, pieces
from llm_adapter.transport.time_limit import awithin

LONGEST_LINE = 64 << 20  # bytes: more than any reply's, with an image in it


class WholeLines:
    """Holds back what follows the end of the last line: decoders get whole lines, which they need not put together.

    A line that comes in many pieces is joined once. (A decoder that adds each piece to the rest takes time by the
    square of the line's length.) seconds: that may pass without the end of a line; None: any number.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.held: list[bytes] = []
        self._size = 0
        self._since = 0.0  # when the line began, if it has

    def feed(self, data: bytes) -> bytes:
        """The lines that are complete now. Raises ValueError for a line too long, TimeoutError for one too slow."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end:
            whole = b"".join((*self.held, data[:end])) if self.held else data[:end]
            self.held, self._size, data = [], 0, data[end:]
        else:
            whole = b""
        if data:
            self._hold(data)
        return whole

    def _hold(self, data: bytes) -> None:
        now = monotonic()
        if not self.held:
            self._since = now
        self.held.append(data)
        self._size += len(data)
        if self._size > LONGEST_LINE:
            raise ValueError
        if self._seconds is not None and now - self._since > self._seconds:
            raise TimeoutError

    def rest(self) -> bytes:
        """What is left at the end."""
        return b"".join(self.held)


class TranslatedBody:
    """The body of an OpenAI response, made of the native responses' as it is read; see `stream_class`.

    What is made are events, which the SDK's streams get as they are (`event_pieces.py`), or bytes.
    """

    response: Any = None  # the response that this is the body of
    when_closed: Callable[[], None] | None = None
    # Kept, for the SDK reads on after [DONE] with a second iterator: a body read to its end keeps the connection.
    _source: Any = None

    def __init__(self, content: bytes | Events, natives: Sequence[Any]) -> None:
        self._content = content
        self._natives = natives
        self._working = content if hasattr(content, "long_work") else None
        self._sequential = hasattr(content, "next_stream")
        self.gives_objects = isinstance(content, ObjectEvents)

    def __iter__(self) -> Iterator[bytes]:
        for batch in self.batches():
            yield batch if isinstance(batch, bytes) else rendered(batch)

    def batches(self) -> Iterator[Any]:
        """What is left of the body, as bytes or as lists of events. Closing a loop over it leaves it open."""
        self._source = self._source or self._decoded()
        return self._source  # type: ignore[no-any-return]

    def _decoded(self) -> Iterator[Any]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        feed, finish = _decoding(self._content)
        for native in self._streams:
            if self._sequential and native is not self._natives[0]:
                yield self._content.next_stream()  # type: ignore[attr-defined]
            lines = self._lines(native)
            for data in pieces(native):
                # The end of a line is the end of a piece, as nearly always, or the rest is held back.
                if whole := data if data[-1:] == b"\n" and not lines.held else self._whole(lines, data, native):
                    out = feed(whole)
                    if self._working:
                        out += self._work_done(out)
                    if out:
                        yield out
            if rest := lines.rest():
                out = feed(rest)
                yield out + self._work_done(out)
        out = finish()
        yield out + self._work_done(out)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for batch in self.async_batches():
            yield batch if isinstance(batch, bytes) else rendered(batch)

    def async_batches(self) -> AsyncIterator[Any]:
        self._source = self._source or self._async_decoded()
        return self._source  # type: ignore[no-any-return]

    async def _async_decoded(self) -> AsyncIterator[Any]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        feed, finish = _decoding(self._content)
        for native in self._streams:
            if self._sequential and native is not self._natives[0]:
                yield self._content.next_stream()  # type: ignore[attr-defined]
            lines = self._lines(native)
            async for data in async_pieces(native):
                # The end of a line is the end of a piece, as nearly always, or the rest is held back.
                if whole := data if data[-1:] == b"\n" and not lines.held else self._whole(lines, data, native):
                    out = feed(whole)
                    if self._working:
                        out += await self._awork_done(out)
                    if out:
                        yield out
            if rest := lines.rest():
                out = feed(rest)
                yield out + await self._awork_done(out)
        out = finish()
        yield out + await self._awork_done(out)

    def _work_done(self, out: Any) -> Any:
        """The events that long work gives, if there is some to do, as `out` has them."""
        work = self._working and self._working.long_work
        return work() if work else type(out)()

    async def _awork_done(self, out: Any) -> Any:
        work = self._working and self._working.long_work
        if not work:
            return type(out)()
        with caller_kept():
            return await awithin(None, work)

    @property
    def last(self) -> Any:
        """The native response that is read last."""
        return self._natives[-1]

    @property
    def _streams(self) -> Sequence[Any]:
        return self._natives if self._sequential else self._natives[-1:]

    def _lines(self, native: Any) -> WholeLines:
        return WholeLines((native.request.extensions.get("timeout") or {}).get("read"))

    def _whole(self, lines: WholeLines, data: bytes, native: Any) -> bytes:
        """The lines that are complete now. Raises the SDK's APIError, or the HTTP library's ReadTimeout."""
        try:
            return lines.feed(data)
        except ValueError:
            message = f"a line of the stream is longer than {LONGEST_LINE} bytes, which no reply is: reading was ended"
            error = {"message": message, "type": "api_error", "param": None, "code": "line_too_long"}
            raise openai.APIError(message, native.request, body=error) from None
        except TimeoutError:
            message = "the stream sent bytes, and no end of a line, for as long as its read timeout"
            raise http_library(native).ReadTimeout(message, request=native.request) from None

    def close(self) -> None:
        try:
            for native in self._natives:
                native.close()
        finally:
            self._closed()

    async def aclose(self) -> None:
        try:
            for native in self._natives:
                await native.aclose()
        finally:
            self._closed()

    def _closed(self) -> None:
        set_elapsed(self.response, self._natives)
        if self.when_closed is not None:
            self.when_closed()


def _decoding(content: Events) -> tuple[Callable[[bytes], Any], Callable[[], Any]]:
    """How the content is fed and finished."""
    if isinstance(content, ObjectEvents):
        return content.events, content.last_events
    return content.feed, content.finish
