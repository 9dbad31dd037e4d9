"""`adapted` and `timings`: the fields of ours, for type checkers, on whatever has them."""

from __future__ import annotations

from typing import Any

import pytest

from llm_adapter import AdapterReport, OllamaFigures, adapted, timings
from llm_adapter.testing.fake import Fake, serving

MODEL, HI = "qwen3:8b", [{"role": "user", "content": "Hi"}]
KINDS: dict[str, Any] = {
    "chat": lambda client: client.chat.completions.create(model=MODEL, messages=HI),
    "the last chunk": lambda client: list(client.chat.completions.create(model=MODEL, messages=HI, stream=True))[-1],
    "response": lambda client: client.responses.create(model=MODEL, input="Hi"),
    "the last event": lambda client: list(client.responses.create(model=MODEL, input="Hi", stream=True))[-1],
    "embeddings": lambda client: client.embeddings.create(model="nomic-embed-text", input="Hi"),
}


@pytest.fixture(scope="module")
def server() -> Any:
    with serving("ollama@0.32") as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_reply(kind: str, server: Fake) -> None:
    with server.client() as client:
        reply = KINDS[kind](client)
    report, figures = adapted(reply), timings(reply)
    assert isinstance(report, AdapterReport)
    assert (report.provider, isinstance(figures, OllamaFigures)) == ("ollama", True)


def test_of_what_has_none() -> None:
    assert (adapted("text"), timings(None)) == (None, None)
