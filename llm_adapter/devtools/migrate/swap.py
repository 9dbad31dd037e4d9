"""`from openai import OpenAI` becomes `from llm_adapter import OpenAI`: imports are swapped, and nothing else.

What a swap of imports cannot do is told, with the lines to write. In doubt nothing is edited.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import libcst

from llm_adapter.devtools.migrate.sources import LONG
from llm_adapter.devtools.migrate.swap_names import ours
from llm_adapter.devtools.migrate.swap_rules import Edit, Hand, forbidden, step
from llm_adapter.devtools.migrate.swap_uses import ROOT, read
from llm_adapter.devtools.migrate.trees import without_types

_IMPORT = re.compile(rf"^[ \t]*(from|import)[ \t].*\b{ROOT}\b", re.M)
# Without any of these a text has nothing for a swap, and is not parsed: an import, a name between quotes.
_WORTH = re.compile(rf"\b(?:from|import)\b(?:[^#\n]|\\\r?\n)*\b{ROOT}\b|[\"']{ROOT}\.")


@dataclass(frozen=True, slots=True)
class Swap:
    """A text after its swap, and what is left of it."""

    code: str
    edits: tuple[Edit, ...] = ()  # in the text's order, of the text before
    by_hand: tuple[Hand, ...] = ()
    kept: tuple[int, ...] = ()  # lines of imports that stay the SDK's: their names only stand where types do


def _untouched(code: str, reason: str) -> tuple[Hand, ...]:
    match = _IMPORT.search(code)
    return (Hand(code.count("\n", 0, match.start()) + 1, reason),) if match else ()


def _at_line(line: int) -> str:
    return f"line {line}"


def swapped(code: str, *, shared: bool = False, at: Callable[[int], str] = _at_line) -> Swap:
    """The text with its imports swapped; as it is where it cannot be read, or would not compile afterwards.

    shared: other modules use this one's `openai`, so that an `import openai` has to stay what it is.
    at: how a line is told, for texts that are cells in truth.
    """
    if not _WORTH.search(without_types(code)):
        return Swap(code)
    if len(code) > LONG:
        return Swap(code, by_hand=_untouched(code, "this file is too long to parse: nothing is swapped"))
    try:
        found = read(code, ours())
    except (libcst.ParserSyntaxError, RecursionError):
        return Swap(code, by_hand=_untouched(code, "this is no Python that can be read: nothing is swapped"))
    if left := tuple(forbidden(found)):
        return Swap(code, by_hand=left)
    steps = [step(code, one, shared=shared, at=at) for one in found.imports]
    edits = tuple(edit for one in steps for edit in one.edits)
    hands = list(dict.fromkeys(hand for one in steps for hand in one.by_hand))
    kept = tuple(one.kept for one in steps if one.kept)
    after = applied(code, edits)
    if edits and not compiles(after) and compiles(code):
        hands.append(Hand(found.imports[0].line, "a swap would break this file: nothing is swapped"))
        return Swap(code, (), tuple(hands), kept)
    return Swap(after, edits, tuple(hands), kept)


def applied(code: str, edits: Iterable[Edit]) -> str:
    """The text with its edits made."""
    for edit in sorted(edits, reverse=True):
        code = code[: edit.start] + edit.new + code[edit.end :]
    return code


def compiles(code: str) -> bool:
    """Whether Python takes the text; `await` outside a function is a notebook's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the text's own strings
        try:
            compile(code, "<swap>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
