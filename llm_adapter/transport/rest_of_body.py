"""What follows [DONE] is read, so that the connection is kept: a sync stream of the SDK's closes it each time.

A server's last bytes are the end of the body alone. An HTTP/1.1 connection that is closed before them cannot be used
again, and the next stream connects anew, which costs a third of its fixed part, and more with TLS. The SDK's async
streams read on themselves, for a tenth of a second at most (openai-python _streaming_cleanup.py, v3.57.0); so do these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from llm_adapter.transport.translated_body import TranslatedBody

LONGEST_WAIT = 0.1  # seconds


def read_rest(response: Any, source: Iterator[Any]) -> None:
    """Read a complete stream to the end of its body, if that comes soon. source: the body, as it is being read."""
    last = response.stream.last if isinstance(response.stream, TranslatedBody) else response
    network = last.extensions.get("network_stream")
    if network is None or last.is_closed or last.extensions.get("http_version") != b"HTTP/1.1":
        return
    before = vars(network).get("read")  # `timeouts` or `read_limit` may have put one there
    soon = partial(_read, network.read, monotonic() + LONGEST_WAIT)
    network.read = soon
    try:
        with suppress(Exception):  # the reply is complete: of what fails now, the connection is closed
            for _ in source:
                pass
    finally:
        if vars(network).get("read") is soon:
            del network.read
            if before is not None:
                network.read = before


def _read(read: Callable[..., Any], end: float, max_bytes: int, timeout: float | None = None) -> Any:
    """One read of a connection. Raises TimeoutError at the end."""
    left = end - monotonic()
    if left <= 0:
        raise TimeoutError
    return read(max_bytes, timeout=left)
