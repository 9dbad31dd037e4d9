"""What each server does in its own way, as rows: a request on a persona, and what comes back. No socket is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai.types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import chat, responses
from test_layers import MODULES, WORLD, imported

from llm_adapter.testing import (
    PERSONAS,
    Answer,
    Model,
    ServerRequest,
    Turn,
    answer,
    embedding,
    error,
    persona,
    serving,
    text,
    thinking,
    tool_calls,
)
from llm_adapter.testing.personas import after
from llm_adapter.testing.personas.persona import Check, Persona

V1 = ("openai", "ollama@0.24", "ollama@0.32", "llamacpp", "vllm", "lmstudio")
OLLAMA = ("ollama@0.24", "ollama@0.32")
CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
LONG = [{"role": "user", "content": "word " * 400}]
PNG = "data:image/png;base64,aGk="
MODELS = {
    "chat": ["completion", "tools", "thinking", "vision"],
    "bare": ["completion"],
    "embed": ["embedding"],
}


def server(name: str, **options: Any) -> Persona:
    return persona(name, **{"models": MODELS, **options})


def ask(name: str, path: str, said: Turn | None = None, *, options: Any = None, **body: Any) -> Answer:
    """A call of the model `chat` on a persona; 100 tokens are its context."""
    body = {"model": "chat", **({"messages": HI} if path in (CHAT, "/api/chat") else {}), **body}
    if path.startswith("/api"):
        body = {"stream": False, **({"options": options} if options else {}), **body}
    return answer(
        server(name, context=100), ServerRequest("POST", path, body), said or text("one two three four five six")
    )


def said(found: Answer) -> str:
    """The text of a chat reply, of either API."""
    content = json.loads(found.body)
    message = content["choices"][0]["message"] if "choices" in content else content["message"]
    return message["content"] or ""


def told(found: Answer) -> tuple[Any, ...]:
    """The status of an error, its message, and what names it."""
    wrong = json.loads(found.body)["error"]
    if isinstance(wrong, str):
        return found.status, wrong
    return found.status, wrong["message"], wrong.get("type"), wrong.get("param"), wrong.get("code")


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", V1)
def test_max_tokens_cuts_a_reply(name: str) -> None:
    found = ask(name, CHAT, max_tokens=2)
    assert said(found) == "one two"
    assert json.loads(found.body)["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("name", V1)
def test_max_completion_tokens_is_nothing_to_ollama(name: str) -> None:
    """Its /v1 writes on and on."""
    whole = "one two three four five six"
    assert said(ask(name, CHAT, max_completion_tokens=2)) == (whole if name in OLLAMA else "one two")


@pytest.mark.parametrize("name", OLLAMA)
def test_num_predict_and_stop_natively(name: str) -> None:
    assert said(ask(name, "/api/chat", options={"num_predict": 2})) == "one two"
    assert said(ask(name, "/api/chat", options={"stop": [" three"]})) == "one two"


@pytest.mark.parametrize("name", V1)
def test_stop(name: str) -> None:
    assert said(ask(name, CHAT, stop=[" four", " two"])) == "one"


@pytest.mark.parametrize("name", V1)
@pytest.mark.parametrize("stop", ["", [""]], ids=["text", "list"])
def test_an_empty_stop(stop: Any, name: str) -> None:
    """It is found at once, in any reply; vLLM refuses it."""
    found = ask(name, CHAT, stop=stop)
    if name == "vllm":
        assert found.status == 400
    else:
        assert said(found) == ("one two three four five six" if name == "openai" else "")


@pytest.mark.parametrize("name", V1)
def test_n(name: str) -> None:
    """Ollama drops it; LM Studio does not list it."""
    found = json.loads(ask(name, CHAT, n=2).body)
    assert len(found["choices"]) == (2 if name in ("openai", "llamacpp", "vllm") else 1)


@pytest.mark.parametrize("name", [*OLLAMA, "llamacpp", "vllm", "lmstudio"])
def test_what_is_not_known_is_dropped_without_a_word(name: str) -> None:
    """Nothing is told: not in the status, and not in the reply."""
    assert ask(name, CHAT, keep_alive="1h", tool_choice="none", num_ctx=8, logit_bias={"1": 5}).status == 200


UNKNOWN = "Unrecognized request argument supplied: keep_alive"


def test_openai_refuses_what_it_does_not_know() -> None:
    """The way back is the stricter one."""
    assert told(ask("openai", CHAT, keep_alive="1h")) == (400, UNKNOWN, "invalid_request_error", None, None)


def test_openai_wants_a_key() -> None:
    found = answer(server("openai"), ServerRequest("GET", "/v1/models", authorized=False))
    status, words, *named = told(found)
    assert (status, named) == (401, ["invalid_request_error", None, None])
    assert words.startswith("You didn't provide an API key.")


@pytest.mark.parametrize("name", V1)
@pytest.mark.parametrize("given", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "x"}}])
def test_nothing_is_enforced(name: str, given: Any) -> None:
    """A text that is not JSON comes all the same. LM Studio wants a schema."""
    asking = [{"role": "user", "content": "JSON, please"}]
    given = given if "json_schema" not in given else {**given, "json_schema": {"name": "x", "schema": {}}}
    found = ask(name, CHAT, messages=asking, response_format=given)
    refused = name == "lmstudio" and given["type"] == "json_object"
    assert found.status == (400 if refused else 200)
    assert not refused or told(found) == (400, "'response_format.type' must be 'json_schema' or 'text'")


# --- thoughts --------------------------------------------------------------------------------------------------------

SPELLINGS = {
    "openai": None,
    "ollama@0.24": "reasoning",
    "ollama@0.32": "reasoning",
    "llamacpp": "reasoning_content",
    "vllm": "reasoning",
    "lmstudio": "reasoning_content",
}


@pytest.mark.parametrize(("name", "field"), SPELLINGS.items())
def test_how_thoughts_are_called(name: str, field: str | None) -> None:
    """Each server has a field of its own for them; OpenAI shows none."""
    message = json.loads(ask(name, CHAT, thinking("hm", "yes")).body)["choices"][0]["message"]
    shown = [one for one in ("reasoning", "reasoning_content", "thinking") if message.get(one)]
    assert shown == ([field] if field else [])


@pytest.mark.parametrize("name", OLLAMA)
def test_thinking_is_on_until_it_is_turned_off(name: str) -> None:
    """Natively by `think`, on /v1 by an effort of none alone."""
    turn = thinking("hm", "yes")
    assert "thinking" in json.loads(ask(name, "/api/chat", turn).body)["message"]
    assert "thinking" not in json.loads(ask(name, "/api/chat", turn, think=False).body)["message"]
    assert b"hm" in ask(name, CHAT, turn, think=False).body
    assert b"hm" not in ask(name, CHAT, turn, reasoning_effort="none").body


# --- refusals, in everyone's words -----------------------------------------------------------------------------------

PARTS = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
LINKED = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]
GIF = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/gif;base64,aGk="}}]}]
FILE = [{"role": "user", "content": [{"type": "file", "file": {}}]}]
SEEN = [{"role": "user", "content": "Hi", "images": ["aGk="]}]
INVALID, ENVELOPE = "invalid_request_error", ("invalid_request_error", None, None)
NO_URLS = "image URLs are not currently supported, please use base64 encoded data instead"
LISTED = "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"
BLIND = "Multimodal data provided, but model does not support multimodal requests."
JINJA = {"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}
MULTI = {"error": {"code": 400, "message": BLIND, "type": INVALID}}
DENSE: Any = {"separators": (",", ":")}
GONE = "The model `nope` does not exist or you do not have access to it."

REFUSED: dict[str, tuple[Any, str, dict[str, Any], tuple[Any, ...]]] = {
    "missing, openai": ("openai", CHAT, {"model": "nope"}, (404, GONE, INVALID, None, "model_not_found")),
    "missing, vllm": (
        "vllm",
        CHAT,
        {"model": "nope"},
        (404, "The model `nope` does not exist.", "NotFoundError", "model", 404),
    ),
    "missing, lmstudio": (
        "lmstudio",
        CHAT,
        {"model": "nope"},
        (404, 'Failed to load model "nope". Error: Model does not exist.', INVALID, "model", "model_not_found"),
    ),
    "missing, /v1": (OLLAMA, CHAT, {"model": "nope"}, (404, "model 'nope' not found", "not_found_error", None, None)),
    "missing, natively": (OLLAMA, "/api/generate", {"model": "nope"}, (404, "model 'nope' not found")),
    "no chat, natively": (OLLAMA, "/api/chat", {"model": "embed"}, (400, '"embed" does not support chat')),
    "no tools, 0.24": (
        "ollama@0.24",
        "/api/chat",
        {"model": "bare", "tools": TOOLS},
        (400, "registry.ollama.ai/library/bare:latest does not support tools"),
    ),
    "no tools, 0.32": (
        "ollama@0.32",
        "/api/chat",
        {"model": "bare", "tools": TOOLS},
        (500, json.dumps(JINJA, **DENSE)),
    ),
    "no eyes, 0.32": (
        "ollama@0.32",
        "/api/chat",
        {"model": "bare", "messages": SEEN},
        (400, json.dumps(MULTI, **DENSE)),
    ),
    "no thoughts": (OLLAMA, "/api/chat", {"model": "bare", "think": True}, (400, '"bare" does not support thinking')),
    "an image by its address": (OLLAMA, CHAT, {"messages": LINKED}, (400, NO_URLS, *ENVELOPE)),
    "an image of another kind": (OLLAMA, CHAT, {"messages": GIF}, (400, "invalid image input", *ENVELOPE)),
    "a file": (OLLAMA, CHAT, {"messages": FILE}, (400, "invalid message format", *ENVELOPE)),
    "no messages": (OLLAMA, CHAT, {"messages": []}, (400, "[] is too short - 'messages'", *ENVELOPE)),
    "parts, natively": (OLLAMA, "/api/chat", {"messages": PARTS}, (400, LISTED)),
    "a number without a unit": (
        OLLAMA,
        "/api/chat",
        {"keep_alive": "300"},
        (400, 'time: missing unit in duration "300"'),
    ),
    "an option of another type": (
        OLLAMA,
        "/api/chat",
        {"options": {"stop": "x"}},
        (500, 'option "stop" must be of type array'),
    ),
    "token ids, natively": (OLLAMA, "/api/embed", {"input": [1, 2]}, (400, "invalid input type")),
    "token ids, /v1": (OLLAMA, "/v1/embeddings", {"input": [[1]]}, (400, "invalid input type", *ENVELOPE)),
    "token ids, lmstudio": (
        "lmstudio",
        "/v1/embeddings",
        {"input": [1, 2]},
        (400, "'input' field must be a string or an array of strings"),
    ),
}
ROWS = [
    pytest.param(name, path, body, expected, id=f"{case}-{name}")
    for case, (names, path, body, expected) in REFUSED.items()
    for name in ([names] if isinstance(names, str) else names)
]


@pytest.mark.parametrize(("name", "path", "body", "expected"), ROWS)
def test_refusals(name: str, path: str, body: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert told(ask(name, path, **body)) == expected


@pytest.mark.parametrize("name", ["openai", "vllm", "llamacpp"])
def test_token_ids_are_taken_elsewhere(name: str) -> None:
    """Only Ollama and LM Studio refuse them."""
    assert ask(name, "/v1/embeddings", embedding([1.0, 0.0]), input=[[1, 2], [3]]).status == 200


def test_ollama_24_does_not_see_and_says_nothing() -> None:
    """An image to a model without eyes is ignored."""
    assert ask("ollama@0.24", "/api/chat", model="bare", messages=SEEN).status == 200


@pytest.mark.parametrize("name", ["llamacpp", "lmstudio"])
def test_one_model_answers_to_any_name(name: str) -> None:
    found = answer(persona(name, models=["one"]), ServerRequest("POST", CHAT, {"model": "nope", "messages": HI}))
    assert found.status == 200
    assert json.loads(found.body)["model"] == ("one" if name == "llamacpp" else "nope")


# --- a prompt that is too long ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OLLAMA)
@pytest.mark.parametrize("path", [CHAT, "/api/chat"])
def test_ollama_cuts_it_in_silence(name: str, path: str) -> None:
    """Nothing tells, but a prompt's count that equals the context."""
    found = json.loads(ask(name, path, messages=LONG).body)
    assert (found["usage"]["prompt_tokens"] if path == CHAT else found["prompt_eval_count"]) == 100


