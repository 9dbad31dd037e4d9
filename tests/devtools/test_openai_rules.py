"""What OpenAI refuses and local servers take: the words, the parameter and the code are OpenAI's own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from llm_adapter.devtools.openai_rules import known_arguments, refusals, refused_argument, schema_faults, strict_schema

HI = {"role": "user", "content": "Hello"}
CHAT = "/chat/completions"


def refused(**arguments: Any) -> list[tuple[str, str | None, str | None]]:
    body = {"model": "gpt-4o-mini", "messages": [HI], **arguments}
    return [(str(one), one.error["param"], one.error["code"]) for one in refusals(CHAT, body)]


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**OPEN, "additionalProperties": False}


def function(parameters: Any = CLOSED, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


def schema(of: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": of, "strict": True, **more}}


TAKEN: list[dict[str, Any]] = [
    {},
    {"temperature": 0.2, "top_p": 0.9, "max_tokens": 5, "stop": ["a", "b", "c", "d"]},
    {"model": "gpt-5", "max_completion_tokens": 5, "reasoning_effort": "low", "temperature": 1},
    {"model": "gpt-5.1", "reasoning_effort": "none", "temperature": 0},
    {"model": "gpt-5-chat-latest", "max_tokens": 5, "temperature": 0},
    {"model": "o3-mini", "stop": ["x"]},
    {"messages": [HI, ASKED, TOLD, HI]},
    {"tools": [function()], "tool_choice": "auto", "parallel_tool_calls": False},
    {"tools": [function(OPEN)]},
    {"tools": [function(strict=True)], "response_format": schema(CLOSED)},
    {"response_format": schema(OPEN, strict=False)},
    {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "Answer in JSON"}]},
    {"stream": True, "stream_options": {"include_usage": True}, "temperature": None, "user": None},
]


@pytest.mark.parametrize("arguments", TAKEN, ids=str)
def test_what_openai_takes(arguments: dict[str, Any]) -> None:
    """No alarm where there is nothing."""
    assert refused(**arguments) == []


REFUSED: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"keep_alive": "1h"}, "Unrecognized request argument supplied: keep_alive", None, None),
    ({"model": "gpt-4o", "reasoning_effort": "low"}, "argument supplied: reasoning_effort", None, None),
    ({"model": "gpt-5-mini", "max_tokens": 5}, "Use 'max_completion_tokens'", "max_tokens", "unsupported_parameter"),
    ({"model": "gpt-5.4", "max_tokens": 5}, "Use 'max_completion_tokens'", "max_tokens", "unsupported_parameter"),
    ({"model": "o1", "temperature": 0.2}, "does not support 0.2", "temperature", "unsupported_value"),
    ({"model": "o3-mini", "temperature": 1}, "'temperature' is not supp", "temperature", "unsupported_parameter"),
    ({"model": "o4-mini", "stop": "x"}, "'stop' is not supported", "stop", "unsupported_parameter"),
    ({"model": "gpt-5", "top_p": 0.5}, "'top_p' is not supported", "top_p", "unsupported_parameter"),
    ({"messages": []}, "Invalid 'messages': empty array", "messages", "empty_array"),
    ({"messages": None}, "required parameter: 'messages'", "messages", "missing_required_parameter"),
    ({"messages": [{"role": "ai", "content": "x"}]}, "Invalid value: 'ai'", "messages[0].role", "invalid_value"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x.test/a.png"}]}]},
        "expected an object, but got a string",
        "messages[0].content[0].image_url",
        "invalid_type",
    ),
    ({"messages": [HI, TOLD]}, "must be a response to a preceeding message", "messages.[1].role", None),
    ({"messages": [HI, ASKED, HI]}, "did not have response messages: call_1", "messages.[2].role", None),
    ({"messages": [HI, ASKED]}, "did not have response messages: call_1", "messages.[2].role", None),
    ({"messages": [{"role": "tool", "content": "4"}]}, "must have a 'tool_call_id'", "messages.[0].tool_call_id", None),
    (
        {"messages": [{"role": "assistant", "tool_calls": []}]},
        "empty array",
        "messages[0].tool_calls",
        "empty_array",
    ),
    (
        {"messages": [{**ASKED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}, TOLD]},
        "expected a string, but got an object",
        "messages[0].tool_calls[0].function.arguments",
        "invalid_type",
    ),
    (
        {"messages": [{**ASKED, "tool_calls": [{"id": "call_1", "function": CALL["function"]}]}, TOLD]},
        "Missing required parameter",
        "messages[0].tool_calls[0].type",
        "missing_required_parameter",
    ),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages", None),
    ({"response_format": schema(OPEN)}, "In context=(), 'additionalProperties' is", "response_format", None),
    (
        {"response_format": schema({**CLOSED, "required": []})},
        "In context=(), 'required' is required to be supplied and to be an array including every key in properties. "
        "Missing 'a'.",
        "response_format",
        None,
    ),
    (
        {"response_format": schema({**CLOSED, "$defs": {"In": OPEN}})},
        "In context=('$defs', 'In'), 'additionalProperties' is",
        "response_format",
        None,
    ),
    (
        {"response_format": schema({**CLOSED, "properties": {"a": {"type": "array", "items": OPEN}}})},
        "In context=('properties', 'a', 'items'), 'additionalProperties' is",
        "response_format",
        None,
    ),
    (
        {"response_format": schema(CLOSED, name="an answer")},
        "does not match pattern",
        "response_format.json_schema.name",
        "invalid_value",
    ),
    (
        {"tools": [function(OPEN, strict=True)]},
        "Invalid schema for function 'f': In context=(), 'additionalProperties' is",
        "tools[0].function.parameters",
        "invalid_function_parameters",
    ),
    (
        {"tools": [function({"type": "object"})]},
        "object schema missing properties",
        "tools[0].function.parameters",
        "invalid_function_parameters",
    ),
    ({"tools": []}, "Invalid 'tools': empty array", "tools", "empty_array"),
    ({"tool_choice": "auto"}, "only allowed when 'tools' are specified", "tool_choice", None),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled", "stream_options", None),
    ({"temperature": 3}, "Expected a value <= 2, but got 3 instead.", "temperature", "decimal_above_max_value"),
    ({"top_p": -1}, "below minimum value. Expected a value >= 0", "top_p", "decimal_below_min_value"),
    ({"stop": list("abcde")}, "maximum length 4", "stop", "array_above_max_length"),
]


@pytest.mark.parametrize(("arguments", "message", "param", "code"), REFUSED, ids=[str(one[0]) for one in REFUSED])
def test_what_openai_refuses(arguments: dict[str, Any], message: str, param: str | None, code: str | None) -> None:
    """One refusal, and no other, in OpenAI's words."""
    [(said, named, coded)] = refused(**arguments)
    assert message in said
    assert (named, coded) == (param, code)


