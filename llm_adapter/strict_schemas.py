"""What OpenAI wants of a JSON schema that it is to hold strictly, and a schema made so (P36). No IO.

Sources: openai/lib/_pydantic.py _ensure_strict_json_schema, v3.52.0, which makes pydantic's schemas strict; the words
of the refusals are OpenAI's own, as users report them (outlines#844, xsai#202, mysql-mcp#5, fast-agent#143).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from llm_adapter.provider import Json, Rejected
from llm_adapter.strict_messages import empty, missing

# Keywords that the strict subset lacks.
_NOT_PERMITTED = ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


class Fault(NamedTuple):
    """Where and how a schema is not strict; `context` is the way to it, as OpenAI writes it."""

    context: tuple[str, ...]
    reason: str


def schema_faults(schema: Any, context: tuple[str, ...] = ()) -> Iterator[Fault]:
    """What OpenAI would refuse of a schema with `strict: true`: nested ones and `$defs` too."""
    if not isinstance(schema, dict):
        return
    for keyword in _NOT_PERMITTED:
        if keyword in schema:
            yield Fault(context, f"'{keyword}' is not permitted.")
    if "$ref" in schema and len(schema) > 1:
        others = ", ".join(repr(name) for name in schema if name != "$ref")
        yield Fault(context, f"$ref cannot have keywords {{{others}}}.")
    if _is_object(schema):
        yield from _object_faults(schema, context)
    for way, inner in _inside(schema):
        yield from schema_faults(inner, (*context, *way))


def _object_faults(schema: Json, context: tuple[str, ...]) -> Iterator[Fault]:
    if schema.get("additionalProperties") is not False:
        yield Fault(context, "'additionalProperties' is required to be supplied and to be false.")
    required = schema.get("required")
    left = [name for name in _named(schema, "properties") if not isinstance(required, list) or name not in required]
    if left:
        yield Fault(
            context,
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{left[0]}'.",
        )


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _inside(schema: Json) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The schemas in a schema, with the way to each."""
    for keyword in ("$defs", "definitions", "properties"):
        for name, inner in _named(schema, keyword).items():
            yield (keyword, name), inner
    options = schema.get("anyOf")
    for place, inner in enumerate(options if isinstance(options, list) else ()):
        yield ("anyOf", str(place)), inner
    if isinstance(schema.get("items"), dict):
        yield ("items",), schema["items"]


def _named(schema: Json, keyword: str) -> Json:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}


def strict_schema(schema: Json) -> Json:
    """The schema as OpenAI takes it with `strict: true`: closed objects, and every property required.

    A property that was not required may be null now, which is OpenAI's way to say "optional": a reply has it, as null.
    """
    strict = {**schema}
    if "$ref" in strict:
        return {"$ref": strict["$ref"]}
    if _is_object(strict):
        known = strict.get("properties") or {}
        optional = set(known) - set(strict.get("required") or ())
        strict |= {"type": strict.get("type", "object"), "additionalProperties": False, "required": list(known)}
        strict["properties"] = {
            name: _nullable(strict_schema(one)) if name in optional else strict_schema(one)
            for name, one in known.items()
        }
    for keyword in ("$defs", "definitions"):
        if keyword in strict:
            strict[keyword] = {name: strict_schema(one) for name, one in strict[keyword].items()}
    if "anyOf" in strict:
        strict["anyOf"] = [strict_schema(one) for one in strict["anyOf"]]
    if isinstance(strict.get("items"), dict):
        strict["items"] = strict_schema(strict["items"])
    if strict.get("default", strict) is None:
        del strict["default"]  # `null` says nothing where the property is nullable
    return strict


def _nullable(schema: Json) -> Json:
    options = schema.get("anyOf")
    if isinstance(options, list):
        known = any(isinstance(one, dict) and one.get("type") == "null" for one in options)
        return schema if known else {**schema, "anyOf": [*options, {"type": "null"}]}
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return schema if kind == "null" else {**schema, "type": [kind, "null"]}
    return schema if isinstance(kind, list) and "null" in kind else {"anyOf": [schema, {"type": "null"}]}


def response_format_refusals(body: Json) -> Iterator[Rejected]:
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": dict(wanted)}:
            pass
        case _:
            return
    name = wanted.get("name")
    where = "response_format.json_schema"
    if not name:
        yield missing(f"{where}.name")
    elif not _NAME.fullmatch(str(name)):
        yield _misnamed(f"{where}.name")
    if wanted.get("strict"):
        for fault in schema_faults(wanted.get("schema")):
            yield Rejected(f"Invalid schema for response_format '{name}': {_said(fault)}", param="response_format")


def tool_refusals(body: Json) -> Iterator[Rejected]:
    tools = body.get("tools")
    if tools == []:
        yield empty("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            yield from _function_refusals(function, f"tools[{place}].function")


def _function_refusals(function: Json, where: str) -> Iterator[Rejected]:
    name, schema = function.get("name"), function.get("parameters")
    if not name:
        yield missing(f"{where}.name")
    elif not _NAME.fullmatch(str(name)):
        yield _misnamed(f"{where}.name")
    faults = list(schema_faults(schema)) if function.get("strict") else []
    if isinstance(schema, dict) and schema.get("type") == "object" and "properties" not in schema:
        faults.insert(0, Fault((), "object schema missing properties."))
    for fault in faults:
        yield Rejected(
            f"Invalid schema for function '{name}': {_said(fault)}",
            param=f"{where}.parameters",
            code="invalid_function_parameters",
        )


def _misnamed(where: str) -> Rejected:
    expected = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    message = f"Invalid '{where}': string does not match pattern. {expected}"
    return Rejected(message, param=where, code="invalid_value")


def _said(fault: Fault) -> str:
    if fault.reason.startswith("$ref"):
        return f"context={fault.context}, {fault.reason}"
    return f"In context={fault.context}, {fault.reason}"
