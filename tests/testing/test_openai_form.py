"""The assertions of the request log look at OpenAI's form of a call, whatever the provider is asked with."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from conftest import HI, Run
from pydantic import BaseModel

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import Fake, error, serving
from llm_adapter.testing.mock import Mock
from llm_adapter.traffic import watch

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
SERVERS = ("openai", "ollama@0.24", "ollama@0.32", "llamacpp", "vllm", "lmstudio")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Fake]:
    with serving(request.param) as fake:
        yield fake


@pytest.fixture
def fake(server: Fake) -> Fake:
    server.requests.clear()
    return server


@pytest.fixture
def ollama() -> Iterator[Fake]:
    with serving("ollama@0.32") as fake:
        yield fake


def test_on_every_server(run: Run, fake: Fake) -> None:
    """What the call site gives is what is looked at, and each call is counted once."""
    run(
        lambda client: client.chat.completions.create(**CHAT, max_completion_tokens=5, extra_body={"seed": 3}),
        settings=fake.settings(models={"gpt-4o-mini": "qwen3:8b"}),
    )
    fake.assert_sent("max_completion_tokens", 5)
    fake.assert_sent("messages.0.content", "Hello")
    fake.assert_sent("model", "gpt-4o-mini")
    fake.assert_sent("seed", 3)
    fake.assert_not_sent("options")
    fake.assert_not_sent("max_tokens")
    fake.assert_called("/v1/chat/completions", times=1)
    fake.assert_called("chat/completions")
    fake.assert_not_called("/responses")
    with pytest.raises(AssertionError, match="/chat/completions should not have been called, and was once"):
        fake.assert_not_called("/chat/completions")


def test_the_native_form(ollama: Fake) -> None:
    """It is there under its own name: all requests that were sent for the call."""
    with ollama.client() as client:
        client.chat.completions.create(**CHAT, max_completion_tokens=5, n=2)
    ollama.assert_native_sent("options.num_predict", 5)
    ollama.assert_native_not_sent("max_completion_tokens")
    ollama.assert_native_called("/api/chat", times=2)
    ollama.assert_native_not_called("/api/generate")
    ollama.assert_called("/chat/completions", times=1)
    assert [(call.method, call.path) for call in ollama.openai_calls] == [("POST", "/chat/completions")]


class Answer(BaseModel):
    name: str


CALLS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "responses": (
        lambda client: client.responses.create(model="m", input="Hi", max_output_tokens=9),
        "/responses",
        "max_output_tokens",
    ),
    "embeddings": (
        lambda client: client.embeddings.create(model="m", input="Hi", encoding_format="float"),
        "/embeddings",
        "encoding_format",
    ),
    "completions": (lambda client: client.completions.create(model="m", prompt="Hi", stop="x"), "/completions", "stop"),
    "models": (lambda client: client.models.list(), "/models", ""),
    "raw": (
        lambda client: client.chat.completions.with_raw_response.create(**CHAT, max_tokens=4),
        "/chat/completions",
        "max_tokens",
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_every_endpoint(run: Run, ollama: Fake, kind: str) -> None:
    call, path, argument = CALLS[kind]
    run(call, settings=ollama.settings())
    ollama.assert_called(path, times=1)
    if argument:
        ollama.assert_sent(argument)
        ollama.assert_native_not_sent(argument)


def test_parse_and_streams(ollama: Fake) -> None:
    ollama.script('{"name": "Ana"}', "Hello")
    with ollama.client() as client:
        client.chat.completions.parse(**CHAT, response_format=Answer)
        list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    ollama.assert_sent("response_format.json_schema.schema.properties.name.type", "string")
    ollama.assert_sent("stream_options.include_usage", True)
    ollama.assert_called("/chat/completions", times=2)


def test_attempts_count_each(ollama: Fake) -> None:
    ollama.script(error(429, "busy", headers={"retry-after-ms": "1"}), "Hello")
    with ollama.client(max_retries=1) as client:
        client.chat.completions.create(**CHAT)
    ollama.assert_called("/chat/completions", times=2)


def test_arguments_are_those_of_the_call(ollama: Fake) -> None:
    """Though the program goes on with the same list."""
    messages: list[Any] = [*HI]
    with ollama.client() as client:
        client.chat.completions.create(model="m", messages=messages)
        messages.append({"role": "assistant", "content": "Hello"})
    ollama.assert_not_sent("messages.1")


def test_other_clients(ollama: Fake) -> None:
    """One of the SDK's own is as any; of /v1 any client's request is the call; of Ollama's API it has no such form."""
    with openai.OpenAI(base_url=ollama.base_url, api_key="k") as client:
        client.chat.completions.create(**CHAT, max_completion_tokens=5)
    for path in ("/v1/chat/completions", "/api/chat"):
        body = json.dumps({**CHAT, "seed": 7, "stream": False}).encode()
        with urllib.request.urlopen(urllib.request.Request(ollama.url + path, body)):
            pass
    ollama.assert_called("/chat/completions", times=2)
    ollama.assert_sent("seed", 7)
    ollama.assert_native_called("/api/chat", times=1)
    assert [call.body.get("seed") for call in ollama.openai_calls] == [None, 7]


def test_the_message_tells_of_both_forms(ollama: Fake) -> None:
    with ollama.client() as client:
        client.chat.completions.create(**CHAT, max_completion_tokens=5)
    with pytest.raises(AssertionError) as caught:
        ollama.assert_sent("options.num_predict", 5)
    told = str(caught.value)
    assert told.startswith("no call had `options.num_predict` = 5\nwhat was called:\n  1. POST /chat/completions {")
    assert told.endswith("assert_native_sent and the like look at what was sent.")
    with pytest.raises(AssertionError, match="/api/chat should have been called, and was not\nwhat was called"):
        ollama.assert_called("/api/chat")


def test_a_native_request_of_another_client_is_told() -> None:
    with serving("ollama@0.32") as fake:
        body = json.dumps({**CHAT, "stream": False}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{fake.url}/api/chat", body)):
            pass
        with pytest.raises(
            AssertionError, match=r"no call had `model`\nwhat came in the server's own form:\n  1\. POST"
        ):
            fake.assert_sent("model")


@pytest.mark.parametrize(
    "settings", [Settings(provider="ollama"), Settings(provider="embedded")], ids=lambda s: s.provider
)
def test_in_the_process(run: Run, llm_mock: Mock, settings: Settings) -> None:
    llm_mock.chat("Hello")
    run(lambda client: client.chat.completions.create(**CHAT, max_completion_tokens=5), settings=settings)
    llm_mock.assert_sent("max_completion_tokens", 5)
    llm_mock.assert_called("/chat/completions", times=1)
    llm_mock.assert_native_not_sent("max_completion_tokens")
    assert "x-llm-adapter-call" not in llm_mock.last.headers


def test_a_fake_that_has_stopped_watches_nobody() -> None:
    before = watch._watchers
    with serving("openai") as fake:
        assert len(watch._watchers) == len(before) + 1
        with OpenAI(settings=fake.settings()) as client:
            client.models.list()
    assert watch._watchers == before
