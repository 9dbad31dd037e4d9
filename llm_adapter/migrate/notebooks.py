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
_ASSIGNED = re.compile(r"^(\s*[\w.,\s\[\]'\"]+=\s*)[%!]")


def cells(text: str) -> Iterator[tuple[int, str]]:
    """The place, from 1, and the code of each code cell. Raises ValueError for what is no notebook."""
    notebook = json.loads(text)
    for number, cell in enumerate(_all(notebook), 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            code = cell.get("source", cell.get("input", ""))
            if isinstance(code, list):
                code = "".join(map(str, code))
            yield number, python(str(code))


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
        magic = continued or bool(_MAGIC.search(line)) or bool(_ASSIGNED.match(line))
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
