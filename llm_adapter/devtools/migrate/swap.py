"""`from openai import OpenAI` becomes `from llm_adapter import OpenAI`: imports are swapped, and nothing else.

Each import statement becomes an edit, a line that a person has to write, or nothing, where it is right as it is. In
doubt nothing is edited. A name that stands only in annotations and in `isinstance` stays the SDK's: our clients are
subclasses and pass both, and a client that is the SDK's own still does. `if TYPE_CHECKING:` is the same case.
"""

from __future__ import annotations

import ast
import re
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import libcst
import openai

import llm_adapter
from llm_adapter.devtools.migrate.finders import own_addresses
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.sources import LONG, Source
from llm_adapter.devtools.migrate.swap_uses import (
    ROOT,
    ImportedName,
    ImportStatement,
    OpenAIUses,
    Span,
    Use,
    openai_uses,
)
from llm_adapter.devtools.migrate.trees import Tree, is_too_deep, tree, without_types

# What only openai 0.x had, beside the classes that the SDK still names to refuse them.
# Source: openai/__init__.py and the package's modules, version 0.28.1.
_REMOVED = frozenset(
    {"api_base", "api_key_path", "verify_ssl_certs", "proxy", "app_info", "enable_telemetry", "ca_bundle_path"}
    | {"debug", "log", "aiosession", "requestssession", "error", "api_requestor", "api_resources", "datalib"}
    | {"embeddings_utils", "object_classes", "openai_object", "openai_response", "upload_progress", "wandb_logger"}
)


@cache
def our_clients() -> frozenset[str]:
    """The clients that this package has under the SDK's names. Each is a subclass of the SDK's: a namesake is none."""
    pairs = ((name, getattr(llm_adapter, name), getattr(openai, name, None)) for name in llm_adapter.__all__)
    return frozenset(
        name
        for name, own, theirs in pairs
        if isinstance(own, type) and isinstance(theirs, type) and issubclass(own, theirs)
    )


@cache
def removed_names() -> frozenset[str]:
    """Names of openai 0.x. Source: openai/lib/_old_api.py, whose proxies stand for what version 1 took away."""
    return (
        frozenset(name for name, value in _public_names() if type(value).__name__ == "APIRemovedInV1Proxy") | _REMOVED
    )


@cache
def module_client_names() -> frozenset[str]:
    """What makes `openai` itself a client: `openai.chat`, `openai.api_key`. Source: openai/_module_client.py."""
    proxies = (name for name, value in _public_names() if type(value).__module__ == "openai._module_client")
    # openai/__init__.py declares its settings with their types.
    return frozenset({*proxies, *(name for name in openai.__annotations__ if name[0].islower())})


def _public_names() -> list[tuple[str, object]]:
    found = ((name, getattr(openai, name, None)) for name in dir(openai) if not name.startswith("_"))
    return [(name, value) for name, value in found if type(value) is not types.ModuleType]


# A comment that speaks to a tool about its line: both lines need it.
_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pragma|pylint:|pyright:|mypy:|ruff:|flake8:|isort:|nosec|fmt:|yapf:)", re.I)
_COMMAS_FIRST = re.compile(r"\n[ \t]*,")
_COMMENT = re.compile(r"[ \t\f]*(#[^\r\n]*)?")


class _NamePart(NamedTuple):
    """A name with what is before it, comments on lines of their own, and what is behind it on its line."""

    before: str
    name: str
    behind: str
    swapped: bool


def split(text: str, word: Span, names: Sequence[tuple[Span, bool]], home: str) -> tuple[str, str]:
    """The statement with the names that are to be swapped, from `home`; and the statement with the others.

    text: the statement alone. word: its module. names: each with whether it is to be swapped. Spans are characters.
    """
    taken, left = _statement_with(text, names, True), _statement_with(text, names, False)
    return text[: word.start] + home + taken[word.end :], left


def separable(text: str) -> bool:
    """Whether each comment of a statement has its name: a comma on the next line leaves that open."""
    return "#" not in text or not _COMMAS_FIRST.search(text)


def separator(code: str, start: int, end: int) -> str:
    """What stands between the two statements: the end of a line, after the comment that both need."""
    before = code[code.rfind("\n", 0, start) + 1 : start]
    comment = _COMMENT.match(code, end)
    rest = code[comment.end() :] if comment else ""
    if before.strip(" \t\f") or (rest and rest[0] not in "\r\n"):
        return "; "
    newline = re.search(r"\r\n|\r|\n", code[end:] + code)
    directive = comment[0] if comment and comment[1] and _DIRECTIVE.search(comment[1]) else ""
    return directive + (newline[0] if newline else "\n") + before


