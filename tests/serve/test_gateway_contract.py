"""The contract suite by a plain client of the SDK's: what it finds at a gateway is what our own client does."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from listening import listening

from llm_adapter import Settings
from llm_adapter.serve import gateway
from llm_adapter.testing import contract

CHAT, EMBEDDING = "gpt-4o-mini", "text-embedding-3-small"


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    app = gateway(settings=Settings(provider="embedded"))
    with listening(app) as server, openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as one:
        yield one


def test_embedded_models(client: openai.OpenAI) -> None:
    results = contract.run(
        client, CHAT, embedding_model=EMBEDDING, context=2048, without={"unknown_models": "one model"}
    )
    assert not results.failed
