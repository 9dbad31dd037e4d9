"""JSON Schemas walked by position, and values held against them.

What a word in a schema is, its place decides: under `properties` it is the name of a property, whatever it spells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote

from llm_adapter.provider import Json

# By what they hold: schemas by name, a list of schemas, one schema. The rest of the keywords hold values.
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})
_LISTED = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})
_SINGLE = frozenset({"items", "additionalProperties", "additionalItems", "not", "if", "then", "else", "contains"}) | {
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
}
# What says nothing about a value. `title` repeats the property's name: pydantic writes one everywhere.
SILENT = frozenset({"title", "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "strict"})
ANNOTATIONS = SILENT | {"description", "default", "examples", "deprecated", "readOnly", "writeOnly", "nullable"}
_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
_LIMIT = 3

Visit: TypeAlias = Callable[[Any], Any]


def mapped(node: Json, visit: Visit) -> Json:
    """The node with `visit` applied to each of the schemas that it holds itself; definitions are left as they are."""
    return {
        key: value if key in ("$defs", "definitions") else _mapped(key, value, visit) for key, value in node.items()
    }


def _mapped(key: str, value: Any, visit: Visit) -> Any:
    if key in _NAMED and isinstance(value, dict):
        return {name: visit(one) for name, one in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [visit(one) for one in value]
    return visit(value) if key in _SINGLE and isinstance(value, (dict, bool)) else value


def holds_schemas(key: str) -> bool:
    """Whether a keyword holds other schemas."""
    return key in _NAMED or key in _LISTED or key in _SINGLE


def resolved(root: Any, reference: str) -> Any:
    """What a reference into the same schema names, or None."""
    node = root
    if not reference.startswith("#"):
        return None
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(name)] if name.isdecimal() and int(name) < len(node) else None
        else:
            node = node.get(name) if isinstance(node, dict) else None
    return node if reference == "#" or reference.startswith("#/") else None


def name_of(reference: str) -> str:
    """The last part of a reference: the name that it was defined by."""
    return unquote(reference).rpartition("/")[2].strip("#") or "root"


def merged(one: Json, other: Any) -> Json:
    """A schema that asks for what both ask for; where they cannot be put together, for what the second asks for."""
    if not isinstance(other, dict):
        return one
    both = {**one, **other}
    for key in one.keys() & other.keys():
        first, second = one[key], other[key]
        if key == "properties" and isinstance(first, dict) and isinstance(second, dict):
            both[key] = {**first, **{name: _both(first.get(name), schema) for name, schema in second.items()}}
        elif key in ("required", "allOf") and isinstance(first, list) and isinstance(second, list):
            both[key] = [*first, *(value for value in second if value not in first)]
        elif key == "description" and first != second:
            both[key] = f"{first} {second}"
        elif key == "enum" and isinstance(first, list) and isinstance(second, list):
            both[key] = [value for value in second if value in first] or second
        elif key == "additionalProperties" and first is False:
            both[key] = False
    return both


def _both(one: Any, other: Any) -> Any:
    return merged(one, other) if isinstance(one, dict) and isinstance(other, dict) else other


def in_words(schema: Json, passed_over: frozenset[str] = frozenset()) -> Iterator[str]:
    """What a schema asks for, keyword by keyword, for a description. passed_over: keywords that stay out."""
    for key, value in schema.items():
        if key in passed_over or key in SILENT:
            continue
        if key == "additionalProperties" and isinstance(value, bool):
            if not value:
                yield "(no other properties)"
            continue
        yield f"({key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)})"


def described(schema: Json, words: list[str]) -> Json:
    """The schema with more words in its description."""
    said = [schema["description"]] if schema.get("description") else []
    return {**schema, "description": " ".join(map(str, [*said, *words]))} if words else schema


def faults(schema: Any, value: Any) -> list[str]:
    """Where and how a value breaks the schema, the first few; empty when it does not."""
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError, UndefinedTypeCheck, UnknownType
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validators.validator_for(schema)
    validator = validators.extend(kind, {"pattern": _pattern_faults})  # type: ignore[no-untyped-call]
    try:
        # Of its own accord jsonschema would fetch what a reference to another host names.
        checks = validator(schema, registry=Registry())
        found = sorted(checks.iter_errors(value), key=lambda error: list(map(str, error.path)))
    except (SchemaError, UndefinedTypeCheck, UnknownType, Unresolvable, re.error) as error:
        return [f"the schema cannot be used: {error}"]
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return [f"the schema cannot be used: {type(error).__name__}: {error}"]
    return [f"{'.'.join(map(str, error.path)) or 'the reply'}: {error.message[:200]}" for error in found[:_LIMIT]]


def _pattern_faults(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    """JSON Schema's patterns are those of JavaScript, which name a group in another way."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not re.search(_NAMED_GROUP.sub("(?P<", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")
