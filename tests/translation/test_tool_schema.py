"""What Ollama's models are shown of a function's parameters: all of it, in the keywords that Ollama keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_adapter.testing import serving, text
from llm_adapter.translation.tool_schema import shown_parameters

NAMES = "definitions $defs enum default required properties type anyOf $ref format description items title const allOf"
CREATE = {"type": "object", "properties": {"action": {"const": "create"}, "title": {"type": "string"}}}
CREATE["required"] = ["action", "title"]
DELETE = {"type": "object", "properties": {"action": {"const": "delete"}, "id": {"type": "string"}}}
DELETE["required"] = ["action"]


@pytest.mark.parametrize("name", NAMES.split())
def test_a_name_is_no_keyword(name: str) -> None:
    inner = {"type": "object", "properties": {name: {"type": "string"}}}
    shown = shown_parameters({"type": "object", "properties": {name: {"type": "array", "items": inner}}})
    assert shown["properties"][name]["items"] == inner


UNIONS: dict[str, Any] = {
    "anyOf": {"type": "object", "anyOf": [CREATE, DELETE]},
    "oneOf": {"oneOf": [CREATE, DELETE, {"type": "null"}]},
    "references": {"anyOf": [{"$ref": "#/$defs/C"}, {"$ref": "#/$defs/D"}], "$defs": {"C": CREATE, "D": DELETE}},
    "a union in a union": {"oneOf": [CREATE, {"anyOf": [DELETE, {"type": "null"}]}]},
    "allOf around": {"allOf": [{"anyOf": [CREATE, DELETE]}]},
}


@pytest.mark.parametrize("parameters", UNIONS.values(), ids=UNIONS.keys())
@pytest.mark.parametrize("name", ["ollama@0.24", "ollama@0.32"])
def test_a_union_at_the_root(name: str, parameters: Any) -> None:
    """Its forms' properties together; what all need is required, and which form needs what is told."""
    with serving(name) as fake:
        fake.script(text("ok"))
        tool: Any = {
            "type": "function",
            "function": {"name": "edit", "description": "Edits.", "parameters": parameters},
        }
        fake.client().chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], tools=[tool])
        function = fake.last.body["tools"][0]["function"]
    assert function["parameters"] == {
        "type": "object",
        "properties": {"action": {"enum": ["create", "delete"]}, "title": {"type": "string"}, "id": {"type": "string"}},
        "required": ["action"],
    }
    assert 'action = "create", title; or action = "delete", id (optional)' in function["description"]
    assert function["description"].startswith("Edits.")


def test_forms_that_only_require() -> None:
    both = {"a": {"type": "string"}, "b": {"type": "string"}}
    shown = shown_parameters(
        {"type": "object", "properties": both, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    )
    assert (shown["properties"], shown["required"]) == (both, [])
    assert shown["description"] == "(one of these forms: a; or b)"


NULLABLE = [
    {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"]}}},
    {"anyOf": [{"type": "object", "properties": {"a": {"type": ["string", "null"]}}}, {"type": "null"}]},
    {
        "oneOf": [{"$ref": "#/$defs/x"}, {"const": None}],
        "$defs": {"x": {"properties": {"a": {"type": ["string", "null"]}}}},
    },
]


@pytest.mark.parametrize("parameters", NULLABLE, ids=str)
def test_a_root_that_may_be_null(parameters: Any) -> None:
    """Ollama's own type at the root is one word, unlike a property's."""
    shown = shown_parameters(parameters)
    assert shown.pop("description") == "(may be null)"
    assert shown == {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}


def test_what_is_recursive_says_what_it_is() -> None:
    json_type = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/J"}}, {"type": "string"}]}
    shown = shown_parameters({"type": "object", "properties": {"a": {"$ref": "#/$defs/J"}}, "$defs": {"J": json_type}})
    again = {"type": ["array", "string"], "description": "another J"}
    assert shown["properties"]["a"] == {"anyOf": [{"type": "array", "items": again}, {"type": "string"}]}


def kinds(count: int, each: int = 2) -> Any:
    """Kinds of nodes that hold one another."""
    nodes = [{"$ref": f"#/$defs/Kind{one}"} for one in range(count)]
    fields = {f"field{one}": {"anyOf": nodes} for one in range(each)}
    node = {"type": "object", "properties": fields, "required": ["field0"]}
    return {"$ref": "#/$defs/Kind0", "$defs": {f"Kind{one}": node for one in range(count)}}


def chain(length: int) -> Any:
    """Each type has the next one twice."""
    links = {
        f"T{one}": {"properties": {name: {"$ref": f"#/$defs/T{one + 1}"} for name in "ab"}} for one in range(length)
    }
    return {"$ref": "#/$defs/T0", "$defs": {**links, f"T{length}": {"type": "string"}}}


@pytest.mark.parametrize("parameters", [kinds(5), kinds(7), kinds(20, 5), chain(12), chain(25)], ids=len)
def test_references_have_a_budget(parameters: Any) -> None:
    """What is shown stays in proportion; what is not opened says what it is."""
    shown = json.dumps(shown_parameters(parameters))
    assert len(shown) < 20 * len(json.dumps(parameters))
    assert "$ref" not in shown
    assert '"properties": {"' in shown


def test_a_list_of_places_is_told() -> None:
    shown = shown_parameters({"type": "object", "properties": {"a": {"type": "array", "items": [{"type": "integer"}]}}})
    assert shown["properties"]["a"] == {"type": "array", "description": '(items: [{"type": "integer"}])'}
