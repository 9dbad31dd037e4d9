"""Choices of tools on /v1 servers that do not know them all: the request says it in their words, the reply is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_adapter import Rejected
from llm_adapter.dialects import DIALECTS
from llm_adapter.repair import Repair, repaired

A, B = ({"type": "function", "function": {"name": name, "parameters": {}}} for name in "ab")
LLAMACPP = DIALECTS["llamacpp"]


def named(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> Any:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


@pytest.mark.parametrize(
    ("choice", "sent"),
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
def test_request(choice: Any, sent: Any) -> None:
    given = {"model": "m", "tools": [A, B], "tool_choice": choice}
    assert LLAMACPP.body(given) == {"model": "m", **sent}
    assert given["tools"] == [A, B]


@pytest.mark.parametrize("choice", [named("c"), allowed("auto", "a", "c"), {"type": "custom"}], ids=str)
def test_refused(choice: Any) -> None:
    with pytest.raises(Rejected) as refusal:
        LLAMACPP.body({"tools": [A, B], "tool_choice": choice})
    assert refusal.value.error["param"] == "tool_choice"


def test_servers_that_know_names_get_them() -> None:
    given = {"tools": [A, B], "tool_choice": named("b")}
    assert DIALECTS["vllm"].body(given) is given


@pytest.mark.parametrize(("single", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_reply(single: bool, names: list[str]) -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    reply = repaired({"choices": [{"message": {"tool_calls": calls}}]}, "0", single)
    assert [one["id"] for one in reply["choices"][0]["message"]["tool_calls"]] == names


@pytest.mark.parametrize(("single", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_stream(single: bool, names: list[str]) -> None:
    """Ollama gives every call the index 0: a call is known by its id."""
    repair, ids = Repair("0", single), []
    for name in "ab":
        call = {"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}}
        line = b"data: " + json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}).encode()
        event = json.loads(repair.feed(line + b"\n\n").partition(b":")[2])
        ids += [one["id"] for one in event["choices"][0]["delta"]["tool_calls"]]
    assert ids == names
