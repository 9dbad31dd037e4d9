"""`llm_mock`: the same few words for both HTTP libraries, sync and async, and every provider; no JSON by hand."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from conftest import HI, Run
from drivers import HTTPX
from loopback import serving

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import disconnect, mock, slow, text
from llm_adapter.testing.mock import Mock

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
PROVIDERS = {
    "openai": Settings(provider="openai", api_key="k"),
    "ollama": Settings(provider="ollama"),
    "ollama elsewhere": Settings(provider="ollama", host="http://gpu.internal:11434"),
    "a gateway below no /v1": Settings(provider="openai", base_url="https://llm.internal/gateway", api_key="k"),
    "a gateway": Settings(provider="openai", base_url="https://llm.internal/gateway/v1"),
    "embedded": Settings(provider="embedded"),
}
everywhere = pytest.mark.parametrize("settings", PROVIDERS.values(), ids=PROVIDERS)


def chat(client: Any) -> Any:
    return client.chat.completions.create(**ASK)


# --- what is said ----------------------------------------------------------------------------------------------------


@everywhere
def test_chat(run: Run, llm_mock: Mock, settings: Settings) -> None:
    llm_mock.chat("Hello")
    assert run(chat, settings=settings).choices[0].message.content == "Hello"
    assert llm_mock.last.body["messages"] == HI


@everywhere
def test_stream(run: Run, llm_mock: Mock, settings: Settings) -> None:
    llm_mock.stream("Hel", "lo", "!")
    chunks = run.stream(lambda client: client.chat.completions.create(**ASK, stream=True), settings=settings)
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert said == ["Hel", "lo", "!"]


@everywhere
def test_tool_call(run: Run, llm_mock: Mock, settings: Settings) -> None:
    llm_mock.tool_call("weather", {"city": "Paris"})
    reply = run(lambda client: client.chat.completions.create(**ASK, tools=WEATHER), settings=settings)
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    assert reply.choices[0].finish_reason == "tool_calls"


@everywhere
def test_embeddings(run: Run, llm_mock: Mock, settings: Settings) -> None:
    llm_mock.embeddings([[1.0, 0.0], [0.0, 1.0]])
    reply = run(lambda client: client.embeddings.create(model="embed", input=["a", "b"]), settings=settings)
    assert [item.embedding for item in reply.data] == [[1.0, 0.0], [0.0, 1.0]]


@everywhere
def test_error(run: Run, llm_mock: Mock, settings: Settings) -> None:
    """It lasts until more is scripted: the SDK's own retries, which cost no time, meet it again."""
    llm_mock.error(429, "slow down")
    with pytest.raises(openai.RateLimitError, match="slow down"):
        run(chat, settings=settings, max_retries=2)
    assert len(llm_mock.calls) == 3
    llm_mock.chat("Hello")
    assert run(chat, settings=settings).choices[0].message.content == "Hello"


def test_an_error_that_passes(run: Run, llm_mock: Mock) -> None:
    llm_mock.error(503)
    llm_mock.chat("Hello")
    assert run(chat, max_retries=2).choices[0].message.content == "Hello"
    llm_mock.assert_all_used()


@everywhere
def test_an_error_in_a_stream(run: Run, llm_mock: Mock, settings: Settings) -> None:
    """An error in the middle of a stream is raised, on every provider."""
    llm_mock.error(500, "out of memory", mid_stream=True)
    with pytest.raises(openai.APIError, match="out of memory"):
        run.stream(lambda client: client.chat.completions.create(**ASK, stream=True), settings=settings)


def test_a_connection_that_is_cut(run: Run, llm_mock: Mock) -> None:
    llm_mock.script(disconnect(after=1), disconnect())
    # The SDK's error in the newest of its versions, HTTP's own before.
    with pytest.raises((openai.APIConnectionError, HTTPX.TransportError)):
        run.stream(lambda client: client.chat.completions.create(**ASK, stream=True))
    with pytest.raises(openai.APIConnectionError):
        run(chat)


