"""Timeouts of their phase, and retries that do not give a busy server the same work again."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from conftest import HI
from drivers import HTTPX, SLOW, SYNC_AND_ASYNC, Body, Play, every, first, mode
from loopback import END, Handler, Loopback, serving

from llm_adapter import Settings
from llm_adapter.routing.terms import LOCAL_CONCURRENCY, Terms, is_explicit, is_repeatable, terms_of
from llm_adapter.translation.errors import server_refusal

ASK: Any = {"model": "m", "messages": HI}
SDK = openai.DEFAULT_TIMEOUT.as_dict()


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as started:
        yield started


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def local(server: Loopback, **settings: Any) -> dict[str, Any]:
    return {"settings": Settings(provider="ollama", host=server.root, **settings)}


def asleep(seconds: float) -> Callable[[Handler], None]:
    """A model that has to be loaded: nothing comes, not even headers."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        handler.chat()

    return act


def said(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def chat(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(**ASK, **options)


# --- which timeout when ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "stream", "connect", "read"),
    [
        ({}, True, 5, 600),
        ({"connect_timeout": 1}, False, 1, 600),
        ({"load_timeout": 7}, False, 5, 7),
        ({"load_timeout": 7, "first_token_timeout": 3}, True, 5, 7),
        ({"first_token_timeout": 3}, True, 5, 3),
        ({"first_token_timeout": 3}, False, 5, 600),
        ({"idle_timeout": 2}, True, 5, 600),
    ],
)
def test_until_the_response_begins(settings: Any, stream: bool, connect: float, read: float) -> None:
    """What is not set is the SDK's own."""
    named = terms_of(Settings(provider="ollama", **settings))
    assert named is not None
    assert named.timeouts(SDK, stream=stream) == {**SDK, "connect": connect, "read": read}


def test_a_local_server_is_asked_with_the_sdks_timeouts(play: Play, server: Loopback) -> None:
    """A server that loads a model before it answers succeeds with defaults."""
    server.act = asleep(0.1)

    def script(client: Any) -> Any:
        return (yield chat(client)).choices[0].message.content, said((yield every((yield chat(client, stream=True)))))

    assert play(script, **local(server)) == ("Hello", "Hello")


@pytest.mark.parametrize("stream", [False, True])
def test_load(play: Play, server: Loopback, stream: bool) -> None:
    """Nothing begins: it ends after `load_timeout`, and is asked once, whatever the retries."""
    server.act = asleep(5)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError):
            yield chat(client, stream=stream)

    play(script, **local(server, load_timeout=0.1), max_retries=2)
    while not server.asked:  # a slow machine's server has not looked yet
        time.sleep(0.01)
    assert len(server.asked) == 1


def written(provider: str, text: str) -> bytes:
    """A piece of a stream, natively or on /v1."""
    if provider == "ollama":
        return json.dumps({"model": "m", "message": {"role": "assistant", "content": text}}).encode() + b"\n"
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


ENDS = {"ollama": json.dumps({"model": "m", "message": {"content": ""}, **END}).encode(), "openai": b"data: [DONE]\n\n"}


def spoken(provider: str, root: str, **settings: Any) -> dict[str, Any]:
    """A client's options for the native API, or for a /v1 that is untouched."""
    where = {"host": root} if provider == "ollama" else {"base_url": f"{root}/v1", "dialect": "openai"}
    return {"settings": Settings(provider=provider, **where, **settings), "api_key": "k", "max_retries": 0}


class Watched(Body):
    """A body that comes once, and notes the read timeout of its request before each piece."""

    def __init__(self, timeouts: dict[str, Any], seen: list[Any], *pieces: bytes) -> None:
        super().__init__()
        self._left, self._timeouts, self._seen = iter(pieces), timeouts, seen

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._left:
            self._seen.append(self._timeouts["read"])
            yield piece


