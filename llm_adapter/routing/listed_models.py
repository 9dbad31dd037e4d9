"""Models of a server whose names begin as if they named a provider, such as openai/gpt-oss:20b.

Before a name's prefix leads a call elsewhere, the server is asked for its list of models, which is believed for some
seconds. Where there is no list, the prefix is a prefix.
"""

from __future__ import annotations

import time
from typing import Any

from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import is_openai
from llm_adapter.translation.process_cache import ExpiringCache

_SECONDS = 10.0
_listed: ExpiringCache[tuple[str], frozenset[str]] = ExpiringCache(_SECONDS)


def is_listed(connection: Connection, name: str) -> bool:
    """Whether the server is known to have a model of this whole name; Ollama lists "x" as "x:latest"."""
    names = _listed.get((connection.address,), time.time()) or frozenset()
    return name in names or f"{name}:latest" in names


def is_unasked(connection: Connection) -> bool:
    """Whether a server that could have such models has not been asked lately. OpenAI and the embedded one have none."""
    if connection.starter is not None or is_openai(connection.address):
        return False
    return _listed.get((connection.address,), time.time()) is None


def remember(connection: Connection, reply: Any) -> None:
    """Take in the server's reply to GET /models, or whatever came in its place."""
    data = reply.get("data") if isinstance(reply, dict) else None
    names = [one.get("id") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    _listed.set((connection.address,), frozenset(name for name in names if isinstance(name, str)), time.time())
