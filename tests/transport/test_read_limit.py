"""A response that never comes to its end, though each read is quick: the call's timeout holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SLOW, SYNC_AND_ASYNC, Body, Play, every, mode
from loopback import Handler, Loopback, serving

from llm_adapter import Settings
from llm_adapter.transport import read_limit, translated_body
from llm_adapter.transport.translated_body import WholeLines

NEVER = 400  # pieces; at PAUSE seconds each, much longer than the test waits
PAUSE = 0.005


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as started:
        yield started


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def dripping(head: bytes, piece: bytes) -> Callable[[Handler], None]:
    def act(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)
        for _ in range(NEVER):
            handler.wfile.write(piece)
            time.sleep(PAUSE)

    return act


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
DRIPS = {
    "interim responses": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "headers": dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "body": dripping(WHOLE, b" "),
}
PLACES: dict[str, Callable[[str], Settings]] = {
    "ollama": lambda root: Settings(provider="ollama", host=root),
    "vllm": lambda root: Settings(provider="openai", base_url=f"{root}/v1", dialect="vllm"),
}


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds go by with each look: how many reads there are ends a call, and no machine is too slow for one."""
    for module in (read_limit, translated_body):
        monkeypatch.setattr(module, "monotonic", partial(next, count(0.0, 10.0)))


@pytest.mark.usefixtures("fast_clock")
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("act", DRIPS.values(), ids=DRIPS)
def test_a_server_that_drips(
    play: Play, server: Loopback, act: Callable[[Handler], None], stream: bool, place: Callable[[str], Settings]
) -> None:
    server.act = act

    def script(client: Any) -> Any:
        with pytest.raises(SLOW):  # noqa: PT012 - a stream ends so while it is read
            reply = yield client.chat.completions.create(model="m", messages=HI, stream=stream, timeout=50)
            yield every(reply)

    play(script, settings=place(server.root), api_key="k")
    assert server.asked[-1][1]["model"] == "m"


@pytest.mark.usefixtures("fast_clock")
def test_a_connection_that_is_used_again(play: Play, server: Loopback) -> None:
    """Also after a stream with timeouts of its own, which changed the connection's reads."""
    acts = iter([Handler.chat, Handler.chat, DRIPS["interim responses"]])
    server.act = lambda handler: next(acts)(handler)
    settings = Settings(provider="ollama", host=server.root, first_token_timeout=500, idle_timeout=400)

    def script(client: Any) -> Any:
        create = client.chat.completions.create
        yield create(model="m", messages=HI)
        yield every((yield create(model="m", messages=HI, stream=True)))
        with pytest.raises(openai.APITimeoutError):
            yield create(model="m", messages=HI, timeout=50)

    play(script, settings=settings)


@pytest.mark.usefixtures("fast_clock")
def test_a_stream_goes_on_for_longer_than_its_timeout(server: Loopback) -> None:
    """What holds for its beginning does not hold for all of it."""
    server.act = lambda handler: handler.stream(*"abcdefghij", between=0.01)

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="m", messages=HI, stream=True, timeout=30)
        return "".join(chunk.choices[0].delta.content or "" for chunk in (yield every(stream)))

    assert SYNC_AND_ASYNC[1](script, settings=PLACES["ollama"](server.root)) == "abcdefghij"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_one_endless_line(play: Play, place: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error by its size, before memory is full; the body is closed."""
    monkeypatch.setattr(translated_body, "LONGEST_LINE", 1000)
    sent = Body(*[b"x" * 100] * 50)

    def handler(request: Any) -> Any:
        return HTTPX.Response(200, stream=sent)

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="m", messages=HI, stream=True)
        with pytest.raises(openai.APIError, match="longer than 1000 bytes") as caught:
            yield every(stream)
        return caught.value.code

    code = play(script, settings=place("http://mocked.test"), api_key="k", http_client=play.http(handler))
    assert code == "line_too_long"
    assert sent.closed


def test_lines_are_joined_once() -> None:
    """A decoder sees a long line when it is complete, and no byte of it twice."""
    lines = WholeLines(None)
    pieces = [b"a", b"b\nc\nd", b"", b"e", b"\r", b"\nf"]
    assert [lines.feed(piece) for piece in pieces] == [b"", b"ab\nc\n", b"", b"", b"de\r", b"\n"]
    assert lines.rest() == b"f"


def test_a_connection_that_is_known_is_not_traced(
    play: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpcore calls back for each of its steps: once and no more where a connection is used again."""
    events: list[str] = []
    trace = read_limit._trace

    def counting(event: str, details: Any) -> None:
        events.append(event.partition(".")[2])
        trace(event, details)

    monkeypatch.setattr(read_limit, "_trace", counting)

    def script(client: Any) -> Any:
        yield client.chat.completions.create(model="m", messages=HI)
        assert "connect_tcp.complete" in events
        events.clear()
        yield every((yield client.chat.completions.create(model="m", messages=HI, stream=True)))

    play(script, settings=PLACES["ollama"](server.root))
    assert events[0] == "send_request_headers.started"
    assert len(events) <= 2  # the step that has begun ends


def test_a_body_may_take_longer_than_its_timeout() -> None:
    """By default a whole reply has 600 seconds to begin; some servers say with spaces that they work on it."""
    request = HTTPX.Request(
        "POST", "http://a.test", extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)}
    )
    read_limit.limit_reads(request, whole=False, asynchronous=False)
    assert not read_limit.has_begun(request)
    read_limit.response_begun(HTTPX.Response(200, request=request))
    assert read_limit.has_begun(request)


def test_a_redirect_is_traced_again() -> None:
    """It may lead to a connection that is new."""
    request = HTTPX.Request(
        "POST", "http://a.test", extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)}
    )
    read_limit.limit_reads(request, whole=True, asynchronous=False)
    trace = request.extensions.pop("trace")
    read_limit.response_begun(HTTPX.Response(307, headers={"location": "http://b.test"}, request=request))
    assert request.extensions["trace"] is trace
    assert not read_limit.has_begun(request)
