"""A local Ollama that happens to run: it is offered, never switched to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import openai

from llm_adapter.client.clients import OpenAI
from llm_adapter.providers.ollama import DEFAULT_ROOT
from llm_adapter.routing.connection import completed
from llm_adapter.settings.hosts import is_local
from llm_adapter.settings.settings import Settings

_SECONDS = 0.5  # a local server answers in a few milliseconds; nobody should wait for one that is not there
_EMBEDDING_NAMES = ("embed", "minilm", "bge")


def ollama(environ: Mapping[str, str]) -> Settings | None:
    """Settings for the Ollama that runs here, with the models it has; None when none runs."""
    if (found := running(environ)) is None:
        return None
    settings, names = found
    return settings.model_copy(update={"models": aliases(names)})


def running(environ: Mapping[str, str]) -> tuple[Settings, list[str]] | None:
    """The Ollama at OLLAMA_HOST, or at its usual port, and the names of its models, newest first."""
    try:
        named = completed(Settings(provider="ollama"), environ).host
        root = named or DEFAULT_ROOT
        if not is_local(urlsplit(root).netloc):
            return None
        settings = Settings(provider="ollama", host=root)
        with OpenAI(settings=settings, timeout=_SECONDS, max_retries=0) as client:
            return settings, [model.id for model in client.models.list()]
    except openai.OpenAIError:
        return None


def command(settings: Settings) -> str:
    """What a shell takes to run the demo there."""
    models = json.dumps(settings.models)
    return (
        f"LLM_ADAPTER_PROVIDER=ollama LLM_ADAPTER_HOST={settings.host} LLM_ADAPTER_MODELS='{models}' llm-adapter demo"
    )


def aliases(names: Sequence[str]) -> dict[str, str]:
    """The call site's names on the server's models: the newest that chats, the newest that embeds."""
    embedding = [name for name in names if any(part in name for part in _EMBEDDING_NAMES)]
    chat = [name for name in names if name not in embedding]
    aliases = {"*": chat[0]} if chat else {}
    return aliases | ({"text-embedding-3-small": embedding[0]} if embedding else {})
