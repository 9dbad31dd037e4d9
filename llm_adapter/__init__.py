"""The `openai` SDK's clients, by configuration on OpenAI, any /v1 server, native Ollama or an embedded llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_adapter.client import AsyncOpenAI, OpenAI
from llm_adapter.context import Count, count_tokens, trim_messages
from llm_adapter.fingerprints import embedding_fingerprint
from llm_adapter.provider import (
    Address,
    Call,
    Endpoint,
    Events,
    Flow,
    NativeReply,
    NativeRequest,
    Provider,
    Rejected,
    SettingsError,
    Started,
)
from llm_adapter.rows import AdapterWarning

if TYPE_CHECKING:
    from llm_adapter.settings import Settings

__version__ = "0.1.0"
Client, AsyncClient = OpenAI, AsyncOpenAI

__all__ = [
    "AdapterWarning",
    "Address",
    "AsyncClient",
    "AsyncOpenAI",
    "Call",
    "Client",
    "Count",
    "Endpoint",
    "Events",
    "Flow",
    "NativeReply",
    "NativeRequest",
    "OpenAI",
    "Provider",
    "Rejected",
    "Settings",
    "SettingsError",
    "Started",
    "count_tokens",
    "embedding_fingerprint",
    "trim_messages",
]


def __getattr__(name: str) -> Any:
    """`Settings`, when it is asked for: building its model is a third of what importing the package would cost."""
    if name != "Settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llm_adapter.settings import Settings

    globals()[name] = Settings
    return Settings
