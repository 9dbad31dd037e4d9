"""Provider `ollama`: Ollama's native API, because its own /v1 drops most of what a call site asks for.

What is not translated here goes on to Ollama's /v1.
"""

from __future__ import annotations

from llm_adapter.provider import Endpoint
from llm_adapter.providers.ollama import chat, completions, embeddings, models
from llm_adapter.settings import Settings

DEFAULT_ROOT = "http://127.0.0.1:11434"

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/chat/completions"): chat.flow,
    ("POST", "/completions"): completions.flow,
    ("POST", "/embeddings"): embeddings.flow,
    ("GET", "/models"): models.list_flow,
}
MODEL: dict[str, Endpoint] = {"GET": models.retrieve_flow, "DELETE": models.delete_flow}


class Ollama:
    """See the module."""

    name = "ollama"

    def base_url(self, settings: Settings) -> str:
        root = settings.host or (settings.base_url or DEFAULT_ROOT).rstrip("/").removesuffix("/v1")
        return f"{root}/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if path.startswith("/models/"):
            return MODEL.get(method)
        return ENDPOINTS.get((method, path))
