"""The `openai` SDK's clients, by configuration on OpenAI, any /v1 server, native Ollama or an embedded llama.cpp.

Names are loaded when they are first asked for: the command line and the pytest plugin do not wait for the SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_adapter.client.clients import AsyncOpenAI, OpenAI
    from llm_adapter.client.reply_fields import AdapterReport, OllamaFigures, adapted, timings
    from llm_adapter.installation.install import install, uninstall
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
        ServerUse,
        Started,
        StartedInBackground,
    )
    from llm_adapter.settings.errors import AdapterWarning, SettingsError
    from llm_adapter.settings.settings import Settings
    from llm_adapter.translation.embeddings import embedding_fingerprint
    from llm_adapter.translation.token_count import Count, count_tokens, trim_messages

    Client, AsyncClient = OpenAI, AsyncOpenAI

__version__ = "0.1.0"

__all__ = [
    "AdapterReport",
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
    "OllamaFigures",
    "OpenAI",
    "Provider",
    "Rejected",
    "ServerUse",
    "Settings",
    "SettingsError",
    "Started",
    "StartedInBackground",
    "adapted",
    "count_tokens",
    "embedding_fingerprint",
    "install",
    "timings",
    "trim_messages",
    "uninstall",
]

_HOMES = {
    "client.clients": ("AsyncOpenAI", "OpenAI"),
    "client.reply_fields": ("AdapterReport", "OllamaFigures", "adapted", "timings"),
    "translation.token_count": ("Count", "count_tokens", "trim_messages"),
    "translation.embeddings": ("embedding_fingerprint",),
    "provider": (
        "Address",
        "Call",
        "Endpoint",
        "Events",
        "Flow",
        "NativeReply",
        "NativeRequest",
        "Provider",
        "Rejected",
        "ServerUse",
        "Started",
        "StartedInBackground",
    ),
    "installation.install": ("install", "uninstall"),
    "settings.errors": ("AdapterWarning", "SettingsError"),
    "settings.settings": ("Settings",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_OTHER_NAMES = {"Client": "OpenAI", "AsyncClient": "AsyncOpenAI"}


def __getattr__(name: str) -> Any:
    own = _OTHER_NAMES.get(name, name)
    if own not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOME[own]}"), own)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
