"""What many records say together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from pydantic_core import from_json

from llm_adapter.provider import Json


@dataclass(frozen=True)
class Summary:
    """Counts of records, and the medians of what the compared ones measured."""

    compared: int = 0
    same: int = 0  # in structure
    not_compared: dict[str, int] = field(default_factory=dict)  # abandoned, unreadable, left_out
    differences: dict[str, int] = field(default_factory=dict)  # calls by what differed, the most frequent first
    errors: dict[str, dict[str, int]] = field(default_factory=dict)  # by side, then by error
    seconds: dict[str, float] = field(default_factory=dict)  # by side, the median
    tokens: dict[str, float] = field(default_factory=dict)  # of the completion; by side, the median
    profiles: dict[str, list[str]] = field(default_factory=dict)  # by side
    not_understood: int = 0  # lines that are no records

    @property
    def agreement(self) -> float | None:
        """The share of compared calls whose replies had the same structure."""
        return self.same / self.compared if self.compared else None

    def json(self) -> Json:
        return {**asdict(self), "agreement": self.agreement}


def summary(lines: Iterable[str | bytes]) -> Summary:
    """The summary of a `shadow_log`'s lines. Lines that are no records, or newer than this, are counted."""
    records = [_record(line) for line in lines if line.strip()]
    known = [one for one in records if one is not None]
    compared = [one for one in known if one["event"] == "compared"]
    not_compared = Counter(str(one["event"]) for one in known if one["event"] not in ("compared", "ended"))
    not_compared["left_out"] += sum(one.get("left_out") or 0 for one in known)
    sides = {side: [one[side] for one in compared] for side in ("first", "shadow")}
    return Summary(
        compared=len(compared),
        same=sum(bool(one["same"]) for one in compared),
        not_compared=dict(+not_compared),
        differences=dict(Counter(kind for one in compared for kind in _kinds(one)).most_common()),
        errors={side: dict(Counter(_errors(told)).most_common()) for side, told in sides.items()},
        seconds=dict(_medians(sides, "seconds")),
        tokens=dict(_medians(sides, "completion_tokens")),
        profiles={side: sorted({one["profile"] or one["provider"] for one in told}) for side, told in sides.items()},
        not_understood=len(records) - len(known),
    )


def _record(line: str | bytes) -> Json | None:
    try:
        found = from_json(line)
    except ValueError:
        return None
    match found:
        case {"version": 1, "event": "compared", "same": _, "differences": list(), "first": dict(), "shadow": dict()}:
            return dict(found)
        case {"version": 1, "event": "abandoned" | "unreadable" | "ended"}:
            return dict(found)
        case _:
            return None


def _kinds(record: Json) -> set[str]:
    return {str(one["what"]) for one in record["differences"]}


def _errors(told: Sequence[Json]) -> Iterator[str]:
    for one in told:
        if one.get("error"):
            yield f"{one['error']} ({one['code']})" if one.get("code") else str(one["error"])


def _medians(sides: dict[str, list[Json]], name: str) -> Iterator[tuple[str, Any]]:
    """Of calls that both sides answered."""
    both = [pair for pair in zip(*sides.values(), strict=True) if not any(one.get("error") for one in pair)]
    for place, side in enumerate(sides):
        values = [pair[place][name] for pair in both if all(name in one for one in pair)]
        if values:
            yield side, median(values)
