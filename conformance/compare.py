"""Two runs of the same tests, side by side."""

from __future__ import annotations

from collections import Counter
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

    @property
    def kind(self) -> str:
        return f"{self.stock} -> {self.ours}: {self.reason}"

    @property
    def lost(self) -> bool:
        return self.stock == "passed"

    @property
    def refused(self) -> bool:
        """Whether ours failed by refusing a parameter that the backend cannot honour, as it is meant to."""
        return self.lost and "BadRequestError" in self.reason and "on provider 'ollama'" in self.reason


def differences(stock: Outcomes, ours: Outcomes) -> list[Difference]:
    """Every test whose outcome is not the same in both runs."""
    found = []
    for test in sorted({*stock, *ours}):
        (before, why), (after, reason) = stock.get(test, ABSENT), ours.get(test, ABSENT)
        if before != after:
            found.append(Difference(test, before, after, reason or why))
    return found


def counts(outcomes: Outcomes) -> str:
    """One cell of the table."""
    number = Counter(outcome for outcome, _ in outcomes.values())
    return f"{number['passed']:>6} {number['failed']:>6} {number['skipped'] + number['xfailed']:>6}"
