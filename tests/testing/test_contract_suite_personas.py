"""The contract suite tells servers apart: Ollama's own /v1, played by the fake server, and our client on the same one.

What fails here fails on a real Ollama 0.24, too, but for what depends on its model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from llm_adapter.testing import Fake, contract, disconnect, error, json_text, serving, text, tool_calls

CHAT, EMBEDDING = "gpt-4o-mini", "text-embedding-3-small"
ANA = {"name": "Ana", "age": 30}


def model(asked: Any) -> Any:
    """A model that does as it is told, and no more: the rest is the server's to see to."""
    fields, last = asked.fields, (asked.fields.get("messages") or [{}])[-1]
    if asked.path not in ("/v1/chat/completions", "/api/chat"):
        return None
    wanted = json.dumps(fields.get("format") or fields.get("response_format") or "")
    if "arguments" in wanted:  # a grammar that only lets a call through
        return json_text({"name": "get_population" if "population" in wanted else "get_weather", "arguments": PARIS})
    if wanted != '""':
        return json_text({"lead": ANA, "size": "small"} if "lead" in wanted else ANA)
    if fields.get("tools") and last["role"] == "user" and "weather" in last["content"]:
        cities = [city for city in ("Paris", "Rome") if city in last["content"]]
        return tool_calls(*(("get_weather", {"city": city}) for city in cities))
    return text("The capital of France is Paris, as everybody knows who has been there once or twice.")


PARIS = {"city": "Paris"}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving("ollama@0.24", models=[CHAT, EMBEDDING], context=2048) as one:
        one.on(model)
        yield one


def plain(fake: Fake) -> openai.OpenAI:
    return openai.OpenAI(base_url=fake.base_url, api_key="ollama", max_retries=0, timeout=5)


def failed(client: Any, **options: Any) -> set[str]:
    with client:
        return set(contract.run(client, CHAT, embedding_model=EMBEDDING, context=2048, **options).failed)


LOST = {
    *("max_completion_tokens", "stream_length"),
    *("tool_choice_none", "tool_choice_required", "tool_choice_named", "tool_calls_one"),
    *("n", "unknown_parameter", "overlong_prompt", "stream_helper", "response_previous"),
    *("unknown_model", "embedding_unknown_model", "embedding_dimensions_above"),
}


def test_the_sdk_on_ollamas_own_v1(fake: Fake) -> None:
    """What it drops in silence is named."""
    assert failed(plain(fake)) == LOST


def test_our_client_on_the_same_server(fake: Fake) -> None:
    assert failed(fake.client(max_retries=0, timeout=5)) == set()


BROKEN = {
    "an error": (
        error(500, "llama runner process has terminated", mid_stream=True),
        "expected one finish_reason: without it half a reply looks whole; came none",
    ),
    "the connection": (disconnect(after=1), "expected a reply; came "),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_stream_that_breaks(what: str) -> None:
    """On Ollama's /v1 an error in a stream is its end: the SDK alone takes half a reply for the whole."""
    turn, came = BROKEN[what]
    names = ("stream_shape", "stream_finish", "stream_end", "reply")
    checks = [check for check in contract.CHECKS if check.name in names]
    with serving("ollama@0.24") as fake, plain(fake) as client:
        fake.on(lambda asked: turn if asked.streamed else None)
        lines = {one.name: one.line for one in contract.run(client, CHAT, checks=checks) if one.outcome == "failed"}
    assert lines.keys() == {"stream_shape", "stream_finish", "stream_end"}
    assert lines["stream_finish"].startswith(came)
