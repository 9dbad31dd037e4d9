"""The swap of a code base: what would change in which file, what is left, and how a change is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from llm_adapter.devtools.migrate.sources import NOTEBOOK, content, decoded, files, reason
from llm_adapter.devtools.migrate.swap import ManualStep, our_clients, swapped
from llm_adapter.devtools.migrate.swap_notebooks import notebook
from llm_adapter.devtools.migrate.swap_uses import ROOT
from llm_adapter.devtools.migrate.trees import rare_garbage_collection

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
    addresses: tuple[tuple[SourceLine, str], ...] = ()  # of clients that have one of their own: where, and the argument


class SourceLine(NamedTuple):
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
    by_hand: list[tuple[SourceLine, ManualStep]] = field(default_factory=list)
    kept: list[SourceLine] = field(default_factory=list)  # imports that stay for the sake of types
    failed: list[tuple[Path, str]] = field(default_factory=list)  # what cannot be read, and why


class _SourceText(NamedTuple):
    """A file that has to do with the SDK."""

    path: Path
    data: bytes
    code: str
    encoding: str


def planned(paths: Sequence[Path]) -> Plan:
    """The swap of these files, and of all below these folders."""
    plan = Plan()
    found = files(paths, lambda path, reason: plan.failed.append((path, reason)))
    texts = [text for path in found if (text := _read(plan, path)) and ROOT in text.code]
    shared = _shared_modules(text.code for text in texts)
    with rare_garbage_collection():
        for text in texts:
            _try_swap(plan, text, shared=_module(text.path) in shared, shadowed=_is_shadowed(text.path, paths))
    return plan


def _read(plan: Plan, path: Path) -> _SourceText | None:
    try:
        return _source_text(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of any kind: a codec may be anybody's
        plan.failed.append((path, reason(error)))
        return None


def _try_swap(plan: Plan, text: _SourceText, **how: bool) -> None:
    try:
        _add_swap(plan, text, **how)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of LibCST's parser is not an Exception
        plan.failed.append((text.path, reason(error)))


def _add_swap(plan: Plan, text: _SourceText, *, shared: bool, shadowed: bool) -> None:
    code, path = text.code, text.path
    if path.suffix == NOTEBOOK:
        try:
            book = notebook(code, shared=shared)
        except ValueError as error:
            plan.failed.append((path, reason(error)))
            return
        after, swap = book.text, book.swap
        parts = tuple(Part(*cell) for cell in book.cells)
        places = [SourceLine(path, *place) for place in book.places]
    else:
        swap = swapped(code, shared=shared)
        after, parts = swap.code, (Part(None, code, swap.code),)
        places = [SourceLine(path, None, line + 1) for line in range(code.count("\n") + 1)]
    if shadowed and swap.edits:
        plan.by_hand.append((SourceLine(path, None, 1), ManualStep(1, f"`{ROOT}` may be a module of your own here")))
        return
    if after != code:
        addresses = tuple((places[line - 1], argument) for line, argument in swap.addresses)
        plan.changes.append(Change(path, text.data, after.encode(text.encoding), parts, addresses))
    plan.by_hand += [(places[hand.line - 1], hand) for hand in swap.by_hand]
    plan.kept += [places[line - 1] for line in swap.kept]


def _source_text(path: Path) -> _SourceText:
    data = content(path)
    if path.suffix != NOTEBOOK:
        return _SourceText(path, data, *decoded(data))
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    return _SourceText(path, data, data.decode(encoding), encoding)


def _shared_modules(codes: Iterable[str]) -> set[str]:
    """The modules whose `openai` other modules use, by their last names; "" for a package's own."""
    found = set()
    for code in codes:
        found |= {module for module, name in _REACHED.findall(code) if name not in our_clients()}
        found |= {module.rpartition(".")[2] for module in _FROM.findall(code)}
    return found


def _module(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "__init__" else path.stem


def _is_shadowed(path: Path, paths: Sequence[Path]) -> bool:
    """Whether `import openai` may find a module of the code base. Inside a package it does not find a neighbour."""
    roots = {root / below for root in paths if root.is_dir() for below in ("", "src")}
    if not (path.parent / "__init__.py").exists():
        roots.add(path.parent)
    return any((root / f"{ROOT}.py").exists() or (root / ROOT / "__init__.py").exists() for root in roots)


def write(change: Change) -> None:
    """Put the new text in the place of the old. Raises OSError, also if the file is another one by now."""
    path = change.path.resolve()
    if path.read_bytes() != change.before:
        raise OSError(0, "it has changed in the meantime", str(path))
    if not os.access(path, os.W_OK):  # a new file in its place would need the folder's leave only
        raise PermissionError(0, "it is read-only", str(path))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(change.after)
        shutil.copymode(path, name)
        _keep_owner(path, name)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def uncommitted(changes: Sequence[Change]) -> list[Path]:
    """The files among these with changes that git does not have yet; none where there is no git."""
    paths = [change.path.resolve() for change in changes]
    return [path for folder in sorted({path.parent for path in paths}) for path in _changed_in_git(folder, paths)]


def _changed_in_git(folder: Path, paths: Sequence[Path]) -> list[Path]:
    names = [path.name for path in paths if path.parent == folder]
    # A repository's own configuration may name a program as its file system monitor: it is not started.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "status", "--porcelain", "-z", "--", *names]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    changed = [os.fsdecode(line)[3:] for line in done.stdout.split(b"\0") if line]
    return [folder / name for name in names if any(Path(one).name == name for one in changed)]


def _keep_owner(path: Path, name: str) -> None:
    found = path.stat()
    if hasattr(os, "chown") and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(OSError):
            os.chown(name, found.st_uid, found.st_gid)
