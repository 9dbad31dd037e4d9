"""The swap of a code base: what would change in which file, and what is left. Nothing is written here."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from llm_adapter.devtools.migrate.sources import NOTEBOOK, files, reason
from llm_adapter.devtools.migrate.swap import swapped
from llm_adapter.devtools.migrate.swap_cells import notebook
from llm_adapter.devtools.migrate.swap_names import ours
from llm_adapter.devtools.migrate.swap_rules import Hand
from llm_adapter.devtools.migrate.swap_uses import ROOT
from llm_adapter.devtools.migrate.trees import patient

# Who uses a module's `openai` from outside: `app.openai.RateLimitError`, `from app import openai`, `from app import *`.
_REACHED = re.compile(rf"\b(\w+)\.{ROOT}\.([A-Z]\w*)")
_FROM = re.compile(rf"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(?:\([^)]*\b{ROOT}\b|[^#\n(]*(?:\b{ROOT}\b|\*))", re.M)


class Part(NamedTuple):
    """A file, or a cell of a notebook, before and after."""

    cell: int | None  # its place, from 1
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written."""

    path: Path
    before: bytes
    after: bytes
    parts: tuple[Part, ...]


class Place(NamedTuple):
    """A line of a file or of a notebook's cell."""

    path: Path
    cell: int | None
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{f'cell {self.cell}:' if self.cell else ''}{self.line}"


@dataclass(slots=True)
class Plan:
    """What a swap does to a code base, and what it leaves."""

    changes: list[Change] = field(default_factory=list)
    by_hand: list[tuple[Place, Hand]] = field(default_factory=list)
    kept: list[Place] = field(default_factory=list)  # imports that stay for the sake of types
    failed: list[tuple[Path, str]] = field(default_factory=list)  # what cannot be read, and why


class _Text(NamedTuple):
    """A file that has to do with the SDK."""

    path: Path
    data: bytes
    encoding: str

    @property
    def code(self) -> str:
        return self.data.decode(self.encoding)


def planned(paths: Sequence[Path]) -> Plan:
    """The swap of these files, and of all below these folders."""
    plan = Plan()
    texts = [text for path in files(paths) if (text := _read(plan, path)) and ROOT in text.code]
    shared = _shared(text.code for text in texts)
    with patient():
        for text in texts:
            _add(plan, text, shared=_module(text.path) in shared, shadowed=_shadowed(text.path, paths))
    return plan


def _read(plan: Plan, path: Path) -> _Text | None:
    try:
        text = _text(path)
        _ = text.code  # which may not be in its encoding
    except (OSError, SyntaxError, ValueError) as error:
        plan.failed.append((path, reason(error)))
        return None
    return text


def _add(plan: Plan, text: _Text, *, shared: bool, shadowed: bool) -> None:
    code, path = text.code, text.path
    if path.suffix == NOTEBOOK:
        try:
            book = notebook(code, shared=shared)
        except ValueError as error:
            plan.failed.append((path, reason(error)))
            return
        after, swap = book.text, book.swap
        parts = tuple(Part(*cell) for cell in book.cells)
        places = [Place(path, *place) for place in book.places]
    else:
        swap = swapped(code, shared=shared)
        after, parts = swap.code, (Part(None, code, swap.code),)
        places = [Place(path, None, line + 1) for line in range(code.count("\n") + 1)]
    if shadowed and swap.edits:
        plan.by_hand.append((Place(path, None, 1), Hand(1, f"`{ROOT}` may be a module of your own here")))
        return
    if after != code:
        plan.changes.append(Change(path, text.data, after.encode(text.encoding), parts))
    plan.by_hand += [(places[hand.line - 1], hand) for hand in swap.by_hand]
    plan.kept += [places[line - 1] for line in swap.kept]


def _text(path: Path) -> _Text:
    data = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(BytesIO(b"" if path.suffix == NOTEBOOK else data).readline)
    if path.suffix == NOTEBOOK and data.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    return _Text(path, data, encoding)


def _shared(codes: Iterable[str]) -> set[str]:
    """The modules whose `openai` other modules use, by their last names; "" for a package's own."""
    found = set()
    for code in codes:
        found |= {module for module, name in _REACHED.findall(code) if name not in ours()}
        found |= {module.rpartition(".")[2] for module in _FROM.findall(code)}
    return found


def _module(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "__init__" else path.stem


def _shadowed(path: Path, paths: Sequence[Path]) -> bool:
    """Whether `import openai` may find a module of the code base. Inside a package it does not find a neighbour."""
    roots = {root / below for root in paths if root.is_dir() for below in ("", "src")}
    if not (path.parent / "__init__.py").exists():
        roots.add(path.parent)
    return any((root / f"{ROOT}.py").exists() or (root / ROOT / "__init__.py").exists() for root in roots)
