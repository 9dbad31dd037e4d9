"""What is checked of every request where it leaves: redirects, proxies, and hosts that `local_only` forbids."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Play, mode

from llm_adapter import OpenAI, Settings

HOME = "llm.internal"
NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True, "embeddings": [[1.0]]}
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [SAID]}
PROVIDERS = {
    "ollama": {"provider": "ollama", "host": f"http://{HOME}:11434"},
    "v1": {"base_url": f"http://{HOME}/v1", "dialect": "vllm"},
    "openai": {"base_url": f"http://{HOME}/v1", "dialect": "openai"},
}
CALLS: dict[str, Any] = {
    "chat": lambda client, **more: client.chat.completions.create(model="m", messages=HI, **more),
    "stream": lambda client, **more: client.chat.completions.create(model="m", messages=HI, stream=True, **more),
    "embeddings": lambda client, **more: client.embeddings.create(model="m", input="Hello", **more),
    "responses": lambda client, **more: client.responses.create(model="m", input="Hello", **more),
    "models": lambda client, **more: client.models.list(**more),
    "raw": lambda client, **more: client.chat.completions.with_raw_response.create(model="m", messages=HI, **more),
}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Net:
    """Hosts of which the first redirects; all that they were sent."""

    def __init__(self, status: int = 307, target: str = "https://evil.example/elsewhere") -> None:
        self.status, self.target = status, target
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        if request.url.host == HOME and "elsewhere" not in str(request.url):
            return type(self).response(request, self.status, headers={"location": self.target})
        native = "/api/" in str(self.requests[0].url)
        return type(self).response(request, 200, json=NATIVE if native else CHAT)

    @staticmethod
    def response(request: Any, status: int, **content: Any) -> Any:
        return HTTPX.Response(status, request=request, **content)

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(request.url.host for request in self.requests))


def failing(ask: Any, kind: Any, **more: Any) -> Any:
    def script(client: Any) -> Any:
        with pytest.raises(kind) as caught:
            yield ask(client, **more)
        return caught.value

    return script


def succeeding(ask: Any, **more: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield ask(client, **more))

    return script


@pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_redirect_by_default(play: Play, provider: str, ask: Any) -> None:
    """The error names both addresses, and the line to change."""
    net = Net(target="https://user:secret@evil.example/elsewhere?key=secret")
    kind = openai.DefaultHttpxClient if play.mode == "sync" else openai.DefaultAsyncHttpxClient
    http_client = kind(transport=HTTPX.MockTransport(net))
    settings = Settings(**PROVIDERS[provider])
    error = play(failing(ask, openai.APIStatusError), settings=settings, api_key="k", http_client=http_client)
    assert (error.status_code, error.code, net.hosts) == (307, "redirect", [HOME])
    assert f"http://{HOME}" in str(error)
    assert "redirects to https://evil.example/elsewhere. " in str(error)
    assert "change `" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_lose_the_call(play: Play, status: int) -> None:
    """A POST would become a GET: that is told, whoever asked for redirects."""
    net = Net(status)
    error = play(
        failing(CALLS["chat"], openai.APIStatusError),
        settings=Settings(**PROVIDERS["ollama"]),
        http_client=play.http(net, follow_redirects=True),
    )
    assert f"Status {status} would turn the POST into a GET" in str(error)
    assert net.hosts == [HOME]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_redirect_on_one_server(provider: str) -> None:
    """A path may be answered by another one of the same origin: credentials go along."""
    net = Net(target="/elsewhere")
    http_client = openai.DefaultHttpxClient(transport=HTTPX.MockTransport(net))
    with OpenAI(settings=Settings(**PROVIDERS[provider], api_key="k"), http_client=http_client) as client:
        CALLS["chat"](client)
    assert [one.headers["authorization"] for one in net.requests[-2:]] == ["Bearer k", "Bearer k"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_redirects_that_a_caller_wants(play: Play, provider: str) -> None:
    """They are followed. No credential goes along, whatever its header is called, and whoever gave it."""
    net = Net()
    http_client = play.http(net, follow_redirects=True, headers={"X-Mine": "1"}, cookies={"session": "1"})
    headers = {"default_headers": {"X-Custom": "secret"}, "http_client": http_client}
    asked = succeeding(CALLS["chat"], extra_headers={"X-Call": "secret", "Cookie": "a=secret"})
    play(asked, settings=Settings(**PROVIDERS[provider], api_key="secret"), **headers)
    first, second = net.requests[-2:]
    assert first.headers["authorization"] == "Bearer secret"
    assert (second.url.host, json.loads(second.content)["messages"]) == ("evil.example", HI)
    left = {"authorization", "x-custom", "x-call", "cookie", "x-mine"}
    assert left & second.headers.keys() == set()


def test_the_same_host_by_https() -> None:
    """A key goes along from http to https, as it does with the SDK."""
    net = Net(target=f"https://{HOME}/elsewhere")
    http_client = HTTPX.Client(transport=HTTPX.MockTransport(net), follow_redirects=True)
    with OpenAI(settings=Settings(**PROVIDERS["openai"], api_key="k"), http_client=http_client) as client:
        CALLS["chat"](client)
    assert [str(one.url.scheme) for one in net.requests] == ["http", "https"]
    assert net.requests[1].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize("ask", [CALLS["chat"], CALLS["stream"], CALLS["models"]], ids=["chat", "stream", "models"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_local_only_holds_for_each_redirect(play: Play, provider: str, ask: Any) -> None:
    net = Net()
    error = play(
        failing(ask, openai.PermissionDeniedError),
        settings=Settings(**PROVIDERS[provider], local_only=True, api_key="k"),
        http_client=play.http(net, follow_redirects=True),
    )
    assert (error.code, net.hosts) == ("local_only", [HOME])
    assert "'evil.example'" in str(error)


PROXIES = {"http://proxy.example:3128": False, "http://2130706434:3128": True, "http://134744072:3128": False}


@pytest.mark.parametrize("given", ["environment", "client"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_local_only_holds_for_proxies(monkeypatch: pytest.MonkeyPatch, play: Play, proxy: str, given: str) -> None:
    """A public proxy would see what is asked; a private one is only not there."""
    options: dict[str, Any] = {"settings": Settings(**PROVIDERS["ollama"], local_only=True)}
    if given == "environment":
        monkeypatch.setenv("HTTP_PROXY", proxy)
    else:
        options["http_client"] = (HTTPX.Client if play.mode == "sync" else HTTPX.AsyncClient)(proxy=proxy)
    kind = openai.APIConnectionError if PROXIES[proxy] else openai.PermissionDeniedError
    error = play(failing(CALLS["chat"], kind), **options)
    assert PROXIES[proxy] or "the proxy" in str(error)


def test_one_http_client_of_several_clients(play: Play) -> None:
    """Each has its own rules, and the checks are there once."""
    net = Net()
    http_client = play.http(net, follow_redirects=True)

    def script(client: Any) -> Any:
        strict = client.with_options(settings=Settings(**PROVIDERS["ollama"], local_only=True))
        yield CALLS["chat"](client)
        with pytest.raises(openai.PermissionDeniedError):
            yield CALLS["chat"](strict)

    play(script, settings=Settings(**PROVIDERS["ollama"]), http_client=http_client)
    assert [len(hooks) for hooks in http_client.event_hooks.values()] == [1, 1]
