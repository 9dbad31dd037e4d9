"""The backends that come with the package."""

from __future__ import annotations

from llm_adapter.provider import Provider
from llm_adapter.providers.embedded import Embedded
from llm_adapter.providers.ollama import Ollama
from llm_adapter.providers.openai import OpenAI

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (OpenAI(), Ollama(), Embedded())}
