"""A scan as text for people: by file, with what the target does not simply take below each call."""

from __future__ import annotations

import os
from itertools import groupby

from rich.console import Console

from llm_adapter.cli.screen import print_marked, say
from llm_adapter.devtools.migrate.findings import RULES, VERDICTS, ScanFinding
from llm_adapter.devtools.migrate.scan import Scan
from llm_adapter.devtools.reporting.text import counted, one_line
from llm_adapter.settings.settings import Settings

_LEVELS = {"error": "bold red", "warning": "yellow", "note": ""}
_VERDICTS = {"refused": "bold red", "left out": "yellow", "ignored": "yellow", "emulated": "cyan", "passed on": "cyan"}
_ANY = '"*" = "..."'
_WIDTH = max(map(len, RULES))


def show(screen: Console, scan: Scan) -> None:
    """All findings, the counts, and what to do next."""
    for path, group in groupby(scan.findings, key=lambda one: one.place.path):
        screen.print(one_line(path), style="bold")
        found = list(group)
        column = max(len(one.place.within) for one in found)
        for one, more in _alike(found):
            _finding(screen, one, column, more)
        screen.print()
    _summary(screen, scan)
    _next_steps(screen, scan)


def _alike(found: list[ScanFinding]) -> list[tuple[ScanFinding, int]]:
    """Each finding once, with how many more of the file say the same; a call is always shown."""
    alike: dict[object, list[ScanFinding]] = {}
    for one in found:
        alike.setdefault(id(one) if one.kind == "call" else (one.kind, one.subject, one.message), []).append(one)
    return [(ones[0], len(ones) - 1) for ones in alike.values()]


def _finding(screen: Console, one: ScanFinding, column: int, more: int) -> None:
    text = _call_text(one) if one.kind == "call" else one.subject
    likely = "" if one.certain else " (likely)"
    message = f"  {one.message}" if one.message and one.kind != "call" and "verdict" not in one.details else ""
    message += f"  (and {more} more in this file)" if more else ""
    style = _LEVELS[RULES[one.kind].level]
    print_marked(screen, one.kind, style, one.place.within, f"{text}{likely}{message}", column, indent=2, width=_WIDTH)
    for name, verdict, note in _verdict_notes(one):
        text = f"{name}: {note}" if note else name
        print_marked(screen, "", "", "", f"  {verdict}  {text}", column, _VERDICTS[verdict], indent=2, width=_WIDTH)


def _call_text(one: ScanFinding) -> str:
    names = [part.name for part in one.parameters]
    return f"{one.subject}({', '.join([*names, *['**'] * one.more])})"


def _verdict_notes(one: ScanFinding) -> list[tuple[str, str, str]]:
    """What is not simply taken: the call or the tool as a whole, then its arguments."""
    found = [(part.name, part.verdict, part.note) for part in one.parameters if part.verdict in _VERDICTS]
    if "verdict" in one.details:
        found.insert(0, (one.subject, str(one.details["verdict"]), one.message))
    return found


def _summary(screen: Console, scan: Scan) -> None:
    screen.print(_call_sites(scan), style="bold")
    verdicts = ", ".join(f"{count} {name}" for name, count in scan.verdicts().items())
    if verdicts:
        say(screen, f"on {scan.target.title}, by argument: {verdicts}")
    if scan.target.assumed:
        say(screen, f"No profile is {_assumption()}")
    if scan.unreadable:
        say(screen, f"{counted(len(scan.unreadable), 'file')} not scanned", "yellow")


def _call_sites(scan: Scan) -> str:
    """How many calls there are, and which frameworks, that make calls of their own."""
    frameworks = ", ".join(f"{name} ({count})" for name, count in scan.frameworks().items())
    if frameworks and not scan.calls:
        using = {one.place.path for one in scan.findings if "framework" in one.details}
        return (
            f"no call site of the SDK's own; frameworks in {counted(len(using), 'file')} of {scan.files}: {frameworks}"
        )
    likely = sum(not one.certain for one in scan.calls)
    where = f"{counted(len({one.place.path for one in scan.calls}), 'file')} of {scan.files}"
    found = f"{counted(len(scan.calls), 'call site')} in {where}{f', {likely} of them likely' if likely else ''}"
    return f"{found}; frameworks: {frameworks}" if frameworks else found


def _assumption() -> str:
    names = ", ".join(sorted(Settings.profiles(os.environ)))
    if names:
        return f"chosen: this is Ollama. --profile NAME chooses one of these: {names}"
    return "configured: this is Ollama. `llm-adapter config init` writes a file; --profile chooses."


def _next_steps(screen: Console, scan: Scan) -> None:
    """What each kind of finding asks for, the gravest first."""
    given = [VERDICTS[name] for name in scan.verdicts() if name in VERDICTS]
    kinds = [one.kind for one in scan.findings if one.kind != "call" and not one.details.get("ours")]
    counts = {kind: kinds.count(kind) for kind in RULES if kind in kinds}
    counts |= {VERDICTS[name]: count for name, count in scan.verdicts().items() if name in VERDICTS}
    order = sorted((kind for kind in RULES if kind in {*kinds, *given}), key=_gravity)
    asking = [kind for kind in order if not RULES[kind].help.startswith("Nothing")]
    if asking:
        screen.print("\nnext", style="bold")
    unmapped = dict.fromkeys(f'"{one.subject}" = "..."' for one in scan.findings if one.kind == "unmapped-model")
    for kind in asking:
        text = RULES[kind].help
        if kind == "unmapped-model":
            text = f'{text.rstrip(".")}: models = {{ {", ".join([*unmapped, _ANY])} }}; "*" is every other name'
        print_marked(screen, kind, _LEVELS[RULES[kind].level], str(counts[kind]), text, 4, indent=2, width=_WIDTH)


def _gravity(kind: str) -> int:
    return list(_LEVELS).index(RULES[kind].level)