# Which read timeout holds: until the response begins, until its first piece, and for each of the others.
PHASES: dict[str, tuple[dict[str, float], list[float]]] = {
    "all": ({"load_timeout": 60, "first_token_timeout": 50, "idle_timeout": 40}, [60, 50, 40, 40]),
    "none for the load": ({"first_token_timeout": 50, "idle_timeout": 40}, [50, 50, 40, 40]),
    "the load alone": ({"load_timeout": 60}, [60, 600, 600, 600]),
    "none between pieces": ({"load_timeout": 60, "first_token_timeout": 50}, [60, 50, 600, 600]),
    "between pieces alone": ({"idle_timeout": 40}, [600, 600, 40, 40]),
}


@pytest.mark.parametrize(("settings", "expected"), PHASES.values(), ids=PHASES)
@pytest.mark.parametrize("provider", ENDS)
def test_a_streams_own_timeouts(play: Play, provider: str, settings: Any, expected: list[float]) -> None:
    """The first piece and the others have timeouts of their own. What is not set is the SDK's."""
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        timeouts = request.extensions["timeout"]
        seen.append(timeouts["read"])
        pieces = (written(provider, "a"), written(provider, "b"), ENDS[provider])
        kind = "text/event-stream" if provider == "openai" else "application/x-ndjson"
        return HTTPX.Response(200, headers={"content-type": kind}, stream=Watched(timeouts, seen, *pieces))

    def script(client: Any) -> Any:
        return said((yield every((yield chat(client, stream=True)))))

    options = spoken(provider, "http://mocked.test", **settings)
    assert play(script, http_client=play.http(handler), **options) == "ab"
    assert seen == expected


# How many pieces come, and which of the timeouts ends the wait for the next one.
STALLS: dict[str, tuple[int, dict[str, float]]] = {
    "first": (0, {"load_timeout": 50, "first_token_timeout": 0.05, "idle_timeout": 50}),
    "idle": (1, {"first_token_timeout": 50, "idle_timeout": 0.05}),
    "idle alone": (1, {"idle_timeout": 0.05}),
}


@pytest.mark.parametrize(("pieces", "settings"), STALLS.values(), ids=STALLS)
@pytest.mark.parametrize("provider", ENDS)
def test_a_stream_that_stalls(play: Play, server: Loopback, provider: str, pieces: int, settings: Any) -> None:
    """The connection's own reads end in time."""
    ended = threading.Event()

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.wfile.write(written(provider, "a") * pieces)
        ended.wait(20)
        handler.wfile.write(ENDS[provider])
        handler.close_connection = True

    server.act = act
    got: list[Any] = []

    def script(client: Any) -> Any:
        stream = yield chat(client, stream=True)
        while True:
            got.append((yield first(stream)))

    with pytest.raises(SLOW):
        play(script, **spoken(provider, server.root, **settings))
    ended.set()
    assert said(got) == "a" * pieces


def test_a_connection_is_as_before_after_a_stream(play: Play, server: Loopback) -> None:
    """The next call on the same connection waits by its own timeouts, not by those of the stream before."""
    slow = iter([False, True])
    server.act = lambda handler: (time.sleep(0.15) if next(slow) else None, handler.chat())[1]

    def script(client: Any) -> Any:
        yield every((yield chat(client, stream=True)))
        return (yield chat(client)).choices[0].message.content

    assert play(script, **local(server, first_token_timeout=5, idle_timeout=0.05)) == "Hello"


@pytest.mark.parametrize("where", ["call", "with_options", "client", "http_client"])
def test_the_callers_own_timeout_wins(play: Play, server: Loopback, where: str) -> None:
    """Whatever is configured, shorter or longer."""
    server.act = asleep(0.1)
    kind = openai.DefaultHttpxClient if play.mode == "sync" else openai.DefaultAsyncHttpxClient
    options: dict[str, Any] = {
        "client": {"timeout": 20.0},
        "http_client": {"http_client": kind(timeout=20.0, verify=False)},
    }.get(where, {})

    def script(client: Any) -> Any:
        if where == "with_options":
            client = client.with_options(timeout=20.0)
        return (yield chat(client, **({"timeout": 20.0} if where == "call" else {}))).choices[0].message.content

    assert play(script, **local(server, load_timeout=0.02, connect_timeout=0.01), **options) == "Hello"


