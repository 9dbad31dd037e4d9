"""Progress on the screen: a bar at a terminal, a line for each new step elsewhere, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from llm_adapter.cli.screen import NARROW, console, size
from llm_adapter.devtools.reporting.text import shortened
from llm_adapter.management.transfers import Transfer
from llm_adapter.providers.ollama.types import PullProgress


def follow(label: str, transfer: Transfer, *, as_json: bool, resumable: bool = False) -> None:
    """Show a transfer until it is over. Ctrl-C cancels it, and ends with the exit code that shells give it."""
    screen = console()
    try:
        with closing(transfer) as steps:
            if as_json:
                for step in steps:
                    print(json.dumps(step.to_dict(mode="json")), flush=True)
            elif screen.is_terminal and not screen.is_dumb_terminal:
                _draw(screen, label, steps)
            else:
                _list(screen, label, steps)
    except KeyboardInterrupt:
        again = "; the same command goes on from there" if resumable else ""
        console(stderr=True).print(f"stopped{again}")
        raise typer.Exit(130) from None


def _list(screen: Console, label: str, steps: Iterable[PullProgress]) -> None:
    last = None
    for step in steps:
        if step.status != last:
            screen.print(f"{label}: {step.status}")
            last = step.status


def _draw(screen: Console, label: str, steps: Iterable[PullProgress]) -> None:
    room = screen.width
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[facts]}", markup=False),
    )
    screen.print(label, style="bold")
    with Progress(*columns, console=screen, expand=True) as progress:
        task = progress.add_task("", total=None, facts="")
        for step in steps:
            known = step.phase != "waiting"  # until the size is known, the bar only moves
            progress.update(
                task,
                description=shortened(step.status, room // 3),
                total=100 if known else None,
                completed=step.percent,
                facts=_facts(step, room) if known else "",
            )


def _facts(step: PullProgress, room: int) -> str:
    """As much as there is room for: the share, the time left, the rate, the bytes."""
    parts = [f"{int(step.percent):3}%"]  # 99.9 is not the end
    if step.eta is not None:
        minutes, seconds = divmod(int(step.eta), 60)
        parts.append(f"{minutes}:{seconds:02}")
    if step.rate is not None and room >= NARROW:
        parts.append(f"{size(step.rate)}/s")
    if step.total and room >= NARROW + 10:
        parts.append(f"{size(step.completed)} of {size(step.total)}")
    return "  ".join(parts)
