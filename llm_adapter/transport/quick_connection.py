"""A request's head goes out with its body, and whether an idle connection has ended is asked of its socket alone.

Skipped: one of two writes for each request, with its system call and, in an event loop, its timeout and its turn of the
loop; and what anyio collects of all facts about a socket each time one of them is asked for, twice a call for every
connection of the pool.

Safe, because httpcore writes a body right after the head of an HTTP/1.1 request that has one; a head is held
back only where it says that a short body follows, and nothing of another protocol looks like one. The socket of a
connection stays the same.

Proved by tests/transport/test_quick_connection.py. Source: httpcore2 _sync/http11.py _send_request_body and
_backends/anyio.py AnyIOStream.get_extra_info, 2.16.2.
"""

from __future__ import annotations

import inspect
import re
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

_SHORT_BODY = re.compile(rb"\r\ncontent-length: [1-9][0-9]{0,4}\r\n", re.IGNORECASE).search


def quicken(network: Any) -> None:
    """Have a connection that was just made take the shorter ways. network: its stream, of httpcore's."""
    asynchronous = inspect.iscoroutinefunction(type(network).write)
    network.write = _Writes(network, asynchronous=asynchronous)
    socket = network.get_extra_info("socket")
    utils = sys.modules.get(f"{type(network).__module__.partition('.')[0]}._utils")
    is_readable = getattr(utils, "is_socket_readable", None)
    if asynchronous and socket is not None and is_readable is not None:
        network.get_extra_info = partial(_extra_info, weakref.ref(network), partial(is_readable, socket))


class _Writes:
    """What httpcore calls to write to a connection."""

    def __init__(self, network: Any, *, asynchronous: bool) -> None:
        self._network = weakref.ref(network)
        self._nothing: Callable[[], Any] = _anothing if asynchronous else _nothing
        self._head = b""

    def __call__(self, buffer: bytes, timeout: float | None = None) -> Any:
        if buffer.startswith(b"POST ") and buffer.endswith(b"\r\n\r\n") and _SHORT_BODY(buffer) and not self._head:
            self._head = buffer
            return self._nothing()
        network: Any = self._network()
        head, self._head = self._head, b""
        return type(network).write(network, head + buffer, timeout=timeout)


def _nothing() -> None:
    pass


async def _anothing() -> None:
    pass


def _extra_info(network: Callable[[], Any], is_readable: Callable[[], bool], info: str) -> Any:
    found: Any = network()
    return is_readable() if info == "is_readable" else type(found).get_extra_info(found, info)
