"""Where requests go and which keys go with them: the bytes that leave, seen through the public client."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import respx
from conftest import DONE, HI
from drivers import HTTPX

from llm_adapter import AdapterWarning, AsyncOpenAI, OpenAI, Settings, SettingsError

REAL = "sk-real"
OPENAI = "api.openai.com"
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [SAID], "data": []}
NATIVE = {"models": [], "model": "m", "message": {"role": "assistant", "content": "Hi"}, **DONE}
LOCAL = Settings(provider="ollama", host="gpu.lan")
WANTS = Settings(base_url="https://llm.internal/v1", dialect="vllm", call_site_key=True)
CLUSTER = Settings(base_url="https://llm.internal/v1", api_key_env="CLUSTER_KEY", dialect="openai")


class Wire:
    """All that leaves, whatever the host; each request is answered in its own protocol."""

    def __init__(self, router: respx.MockRouter) -> None:
        self.requests: list[Any] = []
        self.redirect: str | None = None
        router.route().mock(side_effect=self._answer)

    def _answer(self, request: Any) -> Any:
        family = __import__(type(request).__module__.partition(".")[0])
        self.requests.append(request)
        if self.redirect is not None:
            target, self.redirect = self.redirect, None
            return family.Response(307, headers={"location": target})
        return family.Response(200, json=NATIVE if "/api/" in request.url.path else CHAT)

    @property
    def last(self) -> Any:
        return self.requests[-1]

    @property
    def went(self) -> tuple[str, str | None]:
        """Where the last request went, and with which key."""
        return self.last.url.host, key(self.last)


def key(request: Any) -> str | None:
    return (request.headers.get("authorization") or "").removeprefix("Bearer ") or None


def secrets(request: Any) -> str:
    """Everything of a request in which a key or an account could be."""
    return f"{request.url} {list(request.headers.items())} {request.content!r}"


def ask(client: Any, model: str = "m", **arguments: Any) -> None:
    client.chat.completions.create(model=model, messages=HI, **arguments)


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here speaks TLS, and reading the machine's certificates is most of what making a client costs."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with respx.mock(assert_all_called=False) as router:
        yield Wire(router)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every key of the trade is set."""
    for name, value in {
        "OPENAI_API_KEY": REAL,
        "OPENAI_ORG_ID": "org-real",
        "OPENAI_PROJECT_ID": "proj-real",
        "OPENAI_ADMIN_KEY": "sk-admin-real",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: gateway-real\nAuthorization-2: Bearer real",
        "OLLAMA_API_KEY": "ollama-real",
        "CLUSTER_KEY": "cluster-real",
        "LAN": "Basic bGFuOnJlYWw=",
    }.items():
        monkeypatch.setenv(name, value)


# --- nothing configured ----------------------------------------------------------------------------------------------

PLAIN: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, Any]]] = {
    "key": ({}, {}, {}),
    "OPENAI_BASE_URL": ({"OPENAI_BASE_URL": "http://gateway.test:8000/v1/"}, {}, {}),
    "OPENAI_BASE_URL, Ollama's": (
        {"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"},
        {},
        {"max_completion_tokens": 5, "messages": [{"role": "developer", "content": "x"}]},
    ),
    "OPENAI_BASE_URL, Ollama's cloud": ({"OPENAI_BASE_URL": "https://ollama.com/v1"}, {}, {}),
    "OPENAI_BASE_URL and extra_body": (
        {"OPENAI_BASE_URL": "http://vllm.test/v1"},
        {},
        {"extra_body": {"top_k": 20, "think": False}},
    ),
    "OPENAI_BASE_URL with names that have a prefix": (
        {"OPENAI_BASE_URL": "https://openrouter.ai/api/v1"},
        {},
        {"model": "openai/gpt-4o", "extra_body": {"top_k": 3}},
    ),
    "arguments": (
        {},
        {"api_key": "sk-1", "organization": "o", "project": "p", "default_headers": {"X": "1"}},
        {"temperature": 0.5},
    ),
    "base_url": ({}, {"base_url": "http://localhost:8000/v1", "default_query": {"v": "1"}}, {"user": "me"}),
    "stream": ({}, {}, {"stream": True, "stream_options": {"include_usage": True}}),
    "timeout": ({}, {"timeout": 7, "max_retries": 0}, {"extra_headers": {"X-Call": "1"}, "timeout": 3}),
}


