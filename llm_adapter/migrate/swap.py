"""`from openai import OpenAI` becomes `from llm_adapter import OpenAI`: imports are swapped, and nothing else.

What a swap of imports cannot do is told, with the lines to write. In doubt nothing is edited.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import libcst

from llm_adapter.migrate.swap_names import ours
from llm_adapter.migrate.swap_rules import Edit, Hand, forbidden, step
from llm_adapter.migrate.swap_uses import ROOT, read

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


def swapped(code: str, *, shared: bool = False) -> Swap:
    """The text with its imports swapped; as it is where it cannot be read, or would not compile afterwards.

    shared: other modules use this one's `openai`, so that an `import openai` has to stay what it is.
    """
    if not _WORTH.search(code):
        return Swap(code)
    try:
        found = read(code, ours())
    except (libcst.ParserSyntaxError, RecursionError):
        lines = (code.count("\n", 0, match.start()) + 1 for match in _IMPORT.finditer(code))
        reason = "this is no Python that can be read: nothing is swapped"
        return Swap(code, by_hand=tuple(Hand(line, reason) for line in lines)[:1])
    if left := tuple(forbidden(found)):
        return Swap(code, by_hand=left)
    steps = [step(code, one, shared=shared) for one in found.imports]
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
