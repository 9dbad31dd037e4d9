"""Two runs of the same tests, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lanes import Outcomes

ABSENT = ("absent", "")


@dataclass(frozen=True)
class Difference:
    """One test whose outcomes differ."""

    test: str
    stock: str
    ours: str
    reason: str  # of the run that failed
    purpose: str | None  # why ours fails on purpose

    @property
    def kind(self) -> str:
        return f"{self.stock} -> {self.ours}: {self.reason}"

    @property
    def lost(self) -> bool:
        return self.stock == "passed"


def differences(stock: Outcomes, ours: Outcomes, on_purpose: Mapping[str, str]) -> list[Difference]:
    """Every test whose outcome is not the same in both runs. on_purpose: what errors say that are meant, to why."""
    found = []
    for test in sorted({*stock, *ours}):
        (before, why), (after, reason) = stock.get(test, ABSENT), ours.get(test, ABSENT)
        if before != after:
            meant = [purpose for words, purpose in on_purpose.items() if before == "passed" and words in reason]
            found.append(Difference(test, before, after, reason or why, meant[0] if meant else None))
    return found


def counts(outcomes: Outcomes) -> str:
    """One cell of the table."""
    number = Counter(outcome for outcome, _ in outcomes.values())
    return f"{number['passed']:>6} {number['failed']:>6} {number['skipped'] + number['xfailed']:>6}"
