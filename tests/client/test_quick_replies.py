"""A whole reply becomes the object that the SDK makes of it, with or without the SDK's response around it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from unittest import mock

import openai
import pytest
from drivers import HTTPX
from openai._response import APIResponse, AsyncAPIResponse

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.translation.process_cache import clear_caches

HI: list[Any] = [{"role": "user", "content": "Hello"}]
WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Grüße \N{SNOWMAN}"}}
    ],
}
TEXT = json.dumps(WHOLE, ensure_ascii=False)
NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "eval_count": 1}
VECTORS = {"model": "m", "embeddings": [[0.5, -2.0]], "prompt_eval_count": 1}
JSON = {"content-type": "application/json", "x-request-id": "req_1"}


class Person(openai.BaseModel):
    choices: Any = None


def client(kind: Any, content: bytes, headers: dict[str, str], **options: Any) -> Any:
    def reply(_: Any) -> Any:
        return HTTPX.Response(200, content=content, headers=headers)

    http = HTTPX.AsyncClient if issubclass(kind, openai.AsyncOpenAI) else HTTPX.Client
    made = http(transport=HTTPX.MockTransport(reply), verify=False)
    return kind(**{"api_key": "k", "max_retries": 0, "http_client": made, **options})


def ask(one: Any, **options: Any) -> Any:
    """What a call gives, as its class, its fields and its request's id; or the error that it raises."""
    create = one.chat.completions.create
    try:
        reply = create(model="m", messages=HI, **options)
        reply = asyncio.run(reply) if isinstance(one, openai.AsyncOpenAI) else reply
    except Exception as error:
        return type(error)
    return (type(reply), reply, getattr(reply, "_request_id", None)) if isinstance(reply, openai.BaseModel) else reply


CONTENTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "a completion": (TEXT.encode(), JSON),
    "without an id": (TEXT.encode(), {"content-type": "application/json; charset=utf-8"}),
    "said to be a text": (TEXT.encode(), {"content-type": "text/plain"}),
    "of no type": (TEXT.encode(), {}),
    "a byte order mark": (TEXT.encode("utf-8-sig"), JSON),
    "UTF-16": (TEXT.encode("utf-16"), JSON),
    "half a pair": (json.dumps(WHOLE).replace("Gr", "\\ud83d").encode(), JSON),
    "a key twice": (TEXT.replace('"model": "m"', '"model": "x", "model": "m"').encode(), JSON),
    "numbers": (TEXT.replace('"id"', '"n": [1e5, 0.1, -0.0, 12345678901234567890, NaN], "id"').encode(), JSON),
    "odd": (TEXT.replace('"stop"', '"unheard of"').encode(), JSON),
    "a list": (b"[1]", JSON),
    "null": (b"null", JSON),
    "no JSON": (b"<html>", {"content-type": "text/html"}),
    "broken JSON": (TEXT[:-2].encode(), JSON),
    "nothing": (b"", JSON),
    "deep": (b'{"choices": ' + b"[" * 150 + b"]" * 150 + b"}", JSON),
}
OPTIONS: dict[str, dict[str, Any]] = {"plain": {}, "strict": {"_strict_response_validation": True}}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("content", "headers"), CONTENTS.values(), ids=CONTENTS)
def test_the_same_object(content: bytes, headers: dict[str, str], options: dict[str, Any], asynchronous: bool) -> None:
    """And the same error, where the SDK raises one."""
    kinds = (AsyncOpenAI, openai.AsyncOpenAI) if asynchronous else (OpenAI, openai.OpenAI)
    ours = ask(client(kinds[0], content, headers, settings=Settings(), **options))
    theirs = ask(client(kinds[1], content, headers, **options))
    assert repr(ours) == repr(theirs)  # NaN is not equal to itself


# The SDK of November 2026 asks issubclass() of it, which Python 3.10 does not take: its own clients raise TypeError.
DICT = pytest.param(dict[str, Any], marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="the SDK raises"))


