"""Trusted certificates that are read with the first connection that needs them.

An HTTP client reads those of the machine when it is made, which takes some 20 ms, and a server at `http://` has no use
for them. They are still there for what such a client may meet later: a redirect, a model's prefix, a proxy.
"""

from __future__ import annotations

import ssl
import sys
from functools import cached_property
from typing import Any


class LateContext(ssl.SSLContext):
    """The TLS context that an HTTP library makes, made when it is used: httpcore asks a context for nothing but this.

    Source: httpcore2 _sync/connection.py and _backends/, 2.16; anyio streams/tls.py, 4.12.
    """

    _http: Any
    _trust_env: bool

    def __new__(cls, *_: Any) -> LateContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, http: Any, trust_env: bool) -> None:
        """http: the HTTP library. trust_env: whether the environment may name the certificates."""
        self._http, self._trust_env = http, trust_env

    @cached_property
    def _made(self) -> ssl.SSLContext:
        made: ssl.SSLContext = self._http.create_ssl_context(trust_env=self._trust_env)
        return made

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        return self._made.wrap_socket(*given, **named)

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        return self._made.wrap_bio(*given, **named)

    def set_alpn_protocols(self, *given: Any, **named: Any) -> None:
        self._made.set_alpn_protocols(*given, **named)


def late_context(kind: type, *, trust_env: bool) -> ssl.SSLContext:
    """The `verify` of an HTTP client. kind: the client's class, of httpx2 or of httpx."""
    http = next(one.__module__.partition(".")[0] for one in kind.__mro__ if one.__module__.startswith("httpx"))
    return LateContext(sys.modules[http], trust_env)
