"""OpenAI's API at the gateway: what a caller gets is what the client got."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from conftest import HI
from listening import Listening, listen, listening

from llm_adapter import Settings
from llm_adapter.serve import gateway
from llm_adapter.serve.metrics import Tail, path_label, provider_label
from llm_adapter.testing import embedding, error, serving, text, tool_call

__all__ = ["listen"]  # the fixture

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
PERSONAS = ("openai", "ollama@0.24", "ollama@0.32", "llamacpp")


@pytest.fixture(scope="module", params=PERSONAS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Listening]]:
    """A model's server, and a gateway before it."""
    with serving(request.param) as fake, listening(gateway(settings=fake.settings(), max_retries=0)) as server:
        yield fake, server


@pytest.fixture
def asked(pair: tuple[Any, Listening]) -> Iterator[Callable[..., openai.OpenAI]]:
    """A plain client of the SDK's on the gateway; the server behind it answers by the script."""
    fake, server = pair
    made = []

    def client(*turns: Any) -> openai.OpenAI:
        fake.script(*turns)
        made.append(openai.OpenAI(base_url=server.base_url, api_key="callers-own-key", max_retries=0))
        return made[-1]

    yield client
    for one in made:
        one.close()
    assert not any("callers-own-key" in str(request.headers) for request in fake.requests)


def test_a_chat(asked: Any) -> None:
    raw = asked(text("Hello")).chat.completions.with_raw_response.create(**CHAT)
    assert raw.parse().choices[0].message.content == "Hello"
    assert raw.headers["x-request-id"]


def test_a_stream_with_its_usage(asked: Any) -> None:
    client = asked(text("Hello there"))
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there"
    assert chunks[-1].usage.total_tokens > 0


def test_a_tool_call(asked: Any) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    reply = asked(tool_call("weather", {"city": "Paris"})).chat.completions.create(**CHAT, tools=[tool])
    call = reply.choices[0].message.tool_calls[0].function
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings(asked: Any, form: str) -> None:
    vector = (
        asked(embedding([0.5, 1.0])).embeddings.create(model="m", input="Hello", encoding_format=form).data[0].embedding
    )
    if form == "base64":
        data = base64.b64decode(vector)
        vector = struct.unpack(f"<{len(data) // 4}f", data)
    assert list(vector) == [0.5, 1.0]


def test_a_response_and_its_events(asked: Any) -> None:
    client = asked(text("Hello"), text("again"))
    assert client.responses.create(model="m", input="Hi").output_text == "Hello"
    kinds = [event.type for event in client.responses.create(model="m", input="Hi", stream=True)]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_models(asked: Any) -> None:
    assert asked().models.list().object == "list"


def test_a_servers_error_is_the_callers(asked: Any) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        asked(error(429, "slow down")).chat.completions.create(**CHAT)
    assert "slow down" in str(caught.value)


def test_a_refusal_names_the_parameter() -> None:
    with serving("ollama@0.32") as fake, listening(gateway(settings=fake.settings())) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="k")
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**CHAT, modalities=["audio"])
        assert caught.value.param == "modalities"


def test_a_gateway_before_a_gateway(listen: Any) -> None:
    with serving("ollama@0.32") as fake:
        fake.script(text("Hello"))
        first = listen(settings=fake.settings())
        second = listen(settings=Settings(provider="openai", base_url=first.base_url, api_key="k"))
        client = openai.OpenAI(base_url=second.base_url, api_key="k")
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "Hello"


def test_nobody_answers_behind_it(listen: Any) -> None:
    server = listen(settings=Settings(provider="ollama", host="127.0.0.1:9"), max_retries=0)
    reply = httpx.post(f"{server.base_url}/chat/completions", json=CHAT)
    assert (reply.status_code, reply.json()["error"]["type"]) == (502, "server_error")
    assert httpx.get(f"{server.url}/readyz").status_code == 503
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_fallback_is_told_in_its_header_and_counted(listen: Any, stream: bool) -> None:
    with serving("openai") as fake:
        fake.script(text("Hello"))
        Path("llm_adapter.toml").write_text(
            '[profiles.local]\nprovider = "ollama"\nhost = "127.0.0.1:9"\nfallback = ["cloud"]\n'
            f'[profiles.cloud]\nprovider = "openai"\nbase_url = "{fake.base_url}"\napi_key = "k"\n',
            encoding="utf-8",
        )
        server = listen(profile="local", max_retries=0)
        reply = httpx.post(f"{server.base_url}/chat/completions", json={**CHAT, "stream": stream})
        numbers = httpx.get(f"{server.url}/metrics").text
    assert (reply.status_code, "Hello" in reply.text) == (200, True)
    assert reply.headers["x-llm-adapter-fallback"] == "from=local; to=cloud; reason=refused"
    assert "llm_adapter_fallbacks_total 1.0" in numbers


