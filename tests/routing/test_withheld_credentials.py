"""No credential of a call site goes to a host that the configuration names, in whatever way it is given."""

from __future__ import annotations

import pickle
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Play, mode

from llm_adapter import OpenAI, Settings, SettingsError

PROVIDERS = {
    "ollama": {"provider": "ollama", "host": "http://gpu.lan:11434"},
    "v1": {"base_url": "http://gpu.lan/v1", "dialect": "vllm"},
    "plain v1": {"base_url": "http://gpu.lan/v1", "dialect": "openai"},
}
NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True, "embeddings": [[1.0]]}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
TAGS: dict[str, Any] = {"models": []}
MODELS: dict[str, Any] = {"object": "list", "data": []}
VECTORS = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]}
CREDENTIALS = ("sk-", "org-1", "proj-1", "secret", "bWU6c2VjcmV0")


def ask(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(model="m", messages=HI, **more)


def key_of(client: Any, key: str) -> Any:
    async def later() -> str:
        return key

    return later if isinstance(client, openai.AsyncOpenAI) else lambda: key


def with_attributes(client: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(client, name, value)
    return client


# Each gives the constructor's arguments, what is done with the client, and the call's arguments.
WAYS: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "constructor": ({"api_key": "sk-1"}, None, {}),
    "organization": ({"api_key": "k", "organization": "org-1", "project": "proj-1"}, None, {}),
    "admin key": ({"admin_api_key": "sk-1"}, None, {}),
    "OpenAI's address": ({"api_key": "sk-1", "base_url": "https://api.openai.com/v1/"}, None, {}),
    "default header": ({"default_headers": {"Authorization": "Bearer secret"}}, None, {}),
    "another header": ({"default_headers": {"x-api-key": "secret", "Cookie": "a=secret"}}, None, {}),
    "header with any name": ({"api_key": "abcdef-secret", "default_headers": {"X-Mine": "abcdef-secret"}}, None, {}),
    "scheme": ({"default_headers": {"X-Mine": "Basic secret"}}, None, {}),
    "query": ({"default_query": {"api_key": "secret"}}, None, {"extra_query": {"token": "secret"}}),
    "copy": ({"api_key": "k"}, lambda client: client.copy(api_key="sk-1"), {}),
    "with_options": (
        {"api_key": "k"},
        lambda client: client.with_options(api_key="sk-1", organization="org-1", default_headers={"X-Key": "secret"}),
        {},
    ),
    "callable": ({}, lambda client: client.with_options(api_key=key_of(client, "sk-1")), {}),
    "attributes": (
        {},
        lambda client: with_attributes(client, api_key="sk-1", organization="org-1", project="proj-1"),
        {},
    ),
    "extra headers": ({}, None, {"extra_headers": {"Authorization": "Bearer secret", "OpenAI-Project": "proj-1"}}),
    "HTTP client": ({"headers": {"X-Api-Key": "secret"}, "auth": ("me", "secret")}, None, {}),
}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Host:
    """The configured host, that has the same answer for all."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[Any] = []
        self.status = status

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        assert request.url.host == "gpu.lan"
        if self.status != 200:
            return HTTPX.Response(self.status, json={"error": {"message": "no"}})
        replies = {"embeddings": VECTORS, "completions": CHAT, "models": MODELS, "tags": TAGS}
        return HTTPX.Response(200, json=replies.get(request.url.path.rpartition("/")[2], NATIVE))

    @property
    def seen(self) -> str:
        return " ".join(f"{one.url} {one.headers.multi_items()}" for one in self.requests)


def _script(change: Any, call: dict[str, Any]) -> Any:
    def script(client: Any) -> Any:
        changed = change(client) if change else client
        assert not any(word in str(changed.api_key) for word in CREDENTIALS)
        yield ask(changed, **call)
        yield changed.chat.completions.with_raw_response.create(model="m", messages=HI, **call)
        yield changed.embeddings.create(model="m", input="Hello", **call)
        yield changed.models.list(**call)
        yield changed.with_options(timeout=3).post("/moderations", cast_to=object, body={"input": "Hello"})

    return script


def _options(play: Play, host: Any, given: dict[str, Any]) -> dict[str, Any]:
    http = {name: given[name] for name in ("headers", "auth") if name in given}
    return {"http_client": play.http(host, **http), **{name: given[name] for name in given if name not in http}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_withheld(monkeypatch: pytest.MonkeyPatch, play: Play, provider: str, way: str) -> None:
    """Of any endpoint, sync and async, in a copy too."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    given, change, call = WAYS[way]
    host = Host()
    try:
        play(_script(change, call), settings=Settings(**PROVIDERS[provider]), **_options(play, host, given))
    except openai.NotFoundError:
        assert provider == "ollama"  # it has no /moderations
    assert len(host.requests) >= 4
    assert [word for word in CREDENTIALS if word in host.seen] == []


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("OpenAI's address", "admin key", "HTTP client")])
def test_sent_where_the_profile_wants_it(play: Play, way: str) -> None:
    """`call_site_key`: the program's credentials are for this host."""
    given, change, call = WAYS[way]
    host = Host()

    def script(client: Any) -> Any:
        yield ask(change(client) if change else client, **call)

    settings = Settings(**PROVIDERS["v1"], call_site_key=True)
    play(script, settings=settings, **{"api_key": "k", **_options(play, host, given)})
    assert [word for word in CREDENTIALS if word in host.seen]


