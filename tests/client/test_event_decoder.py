"""Streams give what the SDK's own decoder gives, events, objects and errors, however their bytes are cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from drivers import HTTPX, Body
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client.chunk_stream import quickened
from llm_adapter.client.event_decoder import Cutter, EventDecoder

quickly = settings(max_examples=50)
CHUNK: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Grüße\u2028\u0085\U0001f600"}, "finish_reason": None}],
}


def data(value: Any, **dumping: Any) -> bytes:
    return b"data: " + json.dumps(value, **dumping).encode() + b"\n\n"


# Events of the common shape, and of every other that servers and gateways send.
EVENTS = [
    data(CHUNK),
    data(CHUNK, ensure_ascii=False),
    data({**CHUNK, "choices": [{"index": 0, "delta": {"content": "\ud83d"}}]}),
    data({**CHUNK, "model": None}),
    data({**CHUNK, "x_extra": {"deep": [1, None]}}),
    data({**CHUNK, "error": {"message": "no"}}),
    data({**CHUNK, "error": None}),
    data({**CHUNK, "error": "no"}).replace(b'"error"', b'"err\\u006fr"'),
    data(CHUNK).replace(b'"id": "1"', b'"id": "0", "id": "1"'),
    data({**CHUNK, "created": 12345678901234567890123}),
    b"event: response.created\ndata: {}\n\n",
    b"data: [DONE]\n\n",
    b": keep-alive\n\n",
    b"\n",
    b"\n\n",
    b"data:1\n\n",
    b"data: 1\n",
    b"data: {\ndata: }\n\n",
    b"data: 1\r\n\r\n",
    b"data: 1\r\r",
    b"event: error\ndata: {}\n\n",
    b"event: \ndata: 2\n\n",
    b"event: thread.run.created\ndata: {}\n\n",
    b"id: 7\ndata: 3\n\n",
    b"retry: 5\n\n",
    b"event: gone\n\n",
    b"\xef\xbb\xbfdata: 4\n\n",
    b"data: \xff\n\n",
    b": \xff\n\n",
    b"event: \xff\ndata: 5\n\n",
    b"data: NaN\n\n",
    b"data: {\n\n",
    b"data: \n\n",
    b"nonsense\n\n",
    b" data: 6\n\n",
    b'data: {"error": {"message": "no"}}\n\n',
    b'data: {"error": "no"}\n\n',
]
# What is written of values, with what only one of two parsers may take.
numbers = st.sampled_from(["-0", "-0.0", "1e400", "1E+2", "0.1", "12345678901234567890123", "1.0", "01", "Infinity"])
texts = st.text(max_size=3).map(json.dumps) | st.sampled_from(['"\\ud83d"', '"\\u0000"', '"\t"', '"\x7f"', "'"])
values = st.recursive(
    numbers | texts | st.sampled_from(["null", "true", "{}", "[", "", " 1 ", "1 1", "[1,]"]),
    lambda parts: (
        st.lists(parts, max_size=2).map(lambda some: "[" + ",".join(some) + "]")
        | st.lists(st.tuples(texts, parts), max_size=2).map(lambda some: "{" + ",".join(map(":".join, some)) + "}")
    ),
    max_leaves=4,
)
events = st.one_of(
    st.sampled_from(EVENTS),
    st.sampled_from(EVENTS[:10]),
    values.map(lambda value: f"data: {value}\n\n".encode("utf-8", "surrogatepass")),
    st.binary(max_size=3),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in pieces."""
    whole = b"".join(draw(st.lists(events, max_size=5)))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def outcome(read: Callable[[], Any]) -> Any:
    """What reading gives; an error by its class, and by its words where it is not about bytes, whose places differ."""
    try:
        return repr(read())
    except UnicodeDecodeError:
        return UnicodeDecodeError
    except Exception as error:
        return type(error), str(error), getattr(error, "body", None)


def decoded(decoder: Any, pieces: list[bytes]) -> list[Any]:
    """What each event says to the SDK's streams, up to an error; they look at the data first."""
    found: list[Any] = []

    def read() -> None:
        for event in decoder.iter_bytes(iter(pieces)):
            found.append((event.event, event.data, outcome(event.json)))  # noqa: PERF401 - those before an error count

    return [outcome(read), *found]


