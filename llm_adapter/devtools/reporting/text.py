"""Text for a person's screen: without control characters, cut to a width, with counted nouns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

# A model's text, a server's message and a file's name are strangers'. Their escape sequences would move the cursor and
# rewrite what is on the screen, direction characters show the text in another order (CVE-2021-42574, Unicode UAX #9),
# and a name with invisible characters looks like another one.
_CONTROLS = (*range(32), *range(127, 160))
_DIRECTIONS = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x2070))
_INVISIBLE = (0xAD, 0x180E, 0x200B, *range(0x2060, 0x2066), 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080))
_LINE_ENDS = (0x2028, 0x2029)
_REMOVED: dict[int, str | None] = {
    **dict.fromkeys(code for code in (*_CONTROLS, *_DIRECTIONS, *_INVISIBLE) if chr(code) not in "\n\t"),
    **dict.fromkeys(_LINE_ENDS, " "),
}
# Emoji and some scripts join letters by these; between other letters they are invisible.
_JOINERS = re.compile("(?<![^\\x00-\u02ff])[\u200c\u200d]|[\u200c\u200d](?![^\\x00-\u02ff])")
_ESCAPED = re.compile(f"[{''.join(map(chr, (*_CONTROLS[32:], *_DIRECTIONS, *_INVISIBLE, *_LINE_ENDS)))}\u200c\u200d]")


def harmless(text: str, *, part: bool = False) -> str:
    """The text without control, direction and invisible characters; new lines and tabs stay.

    part: it is a piece of a text, which may begin or end within a letter of several characters.
    """
    text = text.translate(_REMOVED)
    return text if part or text.isascii() else _JOINERS.sub("", text)


def one_line(text: str) -> str:
    """The same as one line: a name with a line end in it would look like a line of ours."""
    return harmless(" ".join(text.split("\n")).replace("\t", " "))


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    """JSON for a screen or a program: what `harmless` takes away is escaped, so that nothing is lost."""
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only, default=str)
    return _ESCAPED.sub(lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")  # JSON writes a character beyond U+FFFF as two of UTF-16
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def shortened(text: str, width: int) -> str:
    """One line of at most so many columns."""
    from rich.cells import cell_len  # of the extra `cli`, which pytest's fixtures must not need

    line = one_line(" ".join(text.split()))
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
