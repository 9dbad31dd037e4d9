"""The fakes refuse what the real servers refuse of schemas and of histories, and say what a held model says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_adapter.testing import ServerRequest, answer, persona, text, tool_call
from llm_adapter.testing.personas.grammar import Fault, example, faults

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hello"}]
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
OLLAMA = ("ollama@0.24", "ollama@0.32")
STOPPED = "model runner has unexpectedly stopped"
NO_GRAMMAR = "Failed to initialize samplers: failed to parse grammar"
ANCHORS = "Pattern must start with '^' and end with '$'"


def holding(**inner: Any) -> Any:
    return {"type": "object", "properties": {"a": {"type": "string", **inner}}, "required": ["a"]}


def ask(name: str, path: str = CHAT, turn: Any = None, **body: Any) -> tuple[int, Any]:
    given = {"model": "m", **({} if "responses" in path else {"messages": HI}), **body}
    found = answer(persona(name), ServerRequest("POST", path, {"stream": False, **given}), turn or text("Hello"))
    return found.status, json.loads(found.body) if found.body else None


def words(content: Any) -> str:
    error = content["error"]
    return error if isinstance(error, str) else str(error["message"])


def formed(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


# --- what a grammar cannot hold

KINDS: list[tuple[Any, set[Fault]]] = [
    (holding(pattern="^[a-z]+-(a|b){2,3}\\.$"), set()),
    (holding(pattern="[a-z]+"), {Fault.UNANCHORED}),
    (holding(pattern=""), {Fault.UNANCHORED}),
    (holding(pattern=r"^\d{3}-\d{4}$"), {Fault.ESCAPE}),
    (holding(pattern=r"^[\d]$"), {Fault.ESCAPE}),
    (holding(pattern=r"^[\.]$"), {Fault.ESCAPE}),
    (holding(pattern=r"^[(?]\(?$"), set()),
    (holding(pattern="^(?!x)[a-z]+$"), {Fault.GROUP}),
    (holding(pattern="^[a-z]{1,5000}$"), {Fault.BOUND}),
    (holding(maxLength=2001), {Fault.BOUND}),
    (holding(maxLength=2000), set()),
    ({"type": "array", "items": True}, {Fault.BOOLEAN}),
    ({"type": "object", "additionalProperties": True}, set()),
    (
        {"anyOf": [{"$ref": "#/$defs/b"}], "$defs": {"b": holding(pattern="x"), "c": holding(pattern="^(?=a)$")}},
        {Fault.UNANCHORED},
    ),
    ({"$ref": "#", "properties": {"a": {"$ref": "#"}}}, set()),
    ({"enum": ["x"], "pattern": "y"}, set()),
    ("json", set()),
]


@pytest.mark.parametrize(("schema", "found"), KINDS, ids=str)
def test_what_a_grammar_cannot_hold(schema: Any, found: set[Fault]) -> None:
    assert set(faults(schema)) == found


REFUSED: list[tuple[str, Any, int, str]] = [
    ("ollama@0.24", holding(pattern="[a-z]+"), 500, "invalid JSON schema in format"),
    ("ollama@0.24", holding(pattern=r"^\d{3}-\d{4}$"), 500, STOPPED),
    ("ollama@0.24", holding(maxLength=2001), 500, STOPPED),
    ("ollama@0.32", holding(pattern="[a-z]+"), 400, ANCHORS),
    ("ollama@0.32", holding(pattern=r"^\d{3}-\d{4}$"), 400, NO_GRAMMAR),
    ("ollama@0.32", holding(maxLength=2000), 400, NO_GRAMMAR),
    ("llamacpp", holding(pattern="[a-z]+"), 400, ANCHORS),
    ("llamacpp", holding(pattern=r"^\d{3}-\d{4}$"), 400, NO_GRAMMAR),
    ("llamacpp", holding(maxLength=2000), 400, NO_GRAMMAR),
    ("llamacpp", {"type": "array", "items": True}, 400, "Unrecognized schema: true"),
]


@pytest.mark.parametrize(("name", "schema", "status", "said"), REFUSED, ids=str)
def test_who_refuses_it(name: str, schema: Any, status: int, said: str) -> None:
    found = ask(name, response_format=formed(schema))
    assert (found[0], said in words(found[1])) == (status, True)
    if name in OLLAMA:
        found = ask(name, "/api/chat", format=schema)
        assert (found[0], said in words(found[1])) == (status, True)
        form = {"type": "json_schema", "name": "x", "schema": schema}
        assert ask(name, "/v1/responses", input="Hi", text={"format": form})[0] == status


def test_ollama_24_dies_of_a_group() -> None:
    """The connection breaks: the schema is turned into a grammar in the server's own process."""
    assert ask("ollama@0.24", "/api/chat", format=holding(pattern="^(?!x)[a-z]+$")) == (0, None)
    assert ask("ollama@0.32", "/api/chat", format=holding(pattern="^(?!x)[a-z]+$"))[0] == 200


