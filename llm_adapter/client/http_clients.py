"""The HTTP clients that a client shares with those made of it for other destinations.

An HTTP client has pools of connections to all hosts, and a TLS context that takes some 20 ms to make. A service that
calls `client.with_options(profile=...)` for each request would have one more of each every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

from openai._base_client import AsyncHttpxClientWrapper, SyncHttpxClientWrapper

from llm_adapter.routing.connection import Connection
from llm_adapter.routing.proxies import kind_of_http_client
from llm_adapter.transport.body import http_library


class HttpClients:
    """HTTP clients by their kind: what they know of proxies and certificates; async ones also by their event loop.

    A connection of asyncio's ends with its event loop, and a program may run one after the other.
    """

    def __init__(self, *, asynchronous: bool) -> None:
        self._asynchronous = asynchronous
        # The SDK's own class, which closes its connections when nobody has the client any more.
        self.kind: type[Any] = AsyncHttpxClientWrapper if asynchronous else SyncHttpxClientWrapper
        self._clients: dict[tuple[Hashable, Any], Any] = {}

    def find(self, connection: Connection) -> Any:
        """The HTTP client for a destination, or None."""
        found = self._clients.get(self._key(connection))
        return None if found is None or found.is_closed else found

    def keep(self, connection: Connection, client: Any) -> Any:
        """Keep an HTTP client for a destination. It, or the one that another thread kept first."""
        for key in list(self._clients):
            if key[1] is not None and key[1].is_closed():
                self._clients.pop(key, None)
        key = self._key(connection)
        if (found := self._clients.setdefault(key, client)).is_closed:
            self._clients[key] = found = client
        return found

    def remove(self) -> list[Any]:
        """Keep none of them any more. Those that can be closed here: not in another event loop than their own."""
        clients, self._clients = self._clients, {}
        return [client for (_, loop), client in clients.items() if loop in (None, self._loop())]

    def _key(self, connection: Connection) -> tuple[Hashable, Any]:
        return kind_of_http_client(connection), self._loop()

    def _loop(self) -> Any:
        try:
            return asyncio.get_running_loop() if self._asynchronous else None
        except RuntimeError:
            return None


def closed_client(shared: Any) -> Any:
    """A closed HTTP client, in the place of a shared one that goes on for others."""
    http = http_library(shared.headers)
    if hasattr(shared, "aclose"):
        client = http.AsyncClient(transport=http.AsyncBaseTransport())
        # Nothing was opened, so that nothing has to be awaited.
        with suppress(StopIteration):
            client.aclose().send(None)
    else:
        client = http.Client(transport=http.BaseTransport())
        client.close()
    return client