@pytest.mark.parametrize("name", OLLAMA)
def test_num_ctx_makes_room(name: str) -> None:
    found = json.loads(ask(name, "/api/chat", messages=LONG, options={"num_ctx": 8192}, truncate=False).body)
    assert found["prompt_eval_count"] > 400


TOO_LONG = {
    "ollama@0.24": (400, "the input length exceeds the context length"),
    "openai": (
        400,
        "This model's maximum context length is 100 tokens.",
        INVALID,
        "messages",
        "context_length_exceeded",
    ),
    "llamacpp": (400, "request (", "exceed_context_size_error", None, 400),
    "vllm": (400, "This model's maximum context length is 100 tokens.", "BadRequestError", None, 400),
    "lmstudio": (400, "Trying to keep the first "),
}


@pytest.mark.parametrize(("name", "expected"), TOO_LONG.items())
def test_everyone_else_refuses_it(name: str, expected: tuple[Any, ...]) -> None:
    path, more = ("/api/chat", {"truncate": False}) if name in OLLAMA else (CHAT, {})
    found = told(ask(name, path, messages=LONG, **more))
    assert found[1].startswith(expected[1])
    assert (found[0], *found[2:]) == (expected[0], *expected[2:])


def test_ollama_32_has_the_numbers_inside_its_text() -> None:
    """The error of llama.cpp's server as JSON in the string of Ollama's own."""
    status, words = told(ask("ollama@0.32", "/api/chat", messages=LONG, truncate=False))
    inner = json.loads(words)["error"]
    assert (status, inner["type"], inner["n_ctx"]) == (400, "exceed_context_size_error", 100)
    assert inner["n_prompt_tokens"] > 400
    outer = json.loads(ask("llamacpp", CHAT, messages=LONG).body)["error"]
    assert (outer["n_prompt_tokens"], outer["n_ctx"]) == (inner["n_prompt_tokens"], 100)