def test_llamacpp_builds_a_grammar_of_tools_as_well() -> None:
    """Ollama leaves patterns out of tools, and takes them."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": holding(pattern="[a-z]")}}]
    status, content = ask("llamacpp", tools=tools)
    assert (status, ANCHORS in words(content)) == (400, True)
    assert ask("llamacpp", tools=tools, tool_choice="none")[0] == 200
    assert ask("ollama@0.32", tools=tools)[0] == 200
    own = {"tools": [{"type": "function", "function": TOOL}], "grammar": "root ::= [a]"}
    assert words(ask("llamacpp", **own)[1]) == "Cannot use custom grammar constraints with tools."


# --- a form beside tools


@pytest.mark.parametrize("name", ["ollama@0.24", "ollama@0.32", "llamacpp", "vllm"])
@pytest.mark.parametrize("form", [formed(holding()), {"type": "json_object"}])
def test_a_form_covers_the_whole_reply(name: str, form: Any) -> None:
    """A tool beside it is never called: the reply is what the form lets through."""
    called = tool_call("f", {"a": "x"})
    beside = {"tools": [{"type": "function", "function": TOOL}], "response_format": form}
    [choice] = ask(name, turn=called, **beside)[1]["choices"]
    assert (choice["finish_reason"], choice["message"].get("tool_calls") or None) == ("stop", None)
    assert json.loads(choice["message"]["content"]) == ({"a": "text"} if "json_schema" in form else {})


def test_openai_calls_its_tools_first() -> None:
    beside = {"tools": [{"type": "function", "function": TOOL}], "response_format": formed(holding())}
    [choice] = ask("openai", turn=tool_call("f", {"a": "x"}), model="gpt-4o", **beside)[1]["choices"]
    assert choice["finish_reason"] == "tool_calls"


def test_a_form_covers_the_whole_reply_natively() -> None:
    beside = {"tools": [{"type": "function", "function": TOOL}], "format": holding()}
    message = ask("ollama@0.32", "/api/chat", tool_call("f", {"a": "x"}), **beside)[1]["message"]
    assert message == {"role": "assistant", "content": '{"a": "text"}'}


def test_an_example_fits_its_schema() -> None:
    inner = {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 2}
    schema = {"$defs": {"n": {"enum": [3]}}, "properties": {"x": inner, "y": {"type": ["null", "string"]}}}
    assert example(schema) == {"x": [3, 3], "y": None}
    assert example({"$ref": "#"}) is None


# --- malformed histories

HISTORY: dict[str, dict[str, int]] = {
    "{}": {},
    "": {"ollama@0.24": 400, "ollama@0.32": 400, "llamacpp": 500},
    '{"a": ': {"ollama@0.24": 400, "ollama@0.32": 400, "llamacpp": 500, "vllm": 400},
    "[1]": {"ollama@0.24": 400, "ollama@0.32": 400},
}
SAID = {
    "ollama@0.24": "invalid tool call arguments",
    "ollama@0.32": "invalid tool call arguments",
    "llamacpp": "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]",
    "vllm": "Expecting value: line 1 column 7 (char 6)",
}


@pytest.mark.parametrize("arguments", HISTORY)
@pytest.mark.parametrize("name", ["openai", "ollama@0.24", "ollama@0.32", "llamacpp", "vllm"])
def test_arguments_in_the_history(name: str, arguments: str) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    spoken = {"role": "assistant", "content": None, "tool_calls": [called]}
    status, content = ask(
        name, model="gpt-4o", messages=[*HI, spoken, {"role": "tool", "tool_call_id": "c", "content": "x"}]
    )
    assert status == HISTORY[arguments].get(name, 200)
    assert status == 200 or words(content).startswith(SAID[name])


@pytest.mark.parametrize("name", OLLAMA)
def test_natively_arguments_are_an_object(name: str) -> None:
    called = {"function": {"name": "f", "arguments": "{}"}}
    status, content = ask(name, "/api/chat", messages=[*HI, {"role": "assistant", "tool_calls": [called]}])
    assert (status, content) == (400, {"error": "Value looks like object, but can't find closing '}' symbol"})
