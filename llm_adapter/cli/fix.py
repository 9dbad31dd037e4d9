"""`llm-adapter scan PATH --fix`: shows the swap of imports as a diff, asks, and writes."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console

from llm_adapter.cli.screen import console, say
from llm_adapter.devtools.migrate.swap_files import Change, Part, Plan, planned, uncommitted, write
from llm_adapter.devtools.reporting.text import counted, harmless, one_line

_STYLES = {"---": "bold", "+++": "bold", "@@": "cyan", "-": "red", "+": "green"}
_NEXT = "Next: run your formatter (the order of imports is its job), require `llm_adapter`, and run your tests."


def fix(paths: Sequence[Path], *, yes: bool, own_addresses: bool = False) -> int:
    """Swap the imports of these files and folders. The exit status: 0 if all is done, 1 if something is left.

    Without `yes` a person is asked, once for all files; where there is no terminal to ask, nothing is written.
    own_addresses: swap a file with a client that has an address of its own without asking about it.
    """
    screen = console()
    plan = planned(paths)
    for change in plan.changes:
        _show_change(screen, change)
    _show_rest(screen, plan)
    left = bool(plan.by_hand or plan.failed)
    if not own_addresses:
        chosen = [one for one in plan.changes if not one.addresses or _is_meant(screen, one, yes)]
        left, plan.changes = left or len(chosen) < len(plan.changes), chosen
    if not plan.changes:
        say(screen, "nothing to swap")
        return int(left)
    if dirty := len(uncommitted(plan.changes)):
        say(
            screen,
            f"{counted(dirty, 'file')} of these {'has' if dirty == 1 else 'have'} uncommitted changes",
            "yellow",
        )
    if not _confirmed(len(plan.changes), yes):
        return 1
    return int(not _write_all(screen, plan.changes) or left)


def _is_meant(screen: Console, change: Change, yes: bool) -> bool:
    """Whether a file is swapped although a client in it has an address of its own: a person says so."""
    for place, argument in change.addresses:
        say(screen, f"{one_line(str(place))}  this client has an address of its own, {one_line(argument)}", "yellow")
    name = one_line(str(change.path))
    say(screen, f"{name}: after the swap such a client goes to that address as before, unless it is Ollama's")
    if not yes and sys.stdin.isatty():
        return typer.confirm(f"Swap {name} too?")
    say(screen, f"{name} is left as it is: --own-addresses swaps it too")
    return False


def _confirmed(count: int, yes: bool) -> bool:
    files = counted(count, "file")
    if yes:
        return True
    if not sys.stdin.isatty():
        say(
            console(stderr=True),
            f"llm-adapter: nothing is written, as nobody can be asked: --yes changes the {files} without a question",
        )
        return False
    if typer.confirm(f"Change {files}?"):
        return True
    say(console(stderr=True), "nothing is written")
    return False


def _write_all(screen: Console, changes: Sequence[Change]) -> bool:
    """Write the changes; whether all of them could be written."""
    done = sum(map(_write_one, changes))
    say(screen, f"changed {counted(done, 'file')}", "bold")
    if done:
        say(screen, _NEXT)
    return done == len(changes)


def _write_one(change: Change) -> bool:
    try:
        write(change)
    except OSError as error:
        say(
            console(stderr=True), f"llm-adapter: {one_line(str(change.path))} is not changed: {error.strerror or error}"
        )
        return False
    return True


def _show_change(screen: Console, change: Change) -> None:
    for part in change.parts:
        for line in _diff(change.path, part):
            style = next((style for mark, style in _STYLES.items() if line.startswith(mark)), None)
            screen.print(harmless(line), style=style)


def _diff(path: Path, part: Part) -> Iterator[str]:
    """The lines of a unified diff, without their ends."""
    name = str(path) if part.cell is None else f"{path} cell {part.cell}"
    before, after = (text.removesuffix("\n").split("\n") for text in (part.before, part.after))
    return difflib.unified_diff(before, after, name, name, lineterm="")


def _show_rest(screen: Console, plan: Plan) -> None:
    """What is left to a person, and why the rest stays."""
    if plan.by_hand:
        screen.print("\nBy hand:" if plan.changes else "By hand:", style="bold yellow")
    for place, hand in plan.by_hand:
        say(screen, f"{one_line(str(place))}  {hand.reason}")
        for line in hand.write:
            screen.print(f"    {line}", style="green")
    for path, reason in plan.failed:
        say(screen, f"{one_line(str(path))} cannot be read: {reason}", "yellow")
    if plan.kept:
        where = ", ".join([*map(str, plan.kept[:3]), *["..."] * (len(plan.kept) > 3)])
        stay = "stays" if len(plan.kept) == 1 else "stay"
        text = f"{stay} the SDK's, for types and `isinstance` only: our clients pass there"
        say(screen, f"{counted(len(plan.kept), 'import')} {text} ({where})", "dim")
    counts = counted(len(plan.changes), "file"), counted(len(plan.by_hand), "place")
    say(screen, f"\n{counts[0]} to swap, {counts[1]} by hand", "bold")
