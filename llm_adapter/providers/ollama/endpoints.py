"""Which OpenAI calls are translated, and by what."""

from __future__ import annotations

from llm_adapter.provider import Endpoint
from llm_adapter.providers.ollama import chat, completions, embeddings, media, models

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/chat/completions"): chat.flow,
    ("POST", "/completions"): completions.flow,
    ("POST", "/embeddings"): embeddings.flow,
    ("GET", "/models"): models.list_flow,
    ("POST", "/audio/transcriptions"): media.transcriptions,
    ("POST", "/images/generations"): media.generations,
}
MODEL: dict[str, Endpoint] = {"GET": models.retrieve_flow, "DELETE": models.delete_flow}