# --- arguments of calls ----------------------------------------------------------------------------------------------

ARGUMENTS = {'{"a": "<b>"}': r'{"a":"\u003cb\u003e"}', '{"a":': "{}", "[1]": "{}", '{"ü": 1}': '{"ü":1}'}


@pytest.mark.parametrize("name", OLLAMA)
@pytest.mark.parametrize("written", ARGUMENTS)
def test_ollama_writes_arguments_anew(name: str, written: str) -> None:
    """As Go does: without white space, always an object. Elsewhere they are what the model wrote."""
    turn = tool_calls(("f", written))
    [call] = json.loads(ask(name, CHAT, turn).body)["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == ARGUMENTS[written]
    streamed = [part for one in chunks(ask(name, CHAT, turn, stream=True)) for part in one["choices"]]
    found = [call for part in streamed for call in part["delta"].get("tool_calls") or ()]
    assert [call["function"]["arguments"] for call in found] == [ARGUMENTS[written]]
    [other] = json.loads(ask("vllm", CHAT, turn).body)["choices"][0]["message"]["tool_calls"]
    assert other["function"]["arguments"] == written


# --- failures in streams ---------------------------------------------------------------------------------------------

PROMPTS = {"/v1/responses": {"input": "Hi"}, "/api/generate": {"prompt": "Hi"}}
TAILS = {
    ("openai", CHAT): b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":null}}\n\n',
    ("ollama@0.32", "/api/chat"): b'{"error":"boom"}\n',
    ("ollama@0.24", "/api/generate"): b'{"error":"boom"}\n',
    ("ollama@0.32", CHAT): b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}\n\n',
    ("llamacpp", CHAT): b'data: {"error":{"code":500,"message":"boom","type":"server_error"}}\n\n',
    ("vllm", CHAT): b'"type":"InternalServerError","param":null,"code":500}}\n\ndata: [DONE]\n\n',
    ("lmstudio", CHAT): b'event: error\ndata: {"error":{"message":"boom"}}\n\n',
    ("openai", "/v1/responses"): b'"message":"boom","param":null,"sequence_number":0}\n\n',
}


