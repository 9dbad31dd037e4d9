"""`llm-adapter doctor`: thirteen checks, each with one line that mends it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from llm_adapter.cli.defaults import assumed_settings
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import call_status, console, print_json, print_marked
from llm_adapter.devtools import doctor as checks
from llm_adapter.devtools.doctor.facts import CheckResult
from llm_adapter.devtools.doctor.survey import Names

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
    with call_status() as tell:
        found = checks.diagnose(profile, names, otherwise=assumed_settings, tell=tell)
    if as_json:
        print_json(found.json())
    else:
        _show(console(), found)
    raise typer.Exit(found.exit_code)


def _show(screen: Console, found: checks.Diagnosis) -> None:
    judged = {name: one for name, one in found.results.items() if one.checked}
    for name, result in judged.items():
        _show_result(screen, name, result)
    if unknown := [name for name in found.results if name not in judged]:
        print_marked(screen, "?", "dim", "not checked", ", ".join(unknown), 13)
    counts = {status: sum(one.status == status for one in judged.values()) for status in ("FAIL", "WARN")}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    screen.print(f"\n{shown or 'all is well; `llm-adapter verify` tries calls'}", style="bold")


def _show_result(screen: Console, name: str, result: CheckResult) -> None:
    print_marked(screen, result.status, _STYLES[result.status], name, result.line, 13)
    if result.fix:
        print_marked(screen, "", "", "", f"fix: {result.fix}", 13, "bold" if result.status == "FAIL" else "")