def _statement_with(text: str, names: Sequence[tuple[Span, bool]], swapped: bool) -> str:
    head, tail = text[: names[0][0].start], text[names[-1][0].end :]
    chosen = ", ".join(text[slice(*span)] for span, mine in names if mine is swapped)
    if "(" not in head:  # no comment fits in here, a line's end after a backslash does
        return head + chosen
    if _COMMAS_FIRST.search(text):
        return f"{head[: head.index('(')]}({chosen})"
    opening, first = _first_line(head, head.index("(") + 1)
    if swapped and not _DIRECTIVE.search(opening):
        opening = opening.partition("#")[0].rstrip()
    parts, tail = _name_parts(text, names, first, tail)
    kept = [part for part in parts if part.swapped is swapped]
    if kept[0] is not parts[0] and "\n" not in kept[0].before:
        kept[0] = kept[0]._replace(before=_margin(first))
    if kept[-1] is not parts[-1]:
        behind = kept[-1].behind if parts[-1].behind.lstrip().startswith(",") else re.sub(r"^\s*,", "", kept[-1].behind)
        kept[-1] = kept[-1]._replace(behind=behind)
    return opening + "".join(part.before + part.name + part.behind for part in kept) + tail


def _name_parts(text: str, names: Sequence[tuple[Span, bool]], first: str, tail: str) -> tuple[list[_NamePart], str]:
    """The names between the parentheses, and what is behind the last of them."""
    found, before = [], first
    ends = [span.start for span, _ in names[1:]]
    for (span, swapped), end in zip(names, [*ends, len(text)], strict=True):
        behind, rest = _first_line(text[span.end : end], 0)
        if end == len(text) and "\n" not in text[span.end :]:
            comma = re.match(r"\s*,", text[span.end :])
            behind, rest = (comma[0], text[span.end + comma.end() :]) if comma else ("", text[span.end :])
        elif "\n" not in text[span.end : end]:
            behind, rest = ",", text[span.end : end].partition(",")[2]
        found.append(_NamePart(before, text[slice(*span)], behind, swapped))
        before = rest
    return found, before


def _first_line(text: str, start: int) -> tuple[str, str]:
    """The text up to its first line's end, from a place on, and the rest with that line's end."""
    end = re.compile(r"\r?\n").search(text, start)
    return (text[: end.start()], text[end.start() :]) if end else (text[:start], text[start:])


def _margin(before: str) -> str:
    """The line's end and the margin of a name, without the comments above it."""
    lines = re.split(r"(\r?\n)", before)
    return "".join(lines[-2:]) if len(lines) > 1 else before


HOME = "llm_adapter"
_CLIENT = (f"from {HOME} import OpenAI", "client = OpenAI()")


class Edit(NamedTuple):
    """Characters of the text, the end not included, and what is written in their place."""

    start: int
    end: int
    new: str


class ManualStep(NamedTuple):
    """What is left to a person."""

    line: int  # from 1
    reason: str
    write: tuple[str, ...] = ()  # the lines to write


class StatementStep(NamedTuple):
    """What becomes of one statement."""

    edits: tuple[Edit, ...] = ()
    by_hand: tuple[ManualStep, ...] = ()
    kept: int = 0  # its line, if it stays for the sake of types


def reasons_against(found: OpenAIUses) -> Iterator[ManualStep]:
    """Why the whole file is left as it is."""
    if names := sorted(set(_removed_uses(found))):
        text = ", ".join(dict.fromkeys(name for _, name in names))
        yield ManualStep(names[0][0], f"written for openai 0.x ({text}): bring it to version 1 first", _CLIENT)
    # Its own import and the patch go together: one without the other would call the real service.
    swapped_here = any(our_clients() & _names_asked_for(one) for one in found.imports)
    together = ", and this file's import with it" if swapped_here else ""
    for line, name in found.stand_ins:
        yield ManualStep(
            line,
            f"swapped code does not see what is put in the place of {ROOT}.{name}: name ours{together}",
            (f"{HOME}.{name}",),
        )