@pytest.mark.parametrize(("where", "tail"), TAILS.items(), ids=map(str, TAILS))
def test_how_a_stream_fails(where: tuple[str, str], tail: bytes) -> None:
    """Each server breaks off in a way of its own."""
    turn = error(500, "boom", mid_stream=True, after=1, turn=text("one two"))
    name, path = where
    found = ask(name, path, turn, stream=True, **({} if "chat" in path else PROMPTS[path]))
    assert found.status == 200
    assert b"one" in found.body
    assert b" two" not in found.body
    assert found.body.endswith(tail)


# --- the SDK's own types ---------------------------------------------------------------------------------------------

TURNS = {
    "text": text("one two"),
    "thoughts": thinking("hm", "one"),
    "calls": tool_calls(("f", {"a": 1}), ("g", "{}")),
    "both": tool_calls(("f", {}), content="one"),
    "cut": text("one", finish="length"),
    "nothing": text(""),
}
STRICT = ("openai", "llamacpp", "vllm", "lmstudio")


def chunks(found: Answer) -> Iterator[Any]:
    for piece in found.pieces:
        data = piece.data.decode().rpartition("data: ")[2].strip()
        if data != "[DONE]":
            yield json.loads(data)


@pytest.mark.parametrize("name", V1)
@pytest.mark.parametrize("turn", TURNS)
def test_every_object_is_of_the_sdks_type(name: str, turn: str) -> None:
    """Strictly: a missing or a wrong field is an error. Calls of tools have an index on Ollama, as they do there."""
    more = {"stream_options": {"include_usage": True}, "stream": True}
    chat.ChatCompletion.model_validate(json.loads(ask(name, CHAT, TURNS[turn]).body))
    for chunk in chunks(ask(name, CHAT, TURNS[turn], **more)):
        chat.ChatCompletionChunk.model_validate(chunk)
    openai.types.Completion.model_validate(json.loads(ask(name, "/v1/completions", text("a"), prompt="Hi").body))
    for chunk in chunks(ask(name, "/v1/completions", text("a b"), prompt="Hi", **more)):
        for choice in chunk["choices"]:
            choice["finish_reason"] = (
                choice["finish_reason"] or "stop"
            )  # the SDK has no type for a streamed text's null
        openai.types.Completion.model_validate(chunk)


