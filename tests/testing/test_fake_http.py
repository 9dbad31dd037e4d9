"""The fake server as an HTTP server: what clients of any kind do to it, side by side, and how it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from drivers import CUT

from llm_adapter.testing import Fake, serving, slow, text

HI: list[Any] = [{"role": "user", "content": "Hello"}]
ASK: dict[str, Any] = {"model": "m", "messages": HI}
BODY = json.dumps(ASK).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\n"
SIZED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
LAST = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\nConnection: close\r\n\r\n"
CHUNKS = b"%x;name=value\r\n%s\r\n" % (len(BODY), BODY)
CHUNKED = HEAD + b"Transfer-Encoding: Chunked\r\n\r\n"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving() as server:
        yield server


def port(fake: Fake) -> int:
    return int(fake.url.rpartition(":")[2])


def sent(fake: Fake, data: bytes) -> bytes:
    """What comes back for these bytes, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port(fake)), timeout=5) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def client(fake: Fake) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=fake.base_url, api_key="any", max_retries=0, http_client=http)


# --- requests --------------------------------------------------------------------------------------------------------

SEVERAL = {
    "one after the other": (SIZED * 3 + LAST, 4),
    "in chunks": (CHUNKED + CHUNKS + b"0\r\n\r\n" + LAST, 2),
    "in chunks, with trailers": (CHUNKED + CHUNKS + b"0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n" + LAST, 2),
    "in chunks, one of them a byte": (
        CHUNKED + b"1\r\n{\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY) - 1, BODY[1:]) + LAST,
        2,
    ),
    "HEAD": (LAST.replace(b"GET", b"HEAD").replace(b"Connection: close\r\n", b"") + LAST, 1),
    "HTTP/1.0": (SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"), 1),
    "a whole address": (LAST.replace(b"/v1/models", b"http://x/v1/models?limit=1"), 1),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_requests_on_one_connection(fake: Fake, case: str) -> None:
    data, answers = SEVERAL[case]
    assert sent(fake, data).count(b"HTTP/1.1 200 OK") == answers


BROKEN = {
    "a length that is none": HEAD + b"Content-Length: x\r\n\r\n",
    "a length below zero": HEAD + b"Content-Length: -5\r\n\r\n",
    "a chunk without a size": CHUNKED + b"zz\r\n",
    "no words at all": b"\x00\xff\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_request_that_is_not_http(fake: Fake, case: str) -> None:
    """It is refused at once, and is none in the log: no turn is used up by it."""
    fake.script("one")
    assert b"400" in sent(fake, BROKEN[case])
    assert fake.requests == []


def test_a_client_that_goes_away_while_it_sends(fake: Fake) -> None:
    with socket.create_connection(("127.0.0.1", port(fake))) as connection:
        connection.sendall(HEAD + b"Content-Length: 500\r\n\r\n{")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    assert fake.requests == []


def test_a_client_that_asks_before_it_sends(fake: Fake) -> None:
    """Expect: 100-continue, as curl does with large bodies."""
    with socket.create_connection(("127.0.0.1", port(fake)), timeout=5) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_large_body(fake: Fake) -> None:
    content = "ü\u2028\U0001f600" * 1_500_000
    connection = http.client.HTTPConnection("127.0.0.1", port(fake))
    body = json.dumps({**ASK, "messages": [{"role": "user", "content": content}]}, ensure_ascii=False).encode()
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "any"})
    assert connection.getresponse().status == 200
    assert fake.last.body["messages"][0]["content"] == content
    connection.close()


def test_a_connection_is_kept(fake: Fake) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port(fake))
    ports = set()
    for _ in range(3):
        connection.request("POST", "/v1/chat/completions", BODY, {"Authorization": "any"})
        connection.getresponse().read()
        ports.add(connection.sock.getsockname())  # type: ignore[union-attr]
    connection.close()
    assert len(ports) == 1


# --- side by side ----------------------------------------------------------------------------------------------------


def test_threads(fake: Fake) -> None:
    """Each call has its own turn, and its own number in the log."""
    turns = [f"turn {number}" for number in range(40)]
    fake.script(*(slow(0.01, turn) for turn in turns))
    with client(fake) as asking, ThreadPoolExecutor(40) as pool:
        said = pool.map(lambda _: asking.chat.completions.create(**ASK).choices[0].message.content, turns)
        assert sorted(map(str, said)) == sorted(turns)
    assert [asked.number for asked in fake.requests] == [*range(1, 41)]
    fake.assert_all_used()


def test_tasks() -> None:
    with serving("openai") as one, serving("ollama@0.32") as other:
        one.script("one", repeat=True)
        other.script("other", repeat=True)

        async def ask(fake: Fake) -> list[Any]:
            http = openai.DefaultAsyncHttpxClient(verify=False)
            async with fake.async_client(http_client=http, max_retries=0) as asking:
                calls = [asking.chat.completions.create(**ASK) for _ in range(10)]
                return [reply.choices[0].message.content for reply in await asyncio.gather(*calls)]

        async def both() -> list[list[Any]]:
            return await asyncio.gather(ask(one), ask(other))

        assert asyncio.run(both()) == [["one"] * 10, ["other"] * 10]


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_client_that_goes_away_in_a_stream(fake: Fake) -> None:
    """Its thread ends with it, and the server goes on."""
    before = threading.active_count()
    fake.script(slow(0, text("word " * 5000), between=0.001), "next")
    with client(fake) as asking:
        stream = asking.chat.completions.create(**ASK, stream=True)
        next(iter(stream))
        stream.close()
        assert asking.chat.completions.create(**ASK).choices[0].message.content == "next"
    for _ in range(500):
        if threading.active_count() <= before:
            break
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_open_streams_do_not_hold_it() -> None:
    """It stops at once, whether clients read or not, and leaves no thread behind."""
    before = threading.active_count()
    with serving() as fake:
        fake.script(*[slow(0, text("word " * 1000), between=0.05)] * 4, text("x" * 30_000_000))
        with client(fake) as asking:
            streams = [asking.chat.completions.create(**ASK, stream=True) for _ in range(4)]
            for stream in streams:
                next(iter(stream))
            silent = socket.create_connection(("127.0.0.1", port(fake)))
            silent.sendall(SIZED)
            while len(fake.requests) < 5:
                time.sleep(0.001)
            begun = time.perf_counter()
            fake.stop()
            assert time.perf_counter() - begun < 1
            with pytest.raises(CUT):
                list(streams[0])
            silent.close()
    for _ in range(500):
        if threading.active_count() <= before:
            break
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_its_port_is_free_again() -> None:
    with serving() as fake:
        taken = port(fake)
    with serving(port=taken) as again:
        assert port(again) == taken
