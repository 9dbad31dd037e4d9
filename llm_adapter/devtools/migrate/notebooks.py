"""The code cells of a Jupyter notebook as Python: what only IPython understands is blanked, and no line moves.

Source: nbformat 4 (`cells`, `source`) and 3 (`worksheets`, `input`); IPython core/inputtransformer2.py, version 9.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

# Cell magics whose cell is Python of this notebook; any other is another language, or another process.
_PYTHON = re.compile(r"%%(time|timeit|capture|prun|memit|mprun|heat|scalene|memray_flamegraph)\b")
_MAGIC = re.compile(r"^(\s*)(?:[%!?]|,\w|;\w)|\?\s*$")
# Commands that IPython takes without a percent sign (automagic, and %alias on a Unix), where Python would not.
_AUTOMAGIC = re.compile(r"^(pip3?|conda|mamba|uv|cd|ls|cat|mkdir|rm|cp|mv|load_ext|matplotlib)\s+(--?\w|[\w\"'./~])")
_ASSIGNED = re.compile(r"^(\s*[\w.,\s\[\]'\"]+=\s*)[%!]")


def cells(text: str) -> Iterator[tuple[int, str]]:
    """The place, from 1, and the code of each code cell. Raises ValueError for what is no notebook."""
    for number, parts in written(json.loads(text)):
        yield number, python("".join(map(str, parts)))


def written(notebook: Any) -> Iterator[tuple[int, list[Any]]]:
    """The place, from 1, and the strings of each code cell in Python; none of a notebook in another language.

    Raises ValueError for what is no notebook.
    """
    found = _all(notebook)
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


def python(code: str) -> str:
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
            lines[number] = "" if continued else _instead(line)
        continued = magic and line.endswith("\\")
    return "\n".join(lines)


def _instead(line: str) -> str:
    if assigned := _ASSIGNED.match(line):
        return f"{assigned[1]}None"
    return f"{line[: len(line) - len(line.lstrip())]}pass"


def _all(notebook: Any) -> list[Any]:
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
