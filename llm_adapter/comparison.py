"""How two replies to one call differ, in structure and measures. Texts are not compared: two runs of one model rarely
say the same, so that different texts do not mean different models.

`outcome` and `failure` say what became of one call, `differences` what two of them do not agree on, `ratios` how their
measures compare.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.translation.json_schema import faults
from llm_adapter.translation.structured_output import ANY_OBJECT, ReplyForm

__all__ = ["Difference", "Outcome", "ToolCall", "differences", "failure", "outcome", "ratios"]

_SAME_NORM = 0.01  # float32 and the rounding of a server make less of a difference than this


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two outcomes do not agree on, as JSON values."""

    what: str
    a: Any
    b: Any

    def __str__(self) -> str:
        if self.what == "arguments":
            return f"other values in {', '.join(self.a)}"
        return f"{self.what}: {_as_text(self.a)} != {_as_text(self.b)}"

    def json(self) -> Json:
        return {"what": self.what, "a": self.a, "b": self.b}


def differences(a: Outcome, b: Outcome) -> tuple[Difference, ...]:
    """What two outcomes of one call do not agree on; never their texts, lengths or times.

    Where one is an error and the other is not, or another, that is the only difference. Arguments whose values differ
    are told by name, on both sides the same.
    """
    if a.failed or b.failed:
        return tuple(_differing(("error", _error_text(a), _error_text(b))))
    return tuple(_differing(*_structure(a, b)))


def ratios(a: Outcome, b: Outcome) -> dict[str, float]:
    """b's measures over a's, where both have one: seconds, characters, prompt_tokens, completion_tokens."""
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in _MEASURES}
    return {name: other / one for name, (one, other) in pairs.items() if one and other and not (a.failed or b.failed)}


_MEASURES = ("seconds", "characters", "prompt_tokens", "completion_tokens")


def _structure(a: Outcome, b: Outcome) -> Iterator[tuple[str, Any, Any]]:
    names = [sorted(call.name for call in one.tools) for one in (a, b)]
    yield "choices", a.choices, b.choices
    yield "finish_reason", a.finish_reason, b.finish_reason
    yield "refused", a.refused, b.refused
    yield "empty", a.empty, b.empty
    yield "schema_valid", a.schema_valid, b.schema_valid
    yield "tools", names[0], names[1]
    if names[0] == names[1]:
        yield from _arguments(a.tools, b.tools)
    yield "vectors", a.vectors, b.vectors
    yield "dimensions", a.dimensions, b.dimensions
    if a.norm is not None and b.norm is not None and not math.isclose(a.norm, b.norm, rel_tol=_SAME_NORM):
        yield "norm", round(a.norm, 4), round(b.norm, 4)


def _arguments(a: Sequence[ToolCall], b: Sequence[ToolCall]) -> Iterator[tuple[str, Any, Any]]:
    """Calls of the same tools, in any order: whether they are valid, have the same arguments, and the same values."""
    yield "valid_arguments", sum(one.valid for one in a), sum(one.valid for one in b)
    signatures = [sorted(one.signature for one in side) for side in (a, b)]
    if signatures[0] != signatures[1]:
        yield "argument_names", signatures[0], signatures[1]
    elif changed := sorted(set(_changed_arguments(a, b))):
        yield "arguments", changed, None


def _changed_arguments(a: Sequence[ToolCall], b: Sequence[ToolCall]) -> Iterator[str]:
    """The arguments whose values differ, as `get_weather.city`; calls that agree wholly are paired first."""
    keys = [Counter(map(_call_key, side)) for side in (a, b)]
    left = [_unpaired(side, keys[0] & keys[1]) for side in (a, b)]
    for one, other in zip(*left, strict=True):
        if one.names:
            yield from (
                f"{one.name}.{n}" for n in one.names if _canonical(one.arguments[n]) != _canonical(other.arguments[n])
            )
        else:
            yield one.name


def _unpaired(calls: Sequence[ToolCall], paired: Counter[tuple[str, str]]) -> list[ToolCall]:
    rest, left = Counter(paired), []
    for one in calls:
        if rest[_call_key(one)]:
            rest[_call_key(one)] -= 1
        else:
            left.append(one)
    return sorted(left, key=lambda one: (one.signature, _canonical(one.arguments)))


def _differing(*found: tuple[str, Any, Any]) -> Iterator[Difference]:
    for what, a, b in found:
        if what == "arguments":
            yield Difference(what, a, a)
        elif a != b:
            yield Difference(what, a, b)