def step_for(code: str, found: ImportStatement, *, shared: bool, at: Callable[[int], str]) -> StatementStep:
    """What becomes of one statement of this text; `at` tells of a line where it is."""
    if found.module is None:
        return _joined_steps([_plain_import(found, bound, shared, at) for bound in found.names])
    if not found.names:
        text = f"`from {found.module} import *` hides which names are used"
        return _left_to_a_person(found, text, f"from {HOME} import OpenAI")
    if not (names := [bound for bound in found.names if bound.asked in our_clients()]):
        return StatementStep()
    if found.for_types or all(_stands_in_types(bound) for bound in names):
        return StatementStep(kept=found.line)
    line = f"from {HOME} import {', '.join(bound.asked for bound in names)}"
    if found.module != ROOT:
        return _left_to_a_person(found, f"the client is imported from inside the SDK, {found.module}", line)
    if len(names) < len(found.names) and not separable(code[slice(*found.span)]):
        return _left_to_a_person(found, "its comments and commas cannot be told apart: make two imports of it", line)
    return StatementStep(
        _from_import_edits(code, found), tuple(hand for bound in names for hand in _type_checks(bound))
    )


def _left_to_a_person(found: ImportStatement, reason: str, *lines: str) -> StatementStep:
    return StatementStep(by_hand=(ManualStep(found.line, reason, lines),))


def _from_import_edits(code: str, found: ImportStatement) -> tuple[Edit, ...]:
    if all(bound.asked in our_clients() for bound in found.names):
        return (Edit(*found.word, HOME),)
    start, end = found.span
    names = [(bound.span.back(start), bound.asked in our_clients()) for bound in found.names]
    taken, left = split(code[start:end], found.word.back(start), names, HOME)
    return (Edit(start, end, taken + separator(code, start, end) + left),)


def _plain_import(found: ImportStatement, bound: ImportedName, shared: bool, at: Callable[[int], str]) -> StatementStep:
    """`import openai` can be swapped where the file asks nothing of it but our clients."""
    asked = [use for use in bound.uses if use.names[:1] and use.names[0] in our_clients() and use.role != "assigned"]
    by_hand = _used_as_client(bound)
    if all(use.role != "value" for use in asked) or found.for_types:
        return StatementStep(by_hand=by_hand, kept=found.line if asked else 0)
    reason = _obstacle(found, bound, [use for use in bound.uses if use not in asked], shared, at)
    if reason:
        lines = ", ".join(at(use.line) for use in asked if use.role == "value")
        clients = dict.fromkeys(use.names[0] for use in asked)
        write = (f"import {HOME}", *(f"{HOME}.{name}(...)" for name in clients))
        return StatementStep(by_hand=(*by_hand, ManualStep(found.line, f"{reason}: write ours at {lines}", write)))
    new = HOME if bound.name != ROOT or bound.span != bound.word else f"{HOME} as {ROOT}"
    return StatementStep((Edit(*bound.word, new),), tuple(_type_checks(bound)))


def _obstacle(
    found: ImportStatement, bound: ImportedName, others: list[Use], shared: bool, at: Callable[[int], str]
) -> str:
    """Why such an import cannot be swapped; nothing if it can."""
    if bound.asked != ROOT:
        return f"`import {bound.asked}` brings the clients too"
    if others:
        first = {".".join((bound.name, *use.names)): at(use.line) for use in reversed(others)}
        texts = [f"{name} ({place})" for name, place in reversed(first.items())]
        return f"`import {ROOT}` serves {', '.join([*texts[:3], *['...'] * (len(texts) > 3)])} too"
    if not bound.alone:
        return f"`{bound.name}` is not always the SDK here"
    if shared or found.in_class:
        return f"`{bound.name}` is used from other modules"
    return ""


def _used_as_client(bound: ImportedName) -> tuple[ManualStep, ...]:
    uses = [use for use in bound.uses if use.names[:1] and use.names[0] in module_client_names()]
    if not uses:
        return ()
    texts = dict.fromkeys(".".join((bound.name, *use.names)) for use in uses)
    reason = f"{', '.join(list(texts)[:3])}: that is the SDK's own client, which no import moves; make one of ours"
    return (ManualStep(uses[0].line, reason, _CLIENT),)


def _type_checks(bound: ImportedName) -> Iterator[ManualStep]:
    """Where a swapped class is asked for: a client that somebody else made is the SDK's."""
    for use in bound.uses:
        if use.role == "check" and (bound.asked != ROOT or use.names[:1]):
            name = use.names[0] if bound.asked == ROOT else bound.asked
            yield ManualStep(
                use.line, f"this check now asks for our class: with {ROOT}.{name} it takes the SDK's clients too"
            )


def _stands_in_types(bound: ImportedName) -> bool:
    return bool(bound.uses) and all(use.role in ("type", "check") for use in bound.uses)