@pytest.mark.parametrize("name", V1)
def test_vectors_and_models_are_of_the_sdks_types(name: str) -> None:
    found = json.loads(ask(name, "/v1/embeddings", embedding([0.5, 0.5]), model="embed", input=["a", "b"]).body)
    vectors = openai.types.CreateEmbeddingResponse.model_validate(found)
    assert [one.embedding for one in vectors.data] == [[0.5, 0.5]] * 2
    listed = json.loads(answer(server(name), ServerRequest("GET", "/v1/models")).body)
    for one in listed["data"]:
        openai.types.Model.model_validate(one if name != "lmstudio" else {**one, "created": 0})  # it has none


@pytest.mark.parametrize("name", ["openai", "vllm", "lmstudio"])
@pytest.mark.parametrize("turn", TURNS)
def test_responses_are_of_the_sdks_type(name: str, turn: str) -> None:
    """Ollama's and llama.cpp's are not: they lack what they do not know, as the recordings and the real server do."""
    found = responses.Response.model_validate(json.loads(ask(name, "/v1/responses", TURNS[turn], input="Hi").body))
    assert found.output_text == TURNS[turn].content
    streamed = ask(name, "/v1/responses", TURNS[turn], input="Hi", stream=True)
    kinds = [one["type"] for one in chunks(streamed)]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    for one in chunks(streamed):
        EVENTS.validate_python(one)