def _error_text(one: Outcome) -> str | None:
    return one.error if one.code is None else f"{one.error} ({one.code})"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _call_key(call: ToolCall) -> tuple[str, str]:
    return call.name, _canonical(call.arguments)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. arguments: their JSON parsed, or the text itself where it is not JSON."""

    name: str
    arguments: Any = field(repr=False)
    valid: bool = True  # the tool was offered, and they are JSON that fits its schema

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.arguments)) if isinstance(self.arguments, dict) else ()

    @property
    def signature(self) -> str:
        """`get_weather(city)`"""
        return f"{self.name}({', '.join(self.names)})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call."""

    seconds: float
    error: str | None = None  # the exception's class
    code: str | None = None
    status: int | None = None  # of an error
    model: str | None = None  # as the server names it
    choices: int = 0
    finish_reason: str | None = None  # /responses: its status, or why it is incomplete
    tools: tuple[ToolCall, ...] = ()
    schema_valid: bool | None = None  # None: no form was asked for, or the reply is a tool call or a refusal
    refused: bool = False
    characters: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    vectors: int = 0
    dimensions: int | None = None  # None where they differ among themselves
    norm: float | None = None  # of the vectors, their mean

    @property
    def failed(self) -> bool:
        return self.error is not None

    @property
    def empty(self) -> bool:
        """Whether a reply holds nothing: no text, no call, no refusal, no vector."""
        return not (self.failed or self.characters or self.tools or self.refused or self.vectors)

    def json(self) -> Json:
        """Everything but the arguments' values."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "tools"}
        calls = [{"name": one.name, "arguments": list(one.names), "valid": one.valid} for one in self.tools]
        return {**fields, "tools": calls, "empty": self.empty}


def outcome(path: str, body: Json, reply: Json, seconds: float) -> Outcome:
    """The outcome of a reply in OpenAI's JSON. Raises nothing: what a reply lacks, its outcome lacks.

    path: below /v1, as in `Call.path`; body: the call's arguments; seconds: how long it took.
    """
    read = {"/embeddings": _embeddings_outcome, "/responses": _response_outcome}.get(path, _choices_outcome)
    usage = _dict(reply.get("usage"))
    given = (
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
    )
    model = reply.get("model")
    return replace(
        read(body, reply),
        seconds=seconds,
        model=model if isinstance(model, str) else None,
        prompt_tokens=_count(given[0]),
        completion_tokens=_count(given[1]),
    )


def failure(error: BaseException, seconds: float) -> Outcome:
    """The outcome of a call that raised."""
    code, status = getattr(error, "code", None), getattr(error, "status_code", None)
    return Outcome(
        seconds, type(error).__name__, None if code is None else str(code), status if isinstance(status, int) else None
    )


def _choices_outcome(body: Json, reply: Json) -> Outcome:
    """Of /chat/completions and /completions. Several choices are one outcome: their reasons, calls and texts."""
    choices = [_dict(one) for one in _list(reply.get("choices"))]
    messages = [_dict(one.get("message")) for one in choices]
    schemas = {name: schema for tool in _list(body.get("tools")) for name, schema in _tool_schemas(tool)}
    reasons = sorted({str(one["finish_reason"]) for one in choices if one.get("finish_reason")})
    refused = any(message.get("refusal") for message in messages) or "content_filter" in reasons
    tools = tuple(call for message in messages for call in _tool_calls(message, schemas))
    texts = _choice_texts(reply)
    return Outcome(
        0,
        choices=len(choices),
        finish_reason=", ".join(reasons) or None,
        tools=tools,
        schema_valid=None if refused or tools else _fits_schema(body.get("response_format"), texts),
        refused=refused,
        characters=sum(map(len, texts)),
    )


def _tool_calls(message: Json, schemas: Json) -> Iterator[ToolCall]:
    older = message.get("function_call")
    for given in (*_list(message.get("tool_calls")), *([{"function": older}] if isinstance(older, dict) else ())):
        match given:
            case {"custom": {"name": str() as name} as custom}:
                yield ToolCall(name, custom.get("input"))
            case {"function": {"name": str() as name} as function}:
                yield _function_call(name, function.get("arguments"), schemas)


def _response_outcome(body: Json, reply: Json) -> Outcome:
    """Of /responses."""
    items = [_dict(one) for one in _list(reply.get("output"))]
    parts = [_dict(part) for one in items if one.get("type") == "message" for part in _list(one.get("content"))]
    schemas = {name: schema for tool in _list(body.get("tools")) for name, schema in _tool_schemas({"function": tool})}
    tools = tuple(
        _function_call(str(one.get("name")), one.get("arguments"), schemas)
        for one in items
        if one.get("type") == "function_call"
    )
    refused = any(part.get("type") == "refusal" for part in parts)
    said = "".join(_output_texts(reply))
    reason = _dict(reply.get("incomplete_details")).get("reason") or reply.get("status")
    error = _dict(reply.get("error"))
    return Outcome(
        0,
        error="failed" if reply.get("status") == "failed" else None,
        code=str(error["code"]) if error.get("code") else None,
        choices=1 if items else 0,
        finish_reason=str(reason) if reason else None,
        tools=tools,
        schema_valid=None if refused or tools else _fits_schema(_dict(body.get("text")).get("format"), [said]),
        refused=refused,
        characters=len(said),
    )


def _embeddings_outcome(body: Json, reply: Json) -> Outcome:
    vectors = [vector(_dict(one).get("embedding")) for one in _list(reply.get("data"))]
    lengths = {len(one) for one in vectors}
    norms = [length for one in vectors if one and math.isfinite(length := math.hypot(*one))]
    return Outcome(
        0,
        vectors=len(vectors),
        dimensions=lengths.pop() if len(lengths) == 1 else None,
        norm=sum(norms) / len(norms) if norms else None,
    )


def vector(given: Any) -> list[float]:
    """An embedding's numbers, which OpenAI also sends as little-endian float32 in base64; empty for anything else."""
    if isinstance(given, str):
        try:
            data = base64.b64decode(given, validate=True)
            return list(struct.unpack(f"<{len(data) // 4}f", data))
        except (ValueError, struct.error):
            return []
    return [float(one) for one in _list(given) if isinstance(one, (int, float))]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 where one has no length, or another number of dimensions."""
    lengths = math.hypot(*one) * math.hypot(*other)
    if not lengths or len(one) != len(other):
        return 0.0
    return max(-1.0, min(1.0, math.fsum(map(float.__mul__, one, other)) / lengths))


def text(path: str, reply: Json) -> str:
    """What a reply says, all its choices below one another; empty for embeddings, and for a call of a tool."""
    if path == "/responses":
        return "".join(_output_texts(reply))
    return "\n".join(one for one in _choice_texts(reply) if one)


def _choice_texts(reply: Json) -> list[str]:
    choices = [_dict(one) for one in _list(reply.get("choices"))]
    return [
        _content_text((_dict(one.get("message")) or {"content": one.get("text")}).get("content")) for one in choices
    ]


def _output_texts(response: Json) -> Iterator[str]:
    for item in _list(response.get("output")):
        for part in _list(_dict(item).get("content")) if _dict(item).get("type") == "message" else ():
            if _dict(part).get("type") == "output_text":
                yield _content_text(part.get("text"))


def _function_call(name: str, arguments: Any, schemas: Json) -> ToolCall:
    try:
        # 2.0 is 2 in JSON, and models write either.
        value = json.loads(arguments, parse_float=_number)
    except (TypeError, ValueError, RecursionError):
        return ToolCall(name, arguments, valid=False)
    offered = name in schemas or not schemas
    return ToolCall(name, value, valid=offered and not faults(schemas.get(name, ANY_OBJECT), value))


def _number(digits: str) -> float | int:
    value = float(digits)
    return int(value) if value.is_integer() else value


def _tool_schemas(tool: Any) -> Iterator[tuple[str, Any]]:
    match tool:
        case {"function": {"name": str() as name} as function}:
            yield name, _dict(function.get("parameters")) or ANY_OBJECT


def _requested_schema(given: Any) -> Json | None:
    """The schema that a `response_format`, or a /responses `text.format`, asks for."""
    match given:
        case {"type": "json_object"}:
            return ANY_OBJECT
        case {"json_schema": {"schema": dict() as schema}} | {"type": "json_schema", "schema": dict() as schema}:
            return schema
        case _:
            return None


def _fits_schema(asked: Any, texts: Iterable[str]) -> bool | None:
    """Whether texts fit the form that was asked for; None where none was."""
    schema = _requested_schema(asked)
    return None if schema is None else not any(ReplyForm(schema).faults(one) for one in texts)


def _content_text(content: Any) -> str:
    """A content's text: whole, or in parts."""
    if isinstance(content, str):
        return content
    return "".join(one for part in _list(content) if isinstance(one := _dict(part).get("text"), str))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
