r"""Patterns that a grammar of llama.cpp's holds, in a small language that every version of it reads alike.

It has literal characters, classes such as `[a-z_]`, groups of alternatives, and bounded repetition, all of it between
`^` and `$`. `\d`, `\w`, escaped punctuation and `(?:...)` are written in that language, where it says exactly the same.

A grammar reads the text of a JSON string, quotes and all: what can be a quote, a backslash or a line's end there, as
`.` and `[^a]` can, lets a model write what is no JSON. Hence these are no part of the language either.

Source: llama.cpp common/json-schema-to-grammar.cpp _visit_pattern and src/llama-grammar.cpp parse_char (011c6c3c);
what a server of b11549 did with each kind: it answers a reply that is no JSON with 500.
"""

from __future__ import annotations

import re

_QUANTIFIER = re.compile(r"\*|\+|\?|\{(\d+)(,(\d*))?\}")
_SHORTHANDS = {"d": "0-9", "w": "A-Za-z0-9_"}
_SPECIAL = frozenset("^$.|()[]{}*+?")
_PUNCTUATION = frozenset("^$.|()[]{}*+?/-_:;,@#%&=!~<>' `")
_NEVER = (*range(0x20), 0x22, 0x5C, 0x7F)  # control characters, the quote, the backslash


class _UnsafeError(Exception):
    """The pattern is none of the small language."""


def safe_pattern(pattern: str, largest: int) -> str | None:
    """The same pattern in the small language, or None where it cannot be said there.

    largest: the greatest number of repetitions.
    """
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return None
    reader = _Reader(pattern[1:-1], largest)
    try:
        written, _ = reader.sequence()
        reader.expect_end()
    except _UnsafeError:
        return None
    return f"^{written}$"


class _Reader:
    """Reads a pattern from its first character to its last; each method returns what it read, in the language.

    The flag beside it says whether it may be empty: repeated without end, a grammar has no rule for it.
    """

    def __init__(self, text: str, largest: int) -> None:
        self._text, self._place, self._largest = text, 0, largest
        self._depth = 0

    def expect_end(self) -> None:
        """Raises where something is left: a second part of `a|b`, which the anchors do not hold, or a bracket."""
        if self._place < len(self._text):
            raise _UnsafeError

    def sequence(self) -> tuple[str, bool]:
        """Everything up to the end of a group's alternative."""
        written, empty = "", True
        while self._next not in ("", "|", ")"):
            part, optional = self._item()
            written, empty = written + part, empty and optional
        if not written:
            raise _UnsafeError
        return written, empty

    @property
    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _take(self) -> str:
        taken = self._next
        if not taken:
            raise _UnsafeError
        self._place += 1
        return taken

    def _item(self) -> tuple[str, bool]:
        taken, empty = self._take(), False
        if taken == "(":
            written, empty = self._group()
        elif taken == "[":
            written = self._class()
        elif taken == "\\":
            written = self._escaped(self._take())
        elif taken in _SPECIAL or ord(taken) in _NEVER:
            raise _UnsafeError
        else:  # a class, where a letter has several bytes: a quantifier would repeat the last of them
            written = taken if taken.isascii() else f"[{taken}]"
        return self._quantified(written, empty)

    def _group(self) -> tuple[str, bool]:
        if self._text.startswith("?:", self._place):
            self._place += 2
        self._depth += 1
        if self._depth > 20:
            raise _UnsafeError
        parts = [self.sequence()]
        while self._next == "|":
            self._place += 1
            parts.append(self.sequence())
        if self._take() != ")":
            raise _UnsafeError
        self._depth -= 1
        return f"({'|'.join(part for part, _ in parts)})", any(empty for _, empty in parts)

    def _escaped(self, letter: str) -> str:
        if letter in _SHORTHANDS:
            return f"[{_SHORTHANDS[letter]}]"
        if letter not in _PUNCTUATION:
            raise _UnsafeError
        if letter not in _SPECIAL:
            return letter
        # In a literal of several characters a quantifier would repeat them all.
        return _class_of([letter]) if self._next in ("*", "+", "?", "{") else f"\\{letter}"

    def _class(self) -> str:
        members: list[str] = []
        if self._next == "^":
            raise _UnsafeError
        while self._next != "]":
            members.append(self._member())
        self._place += 1
        if not members:
            raise _UnsafeError
        return _class_of(members)

    def _member(self) -> str:
        """A character of a class, or a range of them."""
        first = self._character()
        if first in _SHORTHANDS.values() or self._next != "-" or self._text[self._place + 1 : self._place + 2] == "]":
            return first
        self._place += 1
        last = self._character()
        if last in _SHORTHANDS.values() or first > last or any(ord(first) <= one <= ord(last) for one in _NEVER):
            raise _UnsafeError
        return f"{first}-{last}"

    def _character(self) -> str:
        taken = self._take()
        if taken == "\\":
            taken = self._take()
            if taken in _SHORTHANDS:
                return _SHORTHANDS[taken]
            if taken not in _PUNCTUATION:
                raise _UnsafeError
        if ord(taken) in _NEVER:
            raise _UnsafeError
        return taken

    def _quantified(self, written: str, empty: bool) -> tuple[str, bool]:
        found = _QUANTIFIER.match(self._text, self._place)
        if found is None:
            return written, empty
        self._place = found.end()
        least, most = _bounds(found)
        several = most is None or most > 1
        numbers = (least, least if most is None else most)
        if self._next in ("*", "+", "?", "{") or (several and empty) or max(numbers) > self._largest:
            raise _UnsafeError
        if most == 0 or (most is not None and most < least):
            raise _UnsafeError
        return written + found[0], empty or least == 0


def _bounds(found: re.Match[str]) -> tuple[int, int | None]:
    """The least and the greatest number of a quantifier; None is no greatest."""
    if found[1] is None:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[0]]
    least = int(found[1])
    if found[2] is None:
        return least, least
    return least, int(found[3]) if found[3] else None


def _class_of(members: list[str]) -> str:
    """A class of characters and ranges, in escapes that grammars and regular expressions both know."""
    written = [
        {"]": r"\]", "^": r"\x5E" if place == 0 else "^", "-": "-" if place in (0, len(members) - 1) else r"\x2D"}.get(
            member, member
        )
        for place, member in enumerate(members)
    ]
    return f"[{''.join(written)}]"
