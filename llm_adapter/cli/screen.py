"""What goes to the terminal: colours and widths where it is one, plain and whole text where it is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from llm_adapter.devtools.reporting.text import Tell, counted, harmless, json_text, one_line, silent

NARROW = 60  # columns; a narrower terminal gets what would stand side by side below one another
_UNITS = ("B", "kB", "MB", "GB", "TB")


def console(*, stderr: bool = False) -> Console:
    """Where text is printed as it is: no markup, no highlighting, no line broken but by the terminal.

    NO_COLOR means plain text: rich alone would still print bold and dim.
    """
    colours: Any = None if os.environ.get("NO_COLOR") else "auto"
    return _Screen(stderr=stderr, color_system=colours, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _Screen(Console):
    """Nothing that is printed moves the cursor but rich itself."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text, part=True), segment.style)


def allow_all_scripts() -> None:
    """Let any script be printed: a file or a pipe gets UTF-8, a terminal gets escapes of what it cannot show.

    Python alone writes a pipe in the machine's own encoding - on Windows often cp1252 - and raises at the first "→".
    What PYTHONIOENCODING asks for is kept.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            ours = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=stream.encoding if ours else "utf-8", errors="backslashreplace")


def print_json(value: Any) -> None:
    # backslashreplace writes \U0001f600, which is no JSON.
    escaped = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    print(json_text(value, ascii_only=escaped))


def print_table(screen: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, the most important first: a terminal gets as many as fit it, anything else all of them."""
    cells = [titles, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    room = screen.width if screen.is_terminal else sys.maxsize
    shown = max(1, sum(sum(widths[: place + 1]) + 2 * place <= room for place in range(len(widths))))
    for number, row in enumerate(cells):
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths[:shown], strict=False)]
        screen.print("  ".join(padded).rstrip(), style=None if number else "bold")


def print_verbose(
    screen: Console, titles: Sequence[str], rows: Sequence[Sequence[str]], style: Callable[[Sequence[str]], str]
) -> None:
    """A name, a short and a long text each: a terminal wraps the last, or has it below the others if it is narrow.

    style: of a row's short text.
    """
    if not screen.is_terminal:
        print_table(screen, titles, rows)
    elif screen.width < NARROW:
        for name, short, text in rows:
            screen.print(Text.assemble(name, " ", (harmless(short), style((name, short, text)))), soft_wrap=False)
            if text:
                screen.print(Padding(Text(harmless(text), overflow="fold"), (0, 0, 0, 2)), soft_wrap=False)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(titles[0], no_wrap=True)
        for title in titles[1:]:
            table.add_column(title, overflow="fold")
        for name, short, text in rows:
            table.add_row(name, Text(harmless(short), style((name, short, text))), Text(harmless(text)))
        screen.print(table, soft_wrap=False)


def say(screen: Console, text: str, style: str | None = None) -> None:
    """Print a sentence, which a terminal breaks between words."""
    screen.print(Text(harmless(text), style or "", overflow="fold"), soft_wrap=not screen.is_terminal)


def size(count: float | None) -> str:
    """Bytes, in decimal units as Ollama and file managers give them."""
    if count is None:
        return ""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.1f} {unit}" if count < 9.95 and unit != "B" else f"{count:.0f} {unit}"


def duration(seconds: float) -> str:
    """A time in its largest unit: "3 days"."""
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number = int(seconds // length)
        if number or name == "second":
            break
    return counted(number, name)


@contextmanager
def call_status() -> Iterator[Tell]:
    """Shows a person at a terminal which call is under way, and nothing of it stays: `tell(name)`."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield silent
        return
    with screen.status("") as status:
        yield lambda name: status.update(f"{name} ...")


def print_marked(
    screen: Console,
    mark: str,
    style: str,
    name: str,
    text: str,
    column: int,
    text_style: str = "",
    indent: int = 0,
    width: int = 4,
) -> None:
    """A mark, a name and a text; a narrow terminal has the text below the name, and anything else in one line."""
    head = Text.assemble(" " * indent, (f"{mark:{width}}", style), " ", f"{name:{column}}")
    body = Text(harmless(text), text_style, overflow="fold")
    left = len(head) + 1
    if not screen.is_terminal:
        screen.print(Text.assemble(head, " ", body))
    elif screen.width < NARROW:
        if mark or name:
            screen.print(Text(head.plain.rstrip(), style))
        if text:
            screen.print(Padding(body, (0, 0, 0, indent + 5), expand=False), soft_wrap=False)
    else:
        for number, part in enumerate(body.wrap(screen, max(20, screen.width - left))):
            part.rstrip()
            screen.print(Text.assemble(head if number == 0 else " " * len(head), " ", part))
