"""Provider `ollama`: Ollama's native API, because its own /v1 drops most of what a call site asks for.

What is not translated here goes on to Ollama's /v1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from llm_adapter import responses
from llm_adapter.provider import Endpoint

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

DEFAULT_ROOT = "http://127.0.0.1:11434"


class Ollama:
    """See the module."""

    name = "ollama"

    def base_url(self, settings: Settings) -> str:
        root = settings.host or (settings.base_url or DEFAULT_ROOT).rstrip("/").removesuffix("/v1")
        return f"{root}/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        return _endpoint(method, path)


@lru_cache(maxsize=64)  # an import statement costs a microsecond, each time
def _endpoint(method: str, path: str) -> Endpoint | None:
    # Imported with the first call that comes here: applications on other providers do not pay for it.
    from llm_adapter.providers.ollama import management
    from llm_adapter.providers.ollama.endpoints import ENDPOINTS, MODEL
    from llm_adapter.translation.unavailable import unavailable

    if path.startswith("/models/"):
        return MODEL.get(method)
    if path.startswith("/api/"):
        return management.endpoint(method, path)
    if responses.serves(path):
        return responses.endpoint(method, path, ENDPOINTS["POST", "/chat/completions"])
    return ENDPOINTS.get((method, path)) or unavailable(method, path)
