"""A function's parameters as Ollama can show them to a model: without references, and in the keywords that it keeps.

Everything else is told in descriptions. The caller's own schema judges the calls.
Source: ollama/api/types.go ToolFunctionParameters and ToolProperty, v0.24.0 and v0.33.0-rc2: every other keyword of a
tool's schema is dropped in silence, at the root also `anyOf` and `description`, and its `type` is one word.
"""

from __future__ import annotations

import json
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.translation.json_schema import described, in_words, mapped, merged, name_of, resolved

_SHOWN = ("type", "description", "enum", "required")
_TOLD_OTHERWISE = frozenset({*_SHOWN, "properties", "items", "anyOf", "oneOf", "const", "$ref", "allOf"})
_GROWTH = 4  # how many times longer a schema may become by its references
_DEEPEST = (100, 12, 6, 4, 3, 2, 1, 0)  # references inside one another, tried in this order
_AT_THE_ROOT = 20  # references to references, at the root
_LEVELS = 60  # schemas inside one another
_NAMES = 80  # letters, of the names of a type's properties


def shown_parameters(parameters: Any) -> Json:
    """The parameters for the model; what has no place in them is in their `description`, which is the function's."""
    return folded(_one_object(inlined(parameters)))


# --- references


class _TooLongError(Exception):
    """The schema has outgrown its budget."""


def inlined(schema: Any) -> Any:
    """The schema without `$ref` and `allOf`: each opened as deep as the length allows, and a type inside itself never.

    What is not opened says by which name it was defined, and what it is. The work is linear in the length.
    """
    for deepest in _DEEPEST:
        try:
            return _Inliner(schema, deepest).opened(schema, (), 0)
        except _TooLongError:  # noqa: PERF203 - a few times at most
            continue
    return {"type": "object"}


class _Inliner:
    def __init__(self, root: Any, deepest: int) -> None:
        self._root, self._deepest = root, deepest
        self._left = _GROWTH * len(json.dumps(root))
        self._lengths: dict[str, int] = {}
        self._outlines: dict[tuple[str, bool], Json] = {}

    def opened(self, node: Any, inside: tuple[str, ...], level: int) -> Any:
        """inside: the references that led here."""
        if not isinstance(node, dict):
            return node
        if level > _LEVELS:
            return self._outline(node, "more of the same")
        reference = node.get("$ref")
        if isinstance(reference, str):
            node = {key: value for key, value in node.items() if key != "$ref"}
            most = _AT_THE_ROOT if level == 0 else self._deepest
            if reference in inside or len(inside) >= most:
                target: Any = self._known_outline(reference, reference in inside)
            else:
                self._spend(reference)
                target = self.opened(resolved(self._root, reference), (*inside, reference), level + (level > 0))
            return self._beside(target, self.opened(node, inside, level))
        plain = mapped(node, lambda one: self.opened(one, inside, level + 1))
        parts = plain.pop("allOf", None)
        for part in parts if isinstance(parts, list) else ():
            plain = merged(plain, part)
        return {key: value for key, value in plain.items() if key not in ("$defs", "definitions")}

    @staticmethod
    def _beside(target: Any, node: Json) -> Any:
        """What stands beside a reference is said of the same value; its description is the nearer one."""
        if not isinstance(target, dict):
            return target if target is False else node
        if "description" in node:
            target = {key: value for key, value in target.items() if key != "description"}
        return merged(target, node)

    def _spend(self, reference: str) -> None:
        if reference not in self._lengths:
            target = resolved(self._root, reference)
            named = {"$defs", "definitions"}
            shown = {key: target[key] for key in target if key not in named} if isinstance(target, dict) else target
            self._lengths[reference] = len(json.dumps(shown))
        self._left -= self._lengths[reference]
        if self._left < 0:
            raise _TooLongError

    def _known_outline(self, reference: str, another: bool) -> Json:
        if (reference, another) not in self._outlines:
            target = resolved(self._root, reference)
            self._outlines[reference, another] = self._outline(target, name_of(reference), another)
        return self._outlines[reference, another]

    def _outline(self, target: Any, name: str, another: bool = False) -> Json:
        """A type that is not opened: what it is, and what the model may know of it elsewhere."""
        kinds = list(dict.fromkeys(self._kinds(target, set())))
        words = f"another {name}" if another else name
        properties = target.get("properties") if isinstance(target, dict) else None
        if isinstance(properties, dict) and properties and not another:
            names = ", ".join(properties)
            words += f": an object with {names if len(names) <= _NAMES else names[:_NAMES] + '...'}"
        kind: Json = {} if not kinds else {"type": kinds[0] if len(kinds) == 1 else kinds}
        return {**kind, "description": words}

    def _kinds(self, target: Any, seen: set[str]) -> list[str]:
        """The types that a schema allows, as far as it says so."""
        if not isinstance(target, dict):
            return []
        kind, reference = target.get("type"), target.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            return self._kinds(resolved(self._root, reference), seen)
        if isinstance(kind, (str, list)):
            return [kind] if isinstance(kind, str) else kind
        options = target.get("anyOf") or target.get("oneOf") or target.get("allOf")
        found = [self._kinds(one, seen) for one in options] if isinstance(options, list) else []
        if found and all(found):
            return [name for names in found for name in names]
        return ["object"] if "properties" in target else []


