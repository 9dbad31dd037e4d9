"""Schemas that a server builds a grammar of: what no grammar holds safely is taken out, and told in descriptions.

The caller's own schema judges the reply, so nothing that is taken out here is lost: it is checked when the reply is
there. A schema that has nothing of the kind is sent as it is.

What llama.cpp's grammars do, and Ollama's and LM Studio's, which are llama.cpp's. Sources:
common/json-schema-to-grammar.cpp (011c6c3c), and what a server of b11549 answered to each of these:

- A pattern outside the language of `grammar_pattern` is a 400 on older servers. Ollama 0.24.0 stops its runner on
  `^\\d{3}-\\d{4}$`, and dies of `^(?!x)[a-z]+$`.
- 2,000 repetitions are a 400 (src/llama-grammar.cpp MAX_REPETITION_THRESHOLD), of a list's items a little fewer.
- `true` and `false` as schemas are a 400; one without a type is a 400 on older servers, and `{}` means any object.
- A reference that is no `#/` path, or is escaped, or names nothing, is a 400; so is a type that begins with itself.
- More items wanted than allowed: the server answers no more.
- `anyOf` replaces what stands beside it; `allOf` is replaced by it. A property that is required and not described
  cannot be written. Names with brackets beside `additionalProperties` break the grammar.
- A root that may be null leaves the choice between an answer and none to the sampler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.translation.grammar_pattern import safe_pattern
from llm_adapter.translation.json_schema import (
    ANNOTATIONS,
    SILENT,
    described,
    holds_schemas,
    in_words,
    mapped,
    merged,
    name_of,
    resolved,
)
from llm_adapter.translation.remembered import remembered


@dataclass(frozen=True)
class Grammar:
    """What one kind of server takes of a schema."""

    source: str
    repetitions: int | None = None  # the greatest number of letters, items or repetitions; None is any
    # Its patterns are those of `grammar_pattern`, and its schemas have to be written in one way; else it takes all of
    # JSON Schema but what no automaton can hold: looking ahead or back, and references to a group.
    of_llamacpp: bool = True


# By dialect. Where versions differ, the safest of them: a request does not know which version it goes to.
GRAMMARS: Mapping[str, Grammar] = {
    "ollama": Grammar("ollama 0.24.0 (llama.cpp in its own process) and 0.32.15 (llama-server)", 1_000),
    "llamacpp": Grammar("llama.cpp b10229 and b11549", 1_000),
    "lmstudio": Grammar("LM Studio's engine is llama.cpp; its version is not told", 1_000),
    "vllm": Grammar("vllm v1/structured_output (002032ee): xgrammar, and guidance for the rest", of_llamacpp=False),
}

_ANY = ["object", "array", "string", "number", "boolean", "null"]
_UNIONS = ("oneOf", "anyOf")
_LENGTHS = (("minLength", "maxLength"), ("minItems", "maxItems"))
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_LARGEST_INTEGER = 10**15  # grammars write integers of sixteen digits
# What makes a schema one of a kind of value, in a grammar.
_KINDS = frozenset({"type", "const", "enum", "$ref", "properties", "items", "prefixItems", "pattern", *_UNIONS})
_HELD = frozenset({"properties", "items", "prefixItems", "additionalProperties", *_UNIONS})
_NO_AUTOMATON = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]|\\k<")
_PLAIN = re.compile(r"[A-Za-z0-9_ -]+")
_DEEPEST = 60  # schemas inside one another
_PARTS = 50  # of `allOf` inside one another, and of references to references
_DEFINITIONS = ("$defs", "definitions")


@dataclass(frozen=True)
class NormalisedSchema:
    """A schema as it is sent, and in words what was taken out of it."""

    schema: Any
    taken_out: tuple[str, ...] = ()


def normalised(schema: Any, grammar: Grammar, *, arguments: bool = False, prefix: str = "") -> NormalisedSchema:
    """The schema as the server takes it.

    arguments: whether it describes the arguments of a call, which are an object. prefix: for the names of definitions.
    """
    changed = _changed(schema, grammar, arguments, prefix)
    return NormalisedSchema(schema) if changed is None else changed


@remembered
def _changed(schema: Any, grammar: Grammar, arguments: bool, prefix: str) -> NormalisedSchema | None:
    """The same where it differs from the schema, or else None."""
    new = _normalised(schema, grammar, arguments, prefix)
    return None if new.schema is schema else new


def _normalised(schema: Any, grammar: Grammar, arguments: bool, prefix: str) -> NormalisedSchema:
    if not isinstance(schema, (dict, bool)):
        return NormalisedSchema(schema)
    if not grammar.of_llamacpp:
        return _without_patterns(_object_of(schema) if arguments else schema)
    normaliser = _Normaliser(schema, grammar, prefix)
    written = normaliser.root(arguments)
    return NormalisedSchema(written if normaliser.changed else schema, tuple(normaliser.taken_out))


def _without_patterns(schema: Any) -> NormalisedSchema:
    taken_out: list[str] = []

    def visit(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        node = {
            **mapped(node, visit),
            **{key: _each(node[key], visit) for key in ("$defs", "definitions") if key in node},
        }
        pattern = node.get("pattern")
        if isinstance(pattern, str) and _NO_AUTOMATON.search(pattern):
            words = f"(pattern: {node.pop('pattern')})"
            taken_out.append(words)
            return described(node, [words])
        return node

    written = visit(schema)
    return NormalisedSchema(written if taken_out else schema, tuple(taken_out))


def _each(named: Any, visit: Any) -> Any:
    return {name: visit(one) for name, one in named.items()} if isinstance(named, dict) else named


def _object_of(schema: Any) -> Any:
    """Arguments that are not null."""
    return without_null(schema)[0] if isinstance(schema, dict) else schema


def without_null(schema: Json) -> tuple[Json, bool]:
    """A schema that does not allow null, and whether it did."""
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds and len(kinds) > 1:
        left = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else left}, True
    for key in _UNIONS:
        options = schema.get(key)
        left = [one for one in options if not _is_null(one)] if isinstance(options, list) else []
        if left and isinstance(options, list) and len(left) < len(options):
            base = {name: value for name, value in schema.items() if name != key}
            return merged(base, left[0]) if len(left) == 1 else {**base, key: left}, True
    return schema, False


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (
        schema.get("type") == "null" or schema.get("enum") == [None] or schema.get("const", 0) is None
    )


class _Normaliser:
    """Writes a schema anew, each of its definitions once. What has to be put together becomes a definition too."""

    def __init__(self, root: Any, grammar: Grammar, prefix: str) -> None:
        self.changed, self.taken_out = False, list[str]()
        self._root, self._prefix = root, prefix
        self._largest = grammar.repetitions or 0
        self._left = len(json.dumps(root)) // 4 + 100  # schemas: a guard against unions that multiply
        self._contents: dict[str, Any] = {}  # of the definitions, by reference, or by the text of what is put together
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []

    def root(self, arguments: bool) -> Json:
        """The whole schema."""
        schema, nullable = self._root, False
        if isinstance(schema, dict):
            schema, nullable = without_null(self._put_together(schema))
        written = self._schema(schema, None, 0)
        if written is False or (arguments and written.get("type") == _ANY):
            self.changed, written = True, {"type": "object"}
        if nullable:
            written = self._told(written, ["(may be null)"])
        definitions = {}
        while self._waiting:
            key = self._waiting.pop()
            found = self._schema(self._contents[key], key, 0)
            definitions[self._names[key]] = {"type": _ANY} if found is False else found
        return {**written, "$defs": definitions} if definitions else written

    def _told(self, schema: Json, words: list[str]) -> Json:
        """The schema with what was taken out of it in its description."""
        if not words:
            return schema
        self.changed = True
        self.taken_out += words
        return described(schema, words)

    def _anything(self, words: list[str]) -> Json:
        self.changed = True
        return self._told({"type": _ANY}, words)

    def _schema(self, schema: Any, owner: str | None, depth: int) -> Any:
        """A schema as it is written; False for one that nothing fits.

        owner: the definition that it is the beginning of, which would begin with itself where it is named again.
        """
        self._left -= 1
        if schema is False:
            self.changed = True
            return False
        if not isinstance(schema, dict):
            return self._anything([])
        if depth > _DEEPEST or self._left < 0:
            return self._anything(["(more than can be enforced)"])
        if depth and _is_composed(schema) and '"$ref"' in (text := json.dumps(schema)):
            return self._reference(schema, text, schema, owner)
        schema = self._put_together(schema)
        if "$ref" in schema:
            return self._reference(schema, schema["$ref"], resolved(self._root, str(schema["$ref"])), owner)
        if "const" in schema or "enum" in schema:
            return schema
        if any(isinstance(schema.get(key), list) for key in _UNIONS):
            return self._union(schema, owner, depth)
        return self._plain(schema, depth)

    # --- what is put together: the parts of `allOf`, and what stands beside a reference

    def _put_together(self, schema: Json) -> Json:
        for _ in range(_PARTS):
            if not _is_composed(schema):
                return schema
            self.changed = True
            rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
            if "$ref" in schema:
                schema = merged(
                    self._target(schema), {**rest, **({"allOf": schema["allOf"]} if "allOf" in schema else {})}
                )
            elif len(schema["allOf"]) == 1 and not rest.keys() - ANNOTATIONS and isinstance(schema["allOf"][0], dict):
                schema = {**schema["allOf"][0], **rest}
            else:
                for part in schema["allOf"]:
                    rest = self._joined(rest, part)
                schema = rest
        return {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}

    def _joined(self, schema: Json, part: Any) -> Json:
        """What both ask for; of two unions, a grammar holds the first."""
        part = self._opened(part)
        if isinstance(part, dict):
            part = {key: value for key, value in part.items() if not (key in _UNIONS and key in schema)}
        return merged(schema, part)

    def _opened(self, schema: Any) -> Any:
        """A schema without a reference at its beginning."""
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        return merged(self._target(schema), {key: value for key, value in schema.items() if key != "$ref"})

    def _target(self, schema: Json) -> Json:
        target = resolved(self._root, str(schema["$ref"]))
        return {key: target[key] for key in target if key not in ANNOTATIONS} if isinstance(target, dict) else {}

    # --- definitions

    def _reference(self, schema: Json, key: Any, content: Any, owner: str | None) -> Any:
        if not isinstance(key, str) or content is None:
            return self._anything([f"($ref: {key})"])
        if owner is not None and owner in self._beginnings(key, content):
            self.changed = True
            return False
        said = {name: value for name, value in schema.items() if name in ANNOTATIONS and name not in SILENT}
        return {**said, "$ref": f"#/$defs/{self._name(key, content)}"}

    def _name(self, key: str, content: Any) -> str:
        if key not in self._names:
            plain = self._prefix + (re.sub(r"[^A-Za-z0-9_-]", "_", name_of(key)) if key.startswith("#") else "part")
            taken = set(self._names.values())
            numbered = (f"{plain}-{number}" for number in range(2, len(taken) + 3))
            self._names[key] = plain if plain not in taken else next(one for one in numbered if one not in taken)
            self._contents[key] = content
            self._waiting.append(key)
            self.changed = self.changed or key not in (f"#/$defs/{plain}", f"#/definitions/{plain}")
        return self._names[key]

    def _beginnings(self, key: str, content: Any) -> set[str]:
        """The definitions that a value of this one may begin with: by its name, and by unions."""
        found, waiting = {key}, _first_references(content)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += _first_references(resolved(self._root, one))
        return found

    # --- unions

    def _union(self, schema: Json, owner: str | None, depth: int) -> Any:
        key = next(one for one in _UNIONS if isinstance(schema.get(one), list))
        base = {name: value for name, value in schema.items() if name != key}
        options = schema[key]
        words: list[str] = []
        if isinstance(base.get("anyOf"), list):  # of two unions a grammar holds one
            words += in_words({"anyOf": base.pop("anyOf")})
        said = {name: value for name, value in base.items() if name in ANNOTATIONS and name not in _DEFINITIONS}
        asked = {name: value for name, value in base.items() if name not in ANNOTATIONS}
        if asked and not (asked.keys() == {"type"} and all(map(_has_kind, options))):
            self.changed = True
            options = [merged(asked, self._opened(one)) for one in options if one is not False]
        written = [self._schema(one, owner, depth + 1) for one in options]
        left = [one for one in written if one is not False]
        if not left:
            return False if options else self._anything(words)
        kind = {"type": asked["type"]} if asked.keys() == {"type"} and options is schema[key] else {}
        return self._told({**said, **kind, key: left}, words)

    # --- everything else

    def _plain(self, schema: Json, depth: int) -> Json:
        kept: Json = {}
        words: list[str] = []
        for key, value in schema.items():
            if key in _DEFINITIONS or key in _HELD:
                continue
            # No grammar reads these, and servers look for references in them all the same.
            if holds_schemas(key) or (key in ("default", "examples") and "$ref" in json.dumps(value)):
                words += in_words({key: value})
            else:
                kept[key] = value
        words += self._numbers(kept)
        words += self._pattern(kept)
        words += self._items(schema, kept, depth)
        words += self._properties(schema, kept, depth)
        if not kept.keys() & _KINDS and "additionalProperties" not in kept:
            self.changed = True
            kept["type"] = _ANY
        return self._told(kept, words)

    def _numbers(self, kept: Json) -> list[str]:
        """Takes bounds out that are too large, or that nothing fits."""
        for key in (name for pair in _LENGTHS for name in pair):
            if isinstance(kept.get(key), float) and kept[key].is_integer():
                self.changed, kept[key] = True, int(kept[key])
        wrong = [key for pair in _LENGTHS for key in pair if key in kept and not self._is_count(kept[key])]
        for least, most in _LENGTHS:
            if not {least, most} & set(wrong) and kept.get(least, 0) > kept.get(most, self._largest):
                wrong += [one for one in (least, most) if one in kept]
        wrong += [key for key in _LIMITS if key in kept and not _is_limit(kept[key])]
        return [words for key in wrong for words in in_words({key: kept.pop(key)})]

    def _is_count(self, value: Any) -> bool:
        return type(value) is int and 0 <= value <= self._largest

    def _pattern(self, kept: Json) -> list[str]:
        pattern = kept.get("pattern")
        if not isinstance(pattern, str):
            return []
        safe = safe_pattern(pattern, self._largest)
        if safe is None:
            return list(in_words({"pattern": kept.pop("pattern")}))
        self.changed = self.changed or safe != pattern
        kept["pattern"] = safe
        return []

    def _items(self, schema: Json, kept: Json, depth: int) -> list[str]:
        items, first = schema.get("items"), schema.get("prefixItems")
        if isinstance(first, list) and isinstance(items, dict):  # a grammar holds one of them
            return list(in_words({"prefixItems": first, "items": items}))
        if isinstance(first, list):
            kept["prefixItems"] = self._places(first, depth)
        elif isinstance(items, list):
            kept["items"] = self._places(items, depth)
        elif isinstance(items, dict):
            one = self._schema(items, None, depth + 1)
            kept |= {"const": []} if one is False else {"items": one}
        elif items is False:
            kept["const"] = []
        self.changed = self.changed or isinstance(items, bool)
        return []

    def _places(self, schemas: list[Any], depth: int) -> list[Any]:
        written = [self._schema(one, None, depth + 1) for one in schemas]
        return [{"type": _ANY} if one is False else one for one in written]

    def _properties(self, schema: Json, kept: Json, depth: int) -> list[str]:
        more, properties = schema.get("additionalProperties"), schema.get("properties")
        if isinstance(properties, dict) and properties.keys() & {"$ref", "$defs"}:
            # Older servers take these for keywords, and stop at what they find there.
            kept.setdefault("type", "object")
            return list(in_words({key: schema[key] for key in ("properties", "additionalProperties") if key in schema}))
        if isinstance(more, dict):
            more = self._schema(more, None, depth + 1)
        words: list[str] = []
        if isinstance(properties, dict):
            all_of_them = self._with_required(properties, kept.get("required"), more)
            written = {name: self._schema(one, None, depth + 1) for name, one in all_of_them.items()}
            words = [f"(no {name})" for name, one in written.items() if one is False]
            kept["properties"] = {name: one for name, one in written.items() if one is not False}
            if more not in (None, False) and not all(map(_PLAIN.fullmatch, properties)):
                words += in_words({"additionalProperties": more})
                self.changed, more = True, None
        if more is not None:
            kept["additionalProperties"] = more
        return words

    def _with_required(self, properties: Json, required: Any, more: Any) -> Json:
        """The properties, and those that are required without being described."""
        names = required if isinstance(required, list) and more is not False else []
        missing = [name for name in names if isinstance(name, str) and name not in properties]
        self.changed = self.changed or bool(missing)
        return {**properties, **{name: more if isinstance(more, dict) else True for name in missing}}


def _is_composed(schema: Json) -> bool:
    """Whether it asks for several things at once that a grammar holds in one place alone."""
    return isinstance(schema.get("allOf"), list) or (
        isinstance(schema.get("$ref"), str) and bool(schema.keys() - ANNOTATIONS - {"$ref"})
    )


def _first_references(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    parts = [one for key in (*_UNIONS, "allOf") for one in schema.get(key) or () if isinstance(schema.get(key), list)]
    return own + [reference for part in parts for reference in _first_references(part)]


def _has_kind(schema: Any) -> bool:
    return isinstance(schema, dict) and bool(schema.keys() & _KINDS)


def _is_limit(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _LARGEST_INTEGER