@pytest.mark.parametrize("case", PLAIN)
def test_nothing_configured(wire: Wire, keys: None, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """With no configuration the request is the SDK's, byte for byte."""
    environ, options, call = PLAIN[case]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for kind in (openai.OpenAI, OpenAI):
        with kind(**options) as client:
            client.chat.completions.create(**{"model": "gpt-4o-mini", "messages": HI, **call})
            client.with_options(timeout=9).models.list()
    theirs, ours = wire.requests[:2], wire.requests[2:]
    for their, our in zip(theirs, ours, strict=True):
        assert (our.method, our.url, our.content) == (their.method, their.url, their.content)
        assert our.headers.multi_items() == their.headers.multi_items()
        assert our.extensions["timeout"] == their.extensions["timeout"]


def test_nothing_configured_async(wire: Wire, keys: None) -> None:
    """The async client, too, sends what the SDK's sends."""

    async def main() -> None:
        for kind in (openai.AsyncOpenAI, AsyncOpenAI):
            async with kind() as client:
                await client.chat.completions.create(model="gpt-4o-mini", messages=HI)

    asyncio.run(main())
    their, our = wire.requests
    assert (our.method, our.url, our.content) == (their.method, their.url, their.content)
    assert our.headers.multi_items() == their.headers.multi_items()


def test_no_credentials() -> None:
    """Without a key and without configuration the SDK's own error is raised."""
    with pytest.raises(openai.OpenAIError, match="Missing credentials"):
        OpenAI()


# --- keys ------------------------------------------------------------------------------------------------------------

KEYS: dict[str, tuple[dict[str, Any], tuple[str, str | None]]] = {
    "ollama": ({"settings": LOCAL}, ("gpu.lan", None)),
    "ollama, key passed along": ({"settings": LOCAL, "api_key": REAL}, ("gpu.lan", None)),
    "ollama, no key": ({"settings": LOCAL, "api_key": ""}, ("gpu.lan", None)),
    "ollama, explicit key": ({"settings": LOCAL, "api_key": "sk-lan"}, ("gpu.lan", None)),
    "ollama, callable": ({"settings": LOCAL, "api_key": lambda: "sk-fresh"}, ("gpu.lan", None)),
    "ollama, configured key": (
        {"settings": Settings(provider="ollama", host="gpu.lan", api_key=" lan-key\n")},
        ("gpu.lan", "lan-key"),
    ),
    "ollama, on this machine": ({"settings": Settings(provider="ollama")}, ("127.0.0.1", None)),
    "ollama.com": ({"settings": Settings(provider="ollama", host="ollama.com")}, ("ollama.com", "ollama-real")),
    "ollama.com on /v1": ({"settings": Settings(base_url="https://ollama.com/v1")}, ("ollama.com", "ollama-real")),
    "ollama.com in the clear": (
        {"settings": Settings(provider="ollama", host="http://ollama.com")},
        ("ollama.com", None),
    ),
    "cluster": ({"settings": CLUSTER}, ("llm.internal", "cluster-real")),
    "cluster, key passed along": ({"settings": CLUSTER, "api_key": REAL}, ("llm.internal", "cluster-real")),
    "cluster, explicit key": ({"settings": CLUSTER, "api_key": "sk-1"}, ("llm.internal", "cluster-real")),
    "cluster without a key": (
        {"settings": Settings(base_url="https://llm.internal", dialect="vllm")},
        ("llm.internal", None),
    ),
    "cluster that is given OpenAI's by name": (
        {"settings": Settings(base_url="https://llm.internal", dialect="vllm", api_key_env="OPENAI_API_KEY")},
        ("llm.internal", REAL),
    ),
    "cloud": ({"settings": Settings(provider="openai")}, (OPENAI, REAL)),
    "cloud by its address": ({"settings": Settings(base_url="https://eu.api.openai.com")}, ("eu.api.openai.com", REAL)),
    "base_url and key": (
        {"settings": CLUSTER, "base_url": "https://other.test/v1", "api_key": REAL},
        ("other.test", REAL),
    ),
    "base_url over a profile's": ({"settings": CLUSTER, "base_url": "https://other.test/v1"}, ("other.test", None)),
    "base_url over the cloud's": (
        {"settings": Settings(api_key="sk-work"), "base_url": "https://other.test/v1"},
        ("other.test", None),
    ),
    "base_url that is the profile's": (
        {"settings": CLUSTER, "base_url": "https://llm.internal/v2"},
        ("llm.internal", "cluster-real"),
    ),
    "OpenAI's base_url over ollama": ({"settings": LOCAL, "base_url": "https://api.openai.com/v1"}, ("gpu.lan", None)),
    "OpenAI's base_url over ollama with a key": (
        {"settings": Settings(provider="ollama", api_key="lan-key"), "base_url": "https://API.openai.com.:443/v1/"},
        ("127.0.0.1", "lan-key"),
    ),
    "OpenAI's base_url over a cluster": (
        {"settings": CLUSTER, "base_url": "https://api.openai.com/v1", "api_key": REAL},
        ("llm.internal", "cluster-real"),
    ),
    "another base_url over embedded": (
        {"settings": Settings(provider="embedded"), "base_url": "https://other.test/v1", "api_key": "sk-1"},
        ("other.test", "sk-1"),
    ),
    "base_url of OpenAI over OpenAI's": (
        {"settings": Settings(api_key="sk-work"), "base_url": "https://eu.api.openai.com/v1"},
        ("eu.api.openai.com", "sk-work"),
    ),
    "base_url and key that are the profile's": (
        {"settings": CLUSTER, "base_url": "https://llm.internal/v2", "api_key": "sk-1"},
        ("llm.internal", "sk-1"),
    ),
    "call_site_key": ({"settings": WANTS, "api_key": "sk-1"}, ("llm.internal", "sk-1")),
    "call_site_key, callable": ({"settings": WANTS, "api_key": lambda: "sk-1"}, ("llm.internal", "sk-1")),
    "call_site_key, none given": ({"settings": WANTS}, ("llm.internal", None)),
    "a header with a key": (
        {"settings": Settings(provider="ollama", host="gpu.lan", headers={"authorization": "env:LAN"}), "api_key": "k"},
        ("gpu.lan", "Basic bGFuOnJlYWw="),
    ),
}


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("case", KEYS)
def test_key(wire: Wire, keys: None, case: str, copied: bool) -> None:
    """Each host gets the key that is its own, or none; a copy of the client changes nothing."""
    options, went = KEYS[case]
    with OpenAI(**options) as client:
        ask(client.with_options(max_retries=1).copy(timeout=5) if copied else client)
    assert wire.went == went


@pytest.mark.parametrize("model", ["m", "x/y:latest"])
@pytest.mark.parametrize("settings", [LOCAL, CLUSTER, Settings(provider="ollama", host="ollama.com")])
def test_nothing_of_openais_is_sent(wire: Wire, keys: None, settings: Settings, model: str) -> None:
    """No account, no project, no admin key, no custom header and no fingerprint reaches another host."""
    with OpenAI(settings=settings, organization="org-real", api_key=REAL) as client:
        for one in (client, client.copy(), client.with_options(timeout=3)):
            ask(one, model)
            one.models.with_raw_response.list()
    for request in wire.requests:
        sent = secrets(request).lower()
        assert not [
            word for word in ("sk-", "org-", "proj-", "gateway-real", "openai-", "x-stainless-os") if word in sent
        ]


def test_openai_base_url_is_not_ollamas(wire: Wire, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_API_KEY stays away from Ollama even where OPENAI_BASE_URL names the same server."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    with OpenAI(settings=Settings(provider="ollama")) as client:
        ask(client)
    assert wire.went == ("127.0.0.1", None)


@pytest.mark.parametrize("host", ["gateway.test", "ollama.com"])
def test_openai_base_url_keeps_its_key(wire: Wire, keys: None, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Provider openai with no address of its own is the SDK's: OPENAI_BASE_URL with OPENAI_API_KEY."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://{host}/v1")
    with OpenAI(settings=Settings(provider="openai")) as client:
        ask(client)
    assert {(request.url.host, key(request)) for request in wire.requests} == {(host, REAL)}


def test_harmless_headers_stay(wire: Wire, keys: None) -> None:
    """What is no credential is sent, of the client and of the call; the profile's own are added."""
    settings = Settings(provider="ollama", host="gpu.lan", headers={"X-Team": "b", "X-Lan-Key": "env:LAN"})
    with OpenAI(settings=settings, default_headers={"X-Team": "a", "HTTP-Referer": "r"}) as client:
        ask(client.copy(), extra_headers={"Idempotency-Key": "1"}, extra_query={"v": "1"})
    sent = wire.last.headers
    assert (sent["x-team"], sent["http-referer"], sent["idempotency-key"]) == ("a", "r", "1")
    assert (sent["x-lan-key"], wire.last.url.params["v"]) == ("Basic bGFuOnJlYWw=", "1")


def test_key_in_a_header_does_not_follow_a_switch(wire: Wire, keys: None) -> None:
    """OPENAI_API_KEY in a default header is still OPENAI_API_KEY."""
    with OpenAI(settings=LOCAL, default_headers={"Authorization": f"Bearer {REAL}"}) as client:
        ask(client)
    assert wire.went == ("gpu.lan", None)


def test_missing_key_variable(project: Path) -> None:
    """A key that is not there is missed when the client is made, by the name of its variable."""
    project.write_text(
        '[profiles.cluster]\nbase_url = "https://llm.internal"\napi_key_env = "CLUSTER_KEY"\n', encoding="utf-8"
    )
    with pytest.raises(SettingsError) as error:
        OpenAI(profile="cluster")
    assert str(error.value) == (
        "`api_key_env` names CLUSTER_KEY, which is not set: set it, or remove `api_key_env` "
        f"(from {project} [profiles.cluster])"
    )


def test_key_in_place_of_its_variable() -> None:
    """What may be a key in the wrong place is not repeated."""
    with pytest.raises(SettingsError) as error:
        OpenAI(settings=Settings(base_url="https://llm.internal", api_key_env="gsk_real"))
    assert "gsk_real" not in str(error.value)


def test_redirect_with_nothing_configured(wire: Wire, keys: None) -> None:
    """It is followed, as by the SDK; nothing that may be a credential goes along."""
    wire.redirect = "https://evil.test/api/chat"
    with OpenAI(api_key="sk-explicit", default_headers={"X-Api-Key": "k", "X-Team": "t"}) as client:
        ask(client, extra_headers={"Cookie": "session=1"})
    first, second = wire.requests
    assert (key(first), first.headers["x-api-key"], first.headers["cookie"]) == ("sk-explicit", "k", "session=1")
    assert not {"authorization", "x-api-key", "x-team", "cookie", "openai-project"} & second.headers.keys()
    assert wire.last.url.host == "evil.test"


def test_nothing_is_logged(wire: Wire, keys: None, caplog: pytest.LogCaptureFixture) -> None:
    """No key is in the logs, in the reprs, or in an error of the client."""
    caplog.set_level(logging.DEBUG)
    with OpenAI(settings=CLUSTER) as client, OpenAI(settings=LOCAL) as other:
        ask(client)
        with pytest.warns(AdapterWarning, match="leads this call away"):
            ask(other, "openai/gpt-4o")
        with pytest.raises(openai.OpenAIError) as error:
            other.chat.completions.create(model="m", messages=HI, logit_bias={"1": 1})
        shown = f"{client!r} {client._connection!r} {other._connection!r} {other.settings!r} {error.value!r}"
    assert "real" not in caplog.text + shown


# --- other hosts -----------------------------------------------------------------------------------------------------

PREFIXES: dict[str, tuple[dict[str, Any], str, str, tuple[str, str | None]]] = {
    "openai/ from ollama": ({"settings": LOCAL}, "openai/gpt-4o", "gpt-4o", (OPENAI, REAL)),
    "openai: from ollama": ({"settings": LOCAL}, "openai:gpt-4o", "gpt-4o", (OPENAI, REAL)),
    "openai/ from ollama, other key": (
        {"settings": LOCAL, "api_key": "sk-lan"},
        "openai/gpt-4o",
        "gpt-4o",
        (OPENAI, REAL),
    ),
    "openai/ from ollama, callable": (
        {"settings": LOCAL, "api_key": lambda: "sk-fresh"},
        "openai/gpt-4o",
        "gpt-4o",
        (OPENAI, REAL),
    ),
    "ollama/ from nothing": ({}, "ollama/qwen3:8b", "qwen3:8b", ("127.0.0.1", None)),
    "ollama: from nothing": ({}, "ollama:qwen3:8b", "qwen3:8b", ("127.0.0.1", None)),
    "ollama/ from nothing, explicit key": ({"api_key": "sk-1"}, "ollama/qwen3", "qwen3", ("127.0.0.1", None)),
    "ollama/ from nothing, callable": ({"api_key": lambda: "sk-fresh"}, "ollama/qwen3", "qwen3", ("127.0.0.1", None)),
    "ollama/ from a header": (
        {"default_headers": {"authorization": "Bearer sk-1", "X-Api-Key": "k"}},
        "ollama/qwen3",
        "qwen3",
        ("127.0.0.1", None),
    ),
    "ollama/ from a cluster": ({"settings": CLUSTER}, "ollama/hf.co/x/y:q4", "hf.co/x/y:q4", ("127.0.0.1", None)),
    "openai/ on a cluster is a name": (
        {"settings": CLUSTER},
        "openai/gpt-oss",
        "openai/gpt-oss",
        ("llm.internal", "cluster-real"),
    ),
    "openai/ on openai": ({}, "openai/gpt-4o", "gpt-4o", (OPENAI, REAL)),
    "ollama/ on ollama": ({"settings": LOCAL}, "ollama/qwen3:8b", "qwen3:8b", ("gpu.lan", None)),
    "a namespace": ({"settings": LOCAL}, "library/qwen3:8b", "library/qwen3:8b", ("gpu.lan", None)),
    "a tag": ({"settings": LOCAL}, "openai-oss:latest", "openai-oss:latest", ("gpu.lan", None)),
    "an alias": (
        {"settings": Settings(provider="ollama", models={"fast": "openai/gpt-4o-mini"})},
        "fast",
        "gpt-4o-mini",
        (OPENAI, REAL),
    ),
}


@pytest.mark.filterwarnings("ignore:model 'openai:llm_adapter.AdapterWarning")
@pytest.mark.parametrize("case", PREFIXES)
def test_prefix(wire: Wire, keys: None, case: str) -> None:
    """A known prefix chooses the provider of one call, and with it the address and the key; others are names."""
    options, model, name, went = PREFIXES[case]
    with OpenAI(**options) as client:
        ask(client, model)
    assert (wire.went, json.loads(wire.last.content)["model"]) == (went, name)
    if went[0] != OPENAI and (options or went[0] == "127.0.0.1"):
        sent = secrets(wire.last)
        assert not [word for word in ("sk-", "org-", "proj-", "gateway-real", "x-api-key") if word in sent]


def test_prefix_goes_to_ollama_host(wire: Wire, keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A routed call knows OLLAMA_HOST, and ollama.com's key."""
    monkeypatch.setenv("OLLAMA_HOST", "ollama.com")
    with OpenAI() as client:
        ask(client, "ollama/gpt-oss:120b")
    assert wire.went == ("ollama.com", "ollama-real")


def test_secret_query_stays_home(wire: Wire, keys: None) -> None:
    """A key in the client's query does not go along with a routed call."""
    with OpenAI(default_query={"api_key": "k", "version": "1"}) as client:
        ask(client, "ollama/qwen3")
    assert str(wire.last.url.query) in ("b'version=1'", "version=1")


OLLAMA_HOSTS = {
    "gpu.lan": "http://gpu.lan:11434/api/chat",
    "0.0.0.0": "http://127.0.0.1:11434/api/chat",
    '"gpu.lan:80/v1"': "http://gpu.lan/api/chat",
    "": "http://127.0.0.1:11434/api/chat",
}


@pytest.mark.parametrize("host", OLLAMA_HOSTS)
def test_ollama_host(wire: Wire, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """OLLAMA_HOST is read when a client is made, where the settings name no host."""
    settings = Settings(provider="ollama")
    monkeypatch.setenv("OLLAMA_HOST", host)
    with OpenAI(settings=settings) as client:
        monkeypatch.setenv("OLLAMA_HOST", "later")
        ask(client.copy())
        assert str(client.base_url) == OLLAMA_HOSTS[host].replace("/api/chat", "/v1/")
    assert str(wire.last.url) == OLLAMA_HOSTS[host]


def test_host_over_ollama_host(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings' host wins over OLLAMA_HOST."""
    monkeypatch.setenv("OLLAMA_HOST", "other")
    with OpenAI(settings=LOCAL) as client:
        ask(client)
    assert wire.last.url.host == "gpu.lan"


def test_broken_ollama_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken OLLAMA_HOST is named."""
    monkeypatch.setenv("OLLAMA_HOST", "localhost:port")
    with pytest.raises(SettingsError, match=r"'port' is not a port \(from OLLAMA_HOST\)"):
        OpenAI(settings=Settings(provider="ollama"))


BASE_URLS = {
    "http://gpu.lan:11434": "http://gpu.lan:11434/api/chat",
    "http://gpu.lan:11434/v1": "http://gpu.lan:11434/api/chat",
    "http://gpu.lan:11434/api/": "http://gpu.lan:11434/api/chat",
    "gpu.lan": "http://gpu.lan:11434/api/chat",
    "https://api.openai.com/v1": "http://127.0.0.1:11434/api/chat",
    "http://gpu.lan/v1": "http://gpu.lan/v1/chat/completions",
}


@pytest.mark.parametrize("written", BASE_URLS)
def test_base_url_argument(wire: Wire, keys: None, written: str) -> None:
    """An address on Ollama's port is that Ollama, in every form; OpenAI's counts as none; another is plain /v1."""
    settings = Settings(provider="ollama", models={"m": "m"})
    with OpenAI(settings=settings, base_url=written) as client:
        ask(client)
    assert str(wire.last.url) == BASE_URLS[written]
    assert json.loads(wire.last.content)["model"] == "m"


@pytest.mark.parametrize("provider", ["ollama", "openai", "embedded"])
def test_a_programs_own_server(wire: Wire, keys: None, provider: str) -> None:
    """It is spoken to in plain /v1 with the key and the names of the call site, and nothing of the profile's."""
    settings = Settings(
        provider=provider, models={"*": "qwen3:8b"}, headers={"X-Lan-Key": "env:LAN"}, max_concurrency=1
    )
    with OpenAI(settings=settings, base_url="https://vendor.test/v1", api_key="sk-vendor") as client:
        for one in (client, client.with_options(timeout=3), client.with_options(max_retries=0).copy()):
            ask(one, "openai/deepseek-chat", extra_body={"think": False, "top_k": 3}, extra_headers={"X-Api-Key": "k"})
            body = json.loads(wire.last.content)
            assert (wire.went, body["model"]) == (("vendor.test", "sk-vendor"), "openai/deepseek-chat")
            assert (body["think"], body["top_k"], wire.last.headers["x-api-key"]) == (False, 3, "k")
            assert "x-lan-key" not in wire.last.headers
        ask(client.with_options(settings=LOCAL))
    assert wire.went == ("gpu.lan", None)


def test_openais_address_counts_as_none(wire: Wire, keys: None, caplog: pytest.LogCaptureFixture) -> None:
    """Frameworks pass it as their default. The log says so, and the client shows where it goes."""
    caplog.set_level(logging.INFO, "llm_adapter")
    with OpenAI(settings=LOCAL, base_url="https://api.openai.com/v1", api_key=REAL) as client:
        assert (str(client.base_url), REAL in client.api_key) == ("http://gpu.lan:11434/v1/", False)
    assert "counts as not given: the configuration names http://gpu.lan:11434/v1" in caplog.text


def test_reply_names_the_real_model(wire: Wire) -> None:
    """An alias is resolved on the way out, and the reply says which model spoke."""
    with OpenAI(settings=Settings(provider="ollama", models={"*": "m"})) as client:
        reply = client.chat.completions.create(model="gpt-4o-mini", messages=HI)
    assert (json.loads(wire.last.content)["model"], reply.model) == ("m", "m")


# --- copies ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "llm_adapter.toml"
    path.write_text(
        '[profiles.local]\nprovider = "ollama"\nhost = "gpu.lan"\n[profiles.cloud]\nprovider = "openai"\n'
        '[profiles.cluster]\nbase_url = "https://llm.internal"\napi_key_env = "CLUSTER_KEY"\ndialect = "openai"\n',
        encoding="utf-8",
    )
    return path


COPIES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str | None]]] = {
    "same": ({"profile": "local"}, {"timeout": 1}, ("gpu.lan", None)),
    "profile": ({"profile": "cloud"}, {"profile": "local"}, ("gpu.lan", None)),
    "profile, back": ({"profile": "local"}, {"profile": "cloud"}, (OPENAI, REAL)),
    "profile, explicit key": ({"api_key": "sk-1"}, {"profile": "cluster"}, ("llm.internal", "cluster-real")),
    "profile, own key": ({}, {"profile": "local", "api_key": "sk-2"}, ("gpu.lan", None)),
    "settings": ({"profile": "cluster"}, {"settings": LOCAL}, ("gpu.lan", None)),
    "base_url, configured key": ({"profile": "cluster"}, {"base_url": "https://other.test/v1"}, ("other.test", None)),
    "base_url, OpenAI's key": ({"profile": "cloud"}, {"base_url": "https://other.test/v1"}, ("other.test", None)),
    "base_url, explicit key": (
        {"profile": "cloud", "api_key": "sk-1"},
        {"base_url": "https://other.test/v1"},
        ("other.test", "sk-1"),
    ),
    "base_url of OpenAI": (
        {"profile": "cluster"},
        {"base_url": "https://api.openai.com/v1"},
        ("llm.internal", "cluster-real"),
    ),
    "base_url, key that was kept back": (
        {"profile": "local", "api_key": "sk-1"},
        {"base_url": "https://other.test/v1"},
        ("other.test", "sk-1"),
    ),
    "base_url, nothing configured": ({}, {"base_url": "https://other.test/v1"}, ("other.test", REAL)),
}


@pytest.mark.parametrize("method", ["copy", "with_options"])
@pytest.mark.parametrize("case", COPIES)
def test_copy(wire: Wire, keys: None, project: Path, case: str, method: str) -> None:
    """A copy keeps its destination and follows a new one, each with its own key and nothing else of OpenAI's."""
    options, changes, went = COPIES[case]
    with OpenAI(**options) as client:
        copy = getattr(getattr(client, method)(max_retries=0), method)(**changes)
        ask(copy)
        ask(copy.with_options(timeout=2))
    assert wire.went == went
    if went[0] != OPENAI and options:
        assert not [word for word in ("org-real", "gateway-real") if word in secrets(wire.last)]


@pytest.mark.parametrize("case", [case for case, (_, changes, _) in COPIES.items() if "base_url" in changes])
def test_base_url_that_is_set_later(wire: Wire, keys: None, project: Path, case: str) -> None:
    """`client.base_url = ...` moves a client as a copy would be moved."""
    options, changes, went = COPIES[case]
    with OpenAI(**options) as client:
        client.base_url = changes["base_url"]
        ask(client)
        assert client.base_url.host == went[0]
    assert wire.went == went
    if went[0] != OPENAI and options:
        assert not [word for word in ("org-real", "gateway-real") if word in secrets(wire.last)]


@pytest.mark.parametrize("written", BASE_URLS)
def test_base_url_that_is_set_later_is_native(wire: Wire, keys: None, written: str) -> None:
    """At another Ollama the native API is spoken, whatever form the address has."""
    with OpenAI(settings=Settings(provider="ollama", models={"m": "m"})) as client:
        client.base_url = written
        ask(client)
    assert str(wire.last.url) == BASE_URLS[written]


def test_base_url_where_our_classes_stand_for_the_sdks(monkeypatch: pytest.MonkeyPatch, keys: None) -> None:
    """As the SDK's own tests put them: `openai.OpenAI` is ours then."""
    monkeypatch.setattr(openai, "OpenAI", OpenAI)
    with OpenAI() as client:
        client.base_url = "https://other.test/v1"
        assert str(client.base_url) == "https://other.test/v1/"


def test_copy_is_of_the_same_settings(keys: None, project: Path) -> None:
    """`settings` survives every copy, and a copy of the other kind changes it."""
    with OpenAI(profile="local") as client:
        assert client.copy().with_options(timeout=1).settings == client.settings
        assert client.with_options(settings=CLUSTER).copy(timeout=2).settings == CLUSTER


def test_profile_switch_keeps_the_callers_things(wire: Wire, keys: None, project: Path) -> None:
    """Another profile keeps the HTTP client, the harmless headers and the query; credentials stay behind."""
    http_client = HTTPX.Client(headers={"X-Mine": "1"})
    headers = {"X-Trace": "t", "Authorization": "Bearer sk-1", "X-Api-Key": "k"}
    with OpenAI(http_client=http_client, default_headers=headers, default_query={"v": "1", "key": "k"}) as client:
        ask(client.with_options(timeout=3).with_options(profile="local", default_headers={"X-New": "n"}))
    sent = wire.last.headers
    assert (sent["x-mine"], sent["x-trace"], sent["x-new"], wire.last.url.params["v"]) == ("1", "t", "n", "1")
    assert key(wire.last) is None
    assert "x-api-key" not in sent
    assert "key" not in wire.last.url.params


def test_profile_and_settings() -> None:
    """Two answers to one question are refused."""
    with pytest.raises(SettingsError, match="give `profile` or `settings`, not both"):
        OpenAI(profile="local", settings=LOCAL)


@pytest.mark.parametrize("method", ["copy", "with_options"])
def test_copy_async(wire: Wire, keys: None, project: Path, method: str) -> None:
    """The async client's copies follow the same rules."""

    async def main() -> None:
        async with AsyncOpenAI(profile="cluster") as client:
            await getattr(client, method)(base_url="https://other.test/v1").models.list()
            await getattr(client, method)(profile="local").models.with_raw_response.list()

    asyncio.run(main())
    assert [(request.url.host, key(request)) for request in wire.requests] == [("other.test", None), ("gpu.lan", None)]


# --- proxies ---------------------------------------------------------------------------------------------------------


class _Ollama(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(NATIVE).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ollama)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def _by_settings(port: int, **settings: Any) -> Any:
    with OpenAI(settings=Settings(provider="ollama", host=f"127.0.0.1:{port}", **settings), max_retries=0) as client:
        return client.chat.completions.create(model="m", messages=HI)


def _by_prefix(port: int) -> Any:
    with OpenAI(api_key="sk", max_retries=0) as client:
        return client.chat.completions.create(model="ollama/m", messages=HI)


def _by_async(port: int) -> Any:
    async def main() -> Any:
        settings = Settings(provider="ollama", host=f"http://localhost:{port}")
        async with AsyncOpenAI(settings=settings, max_retries=0) as client:
            return await client.chat.completions.create(model="m", messages=HI)

    return asyncio.run(main())


DEAD = "http://dead:1"
UNKNOWN = "socks5h://dead:1"  # a proxy that the HTTP client cannot use at all


@pytest.mark.parametrize(
    ("call", "proxy"),
    [(_by_settings, DEAD), (_by_prefix, DEAD), (_by_async, DEAD), (_by_settings, UNKNOWN), (_by_async, UNKNOWN)],
)
def test_no_proxy_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, port: int, call: Callable[[int], Any], proxy: str
) -> None:
    """A dead proxy does not cut off localhost, however a call gets there."""
    monkeypatch.setenv("OLLAMA_HOST", f"localhost:{port}")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert call(port).choices[0].message.content == "Hi"


def test_proxy_when_asked(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """With trust_env the proxy is used for this machine too."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(openai.APIConnectionError):
        _by_settings(port, trust_env=True)


@pytest.mark.parametrize("trust_env", [None, True, False])
def test_proxy_of_a_remote_host(monkeypatch: pytest.MonkeyPatch, trust_env: bool | None) -> None:
    """A remote host keeps its proxy, unless the settings say no."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    with OpenAI(settings=Settings(base_url="https://llm.internal", trust_env=trust_env)) as client:
        transport = client._client._transport_for_url(HTTPX.URL("https://llm.internal/v1"))
    assert (transport is not client._client._transport) is (trust_env is not False)


def test_sdks_own_http_client() -> None:
    """Without a proxy in the environment the HTTP client is the SDK's own."""
    with OpenAI(settings=LOCAL) as client, openai.OpenAI(api_key="sk") as theirs:
        assert type(client._client) is type(theirs._client)


@pytest.mark.parametrize("variables", [{}, {"HTTP_PROXY": "http://dead:1"}])
def test_callers_http_client(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """The caller's HTTP client is used, whatever the environment says."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    mine = HTTPX.Client(transport=HTTPX.MockTransport(lambda request: HTTPX.Response(200, json=NATIVE)))
    with OpenAI(settings=LOCAL, http_client=mine) as client:
        assert client._client is mine
        assert client.copy(timeout=1)._client is mine
        ask(client)


@pytest.mark.parametrize("given", [{}, {"base_url": ""}], ids=["variable", "argument"])
@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_an_address_that_is_empty_is_none(kind: Any, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would ask nobody, with an error that names no cause."""
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert kind(api_key=REAL, **given).base_url.host == OPENAI
