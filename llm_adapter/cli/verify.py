"""`llm-adapter verify`: what works on a profile, and with --against what worked elsewhere and does not here."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llm_adapter.cli.doctor import STYLES, ChatModel, Context, EmbeddingModel, Timeout, line, show_rows, watched
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.devtools.doctor.deep import SECONDS
from llm_adapter.devtools.doctor.gather import Names
from llm_adapter.devtools.doctor.verify import Verified, regressions, verified
from llm_adapter.devtools.reporting.text import Tell


def verify(
    profile: Profile = None,
    against: Annotated[str | None, typer.Option(help="The profile that everything is known to work on.")] = None,
    to: Annotated[
        str | None, typer.Option(help="With --against: the profile to move to; --profile by default.")
    ] = None,
    as_json: AsJson = False,
    model: ChatModel = None,
    embedding_model: EmbeddingModel = None,
    context: Context = None,
    timeout: Timeout = SECONDS,
) -> None:
    """Try the everyday calls on a profile, for a few hundred tokens. Exits with 1 if one does not work.

    With --against, on two: exits with 1 if something works there and not here.
    """
    if to is not None and (against is None or profile is not None):
        raise typer.BadParameter("--to goes with --against, and in the place of --profile", param_hint="--to")
    names = Names(model, embedding_model, None, context)

    def tried(name: str | None, tell: Tell) -> Verified:
        return verified(name, names, timeout=timeout, tell=lambda what: tell(f"{name or 'the profile'}: {what}"))

    with watched() as tell:
        there = None if against is None else tried(against, tell)
        here = tried(to or profile, tell)
    lost = [] if there is None else regressions(there.rows, here.rows)
    if as_json:
        print_json(here.json() if there is None else _compared(there, here, lost))
    else:
        _show(console(), there, here, lost)
    raise typer.Exit(bool(lost) if there is not None else not here.works)


def _compared(there: Verified, here: Verified, lost: list[str]) -> dict[str, object]:
    return {"against": there.json(), "to": here.json(), "regressions": lost}


def _show(screen: Console, there: Verified | None, here: Verified, lost: list[str]) -> None:
    if there is None:
        screen.print(_title(here), style="bold")
        show_rows(screen, here.rows)
        return
    screen.print(f"against {_title(there)}\nto      {_title(here)}\n", style="bold")
    for one, other in zip(there.rows, here.rows, strict=True):
        same = one.outcome == other.outcome
        mark = other.outcome if same else f"{one.outcome} -> {other.outcome}"
        text = "" if same and other.outcome == "pass" else other.line if other.outcome != "pass" else one.line
        style = STYLES[other.outcome]
        line(screen, mark, style, other.name, text, 17, width=18)
    told = f"works there and not here: {', '.join(lost)}" if lost else "nothing that works there is lost"
    screen.print(Text(f"\n{told}", "bold red" if lost else "bold green"))


def _title(found: Verified) -> str:
    named = f"{found.profile}: " if found.profile else ""
    models = ", ".join(one for one in (found.model, found.embedding_model) if one)
    return f"{named}{found.address} ({models})"
