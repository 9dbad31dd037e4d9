"""The body of a streamed reply, for both colours and either HTTP library: native bytes in, OpenAI's out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache
from typing import Any

from llm_adapter.provider import Events, SequentialEvents


def timed(response: Any, natives: Sequence[Any]) -> None:
    """`.elapsed` is the native response's, which is known once that is closed; a mocked one has none."""
    try:
        response.elapsed = natives[-1].elapsed
    except (IndexError, RuntimeError):
        pass


@lru_cache(maxsize=4)
def streamed(http: Any) -> Any:
    """The class of such bodies of one HTTP library."""
    return type("Body", (_Body, http.SyncByteStream, http.AsyncByteStream), {})


class _Body:
    """A streamed body for both colours, as httpx's own ByteStream is; made a stream of one HTTP family above."""

    answer: Any = None  # the response that this is the body of
    # Kept, for the SDK reads on after [DONE] with a second iterator: a body read to its end keeps the connection.
    _source: Any = None

    def __init__(self, content: bytes | Events, natives: Sequence[Any]) -> None:
        self._content = content
        self._natives = natives

    def __iter__(self) -> Iterator[bytes]:
        self._source = self._source or self._translated()
        for data in self._source:  # noqa: UP028 - closing this iterator must leave the source open
            yield data

    def _translated(self) -> Iterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        for native in self._streams:
            yield self._turn(native)
            for data in native.iter_bytes():
                if out := self._content.feed(data):
                    yield out
        yield self._content.finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._source = self._source or self._atranslated()
        async for data in self._source:
            yield data

    async def _atranslated(self) -> AsyncIterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        for native in self._streams:
            yield self._turn(native)
            async for data in native.aiter_bytes():
                if out := self._content.feed(data):
                    yield out
        yield self._content.finish()

    @property
    def _streams(self) -> Sequence[Any]:
        return self._natives if isinstance(self._content, SequentialEvents) else self._natives[-1:]

    def _turn(self, native: Any) -> bytes:
        """What ends the stream before this one, where there is one."""
        if isinstance(self._content, SequentialEvents) and native is not self._natives[0]:
            return self._content.next_stream()
        return b""

    def close(self) -> None:
        for native in self._natives:
            native.close()
        timed(self.answer, self._natives)

    async def aclose(self) -> None:
        for native in self._natives:
            await native.aclose()
        timed(self.answer, self._natives)