def _events() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(responses.ResponseStreamEvent)


EVENTS = _events()

# --- models, and what is in memory -----------------------------------------------------------------------------------


def follow(server: Persona, *asked: ServerRequest) -> Persona:
    for one in asked:
        server = after(server, one, answer(server, one))
    return server


def running(server: Persona, time: float) -> Any:
    return json.loads(answer(server, ServerRequest("GET", "/api/ps", time=time)).body)["models"]


@pytest.mark.parametrize(
    ("keep_alive", "until"),
    [(None, "22:18"), ("1h30m", "23:43"), (60, "22:14"), (-1, None), ("24h", "22:13")],
)
def test_keep_alive(keep_alive: Any, until: str | None) -> None:
    """What a call sets, /api/ps tells; a negative one is for ever."""
    body = {"model": "chat", "messages": HI, **({} if keep_alive is None else {"keep_alive": keep_alive})}
    [model] = running(follow(server("ollama@0.32"), ServerRequest("POST", "/api/chat", body)), 1_700_000_000)
    assert model["name"] == "chat:latest"
    assert model["expires_at"][:4] == "2318" if until is None else model["expires_at"][11:16] == until


def test_v1_leaves_the_keep_alive_of_a_loaded_model() -> None:
    warm = ServerRequest("POST", "/api/chat", {"model": "chat", "messages": [], "keep_alive": "24h"})
    again = ServerRequest("POST", CHAT, {"model": "chat", "messages": HI, "keep_alive": "1m"})
    [model] = running(follow(server("ollama@0.32"), warm, again), 1_700_000_000)
    assert model["expires_at"].startswith("2023-11-15T22:13")


@pytest.mark.parametrize("name", OLLAMA)
def test_a_model_is_pulled_copied_and_deleted(name: str) -> None:
    shop = server(name, library=["new"])
    pull = ServerRequest("POST", "/api/pull", {"model": "new"})
    lines = [json.loads(line) for line in answer(shop, pull).body.splitlines()]
    assert [line["status"].partition(" ")[0] for line in lines] == ["pulling"] * 4 + ["verifying", "writing", "success"]
    shop = follow(shop, pull, ServerRequest("POST", "/api/copy", {"source": "new", "destination": "other"}))
    shop = follow(shop, ServerRequest("DELETE", "/api/delete", {"model": "new"}))
    assert [model.name for model in shop.models or ()] == [*MODELS, "other"]


