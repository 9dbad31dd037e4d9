"""The body of a stream: its own timeouts, and a place that it keeps while it is read.

httpx has one read timeout for all of a request. Its transports read it from `extensions["timeout"]`, HTTP/2 for every
read, HTTP/1.1 once for the headers and once for the body (httpcore2 _sync/http11.py, 2.16): there the connection's
`network_stream` is made to look again. Where a transport has none, as mocks, one timeout stays for the whole body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache, partial
from time import monotonic
from typing import Any

from llm_adapter.transport.concurrency import Place


class Pace:
    """The read timeouts of a stream's body."""

    def __init__(self, request: Any, response: Any, first: float | None, others: float | None) -> None:
        self._timeouts = request.extensions["timeout"]
        self._timeouts["read"] = first
        self._others = others
        network = response.extensions.get("network_stream")
        # With HTTP/2 it is shared with other requests, and the timeout is looked up for every read anyway.
        alike = first == others or response.extensions.get("http_version") == b"HTTP/2"
        self._network = None if alike else network
        if self._network is not None:
            self._network.read = partial(_read, network.read, self._timeouts)

    def going(self) -> None:
        """The first piece is there."""
        self._timeouts["read"] = self._others

    def end(self) -> None:
        """Before the body is closed: then the connection is the next request's."""
        network, self._network = self._network, None
        if network is not None:
            del network.read


def _read(read: Callable[..., Any], timeouts: dict[str, float | None], max_bytes: int, **_: Any) -> Any:
    """One read, in either colour, with the timeout of this moment."""
    return read(max_bytes, timeout=timeouts["read"])


@lru_cache(maxsize=4)
def watched(http: Any) -> Any:
    """The class of watched bodies of one HTTP library."""
    return type("Watched", (_Watched, http.SyncByteStream, http.AsyncByteStream), {})


class _Watched:
    """A native body that gives its place back when it is closed, and says when it is read and when it is not."""

    def __init__(self, stream: Any, place: Place | None, pace: Pace | None) -> None:
        self._stream = stream
        self._place = place
        self._closed = False
        self._pace = pace
        self._rests()

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._works()
            for data in self._stream:
                if self._pace is not None:
                    self._pace.going()
                self._rests()
                yield data
                self._works()
        finally:
            self._rests()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            self._works()
            async for data in self._stream:
                if self._pace is not None:
                    self._pace.going()
                self._rests()
                yield data
                self._works()
        finally:
            self._rests()

    def _works(self) -> None:
        if self._place is not None:
            self._place.unread_since = None

    def _rests(self) -> None:
        if self._place is not None:
            self._place.unread_since = monotonic()

    @property
    def elapsed(self) -> Any:
        """Where httpx2 looks for a response's `elapsed`."""
        return self._stream.elapsed

    def close(self) -> None:
        try:
            self._end_pace()
            self._stream.close()
        finally:
            self._leave()

    async def aclose(self) -> None:
        try:
            self._end_pace()
            await self._stream.aclose()
        finally:
            self._leave()

    def _end_pace(self) -> None:
        if self._pace is not None:
            self._pace.end()

    def _leave(self) -> None:
        closed, self._closed = self._closed, True
        if self._place is not None and not closed:
            self._place.release()
