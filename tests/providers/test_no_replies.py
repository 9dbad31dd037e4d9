"""A 200 that is no reply, whatever it is: an openai error with the server's words, and no error of another kind."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import openai
import pytest
from drivers import HTTPX
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse, Model, ModelDeleted
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from llm_adapter import AsyncOpenAI, OpenAI, Settings

HI: Any = [{"role": "user", "content": "Hello"}]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
ROOT = "http://server.test:9"
DIALECTS: Any = (None, "ollama", "llamacpp", "vllm", "lmstudio")
PROVIDERS: dict[str, Settings] = {
    "ollama": Settings(provider="ollama", host=ROOT),
    **{f"/v1 of {one}": Settings(provider="openai", base_url=f"{ROOT}/v1", dialect=one) for one in DIALECTS},
}
Ask = Callable[[Any], Any]
WHOLE: dict[str, Ask] = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=HI),
    "chat with a tool": lambda client: client.chat.completions.create(model="m", messages=HI, tools=[TOOL]),
    "chat with a form": lambda client: client.chat.completions.create(model="m", messages=HI, response_format=FORM),
    "two chats": lambda client: client.chat.completions.create(model="m", messages=HI, n=2, logprobs=True),
    "completion": lambda client: client.completions.create(model="m", prompt="a"),
    "two completions": lambda client: client.completions.create(model="m", prompt=["a", "b"]),
    "embedding": lambda client: client.embeddings.create(model="m", input="a"),
    "embeddings": lambda client: client.embeddings.create(model="m", input=["a", "b"], encoding_format="float"),
    "response": lambda client: client.responses.create(model="m", input="a"),
    "models": lambda client: client.models.list(),
    "model": lambda client: client.models.retrieve("m"),
}
STREAMED: dict[str, Ask] = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=HI, stream=True),
    "chat with a tool": lambda client: client.chat.completions.create(
        model="m", messages=HI, tools=[TOOL], stream=True, stream_options={"include_usage": True}
    ),
    "two chats": lambda client: client.chat.completions.create(model="m", messages=HI, n=2, stream=True),
    "completion": lambda client: client.completions.create(model="m", prompt="a", stream=True),
    "two completions": lambda client: client.completions.create(model="m", prompt=["a", "b"], stream=True),
    "response": lambda client: client.responses.create(model="m", input="a", stream=True),
}


class Answer:
    """What the server answers to everything."""

    body = b""
    kind = "application/json"

    def __call__(self, request: Any) -> Any:
        return HTTPX.Response(200, headers={"content-type": self.kind}, content=self.body)


ANSWER = Answer()


@cache
def client(provider: str) -> Any:
    http = HTTPX.Client(transport=HTTPX.MockTransport(ANSWER))
    return OpenAI(settings=PROVIDERS[provider], max_retries=0, http_client=http)


def used(reply: Any) -> None:
    """Reads what a program reads of a reply. Raises what a program would see where a part is missing."""
    match reply:
        case ChatCompletion():
            assert [choice.message.content for choice in reply.choices if choice.finish_reason]
        case Completion():
            assert [choice.text for choice in reply.choices if choice.finish_reason]
        case CreateEmbeddingResponse():
            assert all(isinstance(vector, float) for one in reply.data for vector in one.embedding)
        case Model() | ModelDeleted() | Response():
            assert reply.id
        case _:
            assert all(one.id is not None for one in reply)


def error_of(ask: Ask, provider: str, body: bytes, kind: str = "application/json") -> openai.APIError | None:
    """The error of a call that is answered so; None where it is a reply."""
    ANSWER.body, ANSWER.kind = body, kind
    try:
        reply = ask(client(provider))
        list(reply) if isinstance(reply, openai.Stream) else used(reply)
    except openai.APIError as error:
        return error
    return None


NONE: dict[str, tuple[bytes, str]] = {
    "null": (b"null", "null"),
    "a list": (b"[1]", r"\[1\]"),
    "a number": (b"7", "7"),
    "a string": (b'"overloaded"', "overloaded"),
    "an object that says nothing": (b'{"hello": 1}', "hello"),
    "an error": (b'{"error": {"message": "busy"}}', "busy"),
    "an error that is a text": (b'{"error": "busy"}', "busy"),
    "an error in other words": (b'{"detail": "busy"}', "busy"),
    "an error with its arguments": (b'{"error": {"message": "busy", "status": "X", "kind": 1, "self": 2}}', "busy"),
    "an error in a text": (b'{"error": "{\\"a\\": 1}"}', "a"),
    "nothing": (b"", ""),
    "a page": (b"<html>502 Bad Gateway</html>", "502 Bad Gateway"),
    "bytes": (b"\xff\x00\xfe", ""),
    "nested too deeply": (b"[" * 5_000, ""),
    "null with a byte order mark": (b"\xef\xbb\xbfnull", "null"),
    "null in the place of a list": (b'{"choices": null, "data": 5, "models": 5, "embeddings": null}', ""),
    "empty lists": (b'{"choices": [], "data": {}, "models": {}, "embeddings": [], "done": false}', ""),
    "lists of nulls": (b'{"choices": [null], "data": [null], "models": [null], "embeddings": [null]}', ""),
    "a message that is null": (b'{"choices": [{"message": null}], "data": [{"embedding": null}], "message": 5}', ""),
    "no end": (b'{"choices": [{"message": {"content": "x"}, "text": "x"}], "message": {}, "response": ""}', ""),
    "empty vectors": (b'{"data": [{"embedding": []}], "embeddings": [[]]}', ""),
    "vectors of nulls": (b'{"data": [{"embedding": [null]}], "embeddings": [[null]]}', ""),
    "vectors of vectors": (b'{"data": [{"embedding": [[0.5]]}], "embeddings": [[[0.5]]]}', ""),
    "base64 that is none": (b'{"data": [{"embedding": "abc"}]}', ""),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_reply_is_an_error_with_the_servers_words(provider: str) -> None:
    """Each body meets each call and each server, but not all three of them: every fourth combination."""
    turn = itertools.cycle([True, False, False, False, False][: 4 + list(PROVIDERS).index(provider) % 2])
    for body, said in NONE.values():
        for name, ask in WHOLE.items():
            if not next(turn):
                continue
            error = error_of(ask, provider, body)
            assert error is not None, f"{name} takes {body[:50]!r} for a reply"
            if name != "response":
                assert re.search(said, str(error)), f"{name} of {body[:50]!r} does not tell it: {error}"
        for name, ask in STREAMED.items():
            for kind, stream in (("application/json", body), ("text/event-stream", b"data: " + body + b"\n\n")):
                if not next(turn):
                    continue
                error = error_of(ask, provider, stream, kind)
                assert error is not None, f"{name} takes a stream of {body[:50]!r} for a reply"
                if b"error" in body:
                    assert re.search(said, str(error)), f"{name} of {body[:50]!r} does not tell it: {error}"


MANAGED: dict[str, Ask] = {
    "ps": lambda client: client.models.ps(),
    "version": lambda client: client.models.version(),
    "show": lambda client: client.models.show("m"),
    "delete": lambda client: client.models.delete("m"),
}


@pytest.mark.parametrize("name", MANAGED)
def test_what_a_server_tells_of_its_models(name: str) -> None:
    for provider in ("ollama", "/v1 of ollama", "/v1 of vllm"):
        for body in (b"null", b"[1]", b"\xff", b"[" * 5_000, b'{"error": "busy"}'):
            error = error_of(MANAGED[name], provider, body)
            assert error is not None or (name == "delete" and "ollama" in provider)  # whose answer is empty


def test_the_same_in_an_event_loop() -> None:
    """What becomes of a body is written once; here is that it is used."""

    async def asked(body: bytes) -> None:
        ANSWER.body, ANSWER.kind = body, "application/json"
        for one in PROVIDERS.values():
            http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(ANSWER))
            async with AsyncOpenAI(settings=one, max_retries=0, http_client=http) as client:
                for ask in (WHOLE["chat"], WHOLE["embedding"], WHOLE["models"]):
                    with pytest.raises(openai.APIError):
                        await ask(client)
                with pytest.raises(openai.APIError):
                    async for _ in await STREAMED["chat"](client):
                        pass

    for body in (b"null", b'{"error": "busy"}', b"<html>"):
        asyncio.run(asked(body))


def test_a_status_inside_is_the_errors_own() -> None:
    """A gateway may answer 200 and say what it means inside (OpenRouter)."""
    error = error_of(WHOLE["chat"], "/v1 of None", b'{"error": {"message": "slow down", "code": 429}}')
    assert isinstance(error, openai.RateLimitError)


def test_fewer_choices_than_were_asked_for_are_told() -> None:
    """A server that does not know `n` gives one; nothing is known of it, so nothing is made of other requests."""
    choice = {"index": 0, "message": {"content": "a"}, "text": "a", "finish_reason": "stop"}
    ANSWER.body, ANSWER.kind = json.dumps({"model": "m", "choices": [choice]}).encode(), "application/json"
    for resource, asked in (("chat.completions", {"messages": HI}), ("completions", {"prompt": "a"})):
        reply = attrgetter(resource)(client("/v1 of None")).create(model="m", n=2, **asked)
        assert reply.adapter.left_out == ["n"]


_ODD = '{"a": "\ud800"}'  # half of a pair, which a model may write


@pytest.mark.parametrize("provider", PROVIDERS)
def test_half_a_character_is_text(provider: str) -> None:
    """In a form, in the arguments of a tool, and in a call that is written as text."""
    function = {"name": "f", "arguments": json.loads(_ODD) if provider == "ollama" else _ODD}
    calls = [{"id": "1", "type": "function", "function": function}]
    made, form = {"content": "", "tool_calls": calls}, {"content": _ODD}
    written = {"content": f'{{"name": "f", "arguments": {_ODD}}}'}
    asked = ("chat with a tool", made), ("chat with a form", form), ("chat with a tool", written)
    for name, message in asked:
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"model": "m", "choices": [choice], "message": message, "done": True, "done_reason": "stop"}
        assert error_of(WHOLE[name], provider, json.dumps(body).encode()) is None, (name, message)


# --- any JSON at any endpoint -----------------------------------------------------------------------------------

_NAMES = [
    "choices",
    "message",
    "delta",
    "text",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "id",
    "index",
    "type",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "completion_tokens_details",
    "logprobs",
    "token",
    "logprob",
    "top_logprobs",
    "tokens",
    "error",
    "code",
    "status",
    "data",
    "embedding",
    "embeddings",
    "models",
    "model",
    "object",
    "created",
    "role",
    "done",
    "done_reason",
    "response",
    "thinking",
    "reasoning",
    "eval_count",
    "total_duration",
    "modified_at",
    "owned_by",
    "aliases",
    "capabilities",
    "context_length",
]
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**20),
    st.floats(allow_nan=False),
    st.sampled_from(["", "m", "{", "\ud800"]),
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5)),
    max_leaves=8,
)
_LOGS = {"content": [{"token": "a", "logprob": -1, "bytes": [1], "top_logprobs": [{"token": "a", "logprob": -1}]}]}
_CALL = {"id": "1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
_SAID = {"role": "assistant", "content": "{}", "reasoning": "hm", "tool_calls": [_CALL]}
_GOOD: dict[str, Any] = {
    "id": "x",
    "object": "x",
    "model": "m",
    "created": 1,
    "choices": [
        {"index": 0, "message": _SAID, "delta": _SAID, "text": "a", "logprobs": _LOGS, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}},
    "data": [{"id": "m", "index": 0, "embedding": [0.5], "owned_by": "x"}],
    "message": {"content": "{}", "thinking": "hm", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
    "response": "a",
    "logprobs": _LOGS["content"],
    "done": True,
    "done_reason": "stop",
    "eval_count": 1,
    "total_duration": 5,
    "embeddings": [[0.5]],
    "models": [{"name": "m", "model": "m", "modified_at": "2025-01-01T00:00:00Z", "capabilities": ["x"]}],
    "details": {},
}


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, one in inner for place in _places(one, (*way, key)))]


def _with(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    if not way:
        return other
    key, rest = way[0], way[1:]
    if isinstance(value, dict):
        return {**value, key: _with(value[key], rest, other)}
    return [_with(one, rest, other) if place == key else one for place, one in enumerate(value)]


_REPLIES = st.one_of(
    _ANYTHING, st.builds(lambda way, other: _with(_GOOD, way, other), st.sampled_from(_places(_GOOD)), _ANYTHING)
)


@settings(max_examples=100)
@given(st.data())
def test_nothing_but_openai_errors_leaves_a_call(data: st.DataObject) -> None:
    """Any JSON at every endpoint: a reply that can be read, or an error of the SDK's."""
    provider, replies = (
        data.draw(st.sampled_from(list(PROVIDERS))),
        data.draw(st.lists(_REPLIES, min_size=1, max_size=3)),
    )
    texts = [json.dumps(one).encode() for one in replies]
    error_of(data.draw(st.sampled_from(list(WHOLE.values()))), provider, texts[0])
    stream = b"".join(b"data: %s\n\n" % one for one in texts) if data.draw(st.booleans()) else b"\n".join(texts)
    error_of(data.draw(st.sampled_from(list(STREAMED.values()))), provider, stream)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_delta_of_a_text_completion_is_not_read(provider: str) -> None:
    """It has none, and what stands there is as the server says."""
    piece = json.dumps(_with(_GOOD, ("choices", 0, "delta"), True)).encode()
    error_of(STREAMED["completion"], provider, b"data: %s\n\n" % piece)


@settings(max_examples=40)
@given(
    st.sampled_from(list(PROVIDERS)), st.binary(max_size=40), st.sampled_from([b"", b"data: ", b"event: error\ndata: "])
)
def test_any_bytes(provider: str, data: bytes, before: bytes) -> None:
    assert error_of(WHOLE["chat"], provider, before + data) is not None
    assert error_of(STREAMED["chat"], provider, before + data) is not None
