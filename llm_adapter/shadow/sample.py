"""The copy of a reply, taken as the caller reads it: every piece is handed on at once, and kept.

Works on either HTTP library, sync and async. Raises nothing of its own, and changes nothing that the caller sees.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from llm_adapter.shadow import worker
from llm_adapter.shadow.journal import warn_once
from llm_adapter.shadow.record import LARGEST, Job
from llm_adapter.transport.body import Observer, http_library, observe

if TYPE_CHECKING:
    from llm_adapter.shadow.record import Destinations


class Sample:
    """One attempt that is copied. Its `with` lasts until the response begins."""

    def __init__(
        self, shadow: Destinations, client: Any, request: Any, path: str, body: bytes, *, streamed: bool, last: bool
    ) -> None:
        self._shadow = shadow
        self._client = client
        self._path = path
        self._body = body
        self._streamed = streamed
        self._last = last
        self._http = http_library(request)
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = perf_counter()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # The SDK raises an error of the HTTP library only after its last attempt; the caller does not see the others.
        if error is not None and (self._last or not isinstance(error, self._http.RequestError)):
            self.submit(error=error, whole=isinstance(error, Exception))

    def watched(self, response: Any) -> Any:
        """The response, which is copied while it is read; not one that the SDK answers with another attempt."""
        try:
            if response.status_code < 400 or self._last or not self._client._should_retry(response):
                self._copy(response)
        except Exception as error:
            warn_once("a reply could not be copied", error)
        return response

    def _copy(self, response: Any) -> None:
        if response.is_closed:
            self.submit(status=response.status_code, headers=_headers(response), content=response.content)
        else:
            observe(response, Copy(self, response))

    def submit(self, **reply: Any) -> None:
        """Hand the call and its reply to the worker. Raises nothing, and waits for nothing."""
        try:
            if len(reply.get("content", b"")) > LARGEST:
                worker.count_left_out()
                return
            spent = perf_counter() - self._since
            call = (self._shadow, self._path, self._body, self._streamed, spent, time(), self._http)
            worker.submit(Job(*call, **reply))
        except Exception as error:
            warn_once("a reply could not be kept", error)


class Copy(Observer):
    """The pieces of one reply that is still read."""

    def __init__(self, sample: Sample, response: Any) -> None:
        self._sample: Sample | None = sample  # until it is handed over
        self._reply = {"status": response.status_code, "headers": _headers(response), "encoded": True}
        self._pieces: list[bytes] = []
        self._size = 0

    def received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= LARGEST:
            self._pieces.append(data)
        elif self._sample is not None:
            self._sample = None
            self._pieces.clear()
            worker.count_left_out()

    def ended(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, Exception):  # what is no Exception only stops the reader, who closes then
            self._submit(whole=error is None, error=error)

    def closed(self) -> None:
        self._submit(whole=False, error=None)

    def _submit(self, *, whole: bool, error: Exception | None) -> None:
        """Hand over what was read, once: at the body's end, at an error, or where the reader stopped."""
        sample, self._sample = self._sample, None
        if sample is not None:
            sample.submit(**self._reply, content=b"".join(self._pieces), whole=whole, error=error)


def _headers(response: Any) -> tuple[tuple[str, str], ...]:
    return tuple(response.headers.multi_items())
