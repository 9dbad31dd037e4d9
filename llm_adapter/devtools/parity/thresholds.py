"""How far b may be from a. Each limit is a row; most have no default, for what they judge is noisy.

An agreement is judged by a's own: where a agrees with itself in two runs of three, no more can be asked of b.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from llm_adapter.devtools.parity.figures import Agreement, Compared

_ROUNDING = 1e-9
_Value: TypeAlias = "float | Agreement | None"


def _never(found: Compared) -> bool:
    return False


def _nothing(found: Compared) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold."""

    kind: Literal["least", "most", "within"]  # within: a ratio, or its inverse
    default: float | None  # None: only judged when a suite asks for it
    meaning: str
    value: Callable[[Compared], _Value]
    applies: Callable[[Compared], bool] = _never  # whether a figure that is not known breaks it
    why: Callable[[Compared], str] = _nothing


class Broken(NamedTuple):
    """A threshold that is not met."""

    name: str
    text: str


def _came(found: Compared) -> bool:
    return min(found.a.errors, found.b.errors) < 1


def _texts(found: Compared) -> bool:
    return bool(found.a.characters and found.b.characters)


def _streamed(found: Compared) -> bool:
    return _came(found) and not (found.a.first_token is None and found.b.first_token is None)


def _errors(found: Compared) -> str:
    kinds = (("a", found.a.error_kinds), ("b", found.b.error_kinds))
    return "; ".join(f"{side}: {', '.join(each)}" for side, each in kinds if each)


def _unmet(found: Compared) -> str:
    return f"unmet: {', '.join(found.b.unmet)}"


LIMITS: Mapping[str, Limit] = {
    "errors": Limit(
        "most", 0.0, "calls that fail, on the worse side", lambda it: max(it.a.errors, it.b.errors), why=_errors
    ),
    "schema_valid": Limit("least", 1.0, "b's replies that fit the schema asked for", lambda it: it.b.schema_valid),
    "expected": Limit("least", 1.0, "b's replies that meet `expect`", lambda it: it.b.expected, why=_unmet),
    "empty": Limit("most", 0.0, "b's replies with nothing in them, beyond a's", lambda it: it.b.empty - it.a.empty),
    "refused": Limit("most", 0.0, "b's refusals, beyond a's", lambda it: it.b.refused - it.a.refused),
    "finish_agreement": Limit("least", 0.9, "same finish reason", lambda it: it.finish_agreement),
    "tool_agreement": Limit("least", 0.9, "same tools called", lambda it: it.tool_agreement),
    "argument_agreement": Limit("least", None, "same tools with the same arguments", lambda it: it.argument_agreement),
    "agreement": Limit("least", None, "no difference of structure at all", lambda it: it.agreement),
    "similarity": Limit("least", None, "cosine of the texts' embeddings", lambda it: it.similarity, _texts),
    "judge": Limit("least", None, "the score that --judge gives", lambda it: it.judge, _came),
    "latency": Limit("most", None, "b's median, in seconds", lambda it: it.b.latency),
    "latency_ratio": Limit("most", None, "b's median latency over a's", lambda it: it.latency_ratio),
    "first_token": Limit("most", None, "b's median to a stream's first token", lambda it: it.b.first_token, _streamed),
    "first_token_ratio": Limit(
        "most", None, "b's median to the first token over a's", lambda it: it.first_token_ratio, _streamed
    ),
    "between_pieces": Limit("most", None, "b's median between a stream's pieces", lambda it: it.b.between_pieces),
    "between_pieces_ratio": Limit("most", None, "the same over a's", lambda it: it.between_pieces_ratio),
    "length_ratio": Limit("within", None, "length of b's texts over a's", lambda it: it.length_ratio),
    "token_ratio": Limit("most", None, "b's completion tokens over a's", lambda it: it.token_ratio, _texts),
    "cost_ratio": Limit("most", None, "b's cost over a's", lambda it: it.cost_ratio, _came),
}


OF_STREAMS = ("first_token", "first_token_ratio", "between_pieces", "between_pieces_ratio")


def broken(found: Compared, given: Mapping[str, float | None]) -> tuple[Broken, ...]:
    """The thresholds that a prompt does not meet. given: a suite's own, over the defaults; None judges nothing."""
    limits = {**{name: limit.default for name, limit in LIMITS.items()}, **given}
    asked = ((name, limit, LIMITS[name]) for name, limit in limits.items() if limit is not None)
    judged = ((name, _fault(limit, row, found), row.why(found)) for name, limit, row in asked)
    return tuple(Broken(name, f"{name} {text}{f' ({why})' if why else ''}") for name, text, why in judged if text)


def _fault(limit: float, row: Limit, found: Compared) -> str | None:
    value = row.value(found)
    own = value.own if isinstance(value, Agreement) else None
    value = value.rate if isinstance(value, Agreement) else value
    if value is None:
        return "is not known" if row.applies(found) else None
    match row.kind:
        case "least":
            wanted = limit if own is None else limit * max(own, 0.0)
            why = "" if own is None or wanted == limit else f" ({limit:.2f} of a's own {own:.2f})"
            return None if value >= wanted - _ROUNDING else f"{value:.2f}, at least {wanted:.2f} wanted{why}"
        case "most":
            return None if value <= limit + _ROUNDING else f"{value:.2f}, at most {limit:.2f} wanted"
        case "within":
            low = 1 / limit
            fits = low - _ROUNDING <= value <= limit + _ROUNDING
            return None if fits else f"{value:.2f}, within {low:.2f} and {limit:.2f} wanted"
