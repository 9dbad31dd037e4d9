"""A request that is made by a template is the request that the SDK builds, whatever has changed since."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import openai
import pytest
from drivers import HTTPX
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import Omit

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client.request_templates import LIMIT

SDK_BUILDS = "openai._base_client.BaseClient._build_request"


class Http:
    """An HTTP client that keeps what it is asked to send, and replies with an error."""

    def __init__(self, kind: Any) -> None:
        self.sent: list[Any] = []
        http = HTTPX.AsyncClient if issubclass(kind, openai.AsyncOpenAI) else HTTPX.Client
        self.client = http(transport=HTTPX.MockTransport(self._reply), verify=False)

    def _reply(self, request: Any) -> Any:
        timeout = request.extensions["timeout"]
        parts = (type(request), request.method, str(request.url), request.headers.raw, request.read(), timeout)
        self.sent.append(parts)
        return HTTPX.Response(418, json={})


def pair(ours: Any = OpenAI, theirs: Any = openai.OpenAI, **options: Any) -> tuple[Any, Any]:
    """One of our clients and the SDK's, made alike; `client.http.sent` is what each has sent."""
    made = []
    for kind in (ours, theirs):
        http = Http(kind)
        more = {"settings": Settings()} if kind is ours else {}
        client = kind(**{"api_key": "k", "max_retries": 0, "http_client": http.client, **more, **options})
        client.http = http
        made.append(client)
    return made[0], made[1]


def ask(client: Any, text: str = "Hello", **options: Any) -> None:
    try:
        asked = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **options)
        if inspect.isawaitable(asked):
            asyncio.run(asked)
    except openai.APIStatusError:
        pass
    except TypeError as error:  # no credentials are left
        client.http.sent.append(str(error))


def templated(client: Any, **options: Any) -> bool:
    """Whether a call's request is made without the SDK."""
    with mock.patch(SDK_BUILDS, autospec=True, side_effect=AssertionError) as build:
        try:
            ask(client, **options)
        except AssertionError:
            pass
    return not build.called


SYNC_AND_ASYNC = pytest.mark.parametrize(
    ("ours", "theirs"), [(OpenAI, openai.OpenAI), (AsyncOpenAI, openai.AsyncOpenAI)], ids=["sync", "async"]
)

headers = st.dictionaries(
    st.sampled_from(
        ["X-A", "x-a", "X-B", "Authorization", "authorization", "Accept", "OpenAI-Project", "Content-Type"]
    ),
    st.sampled_from(["1", "2", "Bearer other", "", Omit()]),
    max_size=3,
)
timeouts = st.sampled_from([None, 3, 4.5, openai.Timeout(7, connect=2)])
own = st.fixed_dictionaries(
    {},
    optional={
        "default_headers": headers,
        "default_query": st.sampled_from([{}, {"v": "1"}]),
        "organization": st.just("org"),
        "project": st.just("proj"),
        "timeout": timeouts,
        "base_url": st.sampled_from(["https://api.openai.com/v1/", "https://api.openai.com/v2?a=b"]),
    },
)
of_a_call = st.fixed_dictionaries(
    {"text": st.sampled_from(["", "Hello", "Grüße, 世界 \N{SNOWMAN}" * 9])},
    optional={
        "extra_headers": headers,
        "extra_query": st.sampled_from([{"q": "1"}]),
        "extra_body": st.sampled_from([{"x": [1]}]),
        "timeout": timeouts,
        "stream": st.booleans(),
    },
)


