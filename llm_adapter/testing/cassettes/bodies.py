"""Bodies that are recorded as they are read, and those that a recording plays: both colours, either HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from llm_adapter.testing.cassettes.tape import CassetteError, Line

# What is told at a body's end: its bytes, whether it was read to the end, and what broke it off.
End: TypeAlias = Callable[[bytes, bool, "Exception | None"], None]


@lru_cache(maxsize=8)
def of_library(kind: type, http: Any) -> Any:
    """A class of this module as a stream of one HTTP library."""
    return type(kind.__name__, (kind, http.SyncByteStream, http.AsyncByteStream), {})


class Tee:
    """A response's body that tells what went through it, once: at its end, or where it was left."""

    def __init__(self, source: Any, end: End) -> None:
        self._source = source
        self._told: End | None = end
        self._data: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._source:
                self._data.append(data)
                yield data
        except Exception as error:
            self.tell(failure=error)
            raise
        self.tell(whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._source:
                self._data.append(data)
                yield data
        except Exception as error:
            self.tell(failure=error)
            raise
        self.tell(whole=True)

    def close(self) -> None:
        self._source.close()
        self.tell()

    async def aclose(self) -> None:
        await self._source.aclose()
        self.tell()

    def tell(self, *, whole: bool = False, failure: Exception | None = None) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(b"".join(self._data), whole, failure)


class Played:
    """The recorded body of a line, piece by piece; it breaks off where the recorded one did."""

    def __init__(self, line: Line, failure: Exception | None) -> None:
        self._line = line
        self._pieces = line.pieces()
        self._failure = failure

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self._finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        self._finish()

    def _finish(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._line.abandoned:
            raise CassetteError(
                f"the stream of {self._line.asked} was recorded up to here: the test that recorded it read no further"
            )

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass
