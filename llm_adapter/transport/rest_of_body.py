"""What follows [DONE] is read, so that the connection is kept: a sync stream of the SDK's closes it each time.

A server's last bytes are the end of the body alone. An HTTP/1.1 connection that is closed before them cannot be used
again, and the next stream connects anew, which costs a third of its fixed part, and more with TLS. The SDK's async
streams read on themselves, for a tenth of a second at most (openai-python _streaming_cleanup.py, v3.57.0); so do these,
and async ones too, without the SDK's cancel scopes: mostly the last bytes are there already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any

from llm_adapter.transport.translated_body import TranslatedBody

LONGEST_WAIT = 0.1  # seconds


def read_rest(response: Any, source: Iterator[Any]) -> None:
    """Read a complete stream to the end of its body, if that comes soon. source: the body, as it is being read."""
    with _reading_soon(response) as connected, suppress(Exception):  # the reply is complete: what fails now is no error
        if connected:
            for _ in source:
                pass


async def aread_rest(response: Any, source: AsyncIterator[Any]) -> None:
    """The same in an event loop. The response is closed then, and the SDK has nothing to read on."""
    with _reading_soon(response) as connected, suppress(Exception):
        if connected:
            async for _ in source:
                pass
            await response.aclose()


@contextmanager
def _reading_soon(response: Any) -> Iterator[bool]:
    """Whether there is a connection to be kept, whose reads have an end meanwhile."""
    last = response.stream.last if isinstance(response.stream, TranslatedBody) else response
    network = last.extensions.get("network_stream")
    if network is None or last.is_closed or last.extensions.get("http_version") != b"HTTP/1.1":
        yield False
        return
    before = vars(network).get("read")  # `timeouts` or `read_limit` may have put one there
    soon = partial(_read, network.read, monotonic() + LONGEST_WAIT)
    network.read = soon
    try:
        yield True
    finally:
        if vars(network).get("read") is soon:
            del network.read
            if before is not None:
                network.read = before


def _read(read: Callable[..., Any], end: float, max_bytes: int, timeout: float | None = None) -> Any:
    """One read of a connection, sync or async. Raises TimeoutError at the end."""
    left = end - monotonic()
    if left <= 0:
        raise TimeoutError
    return read(max_bytes, timeout=left)
