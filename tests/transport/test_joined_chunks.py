"""Joined chunks: the same bytes, errors and end as h11 gives one by one, however they are framed and cut."""

from __future__ import annotations

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any

import h11
import pytest
from drivers import HTTPX
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loopback import serving

from llm_adapter.transport.joined_chunks import join_chunks
from llm_adapter.transport.pieces import async_pieces, pieces

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
texts = st.sampled_from([b"a", b"data: {}\n\n", b"1\r\n2\r\n\r\n", b"\r\n", b"x" * 300])
FRAMES = [b"%x\r\n%b\r\n", b"%X\r\n%b\r\n", b"00%x\r\n%b\r\n", b"%x;name=value\r\n%b\r\n", b"%x \r\n%b\r\n"]
chunks = st.builds(lambda frame, text: frame % (len(text), text), st.sampled_from(FRAMES), texts)
ODD = [
    b"0\r\n\r\n",
    b"0\r\nname: value\r\n\r\n",
    b"-1\r\n",
    b"0x1\r\na\r\n",
    b"1_0\r\n",
    b"3\r\nabcd\r\n",
    b"\r\n",
    b"1\na\n",
]
bodies = st.lists(chunks | st.sampled_from(ODD), max_size=8).map(b"".join)


def connection() -> h11.Connection:
    """One whose response has begun."""
    made = h11.Connection(our_role=h11.CLIENT)
    made.send(h11.Request(method="GET", target="/", headers=[("host", "server.test")]))
    made.send(h11.EndOfMessage())
    made.receive_data(HEAD)
    made.next_event()
    return made


def joined() -> h11.Connection:
    made = connection()
    join_chunks(SimpleNamespace(stream=SimpleNamespace(_h11_state=made)))
    return made


def read(connection: h11.Connection, parts: list[bytes]) -> Any:
    """What comes: the bytes after each part, the trailer, the error, and what is left in the buffer."""
    got: list[Any] = [b""]
    try:
        for part in [*parts, b""]:
            connection.receive_data(part)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if not isinstance(event, h11.Data):
                    return got, event, connection.trailing_data
                got[-1] += bytes(event.data)
            got.append(b"")
    except h11.RemoteProtocolError as error:
        return got, str(error), connection.their_state
    return got


@settings(max_examples=300)
@given(body=bodies, cuts=st.lists(st.integers(0, 700), max_size=4).map(sorted))
@example(body=b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", cuts=[4])  # before a chunk's end
@example(body=b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n", cuts=[5])  # in the midst of it
@example(body=b"1\r\na--1\r\nb\r\n0\r\n\r\n", cuts=[4])  # before what should be its end
def test_the_same_bytes_errors_and_end(body: bytes, cuts: list[int]) -> None:
    parts = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(joined(), parts) == read(connection(), parts)


def test_events_of_a_read_are_one() -> None:
    made = joined()
    made.receive_data(b"1\r\na\r\n" * 100 + b"3\r\nb")
    assert made.next_event() == h11.Data(data=b"a" * 100)
    assert made.next_event() == h11.Data(data=b"b", chunk_start=True)
    assert made.next_event() is h11.NEED_DATA
    made.receive_data(b"cd\r\n1\r\ne\r\n2\r\nfg\r\n0\r\n\r\n")
    assert made.next_event() == h11.Data(data=b"cd", chunk_end=True)
    assert made.next_event() == h11.Data(data=b"efg")
    assert made.next_event() == h11.EndOfMessage()


@pytest.mark.parametrize("length", [b"content-length: 3", b"connection: close"])
def test_other_bodies_are_left_alone(length: bytes) -> None:
    made = h11.Connection(our_role=h11.CLIENT)
    made.send(h11.Request(method="GET", target="/", headers=[("host", "server.test")]))
    made.send(h11.EndOfMessage())
    made.receive_data(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\nabc")
    made.next_event()
    before = made._reader  # type: ignore[attr-defined]
    join_chunks(SimpleNamespace(stream=SimpleNamespace(_h11_state=made)))
    assert made._reader is before  # type: ignore[attr-defined]


def libraries() -> list[Any]:
    """The HTTP library of the SDK, and the older one that a caller may give it."""
    return [HTTPX] if HTTPX.__name__ == "httpx" else [HTTPX, importlib.import_module("httpx")]


@pytest.mark.parametrize("http", libraries(), ids=lambda http: http.__name__)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_libraries_are_built_as_is_known(http: Any, asynchronous: bool) -> None:
    """A real connection: what one read brought is one piece."""

    async def aread(url: str) -> list[bytes]:
        async with http.AsyncClient(verify=False) as client, client.stream("POST", url, json={}) as response:
            return [piece async for piece in async_pieces(response)]

    with serving() as server:
        server.act = at_once
        if asynchronous:
            assert asyncio.run(aread(server.root)) == [b"one two three"]
            return
        with http.Client(verify=False) as client, client.stream("POST", server.root, json={}) as response:
            assert list(pieces(response)) == [b"one two three"]


def at_once(handler: Any) -> None:
    """Headers and body in one write."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"one", b" two", b" three", b""))
    handler.wfile.write(HEAD + body)
