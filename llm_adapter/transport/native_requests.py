"""The HTTP requests of one attempt, built from the one that the SDK built: its headers, its query and its timeouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from llm_adapter.provider import Address, NativeRequest
from llm_adapter.routing.connection import Connection

EXTENSION = "llm_adapter"  # the extension of the SDK's request that carries its round trip, also after a redirect
_OF_THE_BODY = frozenset({b"content-length", b"content-encoding", b"transfer-encoding", b"content-type"})


class NativeRequests:
    """Makes HTTP requests of native ones. first: the request that the SDK built."""

    def __init__(self, connection: Connection, path: str, client: Any, first: Any) -> None:
        self._connection = connection
        self._path = path
        self._client = client
        self._first = first
        self._timeouts = first.extensions.get("timeout")  # the SDK's; sending changes those of a request
        self.address: Address | None = None  # of the server that was started for the call

    def begun(self, native: Sequence[NativeRequest]) -> list[Any]:
        """Of an exchange's first requests, the one that the SDK built; none where the SDK built a form for later."""
        return [self.first()] if native and not (self._is_form and native[0].path is not None) else []

    @property
    def _is_form(self) -> bool:
        return bool(self._first.headers.get("content-type", "").startswith("multipart/"))

    def first(self) -> Any:
        """The request that the SDK built."""
        return self._redirected(self._first)

    def build(self, native: NativeRequest) -> Any:
        """The HTTP request of a native one. A call's own form is sent as the SDK built it."""
        form = self._is_form and native.path is None
        headers = translated_headers(self._first.headers, without=_OF_THE_BODY | {b"host"})
        if form or native.body is not None:
            headers.append(("content-type", self._first.headers["content-type"] if form else "application/json"))
        extensions = {key: value for key, value in self._first.extensions.items() if key != EXTENSION}
        # A pull takes as long as it takes.
        extensions["timeout"] = {**(self._timeouts or {}), "read": None} if native.progress else self._timeouts
        return self._redirected(
            self._client.build_request(
                native.method,
                self._connection.url(native.path if native.path is not None else self._path.lstrip("/")),
                params=self._first.url.params or None,
                headers=headers,
                content=self._first.read() if form else None if native.body is None else to_json(native.body),
                extensions=extensions,
            )
        )

    def _redirected(self, request: Any) -> Any:
        """The request, pointed at the server that was started for the call."""
        if self.address is not None:
            target = type(request.url)(self.address.root)
            request.url = request.url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
            request.headers["host"] = f"{target.host}:{target.port}"
            request.headers["authorization"] = f"Bearer {self.address.api_key}"
            # llama.cpp's server breaks off some connections that are used again, 4 in 1000 under load (2026-10); the
            # SDK would try once more, and a client without retries would fail. A new one on loopback costs 0.15 ms.
            request.headers["connection"] = "close"
        return request


def translated_headers(headers: Any, without: frozenset[bytes] = _OF_THE_BODY) -> list[tuple[Any, Any]]:
    """Headers without those that describe the body, which is another one after the translation."""
    return [(key, value) for key, value in headers.raw if key.lower() not in without]
