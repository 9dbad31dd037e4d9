"""No proxy for this machine: HTTP_PROXY is for the network, and one that does not answer must not cut off localhost."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies

import openai

from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import hostname, is_loopback

# httpx's "mounts": a host without a proxy, whatever the environment says.
_DIRECT = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")


def http_client(connection: Connection, *, asynchronous: bool) -> Any:
    """An HTTP client that reaches this machine without a proxy, or None for the SDK's own.

    A client for a remote host gets one too: a model's prefix can lead its calls to a server on this machine.
    """
    trust_env = connection.configured.trust_env
    if trust_env or (trust_env is None and not getproxies()):
        return None
    kind = openai.DefaultAsyncHttpxClient if asynchronous else openai.DefaultHttpxClient
    if trust_env is False:
        return kind(trust_env=False)
    url = connection.address
    try:
        return kind(mounts=dict.fromkeys((*_DIRECT, *_own(url))))
    except (ImportError, ValueError):  # a proxy that needs more than is installed: socks5h://
        if not is_loopback(url):
            raise
        return kind(trust_env=False)


def _own(url: str) -> tuple[str, ...]:
    """The pattern of the client's own host, where it is another name of this machine."""
    return (f"all://{hostname(url)}",) if is_loopback(url) and ":" not in hostname(url) else ()
