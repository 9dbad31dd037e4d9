"""A stream that was read leaves its connection to the next call, and waits for no end that does not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode
from loopback import Handler, Loopback, serving

from llm_adapter import Settings

EVENTS = [
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"Hi"},"finish_reason":null}]}\n\n',
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        yield server


def v1(handler: Handler, end: bytes = b"0\r\n\r\n") -> None:
    """A stream of /v1. end: of the body."""
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    for one in EVENTS:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(one), one))
    handler.wfile.write(end)


def settings(server: Loopback, place: str) -> Settings:
    if place == "ollama":
        return Settings(provider="ollama", host=server.root)
    return Settings(provider="openai", base_url=f"{server.root}/v1", dialect=place)


def twice(client: Any) -> Any:
    texts = []
    for _ in range(2):
        stream = yield client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        chunks = yield every(stream)
        texts.append("".join([chunk.choices[0].delta.content or "" for chunk in chunks]))
    return texts


@pytest.mark.parametrize("place", ["ollama", "llamacpp", "openai"])
def test_the_next_call_has_the_same_connection(play: Play, server: Loopback, place: str) -> None:
    server.act = Handler.chat if place == "ollama" else v1
    texts = play(twice, settings=settings(server, place))
    assert texts == (["Hello"] * 2 if place == "ollama" else ["Hi"] * 2)
    assert server.connections == 1


@pytest.mark.parametrize("place", ["llamacpp", "openai"])
def test_an_end_that_does_not_come_is_not_waited_for(play: Play, server: Loopback, place: str) -> None:
    """The reply is complete all the same, and the connection is closed."""
    over = threading.Event()

    def act(handler: Handler) -> None:
        v1(handler, b"")
        over.wait(10)

    server.act = act
    assert play(twice, settings=settings(server, place)) == ["Hi"] * 2
    assert not over.is_set()
    assert server.connections == 2
    over.set()


def test_a_broken_end_is_no_error(play: Play, server: Loopback) -> None:
    server.act = lambda handler: v1(handler, b"nonsense\r\n")
    assert play(twice, settings=settings(server, "openai")) == ["Hi"] * 2


@pytest.mark.parametrize("place", ["ollama", "llamacpp", "openai"])
def test_the_sdks_own_iterators_are_not_begun(
    play: Play, server: Loopback, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an event loop each that is left at the end would become a task that closes it."""
    server.act = Handler.chat if place == "ollama" else v1
    for kind in (openai.Stream, openai.AsyncStream):
        monkeypatch.setattr(kind, "_iter_events", lambda _: pytest.fail("the SDK reads on"))
    play(twice, settings=settings(server, place))
