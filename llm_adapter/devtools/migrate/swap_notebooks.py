"""The same swap in a notebook: its cells are read as one module, for they share their names.

The notebook stays the text it is, down to its escapes; only the characters of an edit are others. nbformat 3 and 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import NamedTuple

from llm_adapter.devtools.migrate.sources import as_python, code_cells
from llm_adapter.devtools.migrate.swap import Edit, ManualStep, Swap, applied, compiles, swapped
from llm_adapter.devtools.migrate.swap_uses import ROOT

_ESCAPED = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u\w{4}|\\.|.", re.DOTALL)


class _NotebookString(str):
    """A string of the notebook that knows where it stands: `start` is its first character, `end` its closing quote."""

    start: int
    end: int


class _Decoder(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.parse_string = _string
        self.scan_once = py_make_scanner(self)  # the one written in C has a place for no other function


def _string(text: str, start: int, strict: bool = True) -> tuple[_NotebookString, int]:
    value, end = scanstring(text, start, strict)
    found = _NotebookString(value)
    found.start, found.end = start, end - 1
    return found, end


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell."""

    number: int  # its place in the notebook, from 1
    parts: tuple[_NotebookString, ...]  # its source as the file has it: mostly one string a line

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Notebook(NamedTuple):
    """A notebook's text after its swap, and the cells that changed."""

    text: str
    swap: Swap  # of all cells as one module
    cells: tuple[tuple[int, str, str], ...] = ()  # number, before, after
    places: tuple[tuple[int, int], ...] = ()  # for each line of the module: the cell and its line there


def notebook(text: str, *, shared: bool = False) -> Notebook:
    """The notebook with its imports swapped. Raises ValueError for what is no notebook."""
    cells = list(_cells(text))
    raw = [as_python(cell.text) for cell in cells]
    sources = [source if compiles(source) else "\n" * source.count("\n") for source in raw]
    unread = [cell for cell, one, source in zip(cells, raw, sources, strict=True) if one != source and ROOT in one]
    places = tuple((cell.number, line + 1) for cell in cells for line in range(cell.text.count("\n") + 1))

    def at(line: int) -> str:
        cell, inner = places[line - 1]
        return f"cell {cell}:line {inner}"

    swap = swapped("\n".join(sources), shared=shared or bool(unread), at=at)
    edits: list[Edit] = []
    changed = []
    for cell, own in _cell_edits(swap.edits, cells, sources):
        changed.append((cell.number, cell.text, applied(cell.text, own)))
        edits += [_in_file(edit, cell, text) for edit in own]
    if not all(compiles(as_python(after)) for _, _, after in changed):
        return Notebook(
            text, Swap("", by_hand=(ManualStep(1, "a swap would break a cell: nothing is swapped"),)), (), places
        )
    return Notebook(applied(text, edits), swap, tuple(changed), places)


def _cell_edits(edits: Iterable[Edit], cells: list[Cell], sources: list[str]) -> Iterator[tuple[Cell, list[Edit]]]:
    """The cells that change, with the edits of each in its own text."""
    start = 0  # of the cell's code in the module's
    for cell, source in zip(cells, sources, strict=True):
        inside = [edit for edit in edits if start <= edit.start < start + len(source) + 1]
        if inside:
            yield cell, [_in_cell(edit, start, source, cell.text) for edit in inside]
        start += len(source) + 1


def _cells(text: str) -> Iterator[Cell]:
    for number, parts in code_cells(_Decoder().decode(text)):
        yield Cell(number, tuple(part for part in parts if isinstance(part, _NotebookString)))


def _in_cell(edit: Edit, start: int, source: str, own: str) -> Edit:
    """The edit in the cell's own text: magics are other words in the source, on the same lines."""
    begin, end = (_cell_offset(source, own, place - start) for place in (edit.start, edit.end))
    return Edit(begin, end, edit.new)


def _cell_offset(source: str, own: str, place: int) -> int:
    line = source.count("\n", 0, place)
    column = place - (source.rfind("\n", 0, place) + 1)
    return sum(len(one) + 1 for one in own.split("\n")[:line]) + column


def _in_file(edit: Edit, cell: Cell, text: str) -> Edit:
    """The edit in the file's text. A new line is a new string, where the file has one string a line."""
    new = json.dumps(edit.new, ensure_ascii=text.isascii())[1:-1]
    if len(cell.parts) > 1:
        new = new.replace("\\n", '\\n"' + text[cell.parts[0].end + 1 : cell.parts[1].start])
    return Edit(_offset(cell, edit.start, text), _offset(cell, edit.end - 1, text, last=True), new)


def _offset(cell: Cell, place: int, text: str, *, last: bool = False) -> int:
    """Where a character of the cell stands in the file; with `last`, where it ends."""
    for part in cell.parts:
        if place < len(part):
            found = list(_ESCAPED.finditer(text, part.start, part.end))[place:]
            return found[0].end() if last else found[0].start()
        place -= len(part)
    raise ValueError("the edit is not in this cell")
