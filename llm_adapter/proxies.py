"""No proxy for this machine: HTTP_PROXY is meant for the network, and a dead one must not cut off localhost (P27)."""

from __future__ import annotations

from typing import Any
from urllib.request import getproxies

import openai

from llm_adapter.connection import Connection
from llm_adapter.hosts import is_loopback


def http_client(connection: Connection, *, asynchronous: bool) -> Any:
    """An HTTP client that takes nothing from the environment, or None for the SDK's own."""
    trust_env = connection.settings.trust_env
    loopback = is_loopback(connection.effective.base_url or "")
    if trust_env or (trust_env is None and not (loopback and getproxies())):
        return None
    return (
        openai.DefaultAsyncHttpxClient(trust_env=False) if asynchronous else openai.DefaultHttpxClient(trust_env=False)
    )
