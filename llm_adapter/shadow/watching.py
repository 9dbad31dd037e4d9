"""The copy of a reply, taken as the caller reads it: every piece is handed on at once, and kept.

Works on either HTTP library and in both colours. Raises nothing of its own, and changes nothing that the caller sees.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import lru_cache
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from llm_adapter.shadow import worker
from llm_adapter.shadow.job import LARGEST, Job
from llm_adapter.shadow.journal import trouble
from llm_adapter.transport.sending import family

if TYPE_CHECKING:
    from llm_adapter.shadow.job import Destinations


class Sample:
    """One attempt that is copied. As a context it is the time until its response begins."""

    def __init__(
        self, shadow: Destinations, client: Any, request: Any, path: str, body: bytes, *, streamed: bool, last: bool
    ) -> None:
        self._shadow = shadow
        self._client = client
        self._path = path
        self._body = body
        self._streamed = streamed
        self._last = last
        self._http = family(request)
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = perf_counter()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # Of what the HTTP library raises the SDK tells the caller after the last attempt only.
        if error is not None and (self._last or not isinstance(error, self._http.RequestError)):
            self.submit(error=error, whole=isinstance(error, Exception))

    def seen(self, response: Any) -> Any:
        """The response, which is copied while it is read; not one that the SDK answers with another attempt."""
        try:
            if response.status_code < 400 or self._last or not self._client._should_retry(response):
                self._copy(response)
        except Exception as error:
            trouble("a reply could not be copied", error)
        return response

    def _copy(self, response: Any) -> None:
        if response.is_closed:
            self.submit(status=response.status_code, headers=_headers(response), content=response.content)
        else:
            response.stream = copied(self._http)(response.stream, Copy(self, response))

    def submit(self, **reply: Any) -> None:
        """Hand over what came. Raises nothing, and waits for nobody."""
        try:
            if len(reply.get("content", b"")) > LARGEST:
                worker.leave_out()
                return
            spent = perf_counter() - self._since
            call = (self._shadow, self._path, self._body, self._streamed, spent, time(), self._http)
            worker.submit(Job(*call, **reply))
        except Exception as error:
            trouble("a reply could not be kept", error)


class Copy:
    """The pieces of one reply that is still read. Every method is quick and raises nothing."""

    def __init__(self, sample: Sample, response: Any) -> None:
        self._sample: Sample | None = sample  # until it is handed over
        self._reply = {"status": response.status_code, "headers": _headers(response), "encoded": True}
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST:
            self._pieces.append(data)
        elif self._sample is not None:
            self._sample = None
            self._pieces.clear()
            worker.leave_out()

    def over(self, *, whole: bool, error: Exception | None = None) -> None:
        """The end, by whatever comes first: the last piece, an error, or that it is closed before."""
        sample, self._sample = self._sample, None
        if sample is not None:
            sample.submit(**self._reply, content=b"".join(self._pieces), whole=whole, error=error)


def _headers(response: Any) -> tuple[tuple[str, str], ...]:
    return tuple(response.headers.multi_items())


@lru_cache(maxsize=4)
def copied(http: Any) -> Callable[[Any, Copy], Any]:
    """The class of copied bodies of one HTTP library."""
    return type("Copied", (_Copied, http.SyncByteStream, http.AsyncByteStream), {})


class _Copied:
    """A body that is copied while it is read."""

    def __init__(self, stream: Any, copy: Copy) -> None:
        self._stream = stream
        self._copy = copy

    @property
    def elapsed(self) -> Any:
        """Where httpx2 looks for a response's `elapsed`."""
        return self._stream.elapsed

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._stream:
                self._copy.add(data)
                yield data
        except Exception as error:
            self._copy.over(whole=False, error=error)
            raise
        self._copy.over(whole=True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._stream.__aiter__()
        try:
            async for data in stream:
                self._copy.add(data)
                yield data
        except Exception as error:
            self._copy.over(whole=False, error=error)
            raise
        finally:
            if isinstance(stream, AsyncGenerator):  # as httpx2 does with a body itself (_models.py aiter_raw, 2.16)
                await stream.aclose()
        self._copy.over(whole=True)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._copy.over(whole=False)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._copy.over(whole=False)
