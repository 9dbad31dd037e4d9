"""What a command uses when nothing is named: the model to ask, and the Ollama that runs on this machine.

A local Ollama is offered, and never used without a question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import openai

from llm_adapter.client.clients import OpenAI
from llm_adapter.providers.ollama import DEFAULT_ROOT
from llm_adapter.routing.connection import with_ollama_host
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import is_local, is_openai
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME, names_embedding_model

_SECONDS = 0.5  # a local server answers in a few milliseconds; nobody should wait for one that is not there


def chat_model(client: OpenAI) -> str:
    """The name that the profile maps gpt-4o-mini from; else the newest chat model that the server has."""
    return _model_for(client, CHAT_NAME, "*", "chats")


def embedding_model(client: OpenAI) -> str:
    """The same for embeddings."""
    return _model_for(client, EMBEDDING_NAME, EMBEDDING_NAME, "embeds")


def _model_for(client: OpenAI, usual: str, alias: str, does: str) -> str:
    settings = client.settings
    if {usual, alias} & settings.models.keys():
        return usual
    if mapped := suggested_aliases(list(settings.models.values())).get(alias):
        return mapped
    if settings.provider == "embedded" or is_openai(str(client.base_url)):
        return usual
    found = suggested_aliases([model.id for model in client.models.list()]).get(alias)
    if found is None:
        raise SettingsError(
            f"{client.base_url} has no model that {does}: name one with --model; "
            "`llm-adapter models pull NAME` gets one for Ollama"
        )
    return found


def assumed_settings(settings: Settings, environ: Mapping[str, str]) -> Settings | None:
    """What `scan` and `doctor` look at where nothing says where calls go: Ollama. None where something does."""
    chosen = settings.configured or environ.get("OPENAI_BASE_URL")
    return None if chosen else Settings(provider="ollama")


def suggested_aliases(names: Sequence[str]) -> dict[str, str]:
    """The names of call sites, mapped to the first of a server's models that chats, and the first that embeds."""
    embedding = [name for name in names if names_embedding_model(name)]
    chat = [name for name in names if name not in embedding]
    aliases = {"*": chat[0]} if chat else {}
    return aliases | ({EMBEDDING_NAME: embedding[0]} if embedding else {})


def running_ollama(environ: Mapping[str, str]) -> tuple[Settings, list[str]] | None:
    """Settings for the Ollama at OLLAMA_HOST or at its usual port, and its models, newest first; None if none runs."""
    try:
        named = with_ollama_host(Settings(provider="ollama"), environ).host
        root = named or DEFAULT_ROOT
        if not is_local(urlsplit(root).netloc):
            return None
        settings = Settings(provider="ollama", host=root)
        with OpenAI(settings=settings, timeout=_SECONDS, max_retries=0) as client:
            return settings, [model.id for model in client.models.list()]
    except openai.OpenAIError:
        return None


def ollama_settings(environ: Mapping[str, str]) -> Settings | None:
    """Settings for the Ollama that runs here, with aliases for the models that it has; None if none runs."""
    if (found := running_ollama(environ)) is None:
        return None
    settings, names = found
    return settings.model_copy(update={"models": suggested_aliases(names)})


def demo_command(settings: Settings) -> str:
    """What a shell takes to run the demo with these settings."""
    models = json.dumps(settings.models)
    return (
        f"LLM_ADAPTER_PROVIDER=ollama LLM_ADAPTER_HOST={settings.host} LLM_ADAPTER_MODELS='{models}' llm-adapter demo"
    )
