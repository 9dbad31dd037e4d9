"""Choices of tools on /v1 servers that do not know them all: the request says it in their words, the reply is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import call

from llm_adapter import Rejected
from llm_adapter.providers.v1 import chat
from llm_adapter.providers.v1.dialects import DIALECTS
from llm_adapter.providers.v1.repair import RepairDecoder, repaired
from llm_adapter.translation.reply_checks import ReplyRequirements

HI = [{"role": "user", "content": "Hi"}]
A, B = ({"type": "function", "function": {"name": name, "parameters": {}}} for name in "ab")


def named(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> Any:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


def sent(dialect: str, body: Any) -> Any:
    """The request of one call."""
    server = DIALECTS[dialect]
    requirements = ReplyRequirements.of(
        call("/chat/completions", body), server.where, constrained=server.tool_choice_forms == "none"
    )
    return chat.request(requirements, server)


@pytest.mark.parametrize("dialect", ["llamacpp", "lmstudio"])
@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (named("b"), {"tools": [B], "tool_choice": "required", "parallel_tool_calls": False}),
        (allowed("auto", "b"), {"tools": [B], "tool_choice": "auto"}),
        (allowed("required", "a", "b"), {"tools": [A, B], "tool_choice": "required"}),
        ("none", {}),
        ("required", {"tools": [A, B], "tool_choice": "required"}),
        (None, {"tools": [A, B], "tool_choice": None}),
    ],
    ids=str,
)
def test_request(choice: Any, wanted: Any, dialect: str) -> None:
    given = {"model": "m", "messages": HI, "tools": [A, B], "tool_choice": choice}
    assert sent(dialect, given) == {"model": "m", "messages": HI, **wanted}
    assert given["tools"] == [A, B]


@pytest.mark.parametrize("dialect", ["ollama", "llamacpp", "vllm", "lmstudio"])
@pytest.mark.parametrize("choice", [named("c"), allowed("auto", "a", "c"), {"type": "custom"}], ids=str)
def test_refused(choice: Any, dialect: str) -> None:
    with pytest.raises(Rejected) as refusal:
        sent(dialect, {"tools": [A, B], "tool_choice": choice})
    assert refusal.value.error["param"] == "tool_choice"


@pytest.mark.parametrize("choice", [named("b"), "none", "required", "auto"], ids=str)
def test_servers_that_know_names_get_them(choice: Any) -> None:
    given = {"messages": HI, "tools": [A, B], "tool_choice": choice}
    assert sent("vllm", given) is given


@pytest.mark.parametrize("choice", ["required", named("b")], ids=str)
def test_ollama_is_held_to_a_form(choice: Any) -> None:
    """Ollama's /v1 reads no `tool_choice` at all: the reply is constrained, as it is natively."""
    body = sent("ollama", {"messages": HI, "tools": [A, B], "tool_choice": choice, "stream": True})
    schema = body["response_format"]["json_schema"]["schema"]
    names = [one["properties"]["name"]["enum"][0] for one in schema.get("anyOf", [schema])]
    assert names == (["a", "b"] if choice == "required" else ["b"])
    assert (body["reasoning_effort"], body["stream"], "tool_choice" in body) == ("none", False, False)


@pytest.mark.parametrize(("single", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_reply(single: bool, names: list[str]) -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    reply = repaired({"choices": [{"message": {"tool_calls": calls}}]}, "0", single)
    assert [one["id"] for one in reply["choices"][0]["message"]["tool_calls"]] == names


@pytest.mark.parametrize(("single", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_stream(single: bool, names: list[str]) -> None:
    """Ollama gives every call the index 0: a call is known by its id."""
    repair, ids = RepairDecoder("0", single), []
    for name in "ab":
        one = {"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}}
        line = b"data: " + json.dumps({"choices": [{"delta": {"tool_calls": [one]}}]}).encode()
        event = json.loads(repair.feed(line + b"\n\n").partition(b":")[2])
        ids += [made["id"] for made in event["choices"][0]["delta"]["tool_calls"]]
    assert ids == names
