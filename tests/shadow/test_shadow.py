"""Shadow mode: a second profile gets a share of the calls in the background; the first's caller sees nothing of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import random
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import prepared
import pytest
from commands import Command, command
from conftest import HI
from drivers import SYNC_AND_ASYNC, Play, entered, every, first, left, mode
from hypothesis import given
from hypothesis import strategies as some
from loopback import Handler, Loopback, serving
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from llm_adapter import AsyncOpenAI, OpenAI, Settings, SettingsError
from llm_adapter.comparison import outcome
from llm_adapter.shadow import drain, journal, paused, sample, selection, streams, summary, worker
from llm_adapter.shadow import record as record_module
from llm_adapter.shadow.selection import can_be_repeated, shadow_of

__all__ = ["command"]

BOTH = pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
WAIT = 10  # seconds, for what comes at once unless something is wrong
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m-real"}


def completion(content: str | None = "Hello", reason: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": reason,
        "message": {"role": "assistant", "content": content, **message},
    }
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}


def chunk(content: str | None, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": reason}
    return b"data: " + json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


EVENTS = (chunk("Hel"), chunk("lo"), chunk(None, "stop"), b"data: [DONE]\n\n")


def events(handler: Handler, pieces: tuple[bytes, ...] = EVENTS, pause: Callable[[], Any] = bool, **more: str) -> None:
    """Server-sent events, one piece of the body each; a pause after the first."""
    handler.send_response(200)
    for name, value in {"content-type": "text/event-stream", "transfer-encoding": "chunked", **more}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    for place, piece in enumerate(pieces):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if not place:
            pause()
    handler.wfile.write(b"0\r\n\r\n")


def v1(handler: Handler) -> None:
    """A /v1 server's chat, whole or streamed."""
    events(handler) if handler.body.get("stream") else handler.reply(completion(), x_request_id="req-1")


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    """Every test begins with nothing told, and ends with nothing that waits."""
    journal._warned.clear()
    worker._worker.left_out = 0
    yield
    assert drain(WAIT)


@pytest.fixture
def one() -> Iterator[Loopback]:
    with serving() as server:
        server.act = v1
        yield server


@pytest.fixture
def two() -> Iterator[Loopback]:
    with serving() as server:
        server.act = v1
        yield server


def settings(one: Loopback, two: Loopback | str, **fields: Any) -> Settings:
    """The first's settings, of a file in which every call is shadowed."""
    fields = {"shadow": "two", "shadow_sample": 1, "shadow_log": "shadow.jsonl", **fields}
    own = "\n".join(f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None)
    root = two if isinstance(two, str) else two.root
    Path("llm_adapter.toml").write_text(
        f'[profiles.one]\nprovider = "openai"\ndialect = "openai"\nbase_url = "{one.root}/v1"\n{own}\n'
        f'[profiles.two]\nprovider = "openai"\ndialect = "openai"\nbase_url = "{root}/v1"\n',
        encoding="utf-8",
    )
    return Settings.load(profile="one")