def test_extras_of_ollama_are_refused_one_by_one() -> None:
    """Each is named, so that a report can name it."""
    extras = {"options": {"num_ctx": 8192}, "think": True, "keep_alive": 0, "format": "json", "top_k": 5}
    body = {"model": "gpt-4o", "messages": [HI], **extras}
    assert [refused_argument(one) for one in refusals(CHAT, body)] == list(extras)


def test_argument_of_a_refusal() -> None:
    """A path inside an argument is about that argument."""
    body = {"model": "gpt-5", "messages": [HI, TOLD], "max_tokens": 1, "tools": [function({"type": "object"})]}
    assert [refused_argument(one) for one in refusals(CHAT, body)] == ["messages", "max_tokens", "tools"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/completions", {"model": "m", "prompt": "x", "raw": True}, ["raw"]),
        ("/embeddings", {"model": "m", "input": "x", "truncate": False}, ["truncate"]),
        ("/responses", {"model": "m", "input": "x", "keep_alive": 1}, ["keep_alive"]),
        ("/models", {"anything": 1}, []),
    ],
    ids=str,
)
def test_other_endpoints(path: str, body: dict[str, Any], expected: list[str]) -> None:
    assert [refused_argument(one) for one in refusals(path, body)] == expected


@pytest.mark.parametrize("path", [CHAT, "/completions", "/embeddings", "/responses"])
def test_known_arguments_are_the_sdks(path: str) -> None:
    assert {"model", "user"} <= known_arguments(path)
    assert not {"keep_alive", "extra_body", "timeout"} & known_arguments(path)


class Inner(BaseModel):
    size: int


class Outer(BaseModel):
    """One of everything that pydantic makes of a model."""

    name: str = Field(description="who")
    inner: Inner
    many: list[Inner] = []
    note: str | None = None


def test_a_schema_of_the_sdk_is_strict() -> None:
    """What `.parse()` sends has no faults, or our rules are wrong."""
    assert list(schema_faults(to_strict_json_schema(Outer))) == []


def test_strict_schema() -> None:
    """Made strict: closed, everything required, and what was optional may be null."""
    made = strict_schema(Outer.model_json_schema())
    assert list(schema_faults(made)) == []
    assert made["required"] == ["name", "inner", "many", "note"]
    assert made["properties"]["many"]["type"] == ["array", "null"]
    assert made["properties"]["name"]["type"] == "string"
    assert made["properties"]["note"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert strict_schema(made) == made


NAMES = """role content tool_calls tool_call_id function type properties $defs name required items anyOf parameters
strict json_schema schema id arguments"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "tools", "response_format", "stop", "top_p"]), JSON))
def test_whatever_comes_is_judged(body: dict[str, Any]) -> None:
    """A call that is nonsense gets refusals, not an exception."""
    for one in refusals(CHAT, body):
        assert refused_argument(one)
