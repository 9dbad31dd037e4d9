"""The contract's checks on a profile: with which models, in which context, and what of one profile another loses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from commands import Ollama

from llm_adapter.testing import serving
from llm_adapter.testing.contract import CHECKS, EVERYDAY, Result, Results
from llm_adapter.testing.contract.profiles import Verified, regressions, verified

SECRET = "sk-proj-T3BlbkFJ-not-to-be-shown"
V1_MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 64}]}
MESSAGE = {"role": "assistant", "content": "Paris"}
REPLY = {
    **{"id": "c", "object": "chat.completion", "created": 1, "model": "m"},
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}],
}
OVERFLOW = 400, {"error": {"message": "too long", "code": "context_length_exceeded"}}


@pytest.fixture
def server() -> Iterator[Ollama]:
    """A vLLM with one model that says "Paris"."""
    with Ollama() as one:
        one.answers = {"/v1/models": V1_MODELS, "/version": {"version": "0.11.0"}, "/v1/chat/completions": REPLY}
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


def verify(server: Ollama, *names: str, **environ: str) -> Verified:
    """Some of the checks, on a profile that names no model."""
    given = {"LLM_ADAPTER_PROVIDER": "openai", "LLM_ADAPTER_BASE_URL": f"{server.url}/v1", **environ}
    return verified(environ=given, checks=[one for one in CHECKS if one.name in names], timeout=5)


def test_models_are_chosen(server: Ollama) -> None:
    """The map's own; without one, what the server has."""
    mapped = verify(server, LLM_ADAPTER_MODELS='{"*": "other"}')
    assert (mapped.model, mapped.embedding_model) == ("other", None)
    bare = verify(server, "reply_text", "embedding_order")
    assert (bare.model, bare.embedding_model) == ("m", None)
    assert [(one.outcome, one.line) for one in bare.results] == [
        ("passed", ""),
        ("skipped", "no embedding model is known: --embedding-model names one"),
    ]


def test_a_server_without_a_model(server: Ollama) -> None:
    server.answers = {"/v1/models": {**V1_MODELS, "data": []}, "/version": {"version": "0.11.0"}}
    assert [(one.name, one.outcome) for one in verify(server, "reply", "models").results] == [
        ("reply", "skipped"),
        ("models", "failed"),
    ]


@pytest.mark.parametrize(
    ("environ", "length", "outcome", "line"),
    [
        ({}, 64, "passed", ""),
        ({}, None, "skipped", "the server does not tell its context: --context names it"),
        ({}, 10_000_000, "inconclusive", "a context of 10000000 tokens is too long to try"),
        ({"LLM_ADAPTER_OVERFLOW": "allow"}, 64, "skipped", '`overflow = "allow"`: it is not to be an error'),
    ],
)
def test_the_context_is_the_servers(
    server: Ollama, environ: dict[str, str], length: int | None, outcome: str, line: str
) -> None:
    data = [{**V1_MODELS["data"][0], "max_model_len": length}]  # type: ignore[index]
    server.answers |= {"/v1/models": {**V1_MODELS, "data": data}, "/v1/chat/completions": OVERFLOW}
    [result] = verify(server, "overlong_prompt", **environ).results
    assert (result.outcome, result.line) == (outcome, line)


def test_a_context_is_asked_for_when_the_model_is_loaded() -> None:
    """Before, Ollama knows only what the model was trained for."""
    with serving("ollama@0.24", models=["qwen3:8b"], context=2048) as fake:
        environ = {"LLM_ADAPTER_PROVIDER": "ollama", "LLM_ADAPTER_HOST": fake.base_url.removesuffix("/v1")}
        checks = [one for one in EVERYDAY if one.name in ("reply_text", "overlong_prompt")]
        found = verified(environ=environ, checks=checks, timeout=5)
    assert [one.outcome for one in found.results] == ["passed", "passed"], found.results
    last = [one for one in fake.requests if one.path == "/api/chat"][-1]
    assert 2048 < len(last.body["messages"][0]["content"].split()) < 3000


def test_any_name_is_served_where_the_map_says_so(server: Ollama) -> None:
    [result] = verify(server, "unknown_model", LLM_ADAPTER_MODELS='{"*": "m"}').results
    assert (result.outcome, result.line) == ("skipped", "any name is served")


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"LLM_ADAPTER_API_KEY": SECRET},
            "not tried: the key would go to a host that it is not for",
        ),
        ({"LLM_ADAPTER_BASE_URL": "http://127.0.0.1:9/v1"}, "not tried: no connection to 127.0.0.1:9"),
    ],
)
def test_a_server_that_may_not_or_cannot_be_asked(server: Ollama, environ: dict[str, str], line: str) -> None:
    found = verify(server, "reply", **environ)
    assert [(one.outcome, one.line) for one in found.results] == [("failed", line)]
    assert not [path for _, path, _ in server.asked if path.endswith("/chat/completions")]


def test_an_address_without_v1_is_told(server: Ollama) -> None:
    server.answers["/models"] = 404, {}
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "placeholder"}
    [result] = verified(environ=environ, checks=EVERYDAY[:1], timeout=5).results
    assert result.line == f"not tried: the address is wrong: {server.url}/v1 is meant"


@pytest.mark.parametrize(
    ("there", "here", "lost"),
    [
        ("passed", "passed", False),
        ("passed", "failed", True),
        ("passed", "inconclusive", True),
        ("passed", "skipped", True),
        ("inconclusive", "failed", False),
        ("failed", "passed", False),
        ("skipped", "failed", False),
    ],
)
def test_regressions(there: Any, here: Any, lost: bool) -> None:
    def of(name: str, outcome: Any) -> Results:
        return Results([Result(name, outcome)])

    assert regressions(of("n", there), of("n", here)) == (["n"] if lost else [])
    # A prompt that was not tried, for want of a number, is not lost.
    assert regressions(of("overlong_prompt", "passed"), of("overlong_prompt", "skipped")) == []
