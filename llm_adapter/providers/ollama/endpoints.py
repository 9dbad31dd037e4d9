"""Which OpenAI calls are translated, and by what."""

from __future__ import annotations

from llm_adapter.provider import Endpoint
from llm_adapter.providers.ollama import chat, completions, embeddings, media, models
from llm_adapter.providers.ollama.loading import preloads
from llm_adapter.providers.ollama.local import local_only
from llm_adapter.providers.ollama.missing import adds_cures, pulls_missing
from llm_adapter.translation.empty_values import without_empty_values


def _with_model(flow: Endpoint) -> Endpoint:
    """An endpoint that a model answers: which may have to be loaded or pulled first, or must not be used."""
    return preloads(pulls_missing(local_only(flow)))


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/chat/completions"): without_empty_values(_with_model(chat.flow)),
    ("POST", "/completions"): without_empty_values(_with_model(completions.flow)),
    ("POST", "/embeddings"): without_empty_values(_with_model(embeddings.flow)),
    ("GET", "/models"): models.list_flow,
    ("POST", "/audio/transcriptions"): _with_model(media.transcriptions),
    ("POST", "/images/generations"): _with_model(media.generations),
}
MODEL: dict[str, Endpoint] = {"GET": adds_cures(models.retrieve_flow), "DELETE": adds_cures(models.delete_flow)}
