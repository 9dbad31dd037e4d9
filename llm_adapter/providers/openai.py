"""Provider `openai`: OpenAI and every server that speaks /v1. Requests stay OpenAI's, but for what the dialect changes.

Calls to OpenAI go out and come back untouched, but for parameters that only other providers know: OpenAI answers
those with 400, so they are left out with one warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_adapter.provider import Endpoint

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings


class OpenAI:
    """See the module."""

    name = "openai"

    def base_url(self, settings: Settings) -> str | None:
        return settings.base_url

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        from llm_adapter.providers.v1 import endpoints  # with the first call: importing the package does not pay for it

        return endpoints.endpoint(method, path)