def test_a_copy_keeps_the_configured_timeouts(play: Play, server: Loopback) -> None:
    """The SDK hands its own default timeout on to copies, which does not make it the caller's."""
    server.act = asleep(0.3)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError):
            yield chat(client.with_options(max_retries=1))

    play(script, **local(server, load_timeout=0.05))
    assert not is_explicit(SDK)
    assert is_explicit({**SDK, "read": 5})
    assert is_explicit(None)


def test_the_requests_of_one_call_have_their_timeouts_each(play: Play) -> None:
    """What was changed for the body of the first is not taken for the caller's own by the second."""
    seen: list[tuple[str, float]] = []
    reply = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}

    def handler(request: Any) -> Any:
        seen.append((request.url.path, request.extensions["timeout"]["read"]))
        return HTTPX.Response(200, json=reply)

    def script(client: Any) -> Any:
        return (yield chat(client, n=2, stream=True))

    settings = Settings(provider="ollama", host="http://mocked.test", load_timeout=33, idle_timeout=7)
    play(script, settings=settings, http_client=play.http(handler))
    assert {read for _, read in seen} == {33}


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["connect_timeout", "load_timeout", "first_token_timeout", "idle_timeout"])
def test_a_timeout_is_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


# --- what is asked again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "times"), [(500, 1), (501, 1), (504, 1), (400, 1), (502, 3), (503, 3), (429, 3)])
@pytest.mark.parametrize("path", ["/chat/completions", "/new/endpoint"])
def test_errors(play: Play, server: Loopback, path: str, status: int, times: int) -> None:
    """A 500 is requested once, on the native API and on Ollama's /v1; what may pass is tried again."""
    server.act = lambda handler: handler.reply({"error": "no"}, status, retry_after_ms="1")

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError):
            yield client.post(path, body={"model": "m", "messages": HI}, cast_to=object)

    play(script, **local(server), max_retries=2)
    assert len(server.asked) == times


def test_a_v1_server_is_asked_as_the_sdk_does_it(play: Play, server: Loopback) -> None:
    server.act = lambda handler: handler.reply({"error": "no"}, 500, retry_after_ms="1")

    def script(client: Any) -> Any:
        with pytest.raises(openai.InternalServerError):
            yield chat(client)

    play(script, settings=Settings(base_url=f"{server.root}/v1", dialect="openai"), api_key="k", max_retries=2)
    assert len(server.asked) == 3


def test_busy_then_served(play: Play, server: Loopback) -> None:
    """503 twice, then 200, by the server's Retry-After."""
    answers = iter([503, 503, 200])

    def act(handler: Handler) -> None:
        status = next(answers)
        handler.chat() if status == 200 else handler.reply({"error": "busy"}, status, retry_after="0.01")

    server.act = act

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(**ASK)
        return raw.retries_taken, raw.parse().choices[0].message.content

    assert play(script, **local(server), max_retries=2) == (2, "Hello")


def failing(times: int, name: str) -> tuple[Callable[[Any], Any], list[str]]:
    """A transport that fails so often, with an error of the SDK's HTTP library, and what it was asked."""
    asked: list[str] = []
    reply = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True, "done_reason": "stop"}

    def handler(request: Any) -> Any:
        asked.append(request.url.path)
        if len(asked) <= times:
            raise getattr(HTTPX, name)("no")
        return HTTPX.Response(200, json=reply)

    return handler, asked