@settings(max_examples=30)
@given(options=own, calls=st.lists(of_a_call, min_size=1, max_size=3))
def test_the_same_is_sent(options: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    """Headers that replace others or take them away, queries, timeouts: three times each, the third by a template."""
    ours, theirs = pair(**options)
    for client in (ours, theirs):
        for _ in range(3):
            for call in calls:
                ask(client, **call)
    assert ours.http.sent == theirs.http.sent


@SYNC_AND_ASYNC
def test_the_third_call_is_made_by_a_template(ours: Any, theirs: Any) -> None:
    client, _ = pair(ours, theirs)
    assert [templated(client) for _ in range(2)] == [False, False]
    ask(client, "one"), ask(client, "another")
    assert templated(client)
    assert templated(client.with_options(max_retries=1)), "a copy uses the templates of its original"
    assert not templated(client, timeout=9)


def _header(client: Any) -> None:
    client._client.headers["x-new"] = "1"


def _cookie(client: Any) -> None:
    client._client.cookies.set("session", "1")


def _query(client: Any) -> None:
    client._client.params = {"a": "b"}


CHANGES: dict[str, Callable[[Any], Any]] = {
    "the key": lambda client: setattr(client, "api_key", "other"),
    "the organization": lambda client: setattr(client, "organization", "org"),
    "the address": lambda client: setattr(client, "base_url", "https://api.openai.com/v9"),
    "the timeout": lambda client: setattr(client, "timeout", 5),
    "the client's headers": lambda client: client._custom_headers.update({"X-New": "1"}),
    "the client's query": lambda client: client._custom_query.update({"a": "b"}),
    "the HTTP client's headers": _header,
    "the HTTP client's cookies": _cookie,
    "the HTTP client's query": _query,
    "a method": lambda client: setattr(client, "_prepare_url", lambda url: HTTPX.URL("https://api.openai.com/v3/a")),
}


@SYNC_AND_ASYNC
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_on_a_client_is_heeded(ours: Any, theirs: Any, change: Callable[[Any], Any]) -> None:
    clients = pair(ours, theirs)
    for client in clients:
        client._custom_headers, client._custom_query = {"X-A": "1"}, {}
        for _ in range(3):
            ask(client)
        before = client.http.sent[-1]
        change(client)
        ask(client)
        assert client.http.sent[-1] != before
    assert clients[0].http.sent == clients[1].http.sent


def test_a_class_of_the_callers_own_builds_its_requests() -> None:
    class Own(OpenAI):
        calls = 0

        def _build_headers(self, options: Any, *, retries_taken: int = 0) -> Any:
            built = super()._build_headers(options, retries_taken=retries_taken)
            self.calls += 1
            built["X-Count"] = str(self.calls)
            return built

    client, _ = pair(Own)
    for _ in range(3):
        ask(client)
    assert client.calls == 3


def test_what_is_different_every_time_gets_no_template() -> None:
    """A header with the time or a random number, from an SDK to come: its second request is not like the first."""
    client, _ = pair()
    count = iter(range(9))
    with mock.patch("openai._base_client.BaseClient.user_agent", property(lambda self: str(next(count)))):
        for _ in range(4):
            ask(client)
    agents = [HTTPX.Headers(sent[3])["user-agent"] for sent in client.http.sent]
    assert agents == ["0", "1", "2", "3"]


def test_the_log_tells_of_every_request(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = pair()
    for _ in range(3):
        ask(client)
    assert templated(client)
    caplog.set_level(logging.DEBUG, logger="openai._base_client")
    assert not templated(client)


def test_another_header_with_every_call_fills_no_memory() -> None:
    client, _ = pair()
    for place in range(LIMIT + 9):
        ask(client, extra_headers={"X-Request-Id": str(place)})
    assert len(client._templates._templates) <= LIMIT


def test_a_hook_that_changes_a_request_changes_that_one_alone() -> None:
    client, theirs = pair()
    for one in (client, theirs):
        hooks = one._client.event_hooks
        first = iter([True])

        def hook(request: Any, first: Any = first) -> None:
            if next(first, False):
                request.headers["x-hook"] = "1"
                request.extensions["timeout"]["read"] = 1

        one._client.event_hooks = {**hooks, "request": [*hooks["request"], hook]}
        for _ in range(4):
            ask(one)
    assert client.http.sent == theirs.http.sent


def test_a_native_request_has_its_own_length(ollama: Any) -> None:
    ollama.answer("/api/chat", body={"message": {"content": "Hi"}, "done": True, "model": "m"})
    client = OpenAI(settings=Settings(provider="ollama", host="http://ollama.test:11434"))
    for place in range(4):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "ä" * place}])
        assert int(ollama.request.headers["content-length"]) == len(ollama.request.content)
        assert ollama.sent["messages"][0]["content"] == "ä" * place
