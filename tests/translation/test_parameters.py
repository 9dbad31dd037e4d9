"""The parameter tables: complete against the SDK, honest in what they do."""

from __future__ import annotations

from typing import Any, get_type_hints

import openai
import pytest
from conftest import DONE, HI, HOST
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from recorded import call, exchanges

from llm_adapter import AdapterWarning, Settings
from llm_adapter.providers.ollama.parameters import CHAT, COMPLETIONS, EMBEDDINGS
from llm_adapter.providers.v1.dialects import DIALECTS
from llm_adapter.providers.v1.parameters import ROWS
from llm_adapter.translation.parameters import Rows

TABLES = {
    "chat": (CHAT, chat_create_params.CompletionCreateParamsStreaming),
    "completions": (COMPLETIONS, completion_create_params.CompletionCreateParamsStreaming),
    "embeddings": (EMBEDDINGS, embedding_create_params.EmbeddingCreateParams),
}


@pytest.mark.parametrize(("rows", "params"), TABLES.values(), ids=TABLES)
def test_every_parameter_of_the_sdk_has_a_row(rows: Rows, params: Any) -> None:
    """A new SDK with a new parameter turns this red, instead of the parameter being dropped."""
    missing = set(get_type_hints(params)) - set(rows)
    assert not missing


PATHS = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}


@pytest.mark.parametrize("dialect", ROWS)
@pytest.mark.parametrize("table", TABLES)
def test_every_parameter_has_a_row_for_every_server(dialect: str, table: str) -> None:
    """The same on /v1: no server's table lacks a parameter, and none has one that OpenAI does not."""
    rows = ROWS[dialect][PATHS[table]]
    assert set(get_type_hints(TABLES[table][1])) == set(rows)
    assert all(row.note for row in rows.values())


@pytest.mark.parametrize("rows", [table for table, _ in TABLES.values()], ids=TABLES)
def test_every_row_gives_its_reason(rows: Rows) -> None:
    """No row without a word on how or why."""
    assert all(row.note for row in rows.values())