def _removed_uses(found: OpenAIUses) -> Iterator[tuple[int, str]]:
    for one in found.imports:
        for bound in one.names:
            path = bound.asked.split(".")[1:] if one.module is None else [*one.module.split(".")[1:], bound.asked]
            if path and path[0] in removed_names():
                yield one.line, ".".join((ROOT, path[0]))
            if bound.asked == ROOT:
                uses = [use for use in bound.uses if {*use.names[:1]} & removed_names()]
                yield from ((use.line, f"{ROOT}.{use.names[0]}") for use in uses)


def _names_asked_for(found: ImportStatement) -> set[str]:
    uses = {name for bound in found.names if bound.asked == ROOT for use in bound.uses for name in use.names[:1]}
    return uses | {bound.asked for bound in found.names}


def _joined_steps(steps: list[StatementStep]) -> StatementStep:
    edits = tuple(edit for one in steps for edit in one.edits)
    return StatementStep(
        edits, tuple(hand for one in steps for hand in one.by_hand), max((one.kept for one in steps), default=0)
    )


_IMPORT = re.compile(rf"^[ \t]*(from|import)[ \t].*\b{ROOT}\b", re.M)
# Without any of these a text has nothing for a swap, and is not parsed: an import, a name between quotes.
_WORTH = re.compile(rf"\b(?:from|import)\b(?:[^#\n]|\\\r?\n)*\b{ROOT}\b|[\"']{ROOT}\.")


@dataclass(frozen=True, slots=True)
class Swap:
    """A text after its swap, and what is left of it."""

    code: str
    edits: tuple[Edit, ...] = ()  # in the text's order, of the text before
    by_hand: tuple[ManualStep, ...] = ()
    kept: tuple[int, ...] = ()  # lines of imports that stay the SDK's: their names only stand where types do
    addresses: tuple[
        tuple[int, str], ...
    ] = ()  # clients with an address of their own, that are swapped: line, argument


def _nothing_swapped(code: str, reason: str) -> tuple[ManualStep, ...]:
    match = _IMPORT.search(code)
    return (ManualStep(code.count("\n", 0, match.start()) + 1, reason),) if match else ()


def _line_label(line: int) -> str:
    return f"line {line}"


def swapped(code: str, *, shared: bool = False, at: Callable[[int], str] = _line_label) -> Swap:
    """The text with its imports swapped; as it is where it cannot be read, or would not compile afterwards.

    shared: other modules use this one's `openai`, so that an `import openai` has to stay what it is.
    at: how a line is named in a message, for texts that are the cells of a notebook.
    """
    if not _WORTH.search(without_types(code)):
        return Swap(code)
    if is_too_deep(code):
        return Swap(code, by_hand=_nothing_swapped(code, "this file is nested too deeply: nothing is swapped"))
    if len(code) > LONG:
        return Swap(code, by_hand=_nothing_swapped(code, "this file is too long to parse: nothing is swapped"))
    try:
        found = openai_uses(code, our_clients())
    except (libcst.ParserSyntaxError, RecursionError):
        return Swap(code, by_hand=_nothing_swapped(code, "this is no Python that can be read: nothing is swapped"))
    if left := tuple(reasons_against(found)):
        return Swap(code, by_hand=left)
    steps = [step_for(code, one, shared=shared, at=at) for one in found.imports]
    edits = tuple(edit for one in steps for edit in one.edits)
    hands = list(dict.fromkeys([*(hand for one in steps for hand in one.by_hand), *_langfuse_steps(code)]))
    kept = tuple(one.kept for one in steps if one.kept)
    after = applied(code, edits)
    if edits and not compiles(after) and compiles(code):
        hands.append(ManualStep(found.imports[0].line, "a swap would break this file: nothing is swapped"))
        return Swap(code, (), tuple(hands), kept)
    return Swap(after, edits, tuple(hands), kept, _own_addresses(code) if edits else ())


def _own_addresses(code: str) -> tuple[tuple[int, str], ...]:
    found = tree(Source(Path(), None, code)) if "base_url" in code else None
    return tuple(own_addresses(found, Names([found]))) if isinstance(found, Tree) else ()


# Langfuse's module hands out the SDK's own classes: it wraps their methods when it is imported, and so those of ours.
_LANGFUSE = re.compile(
    r"^[ \t]*(?:from[ \t]+langfuse\.openai[ \t]+import|import[ \t]+langfuse\.openai[ \t]+as)\b", re.M
)


def _langfuse_steps(code: str) -> Iterator[ManualStep]:
    for match in _LANGFUSE.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        reason = "Langfuse hands out the SDK's own clients; it sees those of ours too, once it is imported"
        yield ManualStep(line, reason, ("import langfuse.openai", _CLIENT[0]))


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
