"""Bodies of HTTP responses that are watched, or made, while they are read: sync and async, for either HTTP library.

`observe` tells an observer of a response's body as it is read. Fake servers and cassettes answer with `MadeBody`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from functools import lru_cache
from time import sleep
from typing import Any

import anyio


def http_library(message: Any) -> Any:
    """The HTTP library that a request or a response is of: httpx2, or a caller's legacy httpx."""
    return sys.modules[type(message).__module__.partition(".")[0]]


@lru_cache(maxsize=16)
def stream_class(kind: type, http: Any) -> Any:
    """The class `kind` as a stream of bytes of one HTTP library, for its sync and its async client."""
    return type(kind.__name__, (kind, http.SyncByteStream, http.AsyncByteStream), {})


class Observer:
    """What is told of a body while it is read. Methods are quick, and none of them raises."""

    def waiting(self) -> None:
        """The reader asks for the next piece."""

    def received(self, data: bytes) -> None:
        """A piece has come, and goes to the reader next."""

    def ended(self, error: BaseException | None) -> None:
        """The reader stops: at the body's end, or for the error that it gets."""

    def closing(self) -> None:
        """The body is about to be closed."""

    def closed(self) -> None:
        """The body is closed, for good or with an error."""


def observe(response: Any, observer: Observer) -> None:
    """Have the observer told of a response's body."""
    response.stream = stream_class(ObservedBody, http_library(response))(response.stream, observer)


class ObservedBody:
    """A body that is handed on as it is, and of which an observer is told; see `stream_class`."""

    def __init__(self, source: Any, observer: Observer) -> None:
        self._source = source
        self._observer = observer

    @property
    def elapsed(self) -> Any:
        """Where httpx2 looks for a response's `elapsed`."""
        return self._source.elapsed

    def __iter__(self) -> Iterator[bytes]:
        observer = self._observer
        try:
            observer.waiting()
            for data in self._source:
                observer.received(data)
                yield data
                observer.waiting()
        except BaseException as error:
            observer.ended(error)
            raise
        observer.ended(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        observer, source = self._observer, self._source.__aiter__()
        try:
            observer.waiting()
            async for data in source:
                observer.received(data)
                yield data
                observer.waiting()
        except BaseException as error:
            observer.ended(error)
            raise
        finally:
            if isinstance(source, AsyncGenerator):  # as httpx2 does with a body itself (_models.py aiter_raw, 2.16)
                await source.aclose()
        observer.ended(None)

    def close(self) -> None:
        self._observer.closing()
        try:
            self._source.close()
        finally:
            self._observer.closed()

    async def aclose(self) -> None:
        self._observer.closing()
        try:
            await self._source.aclose()
        finally:
            self._observer.closed()


class MadeBody:
    """A body of given pieces; a number among them is a pause in seconds. See `stream_class`."""

    def __init__(self, pieces: Iterable[bytes | float]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                sleep(piece)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                await anyio.sleep(piece)

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def set_elapsed(response: Any, natives: Sequence[Any]) -> Any:
    """The response, whose `.elapsed` is the native one's: known once that is closed; a mocked one has none."""
    try:
        response.elapsed = natives[-1].elapsed
    except (IndexError, RuntimeError):
        pass
    return response
