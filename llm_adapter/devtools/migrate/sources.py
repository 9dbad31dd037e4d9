"""The Python of a code base: its files, and the code cells of its notebooks. Nothing of it is run.

Files that git ignores are left out where git is there; build results and installed packages always are. What only
IPython understands in a cell is blanked, so that no line moves.
Source: nbformat 4 (`cells`, `source`) and 3 (`worksheets`, `input`); IPython core/inputtransformer2.py, version 9.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

PYTHON = (".py", ".pyw")
NOTEBOOK = ".ipynb"
_SKIPPED = frozenset(
    {"__pycache__", "__pypackages__", "node_modules", "site-packages", "dist-packages", "build", "dist"}
)
LONG = 2_000_000  # characters of Python: more is generated, and LibCST takes 7 s and 0.9 GB for each million
_LARGE = 20_000_000  # bytes: a file of this size is data
_LARGE_NOTEBOOK = 200_000_000  # bytes: most of it are pictures

Failed: TypeAlias = Callable[[Path, str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or one cell of a notebook."""

    path: Path
    cell: int | None  # its place in the notebook, from 1, with cells of every kind counted; None for a file
    code: str  # a cell's magics are blanked, its lines are where they were


def _ignore_failure(path: Path, reason: str) -> None:
    pass


def sources(paths: Iterable[Path], failed: Failed = _ignore_failure) -> Iterator[Source]:
    """The code of these files and of all below these folders, each file once, in the order of their names.

    failed: is called with each file that cannot be read, and why. A notebook's cells come one after the other.
    """
    for path in files(paths, failed):
        yield from _read(path, failed)


def files(paths: Iterable[Path], failed: Failed = _ignore_failure) -> Iterator[Path]:
    """The files that hold Python. One that is named is taken, whatever it is called.

    failed: is called with each folder that cannot be read, and why.
    """
    seen: set[str] = set()
    for path in paths:
        for file in _files_below(path, failed) if os.path.isdir(path) else [path]:
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                yield file


def text(path: Path) -> str:
    """A file's text, by its byte order mark or its coding line. Line ends stay.

    Raises OSError, SyntaxError for an unknown encoding, ValueError for bytes that are not of it.
    """
    return decoded(content(path))[0]


def content(path: Path) -> bytes:
    """A file's bytes. Raises OSError, and ValueError for more of them than code has."""
    most = _LARGE_NOTEBOOK if path.suffix == NOTEBOOK else _LARGE
    with path.open("rb") as file:
        data = file.read(most + 1)  # some files, such as /dev/zero, have no end
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes")
    return data


def decoded(data: bytes) -> tuple[str, str]:
    """The text of Python's bytes, and its encoding. Raises SyntaxError, ValueError."""
    encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    try:
        return data.decode(encoding), encoding
    except LookupError:  # rot13, hex and others are codecs, and no encodings of a text
        raise SyntaxError(f"unknown encoding: {encoding}") from None


def _read(path: Path, failed: Failed) -> list[Source]:
    try:
        if path.suffix != NOTEBOOK:
            return [Source(path, None, text(path))]
        return [Source(path, number, code) for number, code in notebook_cells(content(path).decode("utf-8-sig"))]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of any kind: a codec may be anybody's, and a notebook anything
        failed(path, reason(error))
        return []


def reason(error: BaseException) -> str:
    """Why a file cannot be read, for people."""
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case MemoryError():
            return "there is too little memory for it"
        case OSError():
            return error.strerror or str(error)
        case UnicodeDecodeError():
            return f"it is not {error.encoding}, and says nothing else"
        case json.JSONDecodeError():
            return f"it is no JSON: {error}" if error.doc.strip() else "it is empty"
        case ValueError() | SyntaxError():
            return str(error) or type(error).__name__
        case _:  # an unknown one's text may be anything: LibCST's have whole trees in them
            return f"{type(error).__name__} while it was read"


def _files_below(folder: Path, failed: Failed) -> list[Path]:
    """The Python files of a folder, sorted. A folder that git ignores was named on purpose."""
    found = _known_to_git(folder, failed) or list(_walk(folder, failed))
    # os.path's functions take what must not be looked at for absent.
    return sorted(path for path in found if path.suffix in (*PYTHON, NOTEBOOK) and os.path.isfile(path))