# --- the root


def _one_object(schema: Any) -> Json:
    """The root as one object: of a union the properties of all its forms, and in words which form has which."""
    if not isinstance(schema, dict):
        return {"type": "object", "properties": {}}
    schema = _without_null(schema)
    options = _forms(schema)
    if options:
        schema = _united({key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}, options)
    return {"type": "object", **schema}


def _forms(schema: Json) -> list[Json]:
    """The forms of a union, those of a union among them too."""
    options = schema.get("anyOf") or schema.get("oneOf")
    found: list[Json] = []
    for option in options if isinstance(options, list) else ():
        if isinstance(option, dict) and not _is_null(option):
            base = {key: value for key, value in option.items() if key not in ("anyOf", "oneOf")}
            inner = _forms(option)
            found += [merged(base, one) for one in inner] or [base]
    return found


def _without_null(schema: Json) -> Json:
    """A root that is not null: a call without arguments has an empty object."""
    kind, nullable = schema.get("type"), False
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        nullable = len(kinds) < len(kind)
        schema = {**schema, "type": "object" if "object" in kinds or not kinds else kinds[0]}
    for key in ("anyOf", "oneOf"):
        options = schema.get(key)
        if isinstance(options, list):
            kept = [one for one in options if not _is_null(one)]
            nullable = nullable or len(kept) < len(options)
            schema = {**schema, key: kept}
            if len(kept) == 1 and isinstance(kept[0], dict):
                base = {name: value for name, value in schema.items() if name != key}
                schema = _without_null(merged(base, kept[0]))
    return described(schema, ["(may be null)"]) if nullable else schema


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("type") == "null" or _values(schema) == [None])


def _united(base: Json, forms: list[Json]) -> Json:
    alike = {key: value for key, value in forms[0].items() if all(form.get(key) == value for form in forms)}
    properties = dict(_properties(base))
    for form in forms:
        for name, schema in _properties(form).items():
            properties[name] = _either(properties[name], schema) if name in properties else schema
    always = [_required(form) for form in forms]
    required = [*_required(base), *(name for name in properties if all(name in one for one in always))]
    words = "; or ".join(_form_in_words(form, frozenset(alike)) for form in forms)
    united = merged({"type": "object", **base}, {key: value for key, value in alike.items() if key != "description"})
    whole = {**united, "properties": properties, "required": list(dict.fromkeys(required))}
    return described(whole, [f"(one of these forms: {words})"])


def _properties(schema: Json) -> Json:
    given = schema.get("properties")
    return given if isinstance(given, dict) else {}


def _required(schema: Json) -> list[str]:
    given = schema.get("required")
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


def _either(one: Any, other: Any) -> Any:
    """A property that two forms have, each in its way."""
    if one == other or not (isinstance(one, dict) and isinstance(other, dict)):
        return one
    first, second = _values(one), _values(other)
    if first is not None and second is not None:
        rest = {key: value for key, value in one.items() if key not in ("const", "enum")}
        return {**rest, "enum": [*first, *(value for value in second if value not in first)]}
    known = one["anyOf"] if list(one) == ["anyOf"] and isinstance(one["anyOf"], list) else [one]
    return {"anyOf": [*known, *([] if other in known else [other])]}


def _values(schema: Json) -> list[Any] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return values if isinstance(values, list) else None


def _form_in_words(form: Json, alike: frozenset[str]) -> str:
    """`action = "delete", id`: what a form of the arguments has to have, and what it may have.

    alike: the keywords that all forms have with the same value.
    """
    properties, required = _properties(form), _required(form)
    parts = []
    for name in dict.fromkeys([*required, *properties]):
        schema = properties.get(name)
        values = _values(schema) if isinstance(schema, dict) else None
        said = "" if values is None else f" = {' or '.join(json.dumps(one, ensure_ascii=False) for one in values)}"
        parts.append(f"{name}{said}" if name in required else f"{name}{said} (optional)")
    more = " ".join(in_words(form, alike | {"type", "properties", "required"}))
    title = f"{form['title']}: " if isinstance(form.get("title"), str) else ""
    return f"{title}{', '.join(parts) or 'no properties'} {more}".strip()


# --- the keywords


def folded(schema: Any) -> Json:
    """The schema in the keywords that Ollama keeps; the constraints that it drops are told in words."""
    if not isinstance(schema, dict):
        return {"description": "must not be given"} if schema is False else {}
    kept = {key: schema[key] for key in schema if key in _SHOWN}
    if "const" in schema:
        kept["enum"] = [schema["const"]]
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: folded(one) for name, one in schema["properties"].items()}
    told = _TOLD_OTHERWISE - ({"items"} if isinstance(schema.get("items"), list) else set())
    if "items" in told and "items" in schema:
        kept["items"] = folded(schema["items"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        kept["anyOf"] = [folded(one) for one in options]
    return described(kept, list(in_words(schema, told - ({"oneOf"} if schema.get("anyOf") else set()))))
