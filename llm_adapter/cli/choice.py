"""The model that a command asks when none is named."""

from __future__ import annotations

from llm_adapter.cli.local import aliases
from llm_adapter.client.clients import OpenAI
from llm_adapter.settings.hosts import is_openai
from llm_adapter.settings.settings import SettingsError

CHAT = "gpt-4o-mini"
EMBEDDING = "text-embedding-3-small"


def chat_model(client: OpenAI) -> str:
    """What the profile maps the usual name to, or the newest that the server has."""
    return _chosen(client, CHAT, "*", "chats")


def embedding_model(client: OpenAI) -> str:
    return _chosen(client, EMBEDDING, EMBEDDING, "embeds")


def _chosen(client: OpenAI, usual: str, kind: str, does: str) -> str:
    settings = client.settings
    if {usual, kind} & settings.models.keys():
        return usual
    if mapped := aliases(list(settings.models.values())).get(kind):
        return mapped
    if settings.provider == "embedded" or is_openai(str(client.base_url)):
        return usual
    found = aliases([model.id for model in client.models.list()]).get(kind)
    if found is None:
        raise SettingsError(
            f"{client.base_url} has no model that {does}: name one with --model; "
            "`llm-adapter models pull NAME` gets one for Ollama"
        )
    return found
