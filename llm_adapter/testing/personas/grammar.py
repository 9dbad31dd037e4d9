"""What a server that builds a grammar of a JSON Schema cannot hold, and what a model says that is held by one.

Sources: ollama v0.24.0 llama/llama.cpp/common/json-schema-to-grammar.cpp and src/llama-grammar.cpp; for newer llama.cpp
the issues llama.cpp#16714 (an escape that a grammar does not know) and openclaw#113562 (a pattern without anchors).
llama.cpp of b11549 takes such patterns, and holds the reply to no pattern then: the fakes play the older ones, which
refuse them, so that nothing passes here that a server refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from llm_adapter.testing.personas.wire import Json

LARGEST = 2000  # repetitions; llama-grammar.cpp MAX_REPETITION_THRESHOLD
_ESCAPES = r'xuUtrn\\"\[\]'  # that a grammar knows (llama-grammar.cpp parse_char)
_UNKNOWN_ESCAPE = re.compile(rf"\\[^{_ESCAPES}^$.()|{{}}*+?]")  # outside of a class also what a pattern escapes
_UNKNOWN_IN_CLASS = re.compile(rf"\\[^{_ESCAPES}]")
_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]")
_ESCAPED = re.compile(r"\\.")
_BOUNDS = re.compile(r"\{(\d*),?(\d*)\}")
_LENGTHS = ("minLength", "maxLength", "minItems", "maxItems")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_EXAMPLES: Json = {"string": "text", "integer": 0, "number": 0, "boolean": False, "null": None}


class Fault(Enum):
    """What is wrong with a schema, by what it does to a server."""

    UNANCHORED = "Pattern must start with '^' and end with '$'"
    GROUP = "a group that begins with (?"
    ESCAPE = "an escape that a grammar does not know"
    BOUND = "a number of repetitions that is too large"
    BOOLEAN = "Unrecognized schema: true"


def faults(schema: Any, largest: int = LARGEST) -> Iterator[Fault]:
    """What a grammar cannot hold of a schema. largest: the greatest number of repetitions that it takes."""
    for one in _subschemas(schema, schema, set()):
        if isinstance(one, bool):
            yield Fault.BOOLEAN
        elif isinstance(one, dict) and not one.keys() & {"const", "enum", "$ref"}:
            if isinstance(pattern := one.get("pattern"), str):
                yield from _pattern_faults(pattern, largest)
            if any(type(one.get(name)) is int and one[name] > largest for name in _LENGTHS):
                yield Fault.BOUND


def _pattern_faults(pattern: str, largest: int) -> Iterator[Fault]:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        yield Fault.UNANCHORED
        return
    outside = _CLASS.sub("", pattern)
    if "(?" in _ESCAPED.sub("", outside):
        yield Fault.GROUP
    if _UNKNOWN_ESCAPE.search(outside) or any(_UNKNOWN_IN_CLASS.search(one) for one in _CLASS.findall(pattern)):
        yield Fault.ESCAPE
    if any(int(bound) > largest for found in _BOUNDS.findall(_ESCAPED.sub("", outside)) for bound in found if bound):
        yield Fault.BOUND


def _subschemas(schema: Any, root: Any, seen: set[str]) -> Iterator[Any]:
    """A schema, and those in it that a grammar is built of."""
    yield schema
    if not isinstance(schema, dict):
        return
    inner = [schema["items"]] if "items" in schema else []
    if isinstance(schema.get("additionalProperties"), dict):
        inner.append(schema["additionalProperties"])
    inner += [one for name in _SEVERAL if isinstance(schema.get(name), list) for one in schema[name]]
    if isinstance(properties := schema.get("properties"), dict):
        inner += properties.values()
    if isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        inner.append(_resolve(root, reference))
    for one in inner:
        yield from _subschemas(one, root, seen)


def _resolve(root: Any, reference: str) -> Any:
    """What a local reference names; an empty schema, where it names nothing."""
    found = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        if name:
            found = found.get(name) if isinstance(found, dict) else None
    return {} if found is None else found


def example(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A value that fits a schema in its types and required fields: what a model says that is held by it."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > 20:
        return {} if depth == 0 else None
    if "$ref" in schema:
        return example(_resolve(root, str(schema["$ref"])), root, depth + 1)
    for name in ("enum", "anyOf", "oneOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0] if name == "enum" else example(schema[name][0], root, depth + 1)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "array":
        least = schema.get("minItems")
        return [example(schema.get("items"), root, depth + 1)] * (least if isinstance(least, int) else 0)
    if kind != "object":
        return _EXAMPLES.get(str(kind))
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    wanted = schema.get("required") if isinstance(schema.get("required"), list) else list(known)
    return {str(name): example(known.get(name, {"type": "string"}), root, depth + 1) for name in wanted or ()}