def _known_to_git(folder: Path, failed: Failed) -> list[Path]:
    """What git tracks here, and what it neither tracks nor ignores; nothing where there is no git."""
    # A repository's own configuration may name a program as its file system monitor: it is not started.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others"]
    try:
        done = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return []
    names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    kept = [folder / name for name in names if not _SKIPPED.intersection(Path(name).parts[:-1])]
    modules = [path for path in kept if path != folder and os.path.isdir(path) and not os.path.islink(path)]
    return [
        *kept,
        *(path for module in modules for path in _files_below(module, failed)),
    ]  # each is listed as one entry


def _walk(folder: Path, failed: Failed) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        failed(Path(error.filename), reason(error))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not _is_skipped(Path(place, name))]
        yield from (Path(place, name) for name in names)


def _is_skipped(folder: Path) -> bool:
    name = folder.name
    return (
        name in _SKIPPED or name.startswith(".") or name.endswith(".egg-info") or os.path.exists(folder / "pyvenv.cfg")
    )


# Cell magics whose cell is Python of this notebook; any other is another language, or another process.
_PYTHON = re.compile(r"%%(time|timeit|capture|prun|memit|mprun|heat|scalene|memray_flamegraph)\b")
_MAGIC = re.compile(r"^(\s*)(?:[%!?]|,\w|;\w)|\?\s*$")
# Commands that IPython takes without a percent sign (automagic, and %alias on a Unix), where Python would not.
_AUTOMAGIC = re.compile(r"^(pip3?|conda|mamba|uv|cd|ls|cat|mkdir|rm|cp|mv|load_ext|matplotlib)\s+(--?\w|[\w\"'./~])")
_ASSIGNED = re.compile(r"^(\s*[\w.,\s\[\]'\"]+=\s*)[%!]")


def notebook_cells(text: str) -> Iterator[tuple[int, str]]:
    """The place, from 1, and the code of each code cell. Raises ValueError for what is no notebook."""
    for number, parts in code_cells(json.loads(text)):
        yield number, as_python("".join(map(str, parts)))


def code_cells(notebook: Any) -> Iterator[tuple[int, list[Any]]]:
    """The place, from 1, and the strings of each code cell in Python; none of a notebook in another language.

    Raises ValueError for what is no notebook.
    """
    found = _all_cells(notebook)
    if not _is_python(notebook):
        return
    for number, cell in enumerate(found, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code" and _is_python(cell):
            code = cell.get("source", cell.get("input", ""))
            yield number, code if isinstance(code, list) else [code]


def _is_python(part: dict[str, Any]) -> bool:
    """Whether a notebook or a cell does not name another language: Jupyter, .NET Interactive, VS Code."""
    match part.get("metadata"):
        case (
            {"language_info": {"name": str(name)}}
            | {"kernelspec": {"language": str(name)}}
            | {"dotnet_interactive": {"language": str(name)}}
            | {"polyglot_notebook": {"kernelName": str(name)}}
            | {"vscode": {"languageId": str(name)}}
        ):
            return "python" in name.lower()
        case _:
            return True


def as_python(code: str) -> str:
    """A cell's code, with the same lines. A magic becomes `pass`, for it may be all that a block has."""
    if _parses(code):
        return code
    lines = code.split("\n")
    head = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[head].startswith("%%"):
        if not _PYTHON.match(lines[head]):
            return "\n" * (len(lines) - 1)
        lines[head] = ""
    continued = False
    for number, line in enumerate(lines):
        magic = continued or any(one.search(line) for one in (_MAGIC, _AUTOMAGIC, _ASSIGNED))
        if magic:
            lines[number] = "" if continued else _python_instead(line)
        continued = magic and line.endswith("\\")
    return "\n".join(lines)


def _python_instead(line: str) -> str:
    if assigned := _ASSIGNED.match(line):
        return f"{assigned[1]}None"
    return f"{line[: len(line) - len(line.lstrip())]}pass"


def _all_cells(notebook: Any) -> list[Any]:
    match notebook:
        case {"cells": [*found]}:
            return found
        case {"worksheets": [*sheets]}:
            return [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
        case _:
            raise ValueError("it is no notebook: there are no cells")


def _parses(code: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook's own strings
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
