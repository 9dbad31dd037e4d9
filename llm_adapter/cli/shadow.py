"""`llm-adapter shadow`: a summary of a `shadow_log`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llm_adapter.cli.options import AsJson
from llm_adapter.cli.screen import console, print_json, print_table, say
from llm_adapter.devtools.reporting.text import counted
from llm_adapter.shadow.summaries import Summary, summary

_SIDES = ("first", "shadow")


def shadow(
    file: Annotated[
        Path, typer.Argument(help="The log file that the setting `shadow_log` names.", exists=True, dir_okay=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Summarise what shadow mode has logged: how many replies had the same structure, and what differed."""
    with file.open("rb") as lines:
        found = summary(lines)
    if as_json:
        print_json(found.json())
    else:
        _show(console(), found)


def _show(screen: Console, found: Summary) -> None:
    first, second = (", ".join(found.profiles.get(side, ())) or side for side in _SIDES)
    share = "" if found.agreement is None else f" ({found.agreement:.0%})"
    say(
        screen,
        f"{first} and {second}: of {_calls(found.compared)} compared, {found.same} had the same structure{share}",
        "bold",
    )
    if found.differences:
        screen.print()
        print_table(screen, ("differs in", "calls"), [(what, str(count)) for what, count in found.differences.items()])
    rows = [
        (name, *(_number(measured[side]) for side in _SIDES))
        for name, measured in (("median seconds", found.seconds), ("median tokens", found.tokens))
        if measured
    ]
    rows += [
        (error, *(str(found.errors[side].get(error, 0)) for side in _SIDES))
        for error in dict.fromkeys(error for side in _SIDES for error in found.errors.get(side, ()))
    ]
    if rows:
        screen.print()
        print_table(screen, ("", first, second), rows)
    rest = {**found.not_compared, "not understood": found.not_understood}
    if counts := ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in rest.items() if count):
        say(screen, f"\nnot compared: {counts}")


def _calls(count: int) -> str:
    return counted(count, "call")


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