def sent(ollama: Any, run: Any, settings: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """The native request of one chat call."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "{}"}, **DONE})
    configured = Settings(provider="ollama", host=HOST, **(settings or {}))
    run(lambda client: client.chat.completions.create(model="m", messages=HI, **arguments), settings=configured)
    return ollama.sent


BASE = {"model": "m", "messages": HI, "stream": False, "truncate": False}
HONOURED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),  # nothing is sent that nobody asked for
    ({"temperature": 0, "top_p": 0.5, "seed": 7}, {"options": {"temperature": 0, "top_p": 0.5, "seed": 7}}),
    ({"max_completion_tokens": 5}, {"options": {"num_predict": 5}}),
    ({"max_tokens": 5}, {"options": {"num_predict": 5}}),
    ({"stop": "x"}, {"options": {"stop": ["x"]}}),
    ({"stop": ["x", "y"]}, {"options": {"stop": ["x", "y"]}}),
    ({"stop": ["", "x"]}, {"options": {"stop": ["x"]}}),
    *(({"stop": stop}, {}) for stop in (None, "", [], [""])),
    ({"frequency_penalty": 1, "presence_penalty": 2}, {"options": {"frequency_penalty": 1, "presence_penalty": 2}}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"response_format": {"type": "text"}}, {}),
    ({"response_format": {"type": "json_object"}}, {"format": "json"}),
    ({"reasoning_effort": "none"}, {"think": False}),
    ({"reasoning_effort": "minimal"}, {"think": "low"}),
    ({"reasoning_effort": "low"}, {"think": "low"}),
    ({"reasoning_effort": "medium"}, {"think": "medium"}),
    ({"reasoning_effort": "high"}, {"think": "high"}),
    ({"reasoning_effort": "xhigh"}, {"think": "max"}),
    ({"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"}, {}),
    ({"n": 1, "tool_choice": "auto", "parallel_tool_calls": True, "logit_bias": {}}, {}),
    ({"temperature": None}, {}),
    ({"extra_body": {"keep_alive": "1h"}}, {"keep_alive": "1h"}),
    ({"extra_body": {"keep_alive": "300"}}, {"keep_alive": 300}),
    ({"extra_body": {"num_ctx": 16384, "top_k": 20}}, {"options": {"num_ctx": 16384, "top_k": 20}}),
    ({"temperature": 1, "extra_body": {"options": {"min_p": 0.1}}}, {"options": {"temperature": 1, "min_p": 0.1}}),
    ({"extra_body": {"think": True, "truncate": True}}, {"think": True, "truncate": True}),
]


@pytest.mark.parametrize(("arguments", "native"), HONOURED, ids=str)
def test_honoured(arguments: dict[str, Any], native: dict[str, Any], run: Any, ollama: Any) -> None:
    """What a parameter becomes on the wire."""
    assert sent(ollama, run, **arguments) == {**BASE, **native}


PROFILES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"keep_alive": "30m", "num_ctx": 8192}, {}, {"keep_alive": "30m", "options": {"num_ctx": 8192}}),
    ({"keep_alive": "30m"}, {"extra_body": {"keep_alive": 0}}, {"keep_alive": 0}),
    ({"think": False}, {}, {"think": False}),
    ({"think": False}, {"reasoning_effort": "high"}, {"think": "high"}),
    ({"options": {"top_k": 5}}, {"extra_body": {"top_k": 9}}, {"options": {"top_k": 9}}),
    ({"sampling_defaults": "openai"}, {}, {"options": {"temperature": 1.0, "top_p": 1.0}}),
    (
        {"sampling_defaults": "openai", "options": {"temperature": 0.2}},
        {},
        {"options": {"temperature": 0.2, "top_p": 1.0}},
    ),
    ({"sampling_defaults": "openai"}, {"temperature": 0}, {"options": {"temperature": 0, "top_p": 1.0}}),
    ({"overflow": "allow", "shift": False}, {}, {"truncate": True, "shift": False}),
]


@pytest.mark.parametrize(("settings", "arguments", "native"), PROFILES, ids=str)
def test_profile(settings: Any, arguments: Any, native: Any, run: Any, ollama: Any) -> None:
    """The profile's values are defaults: the call's win."""
    assert sent(ollama, run, settings, **arguments) == {**BASE, **native}


REFUSED: list[dict[str, Any]] = [
    {"logit_bias": {"1": 5}},
    {"modalities": ["text", "audio"]},
    {"audio": {"voice": "alloy", "format": "wav"}},
    {"web_search_options": {}},
    {"verbosity": "low"},
]


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: next(iter(arguments)))
def test_refused_by_name(arguments: dict[str, Any], run: Any, ollama: Any) -> None:
    """What changes the answer and cannot be done is refused before anything is sent."""
    name = next(iter(arguments))
    with pytest.raises(openai.BadRequestError, match=f"`{name}`") as caught:
        sent(ollama, run, **arguments)
    assert (caught.value.param, caught.value.code, ollama.count) == (name, "unsupported_parameter", 0)


def test_policy(run: Any, ollama: Any) -> None:
    """`warn` says it and leaves it out, `ignore` leaves it out."""
    with pytest.warns(AdapterWarning, match="`verbosity`"):
        assert sent(ollama, run, {"unsupported": "warn"}, verbosity="low") == BASE
    assert sent(ollama, run, {"unsupported": "ignore"}, verbosity="low") == BASE


@pytest.mark.parametrize(
    ("policies", "refused"),
    [
        ({"verbosity": "ignore", "*": "error"}, "logit_bias"),
        ({"verbosity": "ignore"}, "logit_bias"),
        ({"logit_bias": "ignore", "verbosity": "error", "*": "ignore"}, "verbosity"),
    ],
    ids=["others are errors", "by default too", "named as an error"],
)
def test_policy_of_each_parameter(policies: Any, refused: str, run: Any, ollama: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sent(ollama, run, {"unsupported": policies}, verbosity="low", logit_bias={"1": 1})
    assert caught.value.param == refused
    hint = f'`unsupported = {{ {refused} = "warn" }}`'
    assert hint in str(caught.value)


def test_unknown_parameter_has_a_near_match(run: Any, ollama: Any) -> None:
    """A misspelt provider-only parameter is named, with what was meant."""
    with pytest.raises(openai.BadRequestError, match="did you mean `keep_alive`"):
        sent(ollama, run, extra_body={"keep_alife": "1h"})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"stop": 5}, "stop"),
    ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
    ({"extra_body": {"options": "x"}}, "options"),
]


@pytest.mark.parametrize(("arguments", "param"), WRONG, ids=[param for _, param in WRONG])
def test_wrong_value(arguments: dict[str, Any], param: str, run: Any, ollama: Any) -> None:
    """A value that means nothing is a 400 of ours, not whatever the server makes of it."""
    with pytest.raises(openai.BadRequestError) as caught:
        sent(ollama, run, **arguments)
    assert (caught.value.param, ollama.count) == (param, 0)


@pytest.mark.parametrize("server", ["ollama-0.24.0", "ollama-0.32.15-jinja"])
def test_effort_on_a_model_that_cannot_think(server: str, run: Any, ollama: Any) -> None:
    """Ollama refuses before it generates; the policy may have the call made without thinking."""
    import httpx

    intent = "think_unsupported" if server == "ollama-0.24.0" else "think"
    refusal = exchanges(server, intent, "native")[0]
    route = ollama.answer("/api/chat")
    good = {"model": "m", "message": {"content": "x"}, **DONE}
    for policy in ("error", "warn"):
        route.mock(side_effect=[httpx.Response(400, content=refusal.body), httpx.Response(200, json=good)])
        settings = Settings(provider="ollama", host=HOST, unsupported=policy)
        told = (
            pytest.raises(openai.BadRequestError)
            if policy == "error"
            else pytest.warns(AdapterWarning, match="thinking")
        )
        with told:
            reply = run(
                lambda client: client.chat.completions.create(model="m", messages=HI, reasoning_effort="high"),
                settings=settings,
            )
    assert "think" not in ollama.sent
    assert reply.adapter.left_out == ["reasoning_effort"]


@pytest.mark.parametrize(
    ("stop", "kept"), [("", None), ([], None), ([""], None), (["", "x"], ["x"]), ("x", "x")], ids=str
)
@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
@pytest.mark.parametrize("dialect", ROWS)
def test_stop_without_a_sequence(dialect: str, path: str, stop: Any, kept: Any) -> None:
    """An empty list replaces the model's own on Ollama's /v1 (openai.go FromChatRequest), "" ends a reply at once."""
    body = DIALECTS[dialect].body(call(path, {"model": "m", "stop": stop}))
    assert body.get("stop") == kept
