"""Text for a person's screen: without control characters, cut to a width, with counted nouns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

# A model's text is a stranger's: its escape sequences would move the cursor and rewrite what is on the screen.
_CONTROLS = dict.fromkeys(code for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t")


def harmless(text: str) -> str:
    """The text without control characters, new lines and tabs apart."""
    return text.translate(_CONTROLS)


def shortened(text: str, width: int) -> str:
    """One line of at most so many columns."""
    from rich.cells import cell_len  # of the extra `cli`, which pytest's fixtures must not need

    line = harmless(" ".join(text.split()))
    if cell_len(line) <= width:
        return line
    while cell_len(line) > max(width - 1, 0):
        line = line[:-1]
    return f"{line}…"


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`"""
    return f"{count} {noun}{'' if count == 1 else 's'}"


Tell: TypeAlias = Callable[[str], None]


def silent(what: str) -> None:
    """A `Tell` for where nobody is told."""
