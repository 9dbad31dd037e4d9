"""The SDK's WebSockets - `client.realtime.connect()` and its siblings - where the server has none: refused by name.

The SDK opens a socket by itself and not by the HTTP client, so that no call of ours is in between. Without this an
embedded client ended in a bare ConnectionRefusedError, and one on Ollama in a failed handshake.
Source: openai-python src/openai/resources, every method `connect`, v3.54.0.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import openai

from llm_adapter.provider import Rejected
from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import hostname, is_private
from llm_adapter.transport.body import http_library

# Resources with a socket, each with those below it. A resource that this SDK lacks is left out.
SOCKETS: dict[str, tuple[str, ...]] = {
    "realtime": ("translations",),
    "live": ("sideband", "forks"),
    "responses": (),
    "beta": ("realtime", "responses"),
}
_ELSEWHERE = "open it with a client of another profile, client.copy(profile=...)"
# Servers of which it is known that they have no sockets. vLLM has a realtime API, and of others nothing is known.
_WITHOUT = ("ollama", "llamacpp", "lmstudio")


def with_refused_sockets(resource: Any, name: str) -> Any:
    """The resource itself, whose `connect`, and that of the resources below it, is refused where there is no socket."""
    _guard(resource, "" if name == "beta" else f"/{name}")
    for below in SOCKETS[name]:
        if hasattr(type(resource), below):
            _guard(getattr(resource, below), f"/{below}" if name == "beta" else f"/{name}/{below}")
    return resource


def _guard(resource: Any, path: str) -> None:
    connect = getattr(resource, "connect", None)
    if connect is None:
        return

    @wraps(connect)
    def guarded(*args: Any, **options: Any) -> Any:
        client = resource._client
        refusal = _refusal(client._connection, path, client.websocket_base_url)
        if refusal is not None:
            raise _error(client, path, refusal)
        return connect(*args, **options)

    resource.connect = guarded


def _refusal(connection: Connection, path: str, address: Any) -> Rejected | None:
    """Why a socket is not opened; None where the SDK may try. address: of sockets, where the client has another one."""
    # Few open sockets: importing the package does not pay for it.
    from llm_adapter.providers.v1.dialects import guessed
    from llm_adapter.translation.unavailable import reason_of, unsupported_endpoint

    provider, settings = connection.provider.name, connection.resolved
    target = str(address or connection.address)
    if settings.local_only and connection.starter is None and not is_private(target):
        message = f"`local_only` is set, and {hostname(target)} is not known to be private: no socket is opened"
        return Rejected(message, status=403, code="local_only")
    if connection.is_unconfigured or connection.is_openai_itself:
        return None
    dialect = settings.dialect or guessed(connection.address)
    if provider == "openai" and dialect not in _WITHOUT and not (dialect == "vllm" and path != "/realtime"):
        return None
    server = f" ({dialect})" if provider == "openai" else ""
    reason = reason_of("GET", path) or "there are no sockets"
    message = f"`{path}` is not available on provider {provider!r}{server} by a WebSocket: {reason}; {_ELSEWHERE}"
    return unsupported_endpoint(message)


def _error(client: Any, path: str, refusal: Rejected) -> openai.APIStatusError:
    request = client._client.build_request("GET", f"{str(client.base_url).rstrip('/')}{path}")
    response = http_library(request).Response(refusal.status, json=refusal.envelope(), request=request)
    error: openai.APIStatusError = client._make_status_error_from_response(response)
    return error