def test_websockets_go_where_calls_go(play: Play) -> None:
    """With the configuration's key they do not go to an address of the call site's."""

    def script(client: Any) -> Any:
        yield ask(client)
        return client.websocket_base_url, client.api_key

    settings = Settings(**PROVIDERS["v1"], api_key="of-the-host")
    options = {"websocket_base_url": "wss://api.openai.com/v1", "http_client": play.http(Host())}
    assert play(script, settings=settings, **options) == (None, "of-the-host")


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "key": ({"api_key": "sk-1"}, {}, "Not sent: `api_key`,"),
    "header": ({}, {"extra_headers": {"X-Api-Key": "k"}}, "Not sent: `X-Api-Key`,"),
    "default header": (
        {"default_headers": {"X-Api-Key": "k"}, "organization": "o"},
        {},
        "`X-Api-Key`, `organization`,",
    ),
    "nothing": ({}, {}, None),
}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("case", REFUSALS)
def test_the_refusal_names_what_was_not_sent(play: Play, case: str, status: int) -> None:
    options, call, told = REFUSALS[case]
    host = Host(status)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            yield ask(client, **call)
        return str(caught.value)

    said = play(script, settings=Settings(**PROVIDERS["v1"]), http_client=play.http(host), **options)
    assert ("call_site_key = true" in said, "sk-1" in said) == (told is not None, False)
    assert told is None or told in said


def test_headers_are_secret() -> None:
    """Neither a repr nor JSON shows them; a variable that is not set is named, and no header is one that is none."""
    settings = Settings(**PROVIDERS["ollama"], headers={"Authorization": "Bearer secret"})
    assert "secret" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("headers", [{"X Key": "a"}, {"X-Key": "a\nX-More: secret"}, {"X-Key": ""}])
def test_what_is_no_header(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header") as refusal:
        Settings(**PROVIDERS["ollama"], headers=headers)
    assert "secret" not in str(refusal.value)


def test_pickled_settings_leave_headers_behind() -> None:
    """Secrets do; the name of a variable is none."""
    variables = Settings(**PROVIDERS["ollama"], headers={"X-Key": "env:PATH"})
    assert pickle.loads(pickle.dumps(variables)) == variables
    written = pickle.dumps(Settings(**PROVIDERS["ollama"], headers={"X-Key": "secret"}))
    assert b"secret" not in written
    with pytest.raises(SettingsError, match="`headers` stays behind"):
        OpenAI(settings=pickle.loads(written))