def test_a_reply_that_takes_too_long(run: Run, llm_mock: Mock) -> None:
    llm_mock.script(slow(9, text("late")))
    with pytest.raises(openai.APITimeoutError):
        run(lambda client: client.with_options(timeout=0.01).chat.completions.create(**ASK))


# --- who is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [openai.OpenAI, OpenAI])
def test_the_sdks_own_client(llm_mock: Mock, kind: Any) -> None:
    llm_mock.chat("Hello")
    with kind(api_key="sk-SECRET") as client:
        assert chat(client).choices[0].message.content == "Hello"
    assert "SECRET" not in str([one.headers for one in llm_mock.requests])


def test_openai_is_strict(llm_mock: Mock) -> None:
    """It is played as it is, and refuses what it does not know."""
    with (
        openai.OpenAI(api_key="k") as client,
        pytest.raises(openai.BadRequestError, match="Unrecognized request argument supplied: keep_alive"),
    ):
        client.chat.completions.create(**ASK, extra_body={"keep_alive": 1})


def test_azure(llm_mock: Mock) -> None:
    llm_mock.chat("Hello")
    azure = openai.AzureOpenAI(azure_endpoint="https://me.openai.azure.com", api_key="k", api_version="2024-10-21")
    with azure as client:
        assert chat(client).choices[0].message.content == "Hello"


def test_ollamas_own_client(llm_mock: Mock) -> None:
    """It stays on httpx, beside an SDK that is on httpx2."""
    ollama = importlib.import_module("ollama")
    llm_mock.chat("Hello")
    assert ollama.Client().chat("qwen3:8b", HI).message.content == "Hello"


@pytest.mark.parametrize(
    ("url", "persona"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("https://eu.api.openai.com/v1/responses", "openai"),
        ("https://me.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=1", "openai"),
        ("http://localhost:11434/api/chat", "ollama@0.32"),
        ("http://gpu:11434/v1/embeddings", "ollama@0.32"),
        ("https://ollama.com/api/tags", "ollama@0.32"),
        ("http://localhost:1234/v1/models", "lmstudio"),
        ("http://127.0.0.1:55555/v1/completions", "llamacpp"),
        ("https://api.deepseek.com/chat/completions", "vllm"),
        ("https://openrouter.ai/api/v1/models/a/b", "vllm"),
        ("https://example.com/models", None),
        ("https://example.com/api/tags", None),
        ("https://example.com/", None),
        ("https://huggingface.co/api/models", None),
    ],
)
def test_hosts(url: str, persona: str | None) -> None:
    """Each host is played by the server that stands there; what is not a model's is left alone."""
    path = mock.below(url)
    assert (path and mock.server(url, path)) == persona


def test_one_persona_everywhere(run: Run, llm_mock: Mock) -> None:
    llm_mock.persona = "ollama@0.24"
    client = HTTPX.Client()
    assert client.get("http://localhost:11434/api/version").json()["version"].startswith("0.24")
    llm_mock.persona = "openai"
    assert client.get("http://localhost:11434/v1/models").status_code == 401


def test_models_of_the_server(run: Run, llm_mock: Mock) -> None:
    llm_mock.models = ["qwen3:8b"]
    with pytest.raises(openai.NotFoundError, match="gpt-4o-mini"):
        run(chat)
    llm_mock.models = None
    assert run(chat).choices[0].message.content


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_nothing_is_remembered(run: Run) -> None:
    """What the adapter learned of a mocked server is not taken for the next one's."""
    messages = [{"role": "user", "content": [IMAGE]}]
    with Mock(models={"eye": ["completion"]}), pytest.raises(openai.BadRequestError, match="vision"):
        run(lambda client: client.chat.completions.create(model="eye", messages=messages))
    with Mock(models={"eye": ["completion", "vision"]}):
        assert run(lambda client: client.chat.completions.create(model="eye", messages=messages)).choices


# --- beside others ---------------------------------------------------------------------------------------------------

FAMILIES = ["httpx", "httpx2"]


def family(name: str) -> Any:
    return pytest.importorskip(name)