def records(seconds: float = WAIT) -> list[dict[str, Any]]:
    """What the file holds, when all is compared."""
    assert drain(seconds)
    file = Path("shadow.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "m", "messages": HI, **more})


def chatting(client: Any) -> Any:
    reply = yield chat(client)
    return reply.choices[0].message.content


def chats(count: int) -> Any:
    def script(client: Any) -> Any:
        for _ in range(count):
            yield chat(client)

    return script


def streaming(client: Any) -> Any:
    stream = yield chat(client, stream=True)
    chunks = yield every(stream)
    return "".join(one.choices[0].delta.content or "" for one in chunks)


# --- what is logged --------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("script", [chatting, streaming])
def test_comparison_is_logged(
    play: Play, script: Any, one: Loopback, two: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of JSON and one record of the log, with both sides."""
    caplog.set_level(logging.INFO, "llm_adapter.shadow")
    assert play(script, settings=settings(one, two)) == "Hello"
    (record,) = records()
    assert (record["event"], record["same"], record["differences"]) == ("compared", True, [])
    assert (record["path"], record["model"], record["id"]) == ("/chat/completions", "m", "chatcmpl-1")
    assert record["stream"] is (script is streaming)
    sides = record["first"], record["shadow"]
    assert [side["profile"] for side in sides] == ["one", "two"]
    assert [(side["provider"], side["model"], side["finish_reason"]) for side in sides] == [
        ("openai", "m-real", "stop")
    ] * 2
    assert all(side["seconds"] > 0 for side in sides)
    assert sides[1]["completion_tokens"] == 2
    (told,) = caplog.records
    assert told.levelname == "INFO"
    assert told.shadow == record  # type: ignore[attr-defined]
    assert "chatcmpl-1: the same structure (first openai" in told.getMessage()


@BOTH
@pytest.mark.parametrize("script", [chatting, streaming])
def test_native_first(play: Play, script: Any, one: Loopback, two: Loopback) -> None:
    """A translated reply is compared in OpenAI's form; what differs is named."""
    two.act = lambda handler: handler.reply(completion("Hel", "length"))
    one.act = Handler.chat
    shadowed = settings(one, two)
    native = Settings(provider="ollama", host=one.root, shadow="two", shadow_sample=1, shadow_log=shadowed.shadow_log)
    assert play(script, settings=native) == "Hello"
    (record,) = records()
    assert record["differences"] == [{"what": "finish_reason", "first": "stop", "shadow": "length"}]
    assert [record[side]["provider"] for side in ("first", "shadow")] == ["ollama", "openai"]
    assert record["first"].get("prompt_tokens") == (None if script is streaming else 3)


@BOTH
def test_embedded_shadow(play: Play, one: Loopback, two: Loopback) -> None:
    """A real llama.cpp as the shadow of every endpoint; streams are put together for the comparison."""
    settings(one, two)
    file = Path("llm_adapter.toml")
    file.write_text(
        '[profiles.one]\nprovider = "embedded"\nshadow = "two"\nshadow_sample = 1\nshadow_log = "shadow.jsonl"\n'
        '[profiles.two]\nprovider = "embedded"\nn_gpu_layers = 0\n',
        encoding="utf-8",
    )

    def script(client: Any) -> Any:
        yield chat(client)
        yield every((yield chat(client, stream=True)))
        yield client.embeddings.create(model="m", input=["a", "b"])
        yield client.completions.create(model="m", prompt="Hello", max_tokens=4)
        yield every((yield client.completions.create(model="m", prompt="Hello", max_tokens=4, stream=True)))
        yield client.responses.create(model="m", input="Hello")
        yield every((yield client.responses.create(model="m", input="Hello", stream=True)))

    play(script, settings=Settings.load(profile="one"))
    found = records(60)
    assert [one["path"] for one in found] == [
        *(["/chat/completions"] * 2),
        "/embeddings",
        *(["/completions"] * 2),
        *(["/responses"] * 2),
    ]
    assert [one["event"] for one in found] == ["compared"] * 7
    assert [one["first"].get("error") or one["shadow"].get("error") for one in found] == [None] * 7
    assert all(one["first"].get("characters") or one["first"].get("vectors") == 2 for one in found)
    assert all(one["shadow"].get("characters") or one["shadow"].get("vectors") == 2 for one in found)


def test_errors_of_the_first_are_compared(one: Loopback, two: Loopback) -> None:
    """404 here and a reply there; the caller gets the first's error."""
    envelope = {"error": {"message": "no such secret", "code": "model_not_found", "type": "x", "param": None}}
    one.act = lambda handler: handler.reply(envelope, 404)
    for play in SYNC_AND_ASYNC:
        for script in (chatting, streaming):
            with pytest.raises(openai.NotFoundError, match="no such secret"):
                play(script, settings=settings(one, two))
    found = records()
    difference = {"what": "error", "first": "NotFoundError (model_not_found)", "shadow": None}
    assert [record["differences"] for record in found] == [[difference]] * 4
    assert (found[0]["first"]["status"], found[0]["shadow"]["finish_reason"]) == (404, "stop")


@BOTH
def test_cut_stream_of_the_first(play: Play, one: Loopback, two: Loopback) -> None:
    """An error in the middle of a stream is the outcome that the caller sees."""
    failing = b'data: {"error": {"message": "broken", "code": "overloaded"}}\n\n'
    one.act = lambda handler: events(handler, (EVENTS[0], failing)) if handler.body.get("stream") else v1(handler)
    with pytest.raises(openai.APIError, match="broken"):
        play(streaming, settings=settings(one, two))
    assert records()[0]["first"]["error"] == "APIError"


@BOTH
def test_first_down(play: Play, one: Loopback, two: Loopback) -> None:
    """The last attempt's exception is compared, and only that."""
    found = settings(one, two)
    one.shutdown()
    one.server_close()
    with pytest.raises(openai.APIConnectionError):
        play(chatting, settings=found, max_retries=1)
    (record,) = records()
    assert (record["first"]["error"], record["shadow"].get("error")) == ("APIConnectionError", None)


@BOTH
@pytest.mark.parametrize(("statuses", "error"), [((503, 200), None), ((503, 503), "InternalServerError")])
def test_retries(play: Play, statuses: tuple[int, ...], error: str | None, one: Loopback, two: Loopback) -> None:
    """Only the attempt that the caller is given counts."""
    left = list(statuses)
    one.act = lambda handler: handler.reply(completion(), left.pop(0), retry_after_ms="1")
    try:
        play(chatting, settings=settings(one, two), max_retries=1)
    except openai.InternalServerError:
        assert error
    (record,) = records()
    assert (len(one.asked), record["first"].get("error")) == (2, error)


# --- the first is not slowed -----------------------------------------------------------------------------------------


def held(two: Loopback) -> tuple[threading.Event, threading.Event]:
    """Have the shadow stop in the middle of its work: the events that it is there, and that it may go on."""
    busy, release = threading.Event(), threading.Event()

    def act(handler: Handler) -> None:
        busy.set()
        assert release.wait(WAIT)
        v1(handler)

    two.act = act
    return busy, release


@BOTH
@pytest.mark.parametrize("script", [chatting, streaming])
def test_slow_shadow(play: Play, script: Any, one: Loopback, two: Loopback) -> None:
    """Replies are back while the shadow provably still works on the first of them."""
    busy, release = held(two)

    def calls(client: Any) -> Any:
        said = [(yield from script(client))]
        assert busy.wait(WAIT)
        said += [(yield from script(client)), (yield from script(client))]
        assert not release.is_set()
        assert not Path("shadow.jsonl").exists()
        return said

    try:
        assert play(calls, settings=settings(one, two)) == ["Hello"] * 3
    finally:
        release.set()
    assert len(records()) == 3
    assert len(two.asked) == 3


@BOTH
def test_shadow_takes_no_place(play: Play, one: Loopback, two: Loopback) -> None:
    """On one server with `max_concurrency` 1, a shadow at work does not keep a call waiting."""
    busy, release = threading.Event(), threading.Event()
    waited: list[bool] = []

    def act(handler: Handler) -> None:
        if handler.headers.get("x-mine") is None:
            busy.set()
            waited.append(release.wait(WAIT))
        v1(handler)

    one.act = act
    found = settings(one, one, max_concurrency=1)
    with Path("llm_adapter.toml").open("a", encoding="utf-8") as file:
        file.write("max_concurrency = 1\n")

    def script(client: Any) -> Any:
        yield chat(client, extra_headers={"x-mine": "1"})
        assert busy.wait(WAIT)
        yield chat(client, extra_headers={"x-mine": "1"})
        return list(waited)

    try:
        assert play(script, settings=found) == []
    finally:
        release.set()


def garbage(data: bytes, kind: str = "application/json") -> Callable[[Handler], None]:
    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return act


SICK: dict[str, Any] = {
    "an error": (lambda handler: handler.reply({"error": {"message": "x"}}, 500), "InternalServerError"),
    "gone": (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "APIConnectionError"),
    "no JSON": (lambda handler: handler.reply("text", content_type="text/plain"), "UnreadableError"),
    "half of JSON": (garbage(b'{"choices": ['), "UnreadableError"),
    "no text": (garbage(b"\x00\xff<html>"), "UnreadableError"),
    "no object": (garbage(b"[1, 2]"), "UnreadableError"),
}


@BOTH
@pytest.mark.parametrize("case", SICK)
def test_failing_shadow(play: Play, case: str, one: Loopback, two: Loopback) -> None:
    """Whatever the shadow does, the caller has the reply; the failure is the record."""
    two.act, error = SICK[case]
    assert play(chatting, settings=settings(one, two)) == "Hello"
    (record,) = records()
    assert (record["shadow"]["error"], record["first"].get("error")) == (error, None)


def test_impatient(one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shadow that hangs is given up, so that others get their turn."""
    _, release = held(two)
    monkeypatch.setattr(record_module, "PATIENCE", 0.05)
    SYNC_AND_ASYNC[0](chatting, settings=settings(one, two))
    (record,) = records()
    release.set()
    assert record["shadow"]["error"] == "APITimeoutError"


@BOTH
@pytest.mark.parametrize("native", [False, True])
def test_pieces_arrive_at_once(play: Play, native: bool, one: Loopback, two: Loopback) -> None:
    """A stream's first piece is with the caller before the server sends the second."""
    arrived, in_time = threading.Event(), []

    def pause() -> None:
        in_time.append(arrived.wait(WAIT))

    def act(handler: Handler) -> None:
        if native:
            handler.send_response(200)
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
            handler.line({"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False})
            pause()
            handler.line({"model": "m", "message": {"role": "assistant", "content": "lo"}, "done": True})
            handler.wfile.write(b"0\r\n\r\n")
        else:
            events(handler, pause=pause)

    one.act = act
    found = settings(one, two)
    if native:
        found = Settings(provider="ollama", host=one.root, shadow="two", shadow_sample=1, shadow_log="shadow.jsonl")

    def script(client: Any) -> Any:
        stream = yield chat(client, stream=True)
        begun = yield first(stream)
        arrived.set()
        rest = yield every(stream)
        return "".join(one.choices[0].delta.content or "" for one in (begun, *rest) if one.choices)

    assert (play(script, settings=found), in_time) == ("Hello", [True])
    assert records()[0]["event"] == "compared"


# --- the first sees nothing of it ------------------------------------------------------------------------------------


def raw_stream(client: Any) -> Any:
    """All that a caller can see of a streamed response."""
    manager = client.chat.completions.with_streaming_response.create(model="m", messages=HI, stream=True)
    response = yield entered(manager)
    http = response.http_response
    before = http.is_closed, http.is_stream_consumed
    pieces = yield every(http.iter_raw() if isinstance(client, openai.OpenAI) else http.aiter_raw())
    seen = before, pieces, http.num_bytes_downloaded, http.is_closed, http.elapsed.total_seconds() > 0
    yield left(manager)
    return type(response).__name__, http.status_code, seen


def raw(client: Any) -> Any:
    response = yield client.chat.completions.with_raw_response.create(model="m", messages=HI)
    return type(response).__name__, response.content, response.http_response.num_bytes_downloaded, response.parse()


def parsed(client: Any) -> Any:
    reply = yield client.chat.completions.parse(model="m", messages=HI)
    return type(reply).__name__, reply.to_dict()


def chunks(client: Any) -> Any:
    stream = yield chat(client, stream=True)
    found = yield every(stream)
    return type(stream).__name__, [one.to_dict() for one in found], stream.response.is_closed


@BOTH
@pytest.mark.parametrize("script", [raw_stream, raw, parsed, chunks])
def test_same_for_the_caller(play: Play, script: Any, one: Loopback, two: Loopback) -> None:
    """Types, pieces, counts and states are those without a shadow."""
    without = play(script, settings=settings(one, two, shadow=None))
    assert play(script, settings=settings(one, two)) == without
    assert [record["event"] for record in records()] == ["compared"]


CALLS: dict[str, Callable[[Any], Any]] = {
    "chat": chat,
    "extras": lambda client: chat(client, extra_body={"seed": 3}, extra_headers={"x-a": "b"}, extra_query={"q": "1"}),
    "stream": lambda client: chat(client, stream=True, stream_options={"include_usage": True}),
    "embeddings": lambda client: client.embeddings.create(model="m", input="a"),
    "completions": lambda client: client.completions.create(model="m", prompt="a"),
    "responses": lambda client: client.responses.create(model="m", input="a", store=True),
    "models": lambda client: client.get("/models", cast_to=object),
}


@BOTH
@pytest.mark.parametrize("call", CALLS)
def test_same_for_the_server(play: Play, call: str, one: Loopback, two: Loopback) -> None:
    """The first is asked in the same bytes, with or without a shadow, sampled or not."""
    seen: list[Any] = []

    def act(handler: Handler) -> None:
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "idempotency-key"}
        seen.append((handler.path, headers, handler.body))
        handler.reply({**completion(), "data": [{"embedding": [1.0]}]})

    one.act = act

    def script(client: Any) -> Any:
        yield CALLS[call](client)

    for fields in ({"shadow": None}, {"shadow_sample": 0}, {}):
        play(script, settings=settings(one, two, **fields))
    assert seen == seen[:1] * 3
    records()


def test_seeded_numbers_stay(one: Loopback, two: Loopback) -> None:
    """A program's own random numbers are not used up."""
    random.seed(7)
    expected = random.Random(7).random()
    SYNC_AND_ASYNC[0](chatting, settings=settings(one, two, shadow_sample=0.5))
    assert random.random() == expected


@BOTH
def test_legacy_httpx(play: Play, one: Loopback, two: Loopback) -> None:
    """A caller's own client of the other HTTP library."""
    kind = httpx.Client if play.mode == "sync" else httpx.AsyncClient
    for script in (chatting, streaming):
        assert play(script, settings=settings(one, two), http_client=kind(verify=False)) == "Hello"  # type: ignore[call-arg]
    assert [record["same"] for record in records()] == [True, True]


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_compressed(play: Play, stream: bool, one: Loopback, two: Loopback) -> None:
    """What comes compressed is unpacked in the background, not twice in the caller's way."""

    def act(handler: Handler) -> None:
        if not handler.body.get("stream"):
            data = gzip.compress(json.dumps(completion()).encode())
            events(handler, (data,), content_type="application/json", content_encoding="gzip")
        else:
            data = gzip.compress(b"".join(EVENTS))
            events(handler, (data[:20], data[20:]), content_encoding="gzip")

    one.act = act
    assert play(streaming if stream else chatting, settings=settings(one, two)) == "Hello"
    (record,) = records()
    assert (record["same"], record["first"]["characters"]) == (True, 5)


@BOTH
@pytest.mark.parametrize("where", ["_sample", "_copy", "submit", "record_of"])
def test_own_failures_are_not_the_callers(
    play: Play,
    where: str,
    one: Loopback,
    two: Loopback,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error in shadow mode's own code is told once, and never reaches the call."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ValueError("a secret")

    place: Any = {"_sample": selection.Shadow, "_copy": sample.Sample, "submit": worker, "record_of": worker}[where]
    monkeypatch.setattr(place, where, fail)
    found = settings(one, two)
    said = [play(script, settings=found) for script in (chatting, streaming, chatting)]
    assert said == ["Hello"] * 3
    assert records() == []
    (warning,) = [one for one in caplog.records if one.name == "llm_adapter.shadow"]
    assert (warning.levelname, "ValueError" in warning.getMessage()) == ("WARNING", True)
    assert "a secret" not in caplog.text


# --- what is read, and what is not -----------------------------------------------------------------------------------


@BOTH
def test_abandoned_stream(play: Play, one: Loopback, two: Loopback) -> None:
    """A stream that the caller leaves cannot be compared, and the shadow is not asked."""

    def script(client: Any) -> Any:
        stream = yield chat(client, stream=True)
        yield first(stream)
        yield stream.close()

    one.act = lambda handler: events(handler, (EVENTS[0], EVENTS[1] * 50000, *EVENTS[2:]))
    play(script, settings=settings(one, two))
    (record,) = records()
    assert (record["event"], record["stream"], two.asked) == ("abandoned", True, [])


def test_cancelled_call(one: Loopback, two: Loopback) -> None:
    """A task that is cancelled is cancelled, and there is nothing to compare."""
    asked, release = threading.Event(), threading.Event()

    def act(handler: Handler) -> None:
        asked.set()
        release.wait(WAIT)

    one.act = act

    async def main() -> None:
        async with AsyncOpenAI(settings=settings(one, two)) as client:
            task = asyncio.create_task(chat(client))
            assert await asyncio.to_thread(asked.wait, WAIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    release.set()
    assert [record["event"] for record in records()] == ["abandoned"]
    assert two.asked == []


@BOTH
def test_unread_response(play: Play, one: Loopback, two: Loopback) -> None:
    """A response that is closed unread is abandoned, one that is read is compared."""

    def script(client: Any, read: bool) -> Any:
        manager = client.chat.completions.with_streaming_response.create(model="m", messages=HI)
        response = yield entered(manager)
        if read:
            yield response.read()
        yield left(manager)

    for read in (False, True):
        play(lambda client, read=read: script(client, read), settings=settings(one, two))  # type: ignore[misc]
    assert [record["event"] for record in records()] == ["abandoned", "compared"]


def test_unreadable(one: Loopback, two: Loopback) -> None:
    """A reply of the first that is none of OpenAI's is told as that."""
    one.act = lambda handler: handler.reply([1, 2])
    with OpenAI(settings=settings(one, two)) as client:
        client.chat.completions.with_raw_response.create(model="m", messages=HI)
    assert [record["event"] for record in records()] == ["unreadable"]


# --- which calls -----------------------------------------------------------------------------------------------------


def test_share(one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lot decides, call by call."""
    monkeypatch.setattr(selection, "random_share", random.Random(3).random)
    drawn = random.Random(3)
    expected = sum(drawn.random() < 0.25 for _ in range(24))

    monkeypatch.setattr(worker, "PENDING", 100)
    SYNC_AND_ASYNC[0](chats(24), settings=settings(one, two, shadow_sample=0.25))
    assert 0 < len(records()) == expected < 12


@pytest.mark.parametrize(("share", "count"), [(0, 0), (1, 3)])
def test_none_and_all(share: int, count: int, one: Loopback, two: Loopback) -> None:
    SYNC_AND_ASYNC[0](chats(3), settings=settings(one, two, shadow_sample=share))
    assert len(records()) == count


def test_paused(one: Loopback, two: Loopback, command: Command) -> None:
    """Calls of tools, and those of the command line, are not copied."""
    found = settings(one, two)
    with paused():
        SYNC_AND_ASYNC[0](chatting, settings=found)
    assert command("chat", "Hello", "--profile", "one", "--model", "m").code == 0
    assert (len(one.asked), records()) == (2, [])
    SYNC_AND_ASYNC[0](chatting, settings=found)
    assert len(records()) == 1


def test_full_line(one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds the line full is left out and counted: nothing piles up before a slow server."""
    monkeypatch.setattr(worker, "PENDING", 2)
    busy, release = held(two)

    def script(client: Any) -> Any:
        yield chat(client)
        assert busy.wait(WAIT)
        for _ in range(5):
            yield chat(client)

    try:
        SYNC_AND_ASYNC[1](script, settings=settings(one, two))
    finally:
        release.set()
    found = records()
    assert (len(found), sum(record["left_out"] for record in found)) == (3, 3)


def test_full_line_copies_nothing(one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be left out costs its caller no copy either."""
    monkeypatch.setattr(worker, "PENDING", 0)
    monkeypatch.setattr(selection, "Sample", None)  # making one would be a warning, which is an error here
    assert SYNC_AND_ASYNC[0](chatting, settings=settings(one, two)) == "Hello"
    assert (records(), worker._worker.left_out, journal._warned) == ([], 1, set())


@BOTH
@pytest.mark.parametrize("script", [chatting, streaming])
def test_large_calls_are_left_out(
    play: Play, script: Any, one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a large prompt nor a large reply is kept in memory."""
    found = settings(one, two)
    for limit in (10, 200):  # of the body, of the reply
        monkeypatch.setattr(selection, "LARGEST", limit)
        monkeypatch.setattr(sample, "LARGEST", limit)
        assert play(script, settings=found) == "Hello"
    monkeypatch.undo()
    assert (records(), worker._worker.left_out) == ([], 2)


OTHERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "listing": ("GET", "/models", {}),
    "images": ("POST", "/images/generations", {"model": "m"}),
    "uploads": ("POST", "/files", {"model": "m"}),
    "transcription": ("POST", "/audio/transcriptions", {"model": "m"}),
    "no model": ("POST", "/responses", {"prompt": {"id": "p"}}),
    "previous": ("POST", "/responses", {"model": "m", "previous_response_id": "r"}),
    "conversation": ("POST", "/responses", {"model": "m", "conversation": "c"}),
    "background": ("POST", "/responses", {"model": "m", "background": True}),
    "stored prompt": ("POST", "/responses", {"model": "m", "prompt": {"id": "p"}}),
    "hosted tool": ("POST", "/responses", {"model": "m", "tools": [{"type": "mcp", "server_url": "x"}]}),
    "cancel": ("POST", "/responses/r/cancel", {"model": "m"}),
    "management": ("POST", "/api/pull", {"model": "m"}),
}


@pytest.mark.parametrize("case", OTHERS)
def test_not_repeated(case: str) -> None:
    """What keeps, builds on or does something at a server is the first's alone."""
    assert not can_be_repeated(*OTHERS[case])


@pytest.mark.parametrize("path", selection.PATHS)
def test_repeated(path: str) -> None:
    assert can_be_repeated("post", path, {"model": "m", "tools": [{"type": "function"}]})


def test_named_provider(one: Loopback, two: Loopback) -> None:
    """A call site that names a provider is not led there a second time."""
    one.act = two.act = Handler.chat
    settings(one, two)
    Path("llm_adapter.toml").write_text(
        f'[profiles.one]\nprovider = "openai"\nbase_url = "{one.root}/v1"\nshadow = "two"\nshadow_sample = 1\n'
        f'[profiles.two]\nprovider = "ollama"\nhost = "{two.root}"\n',
        encoding="utf-8",
    )
    shadow = shadow_of(OpenAI(profile="one")._connection, OpenAI)
    assert (shadow._names_another_provider("openai/m"), shadow._names_another_provider("m")) == (True, False)


def test_asked_of_the_shadow(one: Loopback, two: Loopback) -> None:
    """The call as the call site wrote it: its own name of the model, no stream, nothing kept, no header of the call."""
    seen: list[Any] = []

    def act(handler: Handler) -> None:
        seen.append((dict(handler.headers.items()), handler.path, handler.body))
        v1(handler)

    two.act = act
    found = settings(one, two, api_key="sk-first").model_copy(update={"models": {"m": "renamed"}})

    def script(client: Any) -> Any:
        stream = yield chat(
            client,
            stream=True,
            stream_options={"include_usage": True},
            store=True,
            seed=1,
            extra_headers={"x-tenant": "acme"},
            extra_query={"tenant": "acme"},
        )
        yield every(stream)
        yield client.responses.create(model="m", input="Hello")

    SYNC_AND_ASYNC[0](script, settings=found)
    records()
    assert one.asked[0][1]["model"] == "renamed"
    assert [(path, body) for _, path, body in seen] == [
        ("/v1/chat/completions", {"model": "m", "messages": HI, "seed": 1}),
        ("/v1/responses", {"model": "m", "input": "Hello", "store": False}),
    ]
    assert not any("acme" in str(headers) or "sk-first" in str(headers) for headers, *_ in seen)


# --- settings --------------------------------------------------------------------------------------------------------


def test_keys_stay(one: Loopback, two: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are the first's: neither its key nor its address goes to the second profile."""
    seen: list[str] = []

    def act(handler: Handler) -> None:
        seen.append(handler.headers.get("authorization", ""))
        v1(handler)

    one.act = two.act = act
    settings(one, two)
    with Path("llm_adapter.toml").open("a", encoding="utf-8") as file:
        file.write('api_key = "sk-second"\n')
    monkeypatch.setenv("LLM_ADAPTER_API_KEY", "sk-variable")
    monkeypatch.setenv("LLM_ADAPTER_SHADOW_SAMPLE", "1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert SYNC_AND_ASYNC[0](chatting, settings=Settings.load(profile="one")) == "Hello"
    assert records()[0]["shadow"].get("error") is None
    assert seen == ["Bearer sk-variable", "Bearer sk-second"]


def test_profile_of_settings(one: Loopback, two: Loopback) -> None:
    """Settings know the profile that they were loaded from, and a copy does too."""
    assert settings(one, two).model_copy(update={"num_ctx": 1}).profile == "one"
    assert (Settings.load().profile, Settings().profile) == (None, None)


REFUSED = {
    "unknown": ({"shadow": "tow"}, "`shadow` names profile 'tow', which is not defined; did you mean 'two'?"),
    "itself": ({"shadow": "one"}, "profile 'one' is its own `shadow`"),
    "public": ({"shadow": "cloud", "local_only": True}, "`local_only` is set, and api.openai.com is not known"),
    "unusable": ({"shadow": "unset"}, "`shadow` cannot be profile 'unset' .*: `api_key_env` names UNSET_KEY"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, one: Loopback, two: Loopback) -> None:
    """A shadow that cannot be is an error when the client is made; private prompts do not leave."""
    fields, message = REFUSED[case]
    settings(one, two)
    found = settings(one, two, **fields)
    with Path("llm_adapter.toml").open("a", encoding="utf-8") as file:
        file.write('[profiles.cloud]\nprovider = "openai"\n[profiles.unset]\napi_key_env = "UNSET_KEY"\n')
    with pytest.raises(SettingsError, match=message) as error:
        OpenAI(settings=found, api_key="k")
    assert "llm_adapter.toml [profiles.one]" in str(error.value)


def test_local_only_holds_for_the_shadow(one: Loopback, two: Loopback) -> None:
    """A second profile that does not say so itself is held to it: models that run elsewhere are refused too."""
    settings(one, two)
    Path("llm_adapter.toml").write_text(
        f'[profiles.one]\nprovider = "openai"\nbase_url = "{one.root}/v1"\nlocal_only = true\ndialect = "openai"\n'
        'shadow = "two"\nshadow_sample = 1\nshadow_log = "shadow.jsonl"\n'
        f'[profiles.two]\nprovider = "ollama"\nhost = "{two.root}"\nmodels = {{ m = "big:cloud" }}\n',
        encoding="utf-8",
    )
    SYNC_AND_ASYNC[0](chatting, settings=Settings.load(profile="one"))
    (record,) = records()
    assert record["shadow"]["error"] == "PermissionDeniedError"
    assert [path for path, _ in two.asked if path == "/api/chat"] == []


def test_shadow_of_a_shadow(one: Loopback, two: Loopback) -> None:
    """The second's own `shadow` is not followed, and may even be the first."""
    found = settings(one, two)
    with Path("llm_adapter.toml").open("a", encoding="utf-8") as file:
        file.write('shadow = "one"\nshadow_sample = 1\n')
    SYNC_AND_ASYNC[0](chatting, settings=found)
    assert [len(records()) for _ in range(3)] == [1, 1, 1]  # what the shadow's own call began would be in line by now
    assert (len(one.asked), len(two.asked)) == (1, 1)


@BOTH
def test_copies_keep_it(play: Play, one: Loopback, two: Loopback) -> None:
    """`copy()` and `with_options()` share the shadow; a copy for another profile has that profile's."""
    found = settings(one, two)

    def script(client: Any) -> Any:
        copies = [client.with_options(timeout=9), client.copy(max_retries=1).with_options(default_headers={"a": "b"})]
        assert all(copy._shadow is client._shadow for copy in copies)
        yield from chatting(copies[1])
        elsewhere = client.copy(profile="two")
        yield from chatting(elsewhere)
        return elsewhere._shadow

    assert play(script, settings=found) is None
    assert len(records()) == 1


def test_unwritable_file(one: Loopback, two: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """The log goes on, and a warning says once what is wrong."""
    caplog.set_level(logging.INFO, "llm_adapter.shadow")
    found = settings(one, two, shadow_log="missing/shadow.jsonl")
    SYNC_AND_ASYNC[0](chats(2), settings=found)
    assert drain(WAIT)
    said = [one.getMessage() for one in caplog.records if one.name == "llm_adapter.shadow"]
    warnings = [text for text in said if text.startswith("shadow: `shadow_log` cannot be written")]
    assert (len(said), len(warnings)) == (3, 1)
    assert "No such file" in warnings[0]


def test_missing_key(one: Loopback, two: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """A second profile without the key it needs is told in the SDK's words."""
    settings(one, two)
    file = Path("llm_adapter.toml")
    file.write_text(
        file.read_text(encoding="utf-8").partition("[profiles.two]")[0] + '[profiles.two]\nprovider = "openai"\n',
        encoding="utf-8",
    )
    assert SYNC_AND_ASYNC[0](chatting, settings=Settings.load(profile="one")) == "Hello"
    assert records() == []
    assert "OPENAI_API_KEY" in caplog.text


# --- privacy ---------------------------------------------------------------------------------------------------------


@BOTH
def test_nothing_is_quoted(play: Play, one: Loopback, two: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    """Neither log nor file holds a prompt, a reply, an argument, an error's words or a key."""
    caplog.set_level(logging.INFO)
    tool = {"type": "function", "function": {"name": "find", "parameters": {"properties": {"city": {}}}}}

    def call(name: str, arguments: Any) -> dict[str, Any]:
        text = json.dumps(arguments)
        calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": text}}]
        return completion(None, "tool_calls", tool_calls=calls)

    replies = iter(
        [
            call("find", {"city": "SECRET-city", "SECRET name": 1}),
            call("SECRET tool", {"SECRET": 2}),
            {**completion("SECRET text", "SECRET reason"), "id": "SECRET id", "model": "SECRET model"},
        ]
    )
    one.act = lambda handler: handler.reply(next(replies), x_request_id="SECRET id")
    envelope = {"error": {"message": "SECRET message", "code": "SECRET code"}}
    two.act = lambda handler: (
        handler.reply(envelope, 400) if handler.body.get("seed") else handler.reply(call("find", {"city": "SECRET"}))
    )
    found = settings(one, two, api_key="sk-SECRET")

    def script(client: Any) -> Any:
        for more in ({}, {}, {"seed": 1}):
            yield chat(client, messages=[{"role": "user", "content": "SECRET prompt"}], tools=[tool], **more)

    play(script, settings=found)
    kinds = [[one["what"] for one in record["differences"]] for record in records()]
    assert kinds == [["argument_names"], ["tools"], ["error"]]
    assert "SECRET" not in Path("shadow.jsonl").read_text(encoding="utf-8")
    assert "SECRET" not in "".join(one.getMessage() for one in caplog.records if one.name == "llm_adapter.shadow")
    if os.name == "posix":
        assert stat.S_IMODE(Path("shadow.jsonl").stat().st_mode) == 0o600


# --- processes -------------------------------------------------------------------------------------------------------

APP = """
import sys
from llm_adapter import OpenAI
hi = [{"role": "user", "content": "Hi"}]
print(OpenAI(profile="one").chat.completions.create(model="m", messages=hi).choices[0].message.content)
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_exit(hangs: bool, one: Loopback, two: Loopback) -> None:
    """A process ends though its shadow hangs, and counts what it dropped; one that answers gets the time it needs."""
    settings(one, two)
    if hangs:
        file = Path("llm_adapter.toml")
        file.write_text(f"shadow_exit = 0.3\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    _, release = held(two)
    if not hangs:
        release.set()
    done = prepared.run(APP, seconds=WAIT * 2)
    assert (done.returncode, done.stdout) == (0, "Hello\n")
    assert ("1 calls are not compared at exit" in done.stderr) == bool(done.stderr) == hangs
    (record,) = records()
    assert (record["event"], record["left_out"]) == (("ended", 1) if hangs else ("compared", 0))
    assert summary(Path("shadow.jsonl").read_bytes().splitlines()).not_compared == ({"left_out": 1} if hangs else {})
    release.set()


def test_exit_with_an_embedded_shadow(one: Loopback, two: Loopback) -> None:
    """Its server stops at exit, too: not before the comparison, and never as a failure of it."""
    settings(one, two)
    file = Path("llm_adapter.toml")
    file.write_text(
        file.read_text(encoding="utf-8").partition("[profiles.two]")[0] + '[profiles.two]\nprovider = "embedded"\n',
        encoding="utf-8",
    )
    done = prepared.run(APP, seconds=WAIT * 2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
    assert all(record["shadow"].get("error") is None for record in records())


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from llm_adapter import OpenAI
from llm_adapter.shadow import drain
client = OpenAI(profile="one")
ask = lambda: client.with_options(timeout=9).chat.completions.create(model="m", messages=[])
ask()
assert drain(10)
child = os.fork()
client.close()
client = OpenAI(profile="one")
ask()
assert drain(10)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(one: Loopback, two: Loopback) -> None:
    """A child has a thread and connections of its own."""
    settings(one, two)
    done = prepared.run(FORK)
    assert (done.returncode, done.stderr) == (0, "")
    assert [record["event"] for record in records()] == ["compared"] * 3


IMPORTS = """
import sys, threading
from llm_adapter import OpenAI
from llm_adapter.shadow import drain
client = OpenAI(profile="one")

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            print(name)

sys.meta_path.insert(0, Watch())
client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
assert drain(10)
"""


@pytest.mark.parametrize("second", ["openai", "ollama"])
def test_the_thread_imports_nothing(second: str, one: Loopback, two: Loopback) -> None:
    """A fork in the middle of an import leaves the child half a module, or its lock held by nobody."""
    settings(one, two)
    two.act = v1 if second == "openai" else Handler.chat
    file = Path("llm_adapter.toml")
    host = f'provider = "ollama"\nhost = "{two.root}"\n'
    before, mark, after = file.read_text(encoding="utf-8").partition("[profiles.two]\n")
    file.write_text(before + mark + (after if second == "openai" else host), encoding="utf-8")
    done = prepared.run(IMPORTS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [record["shadow"].get("error") for record in records()] == [None]


def test_lines_of_several_writers(tmp_path: Path) -> None:
    """Lines are whole, whoever else writes."""
    file = tmp_path / "lines"
    lines = [bytes([65 + number]) * 3000 + b"\n" for number in range(8)]
    threads = [threading.Thread(target=lambda one=one: [journal.append(file, one) for _ in range(20)]) for one in lines]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.read_bytes().splitlines(keepends=True)) == sorted(lines * 20)


# --- streams ---------------------------------------------------------------------------------------------------------


def tool_chunks() -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": "Let", "tool_calls": None},
        {"content": " me"},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "find", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "add", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
    ]
    head = {**HEAD, "object": "chat.completion.chunk"}
    ends: list[Any] = [
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {**head, "choices": [], "usage": USAGE},
    ]
    return [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas] + ends


def test_stream_as_the_sdk_reads_it() -> None:
    """Tool calls in pieces come out as with the SDK's own accumulator."""
    chunks = tool_chunks()
    state: Any = ChatCompletionStreamState()
    for one in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(one))
    content = b"".join(b"event: x\r\ndata: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)
    body = {"tools": []}
    ours = streams.whole("/chat/completions", content + b"data: [DONE]\n\n")
    theirs = state.current_completion_snapshot.to_dict()
    assert outcome("/chat/completions", body, ours, 0) == outcome("/chat/completions", body, theirs, 0)
    assert [one["function"]["arguments"] for one in ours["choices"][0]["message"]["tool_calls"]] == [
        '{"city": "Rome"}',
        "{}",
    ]


BROKEN = {
    "envelope": b'data: {"error": {"message": "x", "code": "overloaded"}}\n\n',
    "event of /responses": b'event: error\ndata: {"type": "error", "message": "x", "code": "overloaded"}\n\n',
    "text": b'data: {"error": "x", "code": "overloaded"}\n\n',
}


@pytest.mark.parametrize("path", streams.READERS)
@pytest.mark.parametrize("case", BROKEN)
def test_broken_stream(case: str, path: str) -> None:
    with pytest.raises(streams.BrokenStreamError) as broken:
        streams.whole(path, BROKEN[case])
    assert broken.value.error["code"] == "overloaded"


# --- the summary -----------------------------------------------------------------------------------------------------


def compared(what: str | None = None, **more: Any) -> str:
    side = {"profile": "one", "provider": "openai", "seconds": 1.0, "completion_tokens": 10}
    found = [] if what is None else [{"what": what, "first": 1, "shadow": 2}]
    record = {
        "version": 1,
        "event": "compared",
        "same": not found,
        "differences": found,
        "first": side,
        "shadow": {**side, "profile": "two", "seconds": 3.0, **more},
        "left_out": 0,
    }
    return json.dumps(record)


LINES = [
    compared(),
    compared("finish_reason", seconds=5.0),
    compared("finish_reason"),
    compared("error", error="NotFoundError", code="model_not_found"),
    '{"version": 1, "event": "abandoned", "left_out": 2}',
    '{"version": 2, "event": "compared"}',
    "junk",
    "",
]


def test_summary() -> None:
    found = summary(LINES)
    assert (found.compared, found.same, found.agreement, found.not_understood) == (4, 1, 0.25, 2)
    assert found.not_compared == {"abandoned": 1, "left_out": 2}
    assert found.differences == {"finish_reason": 2, "error": 1}
    assert found.errors == {"first": {}, "shadow": {"NotFoundError (model_not_found)": 1}}
    assert found.seconds == {"first": 1.0, "shadow": 3.0}
    assert found.profiles == {"first": ["one"], "shadow": ["two"]}


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: (
        some.lists(inner)
        | some.dictionaries(some.sampled_from(["version", "event", "first", "shadow", "same", "differences"]), inner)
    ),
    max_leaves=12,
)


@given(some.lists(some.text() | some.binary() | JSON.map(json.dumps), max_size=5))
def test_summary_of_anything(lines: list[Any]) -> None:
    """A line that is no record is counted, and nothing more."""
    found = summary([*lines, LINES[0]])
    assert found.compared >= 1


def test_records_are_summed_up(one: Loopback, two: Loopback) -> None:
    """What is written is what is read."""
    SYNC_AND_ASYNC[0](chats(2), settings=settings(one, two))
    records()
    found = summary(Path("shadow.jsonl").read_bytes().splitlines())
    assert (found.compared, found.same, found.tokens) == (2, 2, {"first": 2, "shadow": 2})


def test_command(command: Command, tmp_path: Path) -> None:
    """`llm-adapter shadow` prints the summary."""
    (tmp_path / "shadow.jsonl").write_text("\n".join(LINES), encoding="utf-8")
    shown = command("shadow", "shadow.jsonl").out
    assert "one and two: of 4 calls compared, 1 had the same structure (25%)" in shown
    assert "NotFoundError (model_not_found)" in shown
    assert "not compared: 1 abandoned, 2 left out, 2 not understood" in shown
    assert command("shadow", "shadow.jsonl", "--json").json["differences"] == {"finish_reason": 2, "error": 1}
    (tmp_path / "empty").write_text("", encoding="utf-8")
    assert "of 0 calls compared" in command("shadow", "empty").out
    assert "does not exist" in command.mistake("shadow", "nothing", code=2)
