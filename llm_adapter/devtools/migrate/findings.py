"""What a scan finds, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands. Lines and columns count from 1; in a notebook, lines are those of the cell."""

    path: str  # relative to the working directory where it is below it, with slashes
    cell: int  # 0: the file is no notebook
    line: int
    column: int

    @property
    def within(self) -> str:
        """Without the file: "12:5", "cell 3:line 2"."""
        return f"cell {self.cell}:line {self.line}" if self.cell else f"{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.path}:{self.within}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a call, and what becomes of it on the target."""

    name: str
    place: Place
    verdict: str  # a row's word, or "left out", "passed on", "accepted"
    note: str = ""
    value: str = ""  # as the source has it, if it is a short literal

    def json(self) -> dict[str, Any]:
        told = {"name": self.name, "line": self.place.line, "column": self.place.column, "verdict": self.verdict}
        return {**told, "note": self.note, **({"value": self.value} if self.value else {})}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a migration has to do with. Never holds a key."""

    kind: str  # the id of its rule
    place: Place
    subject: str  # what stands there: "chat.completions.create", "OpenAI", "gpt-4o"
    message: str  # what becomes of it, or what to do
    certain: bool = True  # False: it only looks like it
    parameters: tuple[Parameter, ...] = ()
    more: bool = False  # of a call: it has arguments that the text does not tell
    details: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        where = {"path": self.place.path, "line": self.place.line, "column": self.place.column}
        told: dict[str, Any] = {"kind": self.kind, **where, **({"cell": self.place.cell} if self.place.cell else {})}
        told |= {"subject": self.subject, "message": self.message, **self.details}
        if self.kind == "call":
            told |= {"evidence": "certain" if self.certain else "likely", "more": self.more}
            told["parameters"] = [one.json() for one in self.parameters]
        return told
