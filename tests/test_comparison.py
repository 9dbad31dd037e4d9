"""What a reply was without its words, and how two differ: structure, never text."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_adapter.comparison import Difference, Outcome, ToolCall, differences, failure, outcome, ratios, text, vector

CHAT = "/chat/completions"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
PERSON = {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object", "required": ["name"]}}}


def chat(content: Any = "Hi", *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def calling(*calls: tuple[str, str]) -> dict[str, Any]:
    given = [{"id": "1", "type": "function", "function": {"name": name, "arguments": text}} for name, text in calls]
    return chat(None, finish="tool_calls", tool_calls=given)


def of(reply: Any, path: str = CHAT, seconds: float = 1.0, **body: Any) -> Outcome:
    return outcome(path, body, reply, seconds)


def shown(found: Outcome) -> dict[str, Any]:
    """What is not as in an outcome of nothing."""
    nothing = Outcome(0)
    named = {name: getattr(found, name) for name in Outcome.__slots__ if name != "seconds"}
    return {name: value for name, value in named.items() if value != getattr(nothing, name)}


COUNTED = {"model": "m", "prompt_tokens": 3, "completion_tokens": 2}
SAID = {**COUNTED, "choices": 1, "finish_reason": "stop"}
REPLIES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "text": (chat("Grüße"), {}, {**SAID, "characters": 5}),
    "parts": (chat([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), {}, {**SAID, "characters": 2}),
    "empty": (chat(""), {}, SAID),
    "refusal": (chat(None, refusal="No."), {}, {**SAID, "refused": True}),
    "filter": (chat("", finish="content_filter"), {}, {**SAID, "finish_reason": "content_filter", "refused": True}),
    "fits": (chat('{"name": "A"}'), {"response_format": PERSON}, {**SAID, "schema_valid": True, "characters": 13}),
    "breaks": (chat('{"age": 3}'), {"response_format": PERSON}, {**SAID, "schema_valid": False, "characters": 10}),
    "no object": (
        chat("[1]"),
        {"response_format": {"type": "json_object"}},
        {**SAID, "schema_valid": False, "characters": 3},
    ),
    "no JSON": (
        chat("{"),
        {"response_format": {"type": "json_object"}},
        {**SAID, "schema_valid": False, "characters": 1},
    ),
    "text asked": (chat("Hi"), {"response_format": {"type": "text"}}, {**SAID, "characters": 2}),
    "a call is no form": (
        calling(("weather", '{"city": "Rome"}')),
        {"response_format": PERSON, "tools": [WEATHER]},
        {**SAID, "finish_reason": "tool_calls", "tools": (ToolCall("weather", {"city": "Rome"}),)},
    ),
    "arguments that do not fit": (
        calling(("weather", '{"town": "Rome"}')),
        {"tools": [WEATHER]},
        {**SAID, "finish_reason": "tool_calls", "tools": (ToolCall("weather", {"town": "Rome"}, valid=False),)},
    ),
    "arguments that are no JSON": (
        calling(("weather", "{")),
        {},
        {**SAID, "finish_reason": "tool_calls", "tools": (ToolCall("weather", "{", valid=False),)},
    ),
    "a tool that was not offered": (
        calling(("search", "{}")),
        {"tools": [WEATHER]},
        {**SAID, "finish_reason": "tool_calls", "tools": (ToolCall("search", {}, valid=False),)},
    ),
    "an older call": (
        chat(None, function_call={"name": "f", "arguments": "{}"}),
        {},
        {**SAID, "tools": (ToolCall("f", {}),)},
    ),
    "a custom call": (
        chat(None, tool_calls=[{"id": "1", "type": "custom", "custom": {"name": "f", "input": "text"}}]),
        {},
        {**SAID, "tools": (ToolCall("f", "text"),)},
    ),
    "nothing at all": ({}, {}, {}),
    "nonsense": ({"choices": 3, "usage": [], "model": 4}, {"tools": "x"}, {}),
}


@pytest.mark.parametrize("name", REPLIES)
def test_chat(name: str) -> None:
    reply, body, expected = REPLIES[name]
    assert shown(of(reply, **body)) == expected


def test_several_choices_are_one_outcome() -> None:
    both = {"choices": [*chat("a")["choices"], *chat("bc", finish="length")["choices"]]}
    found = of(both)
    assert (found.choices, found.finish_reason, found.characters) == (2, "length, stop", 3)
    assert text(CHAT, both) == "a\nbc"


def test_completions() -> None:
    reply = {"choices": [{"text": "abc", "finish_reason": "length"}]}
    assert shown(of(reply, "/completions")) == {"choices": 1, "finish_reason": "length", "characters": 3}
    assert text("/completions", reply) == "abc"


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    return {"status": "completed", "output": list(output), "usage": {"input_tokens": 3, "output_tokens": 2}, **fields}


MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "{}"}]}
RESPONSES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "text": (response(MESSAGE), {}, {"finish_reason": "completed", "characters": 2}),
    "form": (
        response(MESSAGE),
        {"text": {"format": {"type": "json_schema", "name": "p", "schema": {"required": ["name"]}}}},
        {"finish_reason": "completed", "characters": 2, "schema_valid": False},
    ),
    "call": (
        response({"type": "function_call", "name": "weather", "arguments": "{}"}),
        {"tools": [{"type": "function", "name": "weather", "parameters": CITY}]},
        {"finish_reason": "completed", "tools": (ToolCall("weather", {}, valid=False),)},
    ),
    "cut": (
        response(MESSAGE, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        {},
        {"finish_reason": "max_output_tokens", "characters": 2},
    ),
    "refusal": (
        response({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),
        {},
        {"finish_reason": "completed", "refused": True},
    ),
    "failed": (
        response(status="failed", error={"code": "server_error", "message": "m"}),
        {},
        {"finish_reason": "failed", "error": "failed", "code": "server_error", "choices": 0},
    ),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name: str) -> None:
    reply, body, expected = RESPONSES[name]
    counted = {"prompt_tokens": 3, "completion_tokens": 2, "choices": 1}
    found = shown(outcome("/responses", body, reply, 1))
    assert {"choices": 0, **found} == {**counted, **expected}


def test_embeddings_in_numbers_and_in_base64() -> None:
    numbers = [0.6, 0.8]
    packed = base64.b64encode(struct.pack("<2f", *numbers)).decode()
    found = of({"data": [{"embedding": numbers}, {"embedding": packed}]}, "/embeddings")
    assert (found.vectors, found.dimensions, found.norm) == (2, 2, pytest.approx(1.0))
    assert of({"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}, "/embeddings").dimensions is None
    assert [vector("?"), vector(None), vector("abc")] == [[], [], []]


def test_an_error_is_an_outcome() -> None:
    reply = httpx.Response(429, request=httpx.Request("POST", "http://h/v1/chat/completions"))
    error = openai.RateLimitError("slow down", response=reply, body={"code": "rate_limit_exceeded"})  # type: ignore[arg-type]
    found = failure(error, 0.5)
    assert (found.error, found.code, found.status, found.seconds) == ("RateLimitError", "rate_limit_exceeded", 429, 0.5)
    assert (found.failed, found.empty) == (True, False)
    assert str(*differences(found, of(chat()))) == "error: RateLimitError (rate_limit_exceeded) != null"


PAIRS: dict[str, tuple[Any, Any, list[Difference]]] = {
    "other words, and longer": (chat("Hi"), chat("Good morning to you"), []),
    "other end": (chat("Hi"), chat("Hi", finish="length"), [Difference("finish_reason", "stop", "length")]),
    "nothing": (chat("Hi"), chat(""), [Difference("empty", False, True)]),
    "prose for a call": (
        chat("Hi"),
        {**calling(("f", "{}"))},
        [Difference("finish_reason", "stop", "tool_calls"), Difference("tools", [], ["f"])],
    ),
    "in another order": (
        calling(("f", '{"a": 1, "b": 2}'), ("g", "{}")),
        calling(("g", "{}"), ("f", '{"b":2.0,"a":1}')),
        [],
    ),
    "another tool": (calling(("f", "{}")), calling(("g", "{}")), [Difference("tools", ["f"], ["g"])]),
    "other arguments": (
        calling(("f", '{"city": "x"}')),
        calling(("f", '{"town": "x"}')),
        [Difference("argument_names", ["f(city)"], ["f(town)"])],
    ),
    "other values": (
        calling(("f", '{"city": "Rome", "n": 1}'), ("f", '{"city": "Paris", "n": 1}')),
        calling(("f", '{"city": "Paris", "n": 1}'), ("f", '{"city": "Oslo", "n": 1}')),
        [Difference("arguments", ["f.city"], ["f.city"])],
    ),
    "true is not 1": (
        calling(("f", '{"a": true}')),
        calling(("f", '{"a": 1}')),
        [Difference("arguments", ["f.a"], ["f.a"])],
    ),
    "no JSON": (
        calling(("f", "{}")),
        calling(("f", "{")),
        [Difference("valid_arguments", 1, 0), Difference("arguments", ["f"], ["f"])],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_differences(name: str) -> None:
    a, b, expected = PAIRS[name]
    assert list(differences(of(a), of(b))) == expected


def test_vectors_differ_in_number_length_and_norm() -> None:
    one, other = ({"data": [{"embedding": given}]} for given in ([0.6, 0.8], [3.0, 4.0, 0.0]))
    found = differences(of(one, "/embeddings"), of(other, "/embeddings"))
    assert [(each.what, each.a, each.b) for each in found] == [("dimensions", 2, 3), ("norm", 1.0, 5.0)]


def test_ratios() -> None:
    assert ratios(of(chat("ab")), of(chat("abcd"), seconds=3)) == {
        "seconds": 3,
        "characters": 2,
        "prompt_tokens": 1,
        "completion_tokens": 1,
    }
    assert ratios(of(chat("")), failure(ValueError(), 1)) == {}


def test_words_and_values_are_not_told() -> None:
    """What is logged and reported holds no text of a reply."""
    a, b = of(calling(("f", '{"city": "secret"}'))), of(calling(("f", '{"city": "hidden"}')))
    told = json.dumps([a.json(), b.json(), *(one.json() for one in differences(a, b))]) + repr(
        (a, b, differences(a, b))
    )
    assert ("secret" in told, "hidden" in told, "f.city" in told) == (False, False, True)
    assert str(*differences(a, b)) == "other values in f.city"


ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.text(max_size=2), max_size=2)
CALLS = st.lists(st.tuples(st.sampled_from("fg"), ARGUMENTS.map(json.dumps)), max_size=3).map(lambda it: calling(*it))
ANY = st.one_of(CALLS, st.builds(chat, st.sampled_from(["", "a", "{}"]), finish=st.sampled_from(["stop", "length"])))


@given(ANY, ANY)
def test_differences_are_symmetric(a: Any, b: Any) -> None:
    one, other = of(a), of(b)
    assert differences(one, one) == ()
    assert [Difference(each.what, each.b, each.a) for each in differences(one, other)] == list(differences(other, one))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "tool_calls", "function", "data", "output", "usage", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["choices", "data", "output", "usage", "model", "status"]), JSON), JSON)
def test_any_reply_has_an_outcome(reply: Any, body: Any) -> None:
    """A server may say anything: nothing of it raises."""
    asked = body if isinstance(body, dict) else {"tools": body, "response_format": body, "text": body}
    for path in (CHAT, "/completions", "/embeddings", "/responses"):
        found = outcome(path, asked, reply, 1)
        assert isinstance(text(path, reply), str)
        assert differences(found, found) == ()
