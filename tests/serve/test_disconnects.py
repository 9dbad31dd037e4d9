"""A caller that goes away, a server that breaks off, and an end in the middle of a reply: as the sockets show them."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from conftest import HI
from listening import listen
from loopback import END, Loopback, serving

from llm_adapter import Settings

__all__ = ["listen"]  # the fixture

LONG = 10  # seconds, which no test waits for


class Behind:
    """A server that answers as far as it is told to, and then waits until the gateway has gone."""

    def __init__(self, server: Loopback) -> None:
        self.pieces = 0
        self.breaks_off = False
        self.began, self.gone, self.finish = threading.Event(), threading.Event(), threading.Event()
        self.server = server
        server.act = self.act
        self.settings = Settings(provider="ollama", host=server.root)

    def act(self, handler: Any) -> None:
        if self.pieces:
            handler.send_response(200)
            handler.send_header("content-type", "application/x-ndjson")
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
        for _ in range(self.pieces):
            handler.line({"model": "m", "message": {"role": "assistant", "content": "x"}, "done": False})
        self.began.set()
        if self.breaks_off:
            handler.close_connection = True
            return
        while not self.finish.is_set():
            if select.select([handler.connection], [], [], 0.005)[0]:
                self.gone.set()  # nothing else is sent on this connection
                return
        handler.line({"model": "m", "message": {"role": "assistant", "content": "y"}, **END})
        handler.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def behind() -> Iterator[Behind]:
    with serving() as server:
        one = Behind(server)
        yield one
        one.finish.set()


def connected(server: Any, **options: Any) -> socket.socket:
    """A connection over which a chat is asked for."""
    body = json.dumps({"model": "m", "messages": HI, **options}).encode()
    caller = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
    caller.sendall(head.encode() + b"content-type: application/json\r\n\r\n" + body)
    return caller


CALLS = {"in a stream": (3, True), "before the first byte of a stream": (0, True), "in a plain call": (0, False)}


@pytest.mark.parametrize("kind", CALLS)
def test_a_caller_that_goes_away_stops_the_model(behind: Behind, listen: Any, kind: str) -> None:
    behind.pieces, streamed = CALLS[kind]
    server = listen(settings=behind.settings, max_retries=0)
    caller = connected(server, stream=streamed)
    assert behind.began.wait(LONG)
    if behind.pieces:
        assert caller.recv(1)
    caller.close()
    assert behind.gone.wait(LONG)


def test_a_stream_that_breaks_off_is_no_end(behind: Behind, listen: Any) -> None:
    behind.pieces, behind.breaks_off = 2, True
    client = openai.OpenAI(
        base_url=listen(settings=behind.settings, max_retries=0).base_url, api_key="k", max_retries=0
    )
    stream = client.chat.completions.create(model="m", messages=HI, stream=True)
    got = [next(stream).choices[0].delta.content for _ in range(2)]
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)
    assert "x" in got


def test_events_come_as_they_are_made(behind: Behind, listen: Any) -> None:
    behind.pieces = 1
    body = {"model": "m", "messages": HI, "stream": True}
    url = f"{listen(settings=behind.settings, max_retries=0).base_url}/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=LONG) as reply:
        assert next(line for line in reply.iter_lines() if '"x"' in line)  # the model is not at its end
        assert (reply.headers["x-accel-buffering"], reply.headers["cache-control"]) == ("no", "no-cache")


def test_an_end_in_the_middle_of_a_stream(behind: Behind, listen: Any) -> None:
    """What runs may finish for as long as the grace; then it is told that the reply is not complete."""
    behind.pieces = 1
    server = listen(settings=behind.settings, max_retries=0)
    body = {"model": "m", "messages": HI, "stream": True}
    with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body, timeout=LONG) as reply:
        lines = reply.iter_lines()
        next(line for line in lines if '"x"' in line)
        server.server.handle_exit(15, None)
        rest: list[str] = []
        with pytest.raises(httpx.RemoteProtocolError):
            rest.extend(lines)
    assert "shutting down" in rest[0] + rest[1]


def test_what_runs_may_finish(behind: Behind, listen: Any) -> None:
    """New calls are refused meanwhile, and the process says that it is not ready."""
    behind.pieces = 1
    server = listen(settings=behind.settings, max_retries=0, grace=LONG)
    body = {"model": "m", "messages": HI, "stream": True}
    with httpx.stream("POST", f"{server.base_url}/chat/completions", json=body, timeout=LONG) as reply:
        lines = reply.iter_lines()
        next(line for line in lines if '"x"' in line)
        server.server.handle_exit(15, None)
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        refused = httpx.post(f"{server.base_url}/chat/completions", json=body)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "server_error")
        behind.finish.set()
        assert [line for line in lines if line][-1] == "data: [DONE]"
    server.thread.join(LONG)
    assert not server.thread.is_alive()
