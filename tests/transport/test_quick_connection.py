"""A request goes out as it would otherwise, in one write, and a connection that has ended is not used again."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.abc import SocketAttribute, SocketStream
from drivers import SYNC_AND_ASYNC, Play, mode
from loopback import Handler, Loopback, serving

from llm_adapter import Settings
from llm_adapter.transport.quick_connection import quicken

HEAD = b"POST / HTTP/1.1\r\nhost: server.test\r\nContent-Length: 5\r\n\r\n"
OTHERS = {
    "a body of any length": HEAD.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "a long body": HEAD.replace(b"5", b"500000"),
    "a request without one": HEAD.replace(b"POST", b"GET"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a part of a head": HEAD[:-2],
}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as started:
        yield started


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Stream:
    """A connection's stream that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        assert timeout == 1
        self.written.append(buffer)

    def get_extra_info(self, info: str) -> Any:
        return None


class AsyncStream(Stream):
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # type: ignore[override]
        super().write(buffer, timeout)


def written(kind: type[Stream], *parts: bytes) -> list[bytes]:
    """What is written to the connection."""

    async def write(stream: Stream) -> None:
        for part in parts:
            done: Any = stream.write(part, timeout=1)
            assert inspect.isawaitable(done) == (kind is AsyncStream)
            if done is not None:
                await done

    stream = kind()
    quicken(stream)
    asyncio.run(write(stream))
    return stream.written


@pytest.mark.parametrize("kind", [Stream, AsyncStream])
def test_a_head_waits_for_its_body(kind: type[Stream]) -> None:
    assert written(kind, HEAD, b"hello", b"", HEAD, b"", HEAD, HEAD) == [HEAD + b"hello", b"", HEAD, HEAD + HEAD]


@pytest.mark.parametrize("kind", [Stream, AsyncStream])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_all_else_is_written_at_once(kind: type[Stream], other: bytes) -> None:
    assert written(kind, other, b"next") == [other, b"next"]


def ask(client: Any, text: str = "Hi") -> Any:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])


def settings(server: Loopback) -> Settings:
    return Settings(provider="ollama", host=server.root)


def test_a_call_is_one_write(play: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = socket.socket.send

    def recording(to: socket.socket, data: bytes, *flags: int) -> int:
        sent.extend([bytes(data)] if len(data) > 1 else [])  # one byte wakes an event loop
        return send(to, data, *flags)

    monkeypatch.setattr(socket.socket, "send", recording)

    def script(client: Any) -> Any:
        for _ in range(2):
            yield ask(client)

    play(script, settings=settings(server))
    assert [(one[:5], one[-1:]) for one in sent] == [(b"POST ", b"}")] * 2


def test_a_connection_that_has_ended_is_not_used_again(play: Play, server: Loopback) -> None:
    """The server does not say that it closes."""
    closed = threading.Event()

    def act(handler: Handler) -> None:
        handler.chat()
        handler.close_connection = True

    server.act = act

    def script(client: Any) -> Any:
        for count in range(1, 3):
            yield ask(client)
            assert server.connections == count
            while server.ended < count:
                closed.wait(0.005)

    play(script, settings=settings(server))


def test_the_socket_is_asked_directly(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    extra = SocketStream.extra
    monkeypatch.setattr(SocketStream, "extra", lambda *given: asked.append(given[1]) or extra(*given))

    def script(client: Any) -> Any:
        for _ in range(3):
            yield ask(client)

    SYNC_AND_ASYNC[1](script, settings=settings(server))
    assert asked.count(SocketAttribute.raw_socket) == 1