@pytest.mark.parametrize("name", FAMILIES)
def test_beside_respx(llm_mock: Mock, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own respx routes answer what is not a model's."""
    respx = pytest.importorskip("respx")
    patched = respx.mocks.HTTPCoreMocker.targets  # of one of the two libraries: see conftest
    both = {target.replace("httpcore2.", core) for target in patched for core in ("httpcore.", "httpcore2.")}
    monkeypatch.setattr(respx.mocks.HTTPCoreMocker, "targets", [*both] if "httpcore2." in str(patched) else patched)
    llm_mock.chat("Hello")
    with respx.mock as router, openai.OpenAI(api_key="k") as client:
        router.get("https://example.com/weather").respond(json={"celsius": 18})
        assert family(name).get("https://example.com/weather").json() == {"celsius": 18}
        assert chat(client).choices[0].message.content == "Hello"


def test_beside_pytest_httpx2(llm_mock: Mock, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("pytest_httpx2")
    httpx2 = family("httpx2")
    router = request.getfixturevalue("httpx2_mock")
    router.get("https://example.com/weather").respond(json={"celsius": 18})
    llm_mock.chat("Hello")
    assert httpx2.get("https://example.com/weather").json() == {"celsius": 18}
    with openai.OpenAI(api_key="k") as client:
        assert chat(client).choices[0].message.content == "Hello"


@pytest.mark.parametrize("name", FAMILIES)
def test_beside_a_transport_of_the_tests_own(llm_mock: Mock, name: str) -> None:
    """A MockTransport, or the transport of a TestClient, is asked as ever."""
    library = family(name)
    transport = library.MockTransport(lambda request: library.Response(418))
    with library.Client(transport=transport) as client:
        assert client.post("https://api.openai.com/v1/chat/completions", json={}).status_code == 418


@pytest.mark.parametrize("name", FAMILIES)
def test_servers_of_this_machine(llm_mock: Mock, name: str) -> None:
    with serving() as server:
        assert family(name).get(f"{server.root}/health").json() == {"models": [], "data": []}
    assert llm_mock.requests == []


def test_the_transports_come_back() -> None:
    before = HTTPX.HTTPTransport.handle_request
    with Mock():
        assert HTTPX.HTTPTransport.handle_request is not before
    assert HTTPX.HTTPTransport.handle_request is before


def test_what_is_not_a_models(tried: Callable[..., pytest.RunResult]) -> None:
    """Beyond this machine it fails the test, with its URL."""
    source = (
        f"import {HTTPX.__name__} as library\ndef test_it(llm_mock):\n    library.get('https://example.com/weather')"
    )
    result = tried(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no network: GET https://example.com/weather"])


def test_a_call_that_it_does_not_answer(tried: Callable[..., pytest.RunResult]) -> None:
    """Who has llm_mock is not advised to use it."""
    source = "import openai\ndef test_it(llm_mock):\n    openai.OpenAI(api_key='k').moderations.create(input='x')"
    result = tried(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no network: POST https://api.openai.com/v1/moderations", "- llm_mock has no answer*"])
    result.stdout.no_fnmatch_line("*Use llm_mock*")


def test_asked_for_in_the_middle_of_a_test(tried: Callable[..., pytest.RunResult]) -> None:
    """The network is closed from then on, as with no_network."""
    body = "request.getfixturevalue('llm_mock')\n    socket.gethostbyname('example.com')"
    result = tried(f"import socket\ndef test_it(request):\n    {body}")
    result.stdout.fnmatch_lines(["no network: example.com"])


def test_a_chat_is_no_answer_to_embeddings(llm_mock: Mock) -> None:
    """Whatever the provider: the script's texts stay for the chats."""
    for settings in (PROVIDERS["openai"], PROVIDERS["ollama"]):
        llm_mock.chat("Hello")
        with OpenAI(settings=settings, max_retries=0) as client:
            with pytest.raises(openai.BadRequestError, match=r"no turn left for POST .* what is left is for chats"):
                client.embeddings.create(model="m", input="x")
            llm_mock.overrun = 0
            assert chat(client).choices[0].message.content == "Hello"
