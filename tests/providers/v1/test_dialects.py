"""Servers that speak /v1 and are not OpenAI: what leaves for each, how one is recognised, what its errors become."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import respx
from conftest import HI, Server
from drivers import SYNC_AND_ASYNC, Play, every, mode

from llm_adapter import AdapterWarning, Settings
from llm_adapter.providers.v1.dialects import DIALECTS, OTHER, guessed, recognised
from llm_adapter.translation.process_cache import clear_caches

CHAT = "/chat/completions"
ASK = {"model": "m", "messages": HI}
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}
_names = (f"http://server-{number}.test/v1" for number in itertools.count())


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def nothing_warned() -> None:
    """As in a new process: no warning has been given yet."""
    clear_caches()


@pytest.fixture
def root() -> str:
    """The address of a server that nobody has asked before."""
    return next(_names)


@pytest.fixture
def server(root: str) -> Iterator[Server]:
    with respx.mock(assert_all_called=False) as router:
        server = Server(router, root)
        server.answer(CHAT, body=REPLY)
        yield server


def create(**more: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**{**ASK, **more}))

    return script


def paths(server: Server) -> list[tuple[str, str]]:
    return [(call.request.method, call.request.url.path) for call in server._router.calls]


# --- what leaves ------------------------------------------------------------------------------------------------------

DEVELOPER = [{"role": "developer", "content": "Be brief."}, *HI]
SYSTEM = [{"role": "system", "content": "Be brief."}, *HI]
ASKED = {"max_completion_tokens": 5, "messages": DEVELOPER}
SENT = {
    "openai": {"max_completion_tokens": 5, "messages": DEVELOPER},
    "ollama": {"max_tokens": 5, "messages": SYSTEM},
    "llamacpp": {"max_tokens": 5, "messages": SYSTEM},
    "vllm": {"max_completion_tokens": 5, "messages": SYSTEM},
    "lmstudio": {"max_tokens": 5, "messages": SYSTEM},
}
CALLED = [{"id": "c", "type": "function", "function": {"name": "b", "arguments": "{}"}}]


def test_every_dialect_is_in_the_table() -> None:
    assert {*SENT, OTHER.name} == DIALECTS.keys()


@pytest.mark.parametrize(("dialect", "sent"), SENT.items(), ids=SENT)
def test_renamed(play: Play, server: Server, root: str, dialect: Any, sent: dict[str, Any]) -> None:
    """OpenAI's newer words in the server's own."""
    play(create(**ASKED), settings=Settings(base_url=root, dialect=dialect))
    assert server.sent == {"model": "m", **sent}


EXTRAS = {"keep_alive": "1h", "options": {"top_k": 20}, "top_k": 20, "min_p": 0.1, "repeat_penalty": 1.1}
UNDERSTOOD = {
    "openai": set(),
    "ollama": set(),
    "llamacpp": {"top_k", "min_p", "repeat_penalty"},
    "vllm": {"top_k", "min_p"},
    "lmstudio": {"top_k", "repeat_penalty"},
}


@pytest.mark.parametrize(("dialect", "understood"), UNDERSTOOD.items(), ids=UNDERSTOOD)
def test_stripped(play: Play, server: Server, root: str, dialect: Any, understood: set[str]) -> None:
    """What only Ollama knows is left out where it would be refused, and the warning names all of it."""
    settings = Settings(base_url=root, dialect=dialect)
    if dialect == "ollama":  # said to the native API
        understood = {"keep_alive"}
        server._router.post(root.replace("/v1", "/api/generate")).respond(json={"done": True})
    with pytest.warns(AdapterWarning) as warned:
        play(create(extra_body=EXTRAS), settings=settings)
    assert server.sent.keys() == {"model", "messages"} | understood - {"keep_alive"}
    assert {name for name in EXTRAS if f"`{name}`" in str(warned[0].message)} == EXTRAS.keys() - understood


def test_stripped_with_one_warning(play: Play, server: Server, root: str) -> None:
    """A call site in a loop warns once; other parameters warn again."""

    def script(client: Any) -> Any:
        for _ in range(3):
            yield client.chat.completions.create(**ASK, extra_body={"keep_alive": "1h"})
        yield client.chat.completions.create(**ASK, extra_body={"num_ctx": 8})

    with pytest.warns(AdapterWarning) as warned:
        play(script, settings=Settings(base_url=root, dialect="openai"))
    assert len(warned) == 2


@pytest.mark.parametrize("root", ["https://api.openai.com/v1"])
def test_stripped_for_openai_itself(play: Play, server: Server, root: str) -> None:
    """With nothing configured but a key, too: OpenAI answers 400 to a parameter that it does not know."""
    with pytest.warns(AdapterWarning, match="`keep_alive`"):
        play(create(extra_body={"keep_alive": "1h", "seed": 1}), settings=Settings(), api_key="sk-test")
    assert server.sent == {**ASK, "seed": 1}


TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("a", "b")]
NAMED = {"type": "function", "function": {"name": "b"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
CHOICES = {
    "auto": ("auto", {"tools": TOOLS, "tool_choice": "auto"}),
    "required": ("required", {"tools": TOOLS, "tool_choice": "required"}),
    "none": ("none", {}),
    "named": (NAMED, {"tools": [TOOLS[1]], "tool_choice": "required", "parallel_tool_calls": False}),
    "allowed": (ALLOWED, {"tools": [TOOLS[1]], "tool_choice": "required"}),
}


@pytest.mark.parametrize(("choice", "sent"), CHOICES.values(), ids=CHOICES)
def test_tool_choice_on_llamacpp(play: Play, server: Server, root: str, choice: Any, sent: dict[str, Any]) -> None:
    """llama.cpp reads a named tool as "auto": it is offered alone instead."""
    server.answer(CHAT, body={**REPLY, "choices": [{**REPLY["choices"][0], "message": {"tool_calls": CALLED}}]})
    play(create(tools=TOOLS, tool_choice=choice), settings=Settings(base_url=root, dialect="llamacpp"))
    assert server.sent == {**ASK, **sent}


@pytest.mark.parametrize("choice", [{"type": "function", "function": {"name": "c"}}, {"type": "custom"}])
def test_tool_choice_that_cannot_be(play: Play, server: Server, root: str, choice: Any) -> None:
    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            yield client.chat.completions.create(**ASK, tools=TOOLS, tool_choice=choice)
        return caught.value.param

    assert play(script, settings=Settings(base_url=root, dialect="llamacpp")) == "tool_choice"
    assert server.count == 0


# --- which server it is ----------------------------------------------------------------------------------------------

ADDRESSES = {
    "https://api.openai.com/v1": "openai",
    "https://eu.api.openai.com/v1": "openai",
    "http://127.0.0.1:11434/v1": "ollama",
    "http://localhost:11434/v1": "ollama",
    "http://[::1]:1234/v1": "lmstudio",
    "http://127.0.0.1:8000/v1": None,
    "http://127.0.0.1:8080/v1": None,
    "http://gpu.lan:11434/v1": None,
    "https://api.openai.com.evil.test/v1": None,
}


@pytest.mark.parametrize(("address", "dialect"), ADDRESSES.items())
def test_guessed_by_its_address(address: str, dialect: str | None) -> None:
    assert guessed(address) == dialect


@pytest.mark.parametrize("root", ["http://127.0.0.1:11434/v1"])
def test_a_guessed_server_is_not_asked(play: Play, server: Server, root: str) -> None:
    play(create(**ASKED), settings=Settings(base_url=root))
    assert server.sent["max_tokens"] == 5
    assert server.count == 1


OWNERS = {"llamacpp": "llamacpp", "vllm": "vllm", "library": "ollama", "organization_owner": "lmstudio"}


def owned(owner: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": owner}]}


@pytest.mark.parametrize(("owner", "dialect"), OWNERS.items(), ids=OWNERS)
def test_recognised_by_its_models(play: Play, server: Server, root: str, owner: str, dialect: str) -> None:
    server.answer("/models", body=owned(owner), method="GET")
    play(create(**ASKED), settings=Settings(base_url=root))
    assert server.sent == {"model": "m", **SENT[dialect]}
    assert paths(server) == [("GET", "/v1/models"), ("POST", "/v1" + CHAT)]


@pytest.mark.parametrize(
    "models", [{"data": None}, {"data": []}, {"data": ["m"]}, owned("someone"), owned(None), [], 7]
)
def test_a_server_that_does_not_say(models: Any) -> None:
    """Anything unknown is left to itself: what the caller wrote goes out."""
    assert recognised(models) == "other"


@pytest.mark.parametrize("owner", ["vllm", "someone"])
def test_asked_once(play: Play, server: Server, root: str, owner: str) -> None:
    """One look at the models for all clients of an address, and each call leaves once."""
    server.answer("/models", body=owned(owner), method="GET")
    for _ in range(2):
        play(create(), settings=Settings(base_url=root))
    assert paths(server) == [("GET", "/v1/models"), ("POST", "/v1" + CHAT), ("POST", "/v1" + CHAT)]


def test_asked_once_where_there_is_no_list(play: Play, server: Server, root: str) -> None:
    """A batch of thousands of calls asked as often."""
    server.answer("/models", 404, "404 page not found", method="GET")
    for _ in range(2):
        play(create(), settings=Settings(base_url=root))
    assert paths(server) == [("GET", "/v1/models"), ("POST", "/v1" + CHAT), ("POST", "/v1" + CHAT)]


@pytest.mark.parametrize(("status", "body"), [(404, "404 page not found"), (503, {"error": "loading"}), (200, "ready")])
def test_a_server_without_a_list(play: Play, server: Server, root: str, status: int, body: Any) -> None:
    """The call goes out as it is; a failure to answer now says nothing about the next time."""
    server.answer("/models", status, body, method="GET")
    reply = play(create(**ASKED), settings=Settings(base_url=root))
    assert reply.choices[0].message.content == "Hi"
    assert server.sent == {"model": "m", **ASKED}


def test_an_unknown_server_is_asked_what_the_caller_wrote(play: Play, server: Server, root: str) -> None:
    """Nobody knows what it knows: nothing is left out, renamed or refused, for this server or that."""
    server.answer("/models", body=owned("someone"), method="GET")
    play(create(**ASKED, extra_body=EXTRAS, verbosity="low"), settings=Settings(base_url=root))
    assert server.sent == {"model": "m", **ASKED, **EXTRAS, "verbosity": "low"}


def test_an_unknown_servers_replies_are_mended(play: Play, server: Server, root: str) -> None:
    """Both spellings of reasoning are there, and an end that is none is an error."""
    server.answer("/models", body=owned("someone"), method="GET")
    message = {"role": "assistant", "content": "", "reasoning_content": "Hmm"}
    odd = {**REPLY, "odd": 1, "choices": [{**REPLY["choices"][0], "message": message}]}
    server.answer(CHAT, body=odd, **{"x-served-by": "box-1"})

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(**ASK)
        reply = raw.parse()
        assert (reply.odd, reply.choices[0].message.reasoning, raw.headers["x-served-by"]) == (1, "Hmm", "box-1")
        server.answer(CHAT, body='data: {"choices": []}\n\n')
        stream = yield client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(openai.APIError, match="ended before"):
            yield every(stream)

    play(script, settings=Settings(base_url=root))


# --- errors ----------------------------------------------------------------------------------------------------------

ERRORS = {
    # llama.cpp tools/server/server-context.cpp send_error, 2026-09
    "llama.cpp overflow": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (2500 tokens) exceeds the available context size (2048 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 2500,
                "n_ctx": 2048,
            }
        },
        (openai.BadRequestError, "context_length_exceeded", "messages", "exceeds the available context size"),
    ),
    "llama.cpp tools": (
        500,
        {"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}},
        (openai.BadRequestError, "unsupported_parameter", "tools", "--jinja"),
    ),
    "vllm overflow": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        (openai.BadRequestError, "context_length_exceeded", "messages", "maximum context length"),
    ),
    "vllm model": (
        404,
        {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model", "code": 404}},
        (openai.NotFoundError, "model_not_found", "model", "does not exist"),
    ),
    "ollama model": (
        404,
        {"error": {"message": "model 'x' not found", "type": "not_found_error", "param": None, "code": None}},
        (openai.NotFoundError, "model_not_found", "model", "'x' not found"),
    ),
    "plain text": (
        404,
        "404 page not found",
        (openai.NotFoundError, None, None, "404 page not found: the server has no such endpoint; is the address right"),
    ),
    "nothing": (404, "", (openai.NotFoundError, None, None, "without a reason")),
    "a page": (502, "<html>bad gateway</html>", (openai.InternalServerError, None, None, "bad gateway")),
    "loading": (
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        (openai.InternalServerError, None, None, "Loading model"),
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "body", "expected"), ERRORS.values(), ids=ERRORS)
def test_errors(play: Play, server: Server, root: str, status: int, body: Any, expected: Any, stream: bool) -> None:
    """The reason is in the message, and OpenAI's code beside it."""
    server.answer(CHAT, status, body)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            yield client.chat.completions.create(**ASK, stream=stream)
        return caught.value

    error = play(script, settings=Settings(base_url=root, dialect="llamacpp"))
    assert (type(error), error.code, error.param) == expected[:3]
    assert expected[3] in error.message
    assert {"message", "type", "param", "code"} <= error.body.keys()