THEIRS = openai.OpenAI(api_key="k", http_client=HTTPX.Client(verify=False))
OURS = OpenAI(settings=Settings(), api_key="k", http_client=HTTPX.Client(verify=False))
ATHEIRS = openai.AsyncOpenAI(api_key="k", http_client=HTTPX.AsyncClient(verify=False))
AOURS = AsyncOpenAI(settings=Settings(), api_key="k", http_client=HTTPX.AsyncClient(verify=False))


@quickly
@given(pieces=streams())
def test_events(pieces: list[bytes]) -> None:
    assert decoded(OURS._make_sse_decoder(), pieces) == decoded(THEIRS._make_sse_decoder(), pieces)


def response(pieces: list[bytes]) -> Any:
    return HTTPX.Response(200, stream=Body(*pieces), request=HTTPX.Request("POST", "https://api.openai.com/v1"))


def chunks(client: Any, pieces: list[bytes], *, quick: bool = False) -> list[Any]:
    """What a caller of a streamed call gets, up to an error."""
    got: list[Any] = []

    def read() -> None:
        stream: Any = openai.Stream(cast_to=ChatCompletionChunk, response=response(pieces), client=client)
        for chunk in quickened(stream) if quick else stream:
            got.append(chunk)  # noqa: PERF402 - those before an error are compared too

    return [outcome(read), *map(repr, got)]


async def achunks(client: Any, pieces: list[bytes], *, quick: bool = False) -> list[Any]:
    got: list[Any] = []
    end: Any = None
    try:
        stream: Any = openai.AsyncStream(cast_to=ChatCompletionChunk, response=response(pieces), client=client)
        async for chunk in quickened(stream) if quick else stream:
            got.append(repr(chunk))  # noqa: PERF401 - those before an error are compared too
    except Exception as error:
        end = type(error), "" if isinstance(error, UnicodeDecodeError) else str(error)
    return [end, *got]


@quickly
@given(pieces=streams())
def test_chunks(pieces: list[bytes]) -> None:
    """As they come from a call, and from a raw response, whose stream only the SDK makes."""
    theirs = chunks(THEIRS, pieces)
    assert chunks(OURS, pieces, quick=True) == theirs
    assert chunks(OURS, pieces) == theirs


@settings(max_examples=30)
@given(some=st.lists(streams(), min_size=10, max_size=10))
def test_async_chunks(some: list[list[bytes]]) -> None:
    """Ten streams an event loop."""

    async def compared() -> None:
        for pieces in some:
            theirs = await achunks(ATHEIRS, pieces)
            assert await achunks(AOURS, pieces, quick=True) == theirs
            assert await achunks(AOURS, pieces) == theirs

    asyncio.run(compared())


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_each_event_cut_everywhere(event: bytes) -> None:
    """Between two of the common shape, byte by byte, and in two pieces."""
    whole = EVENTS[0] + event + EVENTS[0]
    theirs = decoded(THEIRS._make_sse_decoder(), [whole])
    places = range(len(EVENTS[0]), len(EVENTS[0]) + len(event) + 1)
    for pieces in ([whole[at : at + 1] for at in range(len(whole))], *([whole[:at], whole[at:]] for at in places)):
        assert decoded(OURS._make_sse_decoder(), pieces) == theirs


COMMON = [data(CHUNK), b"event: response.created\ndata: {}\n\n", b": keep-alive\n\n", b"\n\n", b"data: [DONE]\n\n"]


def test_the_short_cut_is_taken() -> None:
    """Without the SDK's decoder, which only gets what has no end."""

    class Others:
        def iter_bytes(self, pieces: Any) -> Any:
            assert list(pieces) == [b"data: half"]
            return iter(())

    pieces = [b"".join(COMMON)[at : at + 7] for at in range(0, sum(map(len, COMMON)), 7)]
    got = list(EventDecoder(Others()).iter_bytes(iter([*pieces, b"data: half"])))
    assert [(event.event, event.data[:6]) for event in got] == [
        (None, '{"id":'),
        ("response.created", "{}"),
        (None, "[DONE]"),
    ]


def test_an_event_in_many_pieces_is_put_together_once() -> None:
    """Not once for each piece, which takes time by the square of its length."""
    cutter = Cutter()
    for _ in range(10_000):
        assert cutter.feed(b"x") == []
    assert cutter.rest() == [b"x"] * 10_000
