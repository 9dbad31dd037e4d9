"""The persona `llamacpp` against the real thing: the same request gives the same status, type and shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from drivers import HTTPX
from test_fake_recorded import from_events, media_type, shape, shapes

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import Model, ServerRequest, Turn, answer, persona, reply
from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.turns import HELLO

pytest.importorskip("xllamacpp")

CHAT, TEXT, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HI = [{"role": "user", "content": "Count to 5"}]
CITIES = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
LONG = [{"role": "user", "content": "word " * 3000}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": CITY}},
]
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": ""}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "sunny"}
SAID = {"role": "assistant", "content": "1, 2"}
CITIES_CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
}
ITEM = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": ""}
SAID_ITEMS = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "1"}]}] * 2
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "sunny"}
MANY = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "array", "items": {"type": "integer"}, "maxItems": 2000}},
}
GREEDY: dict[str, Any] = {"model": "tiny", "temperature": 0}
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "messages that are no list": (CHAT, {"messages": "Hi"}),
    "a message without content": (CHAT, {"messages": [{"role": "user"}]}),
    "content that is no text": (CHAT, {"messages": [{"role": "user", "content": 5}]}),
    "a file": (CHAT, {"messages": [{"role": "user", "content": [{"type": "file"}]}]}),
    "sound": (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
    "a tool_choice": (CHAT, {"messages": HI, "tools": TOOLS, "tool_choice": "any"}),
    "a response_format": (CHAT, {"messages": HI, "response_format": {"type": "xml"}}),
    "top_logprobs alone": (CHAT, {"messages": HI, "top_logprobs": 2}),
    "a number": (CHAT, {"messages": HI, "temperature": "hot"}),
    "a flag": (CHAT, {"messages": HI, "stream": "yes"}),
    "a grammar beside tools": (CHAT, {"messages": HI, "tools": TOOLS, "grammar": 'root ::= "a"'}),
    "empty arguments in the history": (CHAT, {"messages": [*CITIES, CALLED, RESULT]}),
    "empty arguments among the items": ("/v1/responses", {"input": [*HI, ITEM, OUTPUT]}),
    "two replies at the end": (CHAT, {"messages": [*HI, SAID, SAID]}),
    "a call and a reply at the end": (CHAT, {"messages": [*CITIES, CITIES_CALLED, SAID]}),
    "too many items": (CHAT, {"messages": HI, "response_format": MANY}),
    "no prompt": (TEXT, {}),
    "a prompt that is null": (TEXT, {"prompt": None}),
    "no input": ("/v1/responses", {}),
    "an input that is no text": ("/v1/responses", {"input": 5}),
    "what came before": ("/v1/responses", {"input": "Hi", "previous_response_id": "resp_1"}),
    "too much input": ("/v1/responses", {"input": "word " * 3000}),
    "nothing to embed": (VECTORS, {}),
    "a list without inputs": (VECTORS, {"input": []}),
    "a number to embed": (VECTORS, {"input": 5}),
    "another encoding": (VECTORS, {"input": "a", "encoding_format": "hex"}),
}
CASES: dict[str, tuple[str, str, Any]] = {
    "chat": ("POST", CHAT, {**GREEDY, "messages": HI}),
    "cut": ("POST", CHAT, {**GREEDY, "messages": HI, "max_tokens": 3}),
    "stream": ("POST", CHAT, {**GREEDY, "messages": HI, "stream": True}),
    "stream with usage": ("POST", CHAT, {**GREEDY, "messages": HI, **STREAM}),
    "tools": ("POST", CHAT, {**GREEDY, "messages": CITIES, "tools": TOOLS}),
    "streamed tools": ("POST", CHAT, {**GREEDY, "messages": CITIES, "tools": TOOLS, **STREAM}),
    "a form beside tools": (
        "POST",
        CHAT,
        {**GREEDY, "messages": CITIES, "tools": TOOLS, "response_format": {"type": "json_object"}},
    ),
    "two choices": ("POST", CHAT, {**GREEDY, "messages": HI, "n": 2, "max_tokens": 3}),
    "a model it has not": ("POST", CHAT, {**GREEDY, "messages": HI, "model": "nope"}),
    "too long": ("POST", CHAT, {**GREEDY, "messages": LONG}),
    "too long, streamed": ("POST", CHAT, {**GREEDY, "messages": LONG, "stream": True}),
    "no messages": ("POST", CHAT, GREEDY),
    "an image": ("POST", CHAT, {**GREEDY, "messages": PICTURE}),
    "text": ("POST", TEXT, {**GREEDY, "prompt": "Count to 5", "max_tokens": 4}),
    "streamed text": ("POST", TEXT, {**GREEDY, "prompt": "Count to 5", "max_tokens": 4, **STREAM}),
    "response": ("POST", "/v1/responses", {**GREEDY, "input": "Count to 5"}),
    "two replies at the end of the items": ("POST", "/v1/responses", {**GREEDY, "input": [*HI, *SAID_ITEMS]}),
    "streamed response": ("POST", "/v1/responses", {**GREEDY, "input": "Count to 5", "stream": True}),
    "a vector": ("POST", VECTORS, {"model": "tiny-embed", "input": "a"}),
    "vectors": ("POST", VECTORS, {"model": "tiny-embed", "input": ["a", "b"], "encoding_format": "float"}),
    "log probabilities": (
        "POST",
        CHAT,
        {**GREEDY, "messages": HI, "logprobs": True, "top_logprobs": 1, "max_tokens": 3},
    ),
    "several texts": ("POST", TEXT, {**GREEDY, "prompt": ["a", "b"], "max_tokens": 2}),
    **{f"refused: {name}": ("POST", path, {**GREEDY, **body}) for name, (path, body) in REFUSED.items()},
    "models": ("GET", "/v1/models", None),
    "one model": ("GET", "/v1/models/tiny", None),
    "no such path": ("GET", "/v1/nope", None),
    "no such method": ("GET", CHAT, None),
    "health": ("GET", "/health", None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The embedded llama.cpp: `server(method, path, body)` asks it as any client would. It has a server of its own for
    embeddings, as an option of llama.cpp's makes one."""
    # llama.cpp ends a connection that is idle for five seconds, perhaps just when a slow machine asks on it again.
    anew = HTTPX.Limits(max_keepalive_connections=0)
    with OpenAI(settings=Settings(provider="embedded")) as client, HTTPX.Client(verify=False, limits=anew) as http:
        said = client.chat.completions.with_raw_response.create(model="tiny", messages=HI, max_tokens=1)  # type: ignore[arg-type]
        embedded = client.embeddings.with_raw_response.create(model="tiny-embed", input="a")
        requests = {CHAT: said.http_response.request, VECTORS: embedded.http_response.request}

        def ask(method: str, path: str, body: Any) -> Any:
            request = requests.get(path, requests[CHAT])
            url = f"http://127.0.0.1:{request.url.port}{path}"
            return http.request(method, url, json=body, headers={"authorization": request.headers["authorization"]})

        yield ask


