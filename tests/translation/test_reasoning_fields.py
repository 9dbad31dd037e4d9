"""`reasoning_fields`: under which keys what a model thought is in replies, whichever server thought it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, mode

from llm_adapter import Call, NativeRequest, OpenAI, Settings
from llm_adapter.testing import thinking
from llm_adapter.testing.fake import serving as fake

MODEL = "qwen3:8b"
HI: Any = [{"role": "user", "content": "Hi"}]
KEYS = ("reasoning", "reasoning_content")
WANTED = {"both": {*KEYS}, "reasoning": {"reasoning"}, "reasoning_content": {"reasoning_content"}, "none": set()}
SERVERS = ["ollama@0.32", "llamacpp", "vllm"]


def keys(part: Any) -> set[str]:
    return {key for key in part.model_dump(exclude_unset=True) if key in KEYS}


@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize("fields", WANTED)
@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
def test_whole_streamed_and_raw(play: Play, server_name: str, fields: str) -> None:
    def script(client: Any) -> Any:
        whole = yield client.chat.completions.create(model=MODEL, messages=HI)
        stream = yield client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        chunks = yield every(stream)
        raw = yield client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
        return whole, chunks, json.loads(raw.http_response.content)

    with fake(server_name) as server:
        server.script(thinking("Hm, so.", "Paris"), repeat=True)
        whole, chunks, raw = play(script, settings=server.settings(reasoning_fields=fields), api_key="k")
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert keys(whole.choices[0].message) == WANTED[fields]
    assert set().union(*map(keys, deltas)) == WANTED[fields]
    assert raw["choices"][0]["message"].keys() & {*KEYS} == WANTED[fields]
    for key in WANTED[fields]:
        assert getattr(whole.choices[0].message, key) == "Hm, so."
        assert "".join(getattr(delta, key, None) or "" for delta in deltas) == "Hm, so."
    assert whole.choices[0].message.content == "".join(delta.content or "" for delta in deltas) == "Paris"


@pytest.mark.parametrize(("fields", "kinds"), [("reasoning", ["reasoning", "message"]), ("none", ["message"])])
def test_responses(fields: str, kinds: list[str]) -> None:
    """Items of reasoning are OpenAI's own form: they stay, but where the text is to be in no reply."""
    with fake("ollama@0.32") as server, server.client(settings=server.settings(reasoning_fields=fields)) as client:
        server.script(thinking("Hm.", "Paris"), repeat=True)
        whole = client.responses.create(model=MODEL, input="Hi")
        events = list(client.responses.create(model=MODEL, input="Hi", stream=True))
    assert [item.type for item in whole.output] == kinds
    assert any("reasoning" in event.type for event in events) == ("reasoning" in kinds)
    assert whole.output_text == "Paris"


def test_several_choices() -> None:
    """Streams that come one after the other are one stream to the caller."""
    with fake("ollama@0.32") as server, server.client(settings=server.settings(reasoning_fields="reasoning")) as client:
        server.script(thinking("Hm.", "Paris"), repeat=True)
        chunks = list(client.chat.completions.create(model=MODEL, messages=HI, n=2, stream=True))
    thoughts = ["", ""]
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        thoughts[choice.index] += getattr(choice.delta, "reasoning", "")
        assert not hasattr(choice.delta, "reasoning_content")
    assert thoughts == ["Hm.", "Hm."]


class Own:
    """A provider of one's own, whose decoder gives bytes."""

    name = "own"

    def base_url(self, settings: Any) -> str:
        return "http://own.test/v1"

    def endpoint(self, method: str, path: str) -> Any:
        def flow(call: Call) -> Any:
            yield NativeRequest("POST", "own", {}, stream=True)
            return self

        return flow

    def feed(self, data: bytes) -> bytes:
        return b'data: {"id":"1","choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]}\r\n\r\n'

    def finish(self) -> bytes:
        return b"data: [DONE]\n\n"


@pytest.mark.parametrize("fields", WANTED)
def test_a_provider_of_ones_own(fields: str) -> None:
    def respond(request: Any) -> Any:
        return HTTPX.Response(200, content=b"x")

    settings = Settings(provider=Own(), reasoning_fields=fields)  # type: ignore[arg-type]
    with OpenAI(settings=settings, http_client=SYNC_AND_ASYNC[0].http(respond)) as client:
        (chunk, *_) = client.chat.completions.create(model=MODEL, messages=HI, stream=True)
    assert keys(chunk.choices[0].delta) == (WANTED[fields] if fields != "both" else {"reasoning_content"})
