"""What becomes of one import statement: an edit, a line for a person to write, or nothing, for it is right as it is.

A name that only stands in annotations and in `isinstance` stays the SDK's: our clients are subclasses and pass both,
and a client that is the SDK's own still does. `if TYPE_CHECKING:` is the same case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from llm_adapter.devtools.migrate.swap_names import module_client, old, ours
from llm_adapter.devtools.migrate.swap_split import apart, separable, split
from llm_adapter.devtools.migrate.swap_uses import ROOT, Bound, Found, Read, Use

HOME = "llm_adapter"
_CLIENT = (f"from {HOME} import OpenAI", "client = OpenAI()")


class Edit(NamedTuple):
    """Characters of the text, the end not included, and what is written in their place."""

    start: int
    end: int
    new: str


class Hand(NamedTuple):
    """What is left to a person."""

    line: int  # from 1
    reason: str
    write: tuple[str, ...] = ()  # the lines to write


class Step(NamedTuple):
    """What becomes of one statement."""

    edits: tuple[Edit, ...] = ()
    by_hand: tuple[Hand, ...] = ()
    kept: int = 0  # its line, if it stays for the sake of types


def forbidden(found: Read) -> Iterator[Hand]:
    """Why the whole file is left as it is."""
    if names := sorted(set(_old(found))):
        text = ", ".join(dict.fromkeys(name for _, name in names))
        yield Hand(names[0][0], f"written for openai 0.x ({text}): bring it to version 1 first", _CLIENT)
    # Its own import and the patch go together: one without the other would call the real service.
    together = ", and this file's import with it" if any(ours() & _asked(one) for one in found.imports) else ""
    for line, name in found.stand_ins:
        yield Hand(
            line,
            f"swapped code does not see what is put in the place of {ROOT}.{name}: name ours{together}",
            (f"{HOME}.{name}",),
        )


def step(code: str, found: Found, *, shared: bool, at: Callable[[int], str]) -> Step:
    """What becomes of one statement of this text; `at` tells of a line where it is."""
    if found.module is None:
        return _joined([_module(found, bound, shared, at) for bound in found.names])
    if not found.names:
        text = f"`from {found.module} import *` hides which names are used"
        return Step(by_hand=(Hand(found.line, text, (f"from {HOME} import OpenAI",)),))
    if not (names := [bound for bound in found.names if bound.asked in ours()]):
        return Step()
    if found.for_types or all(_typed(bound) for bound in names):
        return Step(kept=found.line)
    if found.module != ROOT:
        line = f"from {HOME} import {', '.join(bound.asked for bound in names)}"
        return Step(by_hand=(Hand(found.line, f"the client is imported from inside the SDK, {found.module}", (line,)),))
    if len(names) < len(found.names) and not separable(code[slice(*found.span)]):
        lines = (f"from {HOME} import {', '.join(bound.asked for bound in names)}",)
        return Step(
            by_hand=(Hand(found.line, "its comments and commas cannot be told apart: make two imports of it", lines),)
        )
    return Step(_from(code, found), tuple(hand for bound in names for hand in _checks(bound)))


def _from(code: str, found: Found) -> tuple[Edit, ...]:
    if all(bound.asked in ours() for bound in found.names):
        return (Edit(*found.word, HOME),)
    start, end = found.span
    names = [(bound.span.back(start), bound.asked in ours()) for bound in found.names]
    taken, left = split(code[start:end], found.word.back(start), names, HOME)
    return (Edit(start, end, taken + apart(code, start, end) + left),)


def _module(found: Found, bound: Bound, shared: bool, at: Callable[[int], str]) -> Step:
    """`import openai` can be swapped where the file asks nothing of it but our clients."""
    asked = [use for use in bound.uses if use.names[:1] and use.names[0] in ours() and use.role != "assigned"]
    by_hand = _used_as_client(bound)
    if all(use.role != "value" for use in asked) or found.for_types:
        return Step(by_hand=by_hand, kept=found.line if asked else 0)
    reason = _obstacle(found, bound, [use for use in bound.uses if use not in asked], shared, at)
    if reason:
        lines = ", ".join(at(use.line) for use in asked if use.role == "value")
        clients = dict.fromkeys(use.names[0] for use in asked)
        write = (f"import {HOME}", *(f"{HOME}.{name}(...)" for name in clients))
        return Step(by_hand=(*by_hand, Hand(found.line, f"{reason}: write ours at {lines}", write)))
    new = HOME if bound.name != ROOT or bound.span != bound.word else f"{HOME} as {ROOT}"
    return Step((Edit(*bound.word, new),), tuple(_checks(bound)))


def _obstacle(found: Found, bound: Bound, others: list[Use], shared: bool, at: Callable[[int], str]) -> str:
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


def _used_as_client(bound: Bound) -> tuple[Hand, ...]:
    uses = [use for use in bound.uses if use.names[:1] and use.names[0] in module_client()]
    if not uses:
        return ()
    texts = dict.fromkeys(".".join((bound.name, *use.names)) for use in uses)
    reason = f"{', '.join(list(texts)[:3])}: that is the SDK's own client, which no import moves; make one of ours"
    return (Hand(uses[0].line, reason, _CLIENT),)


def _checks(bound: Bound) -> Iterator[Hand]:
    """Where a swapped class is asked for: a client that somebody else made is the SDK's."""
    for use in bound.uses:
        if use.role == "check" and (bound.asked != ROOT or use.names[:1]):
            name = use.names[0] if bound.asked == ROOT else bound.asked
            yield Hand(
                use.line, f"this check now asks for our class: with {ROOT}.{name} it takes the SDK's clients too"
            )


def _typed(bound: Bound) -> bool:
    return bool(bound.uses) and all(use.role in ("type", "check") for use in bound.uses)


def _old(found: Read) -> Iterator[tuple[int, str]]:
    for one in found.imports:
        for bound in one.names:
            path = bound.asked.split(".")[1:] if one.module is None else [*one.module.split(".")[1:], bound.asked]
            if path and path[0] in old():
                yield one.line, ".".join((ROOT, path[0]))
            if bound.asked == ROOT:
                yield from ((use.line, f"{ROOT}.{use.names[0]}") for use in bound.uses if {*use.names[:1]} & old())


def _asked(found: Found) -> set[str]:
    uses = {name for bound in found.names if bound.asked == ROOT for use in bound.uses for name in use.names[:1]}
    return uses | {bound.asked for bound in found.names}


def _joined(steps: list[Step]) -> Step:
    edits = tuple(edit for one in steps for edit in one.edits)
    return Step(
        edits, tuple(hand for one in steps for hand in one.by_hand), max((one.kept for one in steps), default=0)
    )
