"""One import statement made into two: some of its names, and the others, each with the comments beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from llm_adapter.devtools.migrate.swap_uses import Span

# A comment that speaks to a tool about its line: both lines need it.
_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pragma|pylint:|pyright:|mypy:|ruff:|flake8:|isort:|nosec|fmt:|yapf:)", re.I)
_COMMAS_FIRST = re.compile(r"\n[ \t]*,")
_COMMENT = re.compile(r"[ \t\f]*(#[^\r\n]*)?")


class _Part(NamedTuple):
    """A name with what is before it, comments on lines of their own, and what is behind it on its line."""

    before: str
    name: str
    behind: str
    swapped: bool


def split(text: str, word: Span, names: Sequence[tuple[Span, bool]], home: str) -> tuple[str, str]:
    """The statement with the names that are to be swapped, from `home`; and the statement with the others.

    text: the statement alone. word: its module. names: each with whether it is to be swapped. Spans are characters.
    """
    taken, left = _chosen(text, names, True), _chosen(text, names, False)
    return text[: word.start] + home + taken[word.end :], left


def separable(text: str) -> bool:
    """Whether each comment of a statement has its name: a comma on the next line leaves that open."""
    return "#" not in text or not _COMMAS_FIRST.search(text)


def apart(code: str, start: int, end: int) -> str:
    """What stands between the two statements: the end of a line, after the comment that both need."""
    before = code[code.rfind("\n", 0, start) + 1 : start]
    comment = _COMMENT.match(code, end)
    rest = code[comment.end() :] if comment else ""
    if before.strip(" \t\f") or (rest and rest[0] not in "\r\n"):
        return "; "
    newline = re.search(r"\r\n|\r|\n", code[end:] + code)
    directive = comment[0] if comment and comment[1] and _DIRECTIVE.search(comment[1]) else ""
    return directive + (newline[0] if newline else "\n") + before


def _chosen(text: str, names: Sequence[tuple[Span, bool]], swapped: bool) -> str:
    head, tail = text[: names[0][0].start], text[names[-1][0].end :]
    chosen = ", ".join(text[slice(*span)] for span, mine in names if mine is swapped)
    if "(" not in head:  # no comment fits in here, a line's end after a backslash does
        return head + chosen
    if _COMMAS_FIRST.search(text):
        return f"{head[: head.index('(')]}({chosen})"
    opening, first = _line(head, head.index("(") + 1)
    if swapped and not _DIRECTIVE.search(opening):
        opening = opening.partition("#")[0].rstrip()
    parts, tail = _parts(text, names, first, tail)
    kept = [part for part in parts if part.swapped is swapped]
    if kept[0] is not parts[0] and "\n" not in kept[0].before:
        kept[0] = kept[0]._replace(before=_margin(first))
    if kept[-1] is not parts[-1]:
        behind = kept[-1].behind if parts[-1].behind.lstrip().startswith(",") else re.sub(r"^\s*,", "", kept[-1].behind)
        kept[-1] = kept[-1]._replace(behind=behind)
    return opening + "".join(part.before + part.name + part.behind for part in kept) + tail


def _parts(text: str, names: Sequence[tuple[Span, bool]], first: str, tail: str) -> tuple[list[_Part], str]:
    """The names between the parentheses, and what is behind the last of them."""
    found, before = [], first
    ends = [span.start for span, _ in names[1:]]
    for (span, swapped), end in zip(names, [*ends, len(text)], strict=True):
        behind, rest = _line(text[span.end : end], 0)
        if end == len(text) and "\n" not in text[span.end :]:
            comma = re.match(r"\s*,", text[span.end :])
            behind, rest = (comma[0], text[span.end + comma.end() :]) if comma else ("", text[span.end :])
        elif "\n" not in text[span.end : end]:
            behind, rest = ",", text[span.end : end].partition(",")[2]
        found.append(_Part(before, text[slice(*span)], behind, swapped))
        before = rest
    return found, before


def _line(text: str, start: int) -> tuple[str, str]:
    """The text up to its first line's end, from a place on, and the rest with that line's end."""
    end = re.compile(r"\r?\n").search(text, start)
    return (text[: end.start()], text[end.start() :]) if end else (text[:start], text[start:])


def _margin(before: str) -> str:
    """The line's end and the margin of a name, without the comments above it."""
    lines = re.split(r"(\r?\n)", before)
    return "".join(lines[-2:]) if len(lines) > 1 else before
