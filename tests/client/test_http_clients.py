"""Clients made of another one for other destinations: they share connections, and closing one ends no other's."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, first, mode
from loopback import Loopback, serving

from llm_adapter import AsyncOpenAI, Settings

ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
CALLS = 100


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def at(server: Loopback, **more: Any) -> Settings:
    return Settings(provider="ollama", host=server.root, **more)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def all_ended(server: Loopback) -> bool:
    """Whether no connection is open any more, as soon as the server has seen the last one end."""
    end = time.monotonic() + 5
    while server.ended < server.connections and time.monotonic() < end:
        time.sleep(0.005)
    return server.ended == server.connections


def test_a_client_for_each_call(play: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are made, closed or not: no more connections, open files or TLS contexts."""
    contexts: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: Any, *given: Any, **named: Any) -> None:
        contexts.append(1)
        load(context, *given, **named)

    def script(client: Any) -> Any:
        yield client.chat.completions.create(**ASKED)
        before = server.connections, open_files()
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
        for number in range(CALLS):
            other = client.with_options(settings=at(server, options={"seed": 1000 + number}))
            yield other.chat.completions.create(**ASKED)
            if number % 2:
                yield other.close()
        return before, (server.connections, open_files())

    before, after = play(script, settings=at(server))
    assert after == before
    assert contexts == []
    assert [asked[1]["options"]["seed"] for asked in server.asked[1:]] == list(range(1000, 1000 + CALLS))


def test_an_async_client_that_was_made_outside(server: Loopback) -> None:
    """Connections are one event loop's: those of one that has ended are not used in the next, nor kept."""
    client = AsyncOpenAI(settings=at(server), max_retries=0)

    async def main() -> None:
        for number in range(5):
            other = client.with_options(settings=at(server, options={"seed": 1000 + number}))
            await other.chat.completions.create(**ASKED)
        await other._http_clients.find(other._connection).aclose()

    for number in range(3):
        asyncio.run(main())
        assert server.connections == number + 1
        assert len(client._http_clients._clients) <= 2


def test_closed_alone(play: Play, server: Loopback) -> None:
    """A copy for another destination is closed without an end for the rest, and refuses calls as any closed client."""

    def script(client: Any) -> Any:
        other, third = (client.with_options(settings=at(server, options={"seed": number})) for number in (1, 2))
        for one in (client, other, third):
            yield one.chat.completions.create(**ASKED)
        yield other.close()
        yield other.close()
        with pytest.raises((RuntimeError, openai.APIConnectionError)) as refused:  # the latter from older SDKs
            yield other.chat.completions.create(**ASKED)
        assert "client has been closed" in str(refused.value.__cause__ or refused.value)
        for one in (client, third, third.with_options(timeout=5)):
            yield one.chat.completions.create(**ASKED)
        return [one.is_closed() for one in (client, other, third)]

    assert play(script, settings=at(server)) == [False, True, False]


def test_closed_by_its_maker(play: Play, server: Loopback) -> None:
    """A copy that outlives its maker goes on, with connections of its own, which end with it."""

    def script(client: Any) -> Any:
        maker = type(client)(settings=at(server), max_retries=0)
        other = maker.with_options(settings=at(server, options={"seed": 1}))
        yield other.chat.completions.create(**ASKED)
        yield maker.close()
        assert maker.is_closed()
        assert all_ended(server)
        for _ in range(2):
            yield other.chat.completions.create(**ASKED)
        yield other.close()
        assert other.is_closed()

    play(script, settings=at(server))
    assert server.connections == 2
    assert all_ended(server)


def test_what_needs_another_proxy_rule_is_closed_with_the_maker(
    play: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(client: Any) -> Any:
        maker = type(client)(settings=at(server), max_retries=0)
        others = [
            maker.with_options(settings=at(server, trust_env=False, options={"seed": number})) for number in (1, 2)
        ]
        for one in (maker, *others):
            yield one.chat.completions.create(**ASKED)
        assert others[0]._client is others[1]._client is not maker._client
        yield maker.close()

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    play(script, settings=at(server))
    assert server.connections == 2
    assert all_ended(server)


def test_the_callers_own(play: Play) -> None:
    """A caller's HTTP client is used for all destinations, and a copy that is closed leaves it open."""
    http = play.http(lambda _: HTTPX.Response(200, json={"object": "list", "data": []}))

    def script(client: Any) -> Any:
        other = client.with_options(settings=Settings(base_url="http://other.test/v1", api_key="k"))
        yield other.models.list()
        yield other.close()
        assert not http.is_closed
        own = client.with_options(settings=Settings(base_url="http://other.test/v1", api_key="k"), http_client=second)
        yield own.close()
        assert second.is_closed
        yield client.models.list()

    second = play.http(lambda _: HTTPX.Response(200))
    play(script, http_client=http, settings=Settings(base_url="http://one.test/v1", api_key="k"))
    assert http.is_closed


def test_a_stream_goes_on(play: Play, server: Loopback) -> None:
    """To close one copy does not cut another's stream."""
    server.act = lambda handler: handler.stream("a", "b", "c", between=0.02)

    def script(client: Any) -> Any:
        one, other = (client.with_options(settings=at(server, options={"seed": number})) for number in (1, 2))
        stream = yield one.chat.completions.create(**ASKED, stream=True)
        yield first(stream)
        yield other.close()
        chunks = yield every(stream)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert play(script, settings=at(server)) == "bc"
