"""A stream that goes to the SDK as objects is the stream that its bytes are, for every decoder of ours.

Each generated stream is read twice, with decoders of the same call: as objects, and as the bytes that are made of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai
import pytest
from drivers import HTTPX, Body
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from recorded import call

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client.chunk_stream import quickened
from llm_adapter.provider import Event
from llm_adapter.providers.ollama import chat, completions
from llm_adapter.providers.v1 import stream
from llm_adapter.providers.v1.repair import RepairDecoder
from llm_adapter.responses.events import ResponseDecoder
from llm_adapter.responses.history import Turn
from llm_adapter.responses.store import store_of
from llm_adapter.translation.completions import CompletionRequirements
from llm_adapter.translation.reply_checks import ReplyRequirements
from llm_adapter.translation.reply_shapes import STREAMED
from llm_adapter.transport.body import Observer, observe, stream_class
from llm_adapter.transport.event_pieces import response_class
from llm_adapter.transport.translated_body import TranslatedBody, WholeLines

OURS = OpenAI(settings=Settings(), api_key="k", http_client=HTTPX.Client(verify=False))
AOURS = AsyncOpenAI(settings=Settings(), api_key="k", http_client=HTTPX.AsyncClient(verify=False))

# --- streams of servers ----------------------------------------------------------------------------------------------

TEXTS = ["Hello", " wörld", "\u2028", "\ud83d", "{", '{"name": "f", "parameters": {}}', "", "\n\ndata: x"]
CALLED = {"function": {"name": "f", "arguments": {"a": 1}}}
LOGPROBS = [{"token": "x", "logprob": -0.5, "top_logprobs": [{"token": "y", "logprob": -1}]}]
COUNTS = {"prompt_eval_count": 3, "eval_count": 4, "total_duration": 5}
MESSAGES: list[dict[str, Any]] = [
    *({"role": "assistant", "content": one} for one in TEXTS),
    {"role": "assistant", "content": "", "thinking": "Hm"},
    {"role": "assistant", "content": "so", "thinking": "m"},
    {"role": "assistant", "content": "", "tool_calls": [CALLED, {**CALLED, "id": "c2"}]},
    {"content": None},
]
END = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **COUNTS}
LINES: list[Any] = [
    *({"model": "m", "created_at": "2026", "message": one, "done": False} for one in MESSAGES),
    {"model": "m", "message": {"content": "x"}, "done": False, "logprobs": LOGPROBS},
    {"model": "other", "created_at": "2026", "message": {"role": "assistant", "content": "y"}, "done": False},
    {"model": "m", "created_at": "2026", "message": {"role": "tool", "content": "y"}, "done": False},
    {"model": "m", "created_at": "2026", "response": "text", "done": False},
    {"message": {"content": 7}, "done": False},
    {"message": None},
    END,
    {**END, "done_reason": "length"},
    {"error": "boom"},
    [],
]
lines = st.lists(
    st.sampled_from(LINES).map(lambda line: json.dumps(line).encode() + b"\n")
    | st.sampled_from([b"\n", b"nonsense\n", b'{"message": {"content": "half']),
    max_size=6,
)
HEAD = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DELTAS: list[Any] = [
    *({"content": one} for one in TEXTS),
    {"role": "assistant", "content": "x"},
    {"role": "assistant", "content": None},
    {"content": "x", "refusal": None},
    {"reasoning_content": "Hm"},
    {"content": ["part"]},
    {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": '{"a": 1}'}}]},
    {},
    None,
]
CHOICES: list[Any] = [
    *({"index": 0, "delta": delta, "finish_reason": None} for delta in DELTAS),
    {"index": 1, "delta": {"content": "second"}, "logprobs": None, "finish_reason": None},
    {"index": 0, "delta": {"content": "x"}, "logprobs": {"content": LOGPROBS}},
    {"index": 0, "delta": {}, "finish_reason": "stop"},
    {"index": 0, "delta": {"content": "x"}, "finish_reason": "length"},
    {"index": "0", "delta": {"content": "x"}},
    {"delta": {"content": "x"}},
    {"index": 0, "text": "piece", "finish_reason": None},
    {"index": 0, "text": "piece", "finish_reason": "stop"},
]
CHUNKS: list[Any] = [
    *({**HEAD, "choices": [one]} for one in CHOICES),
    {**HEAD, "choices": [CHOICES[0]], "x_extra": {"deep": [1]}},
    {**HEAD, "choices": CHOICES[:2]},
    {**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    {**HEAD, "choices": [CHOICES[0]], "usage": {"prompt_tokens": "1"}},
    {**HEAD, "choices": None},
    {"error": {"message": "boom", "code": 500}},
    {"choices": [CHOICES[0]], "error": "boom"},
    7,
]
SSE = [b": wait\n\n", b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"event: error\ndata: no\n\n", b"data: {\n\n", b"\n"]
events = st.lists(
    st.sampled_from(CHUNKS).map(lambda chunk: b"data: " + json.dumps(chunk).encode() + b"\n\n")
    | st.sampled_from(CHUNKS).map(lambda chunk: b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n")
    | st.sampled_from([*SSE, b"id: 1\ndata: 7\n\n", b"error: no\n\n", b"data:\ndata: 1\n\n", b"nonsense\n", b"data: "]),
    max_size=6,
)

# --- decoders --------------------------------------------------------------------------------------------------------

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
USAGE = {"stream_options": {"include_usage": True}}


def requirements(**body: Any) -> ReplyRequirements:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, **body}
    return ReplyRequirements.of(call("/chat/completions", asked), "here")


def response(inner: Any) -> ResponseDecoder:
    asked = call("/responses", {"model": "m", "input": "Hi", "stream": True, "store": False})
    return ResponseDecoder(Turn.of(asked, store_of(asked.settings)), inner)


def native_text() -> Any:
    asked = call("/completions", {"model": "m", "prompt": "x", "stream": True, "echo": True})
    return completions.decoder(asked, CompletionRequirements.of(asked, ""))


def form(**schema: Any) -> Any:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


Make = Callable[[], Any]
DECODERS: dict[str, tuple[Make, Any, Any]] = {
    "native chat": (lambda: chat.decoder(requirements(**USAGE)), lines, ChatCompletionChunk),
    "native, tools": (lambda: chat.decoder(requirements(tools=[TOOL])), lines, ChatCompletionChunk),
    "native, form": (lambda: chat.decoder(requirements(**form(type="object"))), lines, ChatCompletionChunk),
    "native, two": (lambda: chat.decoder(requirements(n=2)), lines, ChatCompletionChunk),
    "native text": (native_text, lines, Completion),
    "unknown server": (lambda: RepairDecoder("0" * 32), events, ChatCompletionChunk),
    "unknown, text": (lambda: RepairDecoder("0" * 32, shape=STREAMED["/completions"]), events, Completion),
    "dialect": (lambda: stream.decoder(requirements(), 1), events, ChatCompletionChunk),
    "dialect, tools": (lambda: stream.decoder(requirements(tools=[TOOL]), 1), events, ChatCompletionChunk),
    "dialect, two": (lambda: stream.decoder(requirements(n=2, **USAGE), 2), events, ChatCompletionChunk),
    "response, native": (lambda: response(chat.decoder(requirements(**USAGE))), lines, ResponseStreamEvent),
    "response, dialect": (lambda: response(stream.decoder(requirements(), 1)), events, ResponseStreamEvent),
}


@st.composite
def cut(draw: st.DrawFn, parts: Any) -> list[bytes]:
    """Some parts as one stream, in pieces."""
    whole = b"".join(draw(parts))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


REQUEST = HTTPX.Request("POST", "http://ollama.test/api/chat")


def reply(decoder: Any, natives: list[list[bytes]]) -> Any:
    """The response that a client gets."""
    bodies = [HTTPX.Response(200, stream=Body(*pieces), request=REQUEST) for pieces in natives]
    body = stream_class(TranslatedBody, HTTPX)(decoder, bodies)
    body.response = response_class(HTTPX)(200, stream=body, request=REQUEST)
    return body.response


def as_bytes(given: Any) -> Any:
    """The same response, whose bytes somebody watches: it is read as bytes."""
    observe(given, Observer())
    return given


def ending(error: Exception | None) -> Any:
    return error and (type(error), str(error), getattr(error, "body", None))


def read(kind: Any, given: Any) -> Any:
    """What a caller gets, and the error at its end."""
    got: list[Any] = []
    failed = None
    try:
        got.extend(quickened(openai.Stream(cast_to=kind, response=given, client=OURS)))
    except Exception as error:
        failed = error
    assert given.is_closed
    return list(map(repr, got)), ending(failed)


async def aread(kind: Any, given: Any) -> Any:
    got: list[Any] = []
    failed = None
    try:
        async for one in quickened(openai.AsyncStream(cast_to=kind, response=given, client=AOURS)):
            got.append(one)  # noqa: PERF401 - those before an error count
    except Exception as error:
        failed = error
    assert given.is_closed
    return list(map(repr, got)), ending(failed)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=25)
@given(data=st.data())
def test_objects_are_what_the_bytes_say(name: str, data: st.DataObject) -> None:
    make, parts, kind = DECODERS[name]
    natives = [data.draw(cut(parts)) for _ in range(2 if name.endswith("two") else 1)]
    assert read(kind, reply(make(), natives)) == read(kind, as_bytes(reply(make(), natives)))


@settings(max_examples=20)
@given(data=st.data())
def test_async_objects_too(data: st.DataObject) -> None:
    """Every decoder in one event loop."""

    async def compared() -> None:
        for make, parts, kind in DECODERS.values():
            natives = [data.draw(cut(parts)) for _ in range(2)]
            assert await aread(kind, reply(make(), natives)) == await aread(kind, as_bytes(reply(make(), natives)))

    asyncio.run(compared())


# --- who gets which --------------------------------------------------------------------------------------------------

SPOKEN = [json.dumps(line).encode() + b"\n" for line in (LINES[0], LINES[1], END)]


def spoken() -> Any:
    return reply(chat.decoder(requirements()), [SPOKEN])


def test_streams_take_the_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bytes are made of them, which would cost as much again."""
    monkeypatch.setattr(Event, "rendered", lambda _: pytest.fail("rendered"))
    assert len(read(ChatCompletionChunk, spoken())[0]) == 3
    assert len(asyncio.run(aread(ChatCompletionChunk, spoken()))[0]) == 3