UNANSWERED = {
    "/v1/api/tags": 404,  # a server's own API, and not OpenAI's
    "/v1//evil.test/models": 404,
    "/v1/%2e%2e/models": 404,
    "/v1/models/..": 404,
    "/v1": 404,
    "/": 404,
    "/api/tags": 404,
}


@pytest.fixture(scope="module")
def embedded() -> Iterator[Listening]:
    with listening(gateway(settings=Settings(provider="embedded"), max_body=1000)) as server:
        yield server


@pytest.mark.parametrize("path", UNANSWERED)
def test_paths_that_are_none(embedded: Listening, path: str) -> None:
    with httpx.Client() as client:  # the path as it is written here
        request = client.build_request("GET", embedded.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        reply = client.send(request)
    assert (reply.status_code, reply.json()["error"]["code"]) == (UNANSWERED[path], "unknown_url")


_JSON = {"content-type": "application/json"}
BODIES = {
    "not JSON": ({"content": b"{", "headers": _JSON}, 400),
    "nested too deeply": ({"content": b"[" * 900, "headers": _JSON}, 400),
    "a form": ({"data": {"model": "m"}}, 415),
    "text": ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
    "a form with parts": ({"files": {"model": b"m"}}, 415),
    "no type": ({"content": b"{}"}, 415),
    "too large": ({"json": {"model": "m" * 2000}}, 413),
    "too large, unannounced": (
        {"content": iter([b"x" * 600] * 2), "headers": {"content-type": "application/json"}},
        413,
    ),
}


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_that_are_not_taken(embedded: Listening, kind: str) -> None:
    options, status = BODIES[kind]
    reply = httpx.post(f"{embedded.base_url}/chat/completions", **options)
    assert (reply.status_code, reply.json()["error"]["type"]) == (status, "invalid_request_error")


def test_what_is_counted(embedded: Listening) -> None:
    client = openai.OpenAI(base_url=embedded.base_url, api_key="k")
    reply = client.chat.completions.create(**CHAT)
    list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    numbers = httpx.get(f"{embedded.url}/metrics").text
    asked, written = 2 * reply.usage.prompt_tokens, 2 * reply.usage.completion_tokens
    assert f'llm_adapter_tokens_total{{kind="prompt",provider="embedded"}} {float(asked)}' in numbers
    assert f'llm_adapter_tokens_total{{kind="completion",provider="embedded"}} {float(written)}' in numbers
    assert 'llm_adapter_requests_total{path="/chat/completions",provider="embedded",status="200"} 2.0' in numbers
    assert "llm_adapter_requests_open 0.0" in numbers


LABELS = {
    "/chat/completions": "/chat/completions",
    "/chat/completions/chatcmpl-1": "/chat/completions",
    "/models/a%2Fb": "/models",
    "/modelsx": "other",
    "/wp-admin": "other",
}


@pytest.mark.parametrize("path", LABELS)
def test_labels_come_from_a_table(path: str) -> None:
    assert path_label(path) == LABELS[path]


def test_providers_come_from_a_table() -> None:
    headers = ("provider=ollama; changed=x", "provider=whoever", "")
    assert [provider_label(header) for header in headers] == ["ollama", "other", "none"]


USAGES = {
    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}': (3, 4),
    b'{"usage":{"input_tokens":5,"output_tokens":6},"user":null}': (5, 6),
    b'{"usage":{"prompt_tokens":7,"total_tokens":7}}': (7, 0),
    b'{"usage":null}': (0, 0),
    b'{"content":"\\"usage\\":{\\"prompt_tokens\\":9}"}': (0, 0),  # the model's words
    b'{"usage":{"prompt_tokens":3': (0, 0),
    b"\xff": (0, 0),
}


@pytest.mark.parametrize("reply", USAGES)
def test_tokens_at_the_end(reply: bytes) -> None:
    tail = Tail()
    for place in range(0, len(reply), 5):
        tail.add(reply[place : place + 5])
    assert tail.tokens() == USAGES[reply]


def test_only_the_end_is_kept() -> None:
    tail = Tail()
    for size in (10, 5000, 3000, 3000):
        tail.add(b"x" * size)
    assert len(tail.data) <= 4096