@pytest.mark.parametrize("cast_to", [object, DICT, Person, str], ids=str)
def test_other_types(cast_to: Any) -> None:
    ours, theirs = (
        one.post("/chat/completions", cast_to=cast_to, body={"model": "m", "messages": HI})
        for one in (
            client(OpenAI, TEXT.encode(), JSON, settings=Settings()),
            client(openai.OpenAI, TEXT.encode(), JSON),
        )
    )
    assert (type(ours), ours) == (type(theirs), theirs)


def test_a_reply_whose_value_was_parsed_is_the_callers() -> None:
    """`.parse()` has a parser of its own, and so have embeddings."""
    reply = client(OpenAI, TEXT.encode(), JSON, settings=Settings()).chat.completions.parse(model="m", messages=HI)
    assert type(reply).__name__.startswith("ParsedChatCompletion")
    assert reply._request_id == "req_1"


# --- natively, where the JSON is made here ---------------------------------------------------------------------------


def native(kind: Any = OpenAI, reply: Any = NATIVE) -> Any:
    clear_caches()
    settings = Settings(provider="ollama", host="http://ollama.test")
    return client(kind, json.dumps(reply).encode(), JSON, settings=settings, api_key=None)


@pytest.mark.parametrize(("kind", "response"), [(OpenAI, APIResponse), (AsyncOpenAI, AsyncAPIResponse)])
def test_a_native_reply_is_neither_written_nor_parsed_again(kind: Any, response: Any) -> None:
    with (
        mock.patch("llm_adapter.transport.held_reply.json_bytes") as written,
        mock.patch.object(response, "parse") as sdks,
    ):
        answer = ask(native(kind))
    assert answer[1].choices[0].message.content == "Hi"
    assert not written.called
    assert not sdks.called


def test_a_raw_response_has_its_bytes() -> None:
    raw = native().chat.completions.with_raw_response.create(model="m", messages=HI)
    assert raw.http_response.json()["choices"][0]["message"]["content"] == "Hi"
    assert int(raw.headers["content-length"]) == len(raw.content)
    assert raw.parse().choices[0].message.content == json.loads(raw.text)["choices"][0]["message"]["content"] == "Hi"


def test_a_streamed_response_has_its_bytes() -> None:
    with native().chat.completions.with_streaming_response.create(model="m", messages=HI) as response:
        read = b"".join(response.iter_bytes())
    assert json.loads(read)["choices"][0]["message"]["content"] == "Hi"


def test_strict_validation_reads_the_bytes() -> None:
    one = native().with_options()
    one._strict_response_validation = True
    assert ask(one)[1].choices[0].message.content == "Hi"


def test_the_type_of_another_call_is_made_of_the_bytes() -> None:
    body = {"model": "m", "messages": HI}
    assert json.loads(native().post("/chat/completions", cast_to=str, body=body))["object"] == "chat.completion"
    assert native().post("/chat/completions", cast_to=HTTPX.Response, body=body).json()["object"] == "chat.completion"


# --- embeddings ------------------------------------------------------------------------------------------------------


def test_embeddings_come_as_the_numbers_of_the_server() -> None:
    """Nobody asked for base64, in which the SDK asks for vectors to save bytes on the network."""
    with mock.patch("base64.b64encode") as encode:
        reply = native(reply=VECTORS).embeddings.create(model="m", input="a")
    assert reply.data[0].embedding == [0.5, -2.0]
    assert not encode.called


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_embeddings_in_base64(kind: Any) -> None:
    """As a text, where the caller says so."""
    reply = native(kind, VECTORS).embeddings.create(model="m", input="a", encoding_format="base64")
    reply = asyncio.run(reply) if kind is AsyncOpenAI else reply
    assert reply.data[0].embedding == "AAAAPwAAAMA="


def test_a_raw_response_of_embeddings_is_the_sdks() -> None:
    raw = native(reply=VECTORS).embeddings.with_raw_response.create(model="m", input="a")
    assert raw.http_response.json()["data"][0]["embedding"] == "AAAAPwAAAMA="
    assert raw.parse().data[0].embedding == [0.5, -2.0]
