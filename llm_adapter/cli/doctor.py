"""`llm-adapter doctor`: thirteen checks, each with one line that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import NARROW, console, print_json
from llm_adapter.devtools import doctor as checks
from llm_adapter.devtools.doctor.facts import CheckResult
from llm_adapter.devtools.doctor.survey import Names
from llm_adapter.devtools.reporting.text import Tell, harmless, silent

ChatModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The chat model to look at, by the call sites' name or the server's."),
]
EmbeddingModel = Annotated[str | None, typer.Option("--embedding-model", help="The same for embeddings.")]

_STYLES = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def doctor(
    profile: Profile = None,
    as_json: AsJson = False,
    model: ChatModel = None,
    embedding_model: EmbeddingModel = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="The embedding fingerprint that your index was built with.")
    ] = None,
) -> None:
    """Check a profile's address, server, key, models and libraries, without tokens; `verify` tries calls.

    Exits with 0, 1 for warnings, 2 for failures.
    """
    names = Names(model, embedding_model, fingerprint)
    with watched() as tell:
        found = checks.diagnose(profile, names, tell=tell)
    if as_json:
        print_json(found.json())
    else:
        _show(console(), found)
    raise typer.Exit(found.exit_code)


@contextmanager
def watched() -> Iterator[Tell]:
    """What tells a person at a terminal which call is under way; nothing of it stays."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield silent
        return
    with screen.status("") as status:
        yield lambda name: status.update(f"{name} ...")


def _show(screen: Console, found: checks.Diagnosis) -> None:
    judged = {name: one for name, one in found.results.items() if one.checked}
    for name, result in judged.items():
        _show_result(screen, name, result)
    if unknown := [name for name in found.results if name not in judged]:
        line(screen, "?", "dim", "not checked", ", ".join(unknown), 13)
    counts = {status: sum(one.status == status for one in judged.values()) for status in ("FAIL", "WARN")}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    screen.print(f"\n{told or 'all is well'}", style="bold")


def _show_result(screen: Console, name: str, result: CheckResult) -> None:
    line(screen, result.status, _STYLES[result.status], name, result.line, 13)
    if result.fix:
        line(screen, "", "", "", f"fix: {result.fix}", 13, "bold" if result.status == "FAIL" else "")


def line(
    screen: Console,
    mark: str,
    style: str,
    name: str,
    text: str,
    column: int,
    of: str = "",
    indent: int = 0,
    width: int = 4,
) -> None:
    """A mark, a name and a text; a narrow terminal has the text below the name, and anything else in one line."""
    head = Text.assemble(" " * indent, (f"{mark:{width}}", style), " ", f"{name:{column}}")
    body = Text(harmless(text), of, overflow="fold")
    left = len(head) + 1
    if not screen.is_terminal:
        screen.print(Text.assemble(head, " ", body))
    elif screen.width < NARROW:
        if mark or name:
            screen.print(Text(head.plain.rstrip(), style))
        if text:
            screen.print(Padding(body, (0, 0, 0, indent + 5), expand=False), soft_wrap=False)
    else:
        for number, part in enumerate(body.wrap(screen, max(20, screen.width - left))):
            part.rstrip()
            screen.print(Text.assemble(head if number == 0 else " " * len(head), " ", part))
