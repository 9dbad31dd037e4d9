"""`llm-adapter verify`: what works on a profile, and with --against what worked elsewhere and does not here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from llm_adapter.cli.doctor import ChatModel, EmbeddingModel
from llm_adapter.cli.options import SECONDS, AsJson, Profile, Timeout
from llm_adapter.cli.screen import call_status, console, print_json, print_marked
from llm_adapter.devtools.doctor.survey import Names
from llm_adapter.devtools.reporting.text import Tell

if TYPE_CHECKING:  # the command line starts without what only this command needs
    from llm_adapter.testing.contract.profiles import Verified
    from llm_adapter.testing.contract.runner import Result

Context = Annotated[
    int | None, typer.Option(min=1, help="The chat model's context in tokens, if its server does not tell it.")
]
AllChecks = Annotated[bool, typer.Option("--all", help="Try the whole contract suite, not the everyday ten alone.")]
_STYLES = {"passed": "green", "failed": "bold red", "inconclusive": "yellow", "skipped": "dim"}


def verify(
    profile: Profile = None,
    against: Annotated[str | None, typer.Option(help="The profile that everything is known to work on.")] = None,
    to: Annotated[
        str | None, typer.Option(help="With --against: the profile to move to; --profile by default.")
    ] = None,
    all_checks: AllChecks = False,
    as_json: AsJson = False,
    model: ChatModel = None,
    embedding_model: EmbeddingModel = None,
    context: Context = None,
    timeout: Timeout = SECONDS,
) -> None:
    """Try the everyday calls on a profile, for a few hundred tokens. Exits with 1 if one fails.

    With --against, on two: exits with 1 if something works there and not here.
    """
    if to is not None and (against is None or profile is not None):
        raise typer.BadParameter("--to goes with --against, and in the place of --profile", param_hint="--to")
    from llm_adapter.testing.contract.profiles import regressions, verified
    from llm_adapter.testing.contract.runner import CHECKS, EVERYDAY

    checks = CHECKS if all_checks else EVERYDAY
    ask = partial(verified, names=Names(model, embedding_model), timeout=timeout, context=context, checks=checks)
    with call_status() as tell:
        there = None if against is None else ask(against, tell=_naming(against, tell))
        here = ask(to or profile, tell=_naming(to or profile, tell))
    lost = [] if there is None else regressions(there.results, here.results)
    if as_json:
        print_json(here.json() if there is None else _compared(there, here, lost))
    elif there is None:
        _show(console(), here)
    else:
        _show_compared(console(), there, here, lost)
    raise typer.Exit(bool(here.results.failed if there is None else lost))


def _naming(profile: str | None, tell: Tell) -> Tell:
    """Tells the check that is under way, and the profile."""
    return lambda check: tell(f"{profile or 'the profile'}: {check}")


def _compared(there: Verified, here: Verified, lost: list[str]) -> dict[str, object]:
    return {"against": there.json(), "to": here.json(), "regressions": lost}


def _show(screen: Console, found: Verified) -> None:
    screen.print(_title(found), style="bold")
    _print_rows(screen, [(one.outcome, _STYLES[one.outcome], one, _seconds(one)) for one in found.results])
    screen.print(Text(f"\n{found.results.summary}", "bold red" if found.results.failed else "bold green"))


def _show_compared(screen: Console, there: Verified, here: Verified, lost: list[str]) -> None:
    screen.print(f"against {_title(there)}\nto      {_title(here)}\n", style="bold")
    rows = []
    for one, other in zip(there.results, here.results, strict=True):
        mark = other.outcome if one.outcome == other.outcome else f"{one.outcome} -> {other.outcome}"
        shown = one if other.outcome == "passed" else other
        rows.append((mark, _STYLES[other.outcome], shown, f"{_seconds(one)} ->{_seconds(other)}"))
    _print_rows(screen, rows)
    verdict = f"works there and not here: {', '.join(lost)}" if lost else "nothing that works there is lost"
    screen.print(Text(f"\n{verdict}", "bold red" if lost else "bold green"))


def _print_rows(screen: Console, rows: list[tuple[str, str, Result, str]]) -> None:
    """Of each check: a mark and its style, the name, the time, and what has to hold or what came in its place."""
    width, column = max(len(mark) for mark, *_ in rows), max(len(result.name) for _, _, result, _ in rows)
    for mark, style, result, seconds in rows:
        print_marked(screen, mark, style, result.name, f"{seconds}  {result.line or result.asks}", column, width=width)


def _seconds(one: Result) -> str:
    return f"{one.seconds:5.1f} s"


def _title(found: Verified) -> str:
    named = f"{found.profile}: " if found.profile else ""
    models = ", ".join(one for one in (found.model, found.embedding_model) if one)
    return f"{named}{found.address} ({models})"
