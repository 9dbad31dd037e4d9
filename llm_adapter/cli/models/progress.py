"""Progress on the screen: a bar at a terminal, a line for each new step elsewhere, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn

from llm_adapter.cli.screen import NARROW, console, say, size
from llm_adapter.devtools.reporting.text import shortened
from llm_adapter.management.transfers import Transfer
from llm_adapter.providers.ollama.types import PullProgress

_CTRL_C = 3  # columns that a terminal writes ^C to: at a line's end it goes on below, and the bar is there twice
Show: TypeAlias = Callable[[PullProgress], None]


def follow(label: str, transfer: Transfer, *, as_json: bool, resumable: bool = False) -> None:
    """Show a transfer until it is over. Ctrl-C cancels it."""
    with showing(label, as_json=as_json, resumable=resumable) as show, closing(transfer) as steps:
        for step in steps:
            show(step)


@contextmanager
def showing(label: str, *, as_json: bool, resumable: bool = False) -> Iterator[Show]:
    """A function that shows each step of a transfer. Ctrl-C ends it with the exit code that shells give it."""
    screen = console()
    try:
        if as_json:
            yield _print_json
        elif screen.is_terminal and not screen.is_dumb_terminal:
            screen.print(label, style="bold")
            room = screen.width
            screen.width = max(1, room - _CTRL_C)
            with Progress(*_columns(), console=screen, expand=True) as progress:
                task = progress.add_task("", total=None, facts="")
                yield partial(_draw, progress, task, room)
        else:
            yield _Lines(screen, label)
    except KeyboardInterrupt:
        again = "; the same command goes on from there" if resumable else ""
        say(console(stderr=True), f"stopped{again}")
        raise typer.Exit(130) from None


def _print_json(step: PullProgress) -> None:
    print(json.dumps(step.to_dict(mode="json")), flush=True)


class _Lines:
    """Prints a line for each new status."""

    def __init__(self, screen: Console, label: str) -> None:
        self._screen, self._label, self._last = screen, label, ""

    def __call__(self, step: PullProgress) -> None:
        if step.status != self._last:
            self._screen.print(f"{self._label}: {step.status}")
            self._last = step.status


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[facts]}", markup=False),
    )


def _draw(progress: Progress, task: TaskID, room: int, step: PullProgress) -> None:
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