@pytest.mark.parametrize(
    ("name", "times"),
    [("ReadTimeout", 1), ("ConnectTimeout", 2), ("ConnectError", 2), ("PoolTimeout", 2), ("RemoteProtocolError", 2)],
)
def test_only_a_read_timeout_is_not_repeated(
    play: Play, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    """The server goes on with what it has begun; what has not arrived is sent again."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    handler, asked = failing(1, name)

    def script(client: Any) -> Any:
        if times == 1:
            with pytest.raises(openai.APITimeoutError) as caught:
                yield chat(client)
            assert type(caught.value.__cause__).__name__ == name
            return "Hello"
        return (yield chat(client)).choices[0].message.content

    settings = Settings(provider="ollama", host="http://mocked.test")
    assert play(script, settings=settings, http_client=play.http(handler), max_retries=2) == "Hello"
    assert len(asked) == times


def test_legacy_httpx(play: Play) -> None:
    """A caller's own client of the other HTTP library: the same rules."""
    asked: list[int] = []

    def handler(request: Any) -> Any:
        asked.append(1)
        raise httpx.ReadTimeout("no")

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError):
            yield chat(client)

    settings = Settings(provider="ollama", host="http://mocked.test", idle_timeout=3)
    play(script, settings=settings, http_client=play.http(handler, httpx), max_retries=2)
    assert len(asked) == 1


def test_a_reply_that_is_refused_is_not_asked_for_again(play: Play, server: Loopback) -> None:
    """The server has done its work, and would do the same again."""
    server.act = lambda handler: (
        handler.send_response(200),
        handler.send_header("content-length", "3"),
        handler.end_headers(),
        handler.wfile.write(b"<x>"),
    )[0]

    def script(client: Any) -> Any:
        with pytest.raises(openai.InternalServerError, match="not JSON"):
            yield chat(client)

    play(script, **local(server), max_retries=2)
    assert len(server.asked) == 1


def test_busy_says_what_to_do() -> None:
    said = server_refusal(503, "server busy, please try again.  maximum pending requests exceeded", {}).error["message"]
    assert "`max_concurrency`" in said
    assert "OLLAMA_NUM_PARALLEL" in said
    assert is_repeatable(503)


def test_no_terms_no_trip() -> None:
    """Nothing is paid for what is not configured."""
    assert terms_of(Settings(provider="openai")) is None
    assert terms_of(Settings(provider="ollama")) == Terms(limit=LOCAL_CONCURRENCY, no_repeats=True)


# --- the log ---------------------------------------------------------------------------------------------------------


def calls_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about calls; a client's first call also tells, as information, where the client was made."""
    return [record.message for record in caplog.records if record.message.startswith("POST ")]


def test_one_line_a_call(play: Play, server: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """Where it went and what became of it; never prompts, never keys."""
    caplog.set_level(logging.DEBUG, "llm_adapter")

    def script(client: Any) -> Any:
        yield chat(client, user="me", n=2)
        yield every((yield chat(client, stream=True)))

    settings = Settings(provider="ollama", host=server.root, models={"m": "qwen3:8b"}, api_key="sk-secret")
    play(script, settings=settings)
    whole, streamed = calls_logged(caplog)
    assert whole.startswith("POST /chat/completions: 200 after 0.")
    assert "provider=ollama" in whole
    assert "model='qwen3:8b'" in whole
    assert "user" in whole
    assert streamed.endswith("; streamed")
    assert not any(word in whole + streamed for word in ("Hello", "sk-secret", "'me'"))


@pytest.mark.parametrize(("status", "told"), [(400, "400"), (503, "503"), (0, "RemoteProtocolError")])
def test_failures_are_told(
    play: Play, server: Loopback, caplog: pytest.LogCaptureFixture, status: int, told: str
) -> None:
    caplog.set_level(logging.DEBUG, "llm_adapter")
    server.act = lambda handler: handler.reply({"error": "no"}, status) if status else handler.connection.shutdown(2)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIError):
            yield chat(client)

    play(script, **local(server))
    [line] = calls_logged(caplog)
    assert f": {told} after" in line
