"""How two replies to one call differ, in structure and measure. Never in words: two runs of one model rarely say the
same (P32), so that a difference of texts says nothing of a difference of models.

`outcome` and `failure` say what one call came to, `differences` what two of them do not agree on, `ratios` how their
measures compare.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llm_adapter.outcomes import Outcome, ToolCall, failure, outcome
from llm_adapter.provider import Json

__all__ = ["Difference", "Outcome", "ToolCall", "differences", "failure", "outcome", "ratios"]

_SAME_NORM = 0.01  # vectors of float32 and of a server's rounding are nearer than this to one another


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two outcomes do not agree on, as JSON values."""

    what: str
    a: Any
    b: Any

    def __str__(self) -> str:
        if self.what == "arguments":
            return f"other values in {', '.join(self.a)}"
        return f"{self.what}: {_told(self.a)} != {_told(self.b)}"

    def json(self) -> Json:
        return {"what": self.what, "a": self.a, "b": self.b}


def differences(a: Outcome, b: Outcome) -> tuple[Difference, ...]:
    """What two outcomes of one call do not agree on; never their texts, lengths or times.

    Where one is an error and the other is not, or another, that is the only difference. Arguments whose values differ
    are told by name, on both sides the same.
    """
    if a.failed or b.failed:
        return tuple(_unequal(("error", _error(a), _error(b))))
    return tuple(_unequal(*_structure(a, b)))


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
    elif changed := sorted(set(_changed(a, b))):
        yield "arguments", changed, None


def _changed(a: Sequence[ToolCall], b: Sequence[ToolCall]) -> Iterator[str]:
    """The arguments whose values differ, as `get_weather.city`; calls that agree wholly are paired first."""
    keys = [Counter(map(_key, side)) for side in (a, b)]
    left = [_without(side, keys[0] & keys[1]) for side in (a, b)]
    for one, other in zip(*left, strict=True):
        if one.names:
            yield from (
                f"{one.name}.{n}" for n in one.names if _canonical(one.arguments[n]) != _canonical(other.arguments[n])
            )
        else:
            yield one.name


def _without(calls: Sequence[ToolCall], paired: Counter[tuple[str, str]]) -> list[ToolCall]:
    rest, left = Counter(paired), []
    for one in calls:
        if rest[_key(one)]:
            rest[_key(one)] -= 1
        else:
            left.append(one)
    return sorted(left, key=lambda one: (one.signature, _canonical(one.arguments)))


def _unequal(*found: tuple[str, Any, Any]) -> Iterator[Difference]:
    for what, a, b in found:
        if what == "arguments":
            yield Difference(what, a, a)
        elif a != b:
            yield Difference(what, a, b)


def _error(one: Outcome) -> str | None:
    return one.error if one.code is None else f"{one.error} ({one.code})"


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _key(call: ToolCall) -> tuple[str, str]:
    return call.name, _canonical(call.arguments)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
