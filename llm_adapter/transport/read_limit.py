"""A limit for all reads of a response together: httpx's read timeout is for each, so a server that drips has no end.

A server that sends one byte, or one more interim response (100 to 199), before each timeout is over would hold a call
for ever. httpcore hands the timeout of a request to every read of its connection (_sync/http11.py, 1.0.9), so the
timeout itself carries the limit, and the connection's stream is made to look at it. It is reached by httpcore's `trace`
extension, when the connection is made; once a request is sent there is nothing more to trace, and httpcore is told so,
for it calls back for each of its steps. Transports without one, as mocks, keep httpx's timeout alone.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from llm_adapter.transport.quick_connection import quicken

_CONNECTED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")
_SENDS = "send_request_headers.started"
_LARGE = 1 << 20  # bytes of a request that may take a while to send


class ReadLimit(float):
    """A read timeout in seconds, and the time, by the clock `monotonic`, when all reads have to be over."""

    end: float = math.inf
    whole = False  # whether the response has to be complete by then, or only to begin
    trace: Callable[..., Any]


def limit_reads(request: Any, *, whole: bool, asynchronous: bool) -> None:
    """Have the response begin within the request's timeouts. whole: its end has to come by then, too."""
    timeouts = request.extensions.get("timeout") or {}
    read = timeouts.get("read")
    if read is None or "trace" in request.extensions:
        return
    limit = ReadLimit(read)
    limit.whole, limit.trace = whole, _atrace if asynchronous else _trace
    large = int(request.headers.get("content-length") or 0) > _LARGE
    limit.end = monotonic() + read + (timeouts.get("connect") or 0) + ((timeouts.get("write") or 0) if large else 0)
    request.extensions["timeout"] = {**timeouts, "read": limit}
    request.extensions["trace"] = limit.trace


def has_begun(request: Any) -> bool:
    """Whether the response to a request has begun, as far as it is known: of one with a limit for its beginning."""
    limit = (request.extensions.get("timeout") or {}).get("read")
    return isinstance(limit, ReadLimit) and limit.end == math.inf


def response_begun(response: Any) -> None:
    """Lift the limit of a response that only had to begin. For each response, before its body is read."""
    extensions = response.request.extensions
    limit = (extensions.get("timeout") or {}).get("read")
    if not isinstance(limit, ReadLimit):
        return
    if not limit.whole:
        limit.end = math.inf
    if response.has_redirect_location:  # the next request may be the first of a connection
        extensions["trace"] = limit.trace


def _trace(event: str, details: Any) -> None:
    if event.endswith(_CONNECTED):
        stream = details["return_value"]
        stream.read = partial(_read, weakref.ref(stream))
        quicken(stream)
    elif event.endswith(_SENDS) and details["request"].method != b"CONNECT":  # to a proxy: then TLS begins
        details["request"].extensions.pop("trace", None)


async def _atrace(event: str, details: Any) -> None:
    _trace(event, details)


def _read(stream: Callable[[], Any], max_bytes: int, timeout: float | None = None) -> Any:
    """One read of a connection, sync or async. Raises httpcore's ReadTimeout at the limit."""
    network = stream()
    kind = type(network)
    if isinstance(timeout, ReadLimit):
        left = timeout.end - monotonic()
        if left <= 0:
            raise sys.modules[kind.__module__.partition(".")[0]].ReadTimeout("the response took too long as a whole")
        timeout = min(float(timeout), left)
    return kind.read(network, max_bytes, timeout=timeout)