@pytest.mark.parametrize("stream", [True, False])
def test_pulling_what_the_library_has_not(stream: bool) -> None:
    found = answer(server("ollama@0.32"), ServerRequest("POST", "/api/pull", {"model": "nope", "stream": stream}))
    assert found.status == (200 if stream else 500)
    assert json.loads(found.body.splitlines()[-1]) == {"error": "pull model manifest: file does not exist"}


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("openai", 404, b"Invalid URL (GET /v1/nope)"),
        ("ollama@0.32", 404, b"404 page not found"),
        ("llamacpp", 404, b"File Not Found"),
        ("vllm", 404, b"Not Found"),
        ("lmstudio", 200, b"Unexpected endpoint or method. (GET /v1/nope)"),
    ],
)
def test_unknown_paths(name: str, status: int, body: bytes) -> None:
    found = answer(persona(name), ServerRequest("GET", "/v1/nope"))
    assert found.status == status
    assert body in found.body


def test_ollama_runs() -> None:
    assert answer(persona("ollama@0.32"), ServerRequest("GET", "/")).body == b"Ollama is running"


def test_unknown_personas() -> None:
    with pytest.raises(ValueError, match=r"unknown persona 'gpt': .*ollama@0\.32"):
        persona("gpt")


def test_every_check_has_its_source() -> None:
    """A quirk that nobody has seen is not one."""
    checks = [
        check
        for one in PERSONAS.values()
        for paths in one.routes.values()
        for way in paths.values()
        for check in way.checks
    ]
    assert len({check.name for check in checks}) > 25
    assert all(isinstance(check, Check) and check.source and check.name for check in checks)


PURE_FAKES = tuple(f"llm_adapter.testing.{name}" for name in ("personas", "turns"))


def test_the_core_is_pure() -> None:
    """No clock, no dice, no HTTP: two drivers carry its bytes, and a replay gives the same ones."""
    core = [module for module in MODULES if module.startswith(PURE_FAKES)]
    assert len(core) > 10
    assert {module: wrong for module in core if (wrong := imported(module) & WORLD)} == {}


def test_capabilities_by_name() -> None:
    """Without a list of models, those embed whose names say so."""
    shown = answer(persona("ollama@0.32"), ServerRequest("POST", "/api/show", {"model": "nomic-embed-text"}))
    assert json.loads(shown.body)["capabilities"] == ["embedding"]
    assert Model("hf.co/a/b").tagged == "hf.co/a/b:latest"


# --- anything at all -------------------------------------------------------------------------------------------------


def near(inner: Any) -> Any:
    """Lists and objects that look like parts of a request."""
    names = st.sampled_from(
        ("role", "content", "type", "tool_calls", "function", "image_url", "url", "num_ctx", "effort")
    )
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 2) | st.text(max_size=5), near, max_leaves=6
)
FIELDS = ("messages", "prompt", "input", "stream", "stream_options", "options", "tools", "stop", "n", "max_tokens")
MORE = (
    "logprobs",
    "top_logprobs",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "think",
    "keep_alive",
    "dimensions",
)
WAYS = [(name, path) for name, one in PERSONAS.items() for path, ways in one.routes.items() if "POST" in ways]


@given(way=st.sampled_from(WAYS), body=st.dictionaries(st.sampled_from((*FIELDS, *MORE)), VALUE) | VALUE)
@settings(max_examples=100)
def test_any_body_has_an_answer(way: tuple[str, str], body: Any) -> None:
    """A server does not fall over a request that is wrong."""
    name, path = way
    body = {"model": "chat", **body} if isinstance(body, dict) else body
    found = answer(server(name), ServerRequest("POST", path, body))
    assert 200 <= found.status < 600
    after(server(name), ServerRequest("POST", path, body), found)


def test_openais_replies_have_an_id_for_support() -> None:
    """`reply._request_id` and `error.request_id`; a local server gives none."""
    with serving("openai") as fake, openai.OpenAI(base_url=fake.base_url, api_key="k") as client:
        assert client.chat.completions.create(model="gpt-4o", messages=list(HI))._request_id == "req_fake000001"
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=[])
        assert caught.value.request_id == "req_fake000002"
    with serving("llamacpp") as fake, openai.OpenAI(base_url=fake.base_url, api_key="k") as client:
        assert client.chat.completions.create(model="m", messages=HI)._request_id is None
