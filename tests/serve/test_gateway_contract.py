"""The contract suite by a plain client of the SDK's: a gateway fails none of it that our own client passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from listening import listening
from testing.test_contract_suite_personas import CHAT, EMBEDDING, model

from llm_adapter import OpenAI, Settings
from llm_adapter.serve import gateway
from llm_adapter.testing import contract, serving

PERSONAS = ("ollama@0.24", "ollama@0.32", "llamacpp")


@pytest.fixture(params=["embedded", *PERSONAS])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    if request.param == "embedded":
        yield Settings(provider="embedded")
        return
    with serving(request.param, models=[CHAT, EMBEDDING], context=2048) as fake:
        fake.on(model)
        yield fake.settings()


def failed(client: Any) -> set[str]:
    with client:
        return set(contract.run(client, CHAT, embedding_model=EMBEDDING, context=2048).failed)


def test_the_same_as_by_our_client(settings: Settings) -> None:
    with listening(gateway(settings=settings)) as server:
        through = failed(openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0))
    assert through == failed(OpenAI(settings=settings, max_retries=0))