WHOLE = chat.decoder(requirements()).feed(b"".join(SPOKEN))


async def joined(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])


READERS: dict[str, Callable[[Any], bytes]] = {
    "iter_bytes": lambda given: b"".join(given.iter_bytes()),
    "iter_bytes of a size": lambda given: b"".join(given.iter_bytes(7)),
    "next": lambda given: next(pieces := given.iter_bytes()) + b"".join(pieces),
    "iter_raw": lambda given: b"".join(given.iter_raw()),
    "iter_lines": lambda given: "".join(f"{line}\n" for line in given.iter_lines()).encode(),
    "read": lambda given: given.read(),
    "aiter_bytes": lambda given: asyncio.run(joined(given.aiter_bytes())),
    "aread": lambda given: asyncio.run(given.aread()),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_who_reads_bytes_gets_bytes(reader: Callable[[Any], bytes]) -> None:
    assert reader(spoken()) == WHOLE


def test_nothing_is_told_twice() -> None:
    """Whoever comes first, objects or bytes, has them."""
    given = spoken()
    read(ChatCompletionChunk, given)
    with pytest.raises(HTTPX.StreamConsumed):
        list(given.iter_bytes())
    given = spoken()
    given.read()
    assert len(read(ChatCompletionChunk, given)[0]) == 3  # from what was read, as with any response
    given = spoken()
    list(given.iter_bytes())
    assert read(ChatCompletionChunk, given)[1][0] is HTTPX.StreamConsumed


# --- what a stream costs ---------------------------------------------------------------------------------------------

STREAMS: dict[str, tuple[Make, bytes, bytes, Any]] = {
    "native": (DECODERS["native chat"][0], SPOKEN[0], SPOKEN[2], ChatCompletionChunk),
    "native, thinking": (
        DECODERS["native chat"][0],
        json.dumps({"message": {"role": "assistant", "content": "", "thinking": "Hm"}}).encode() + b"\n",
        SPOKEN[2],
        ChatCompletionChunk,
    ),
    "dialect": (
        DECODERS["dialect"][0],
        b"data: " + json.dumps(CHUNKS[0]).encode() + b"\n\n",
        b"data: "
        + json.dumps({**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
        + b"\n\ndata: [DONE]\n\n",
        ChatCompletionChunk,
    ),
    "response": (DECODERS["response, native"][0], SPOKEN[0], SPOKEN[2], ResponseStreamEvent),
}


def steps(name: str, count: int) -> int:
    """How many functions are called for a stream of so many chunks."""
    make, chunk, end, kind = STREAMS[name]
    given, called = reply(make(), [[chunk] * count + [end]]), 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for _ in quickened(openai.Stream(cast_to=kind, response=given, client=OURS)):
            pass
    finally:
        sys.setprofile(before)
    return called


@pytest.mark.parametrize("name", STREAMS)
def test_steps_grow_with_the_chunks(name: str) -> None:
    """By as much: ten times the chunks are ten times the steps, and no more."""
    steps(name, 10)  # what is made once
    short, long = steps(name, 20), steps(name, 200)
    assert long < 11 * short


@pytest.mark.parametrize("name", STREAMS)
def test_a_chunk_takes_few_steps(name: str) -> None:
    """The fixed steps taken off. A short cut that is not taken any more shows: there are some more than today's."""
    few = {"native": 40, "native, thinking": 70, "dialect": 45, "response": 160}
    assert (steps(name, 120) - steps(name, 20)) / 100 < few[name]


def test_a_line_in_many_pieces_is_put_together_once() -> None:
    """Not once for each piece, which takes time by the square of its length."""
    lines = WholeLines(None)
    for _ in range(10_000):
        assert lines.feed(b"x") == b""
    assert lines.held == [b"x"] * 10_000
    assert lines.feed(b"\n") == b"x" * 10_000 + b"\n"
