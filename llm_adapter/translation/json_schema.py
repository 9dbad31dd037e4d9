"""JSON Schemas in the forms that servers understand, and replies held against them.

`inlined`  every `$ref` and `allOf` resolved, nothing else changed
`folded`   only the keywords that Ollama shows a model; what the others say goes into the description
`enforced` what llama.cpp's grammar can hold a reply to
`faults`   where a value breaks the schema, by the `jsonschema` package

Source: ollama/api/types.go ToolFunctionParameters and ToolProperty, v0.24.0: every other keyword of a tool's schema is
dropped in silence; llama.cpp common/json-schema-to-grammar.cpp: a pattern has to be anchored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llm_adapter.provider import Json

_SHOWN = ("type", "description", "enum", "required")
_NESTED = ("properties", "items", "anyOf")
# `title` repeats the property's name (pydantic writes one everywhere); the rest says nothing about a value.
_SILENT = frozenset({"title", "$schema", "$id", "$comment", "$defs", "definitions", "strict"})
_LIMIT = 3


def inlined(schema: Any) -> Any:
    """The schema without `$ref` and `allOf`. A type that holds itself is opened once, and any object inside."""
    return _inlined(schema, schema, ())


def _inlined(node: Any, root: Any, inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(one, root, inside) for one in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        beside = {key: value for key, value in node.items() if key != "$ref"}
        if reference in inside:
            return {"type": "object", "description": f"another {reference.rpartition('/')[2]}", **beside}
        target = _inlined(_target(root, reference), root, (*inside, reference))
        return {**target, **_inlined(beside, root, inside)} if isinstance(target, dict) else target
    plain = {key: _inlined(value, root, inside) for key, value in node.items() if key not in ("$defs", "definitions")}
    for part in plain.pop("allOf", []) if isinstance(plain.get("allOf"), list) else []:
        plain = _merged(plain, part)
    return plain


def _target(root: Any, reference: str) -> Any:
    node = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node


def _merged(one: Json, other: Any) -> Json:
    if not isinstance(other, dict):
        return one
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    if "description" in one and "description" in other:
        both["description"] = f"{one['description']} {other['description']}"
    return both


def folded(schema: Any) -> Json:
    """The schema in the keywords that Ollama keeps; the constraints that it drops are told in words."""
    if not isinstance(schema, dict):
        return {} if schema else {"description": "must not be given"}
    kept = {key: schema[key] for key in schema if key in _SHOWN}
    if "const" in schema:
        kept["enum"] = [schema["const"]]
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: folded(one) for name, one in schema["properties"].items()}
    if "items" in schema:
        kept["items"] = folded(schema["items"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        kept["anyOf"] = [folded(one) for one in options]
    words = [kept["description"]] if kept.get("description") else []
    words += list(_constraints_in_words(schema))
    if words:
        kept["description"] = " ".join(words)
    return kept


def _constraints_in_words(schema: Json) -> Iterator[str]:
    for key, value in schema.items():
        if key in _SHOWN or key in _NESTED or key in _SILENT or key in ("const", "oneOf"):
            continue
        if key == "additionalProperties" and isinstance(value, bool):
            if not value:
                yield "(no other properties)"
            continue
        yield f"({key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)})"


def enforced(schema: Any) -> Any:
    """The schema without what a grammar cannot hold; the whole one is checked when the reply is there."""
    if isinstance(schema, list):
        return [enforced(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: enforced(value) for key, value in schema.items() if not (key == "pattern" and _is_unanchored(value))}


def _is_unanchored(pattern: Any) -> bool:
    return isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$"))


def faults(schema: Any, value: Any) -> list[str]:
    """Where and how a value breaks the schema, the first few; empty when it does not."""
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError

    validator = validators.validator_for(schema)
    try:
        found = sorted(validator(schema).iter_errors(value), key=lambda error: list(map(str, error.path)))
    except (SchemaError, LookupError) as error:  # a schema that refers to what is not there
        return [f"the schema cannot be used: {error}"]
    return [f"{'.'.join(map(str, error.path)) or 'the reply'}: {error.message[:200]}" for error in found[:_LIMIT]]