def turn(text: str) -> Turn:
    if text.startswith("event:"):
        done = json.loads(text.split("event: response.completed\ndata: ")[1].split("\n")[0])
        return reply(done["response"])
    if text.startswith("data:"):
        datas = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        return from_events(datas)
    return reply(json.loads(text))


def played() -> Persona:
    tiny = Model("tiny-chat", frozenset({"completion", "tools"}))
    return persona("llamacpp", models=[tiny], context=2048)


@pytest.mark.parametrize("case", CASES)
def test_persona_answers_as_llamacpp_does(server: Any, case: str) -> None:
    method, path, body = CASES[case]
    real = server(method, path, body)
    spoken = turn(real.text) if real.status_code == 200 and method == "POST" else HELLO
    found = answer(played(), ServerRequest(method, path, body), spoken)
    assert (found.status, found.content_type) == (real.status_code, media_type(real.headers["content-type"]))
    kind = found.content_type or ""
    assert told(found.body.decode(), kind) == told(real.text, kind)


def told(body: str, kind: str) -> Any:
    """A shape, without the name of the build."""
    text = body.replace("b0-unknown", "").replace("b0-fake", "")
    return shapes(text, kind.partition(";")[0])


def test_shape_is_of_the_json() -> None:
    assert shape({"a": [1, 2], "object": "x"}) == {"a": ["number"], "object": "x"}
