"""The Python of a code base: its files, and the code cells of its notebooks. Nothing of it is run.

What git ignores is left out where git is there; build results and installed packages always are.
"""

from __future__ import annotations

import json
import os
import subprocess
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from llm_adapter.devtools.migrate import notebooks

PYTHON = (".py", ".pyw")
NOTEBOOK = ".ipynb"
_SKIPPED = frozenset(
    {"__pycache__", "__pypackages__", "node_modules", "site-packages", "dist-packages", "build", "dist"}
)
LONG = 2_000_000  # characters of Python: more is generated, and LibCST takes 7 s and 0.9 GB for each million
_LARGE = 20_000_000  # bytes: a file of this size is data, a notebook's pictures apart

Failed: TypeAlias = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one cell of a notebook."""

    path: Path
    cell: int | None  # its place in the notebook, from 1, with cells of every kind counted; None for a file
    code: str  # a cell's magics are blanked, its lines are where they were


def _untold(path: Path, reason: str) -> None:
    pass


def sources(paths: Iterable[Path], failed: Failed = _untold) -> Iterator[Source]:
    """The code of these files and of all below these folders, each file once, in the order of their names.

    failed: is told of files that cannot be read, and why. A notebook's cells come one after the other.
    """
    for path in files(paths):
        yield from _read(path, failed)


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that hold Python. One that is named is taken, whatever it is called."""
    seen: set[str] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                yield file


def text(path: Path) -> str:
    """A file's text, by its byte order mark or its coding line. Line ends stay.

    Raises OSError, SyntaxError for an unknown encoding, ValueError for bytes that are not of it.
    """
    data = path.read_bytes()
    if len(data) > _LARGE:
        raise ValueError(f"it has {len(data)} bytes")
    encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    return data.decode(encoding)


def _read(path: Path, failed: Failed) -> list[Source]:
    try:
        if path.suffix != NOTEBOOK:
            return [Source(path, None, text(path))]
        return [Source(path, number, code) for number, code in notebooks.cells(path.read_text("utf-8-sig"))]
    except (OSError, SyntaxError, ValueError, RecursionError) as error:  # what decodes raises kinds of ValueError
        failed(path, reason(error))
        return []


def reason(error: Exception) -> str:
    """Why a file cannot be read, for people."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return f"it is not {error.encoding}, and says nothing else"
        case json.JSONDecodeError():
            return f"it is no JSON: {error}" if error.doc.strip() else "it is empty"
        case _:
            return str(error) or type(error).__name__


def _below(folder: Path) -> list[Path]:
    """The Python files of a folder, sorted. A folder that git ignores was named on purpose."""
    found = _known_to_git(folder) or list(_walked(folder))
    return sorted(path for path in found if path.suffix in (*PYTHON, NOTEBOOK) and path.is_file())


def _known_to_git(folder: Path) -> list[Path]:
    """What git tracks here, and what it neither tracks nor ignores; nothing where there is no git."""
    # A repository's own configuration may name a program as its file system monitor: it is not started.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return []
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    kept = [folder / name for name in names if not _SKIPPED.intersection(Path(name).parts[:-1])]
    inner = [path for module in kept if module.is_dir() and not module.is_symlink() for path in _below(module)]
    return [*kept, *inner]  # a submodule is listed as one entry


def _walked(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _skipped(name) and not Path(place, name, "pyvenv.cfg").exists()]
        yield from (Path(place, name) for name in names)


def _skipped(folder: str) -> bool:
    return folder in _SKIPPED or folder.startswith(".") or folder.endswith(".egg-info")
