"""An HTTP connection to one checked address, whose every read ends at one deadline.

It is made with `http.client`: httpx resolves names by itself, and has a timeout for each read but none for all of them.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from functools import partial
from typing import Any


class Deadline:
    """A point in time for many steps: a timeout of each step alone lets a slow server go on for ever."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class PinnedConnection(http.client.HTTPConnection):
    """A connection for a host's name to an address that was checked: nothing is resolved again."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None, deadline: Deadline) -> None:
        super().__init__(host, port)
        self.default_port = 80 if context is None else 443  # the Host header names any other
        self.response_class = partial(_Response, deadline=deadline)  # type: ignore[assignment]
        self._address, self._context = address, context

    def reach(self, seconds: float) -> None:
        """Connect, within so many seconds. Raises OSError."""
        self.sock = socket.create_connection((self._address, self.port), seconds)
        if self._context is not None:
            # The handshake as a whole has the socket's timeout (ssl, since Python 3.5).
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def connect(self) -> None:
        raise http.client.NotConnected  # it must not connect by itself: the address has to be checked first


class _Response(http.client.HTTPResponse):
    """A response whose every read, headers included, ends at the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, deadline))


class _Timed(io.RawIOBase):
    def __init__(self, raw: Any, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._raw.close()
        super().close()
