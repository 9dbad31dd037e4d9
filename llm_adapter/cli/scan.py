"""`llm-adapter scan`: what a code base asks of OpenAI, where, and what becomes of it on a profile. Nothing is run."""

from __future__ import annotations

import os
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_adapter.cli.defaults import assumed_settings
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json, say
from llm_adapter.devtools.reporting.text import one_line
from llm_adapter.routing.destination import resolve
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

if TYPE_CHECKING:  # the command line starts without what only this command needs
    from llm_adapter.devtools.migrate.scan import Scan
    from llm_adapter.devtools.migrate.verdicts import Target


class FailOn(str, Enum):
    """What fails the scan: a verdict on a call, or a kind of finding by which calls may go elsewhere."""

    refused = "refused"
    left_out = "left-out"
    ignored = "ignored"
    emulated = "emulated"
    client = "client"
    module_client = "module-client"
    other_client = "other-client"
    framework = "framework"
    hard_coded_url = "hard-coded-url"
    openai_0x = "openai-0x"
    unreadable = "unreadable"
    never = "never"


Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True,
        help="The files, notebooks and folders to look at; by default the working directory.",
        metavar="[PATH...]",
    ),
]


def scan(
    paths: Paths = None,
    profile: Profile = None,
    as_json: AsJson = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code hosts and editors.")] = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(
            help="Exit with 1 if a call gets this verdict, or this is found: a client that is not llm_adapter's, an "
            "address in the code, a file that cannot be read. May be given several times."
        ),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Swap the imports instead: show a diff, ask, and write.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write what --fix changes without a question.")] = False,
    own_addresses: Annotated[
        bool,
        typer.Option("--own-addresses", help="Let --fix swap files whose clients have an address of their own, too."),
    ] = False,
) -> None:
    """Find every OpenAI client, call and model in a code base, and say what becomes of each call on a profile."""
    if as_json and as_sarif:
        raise typer.BadParameter("give either --json or --sarif", param_hint="--sarif")
    check_installed()
    paths = paths or [Path()]
    if fix and (as_json or as_sarif or fail_on):
        raise typer.BadParameter(
            "--fix shows a diff, and cannot be combined with --json, --sarif or --fail-on", param_hint="--fix"
        )
    if fix:
        from llm_adapter.cli.fix import fix as swap

        raise typer.Exit(swap(paths, yes=yes, own_addresses=own_addresses))
    for name, given in (("--yes", yes), ("--own-addresses", own_addresses)):
        if given:
            raise typer.BadParameter(f"{name} can only be given with --fix", param_hint=name)
    found = scan_paths(paths, _target(profile))
    _print(found, as_json, as_sarif)
    raise typer.Exit(bool({one.value for one in fail_on or ()} & _found_kinds(found)))


def check_installed() -> None:
    """Raises SettingsError where what a scan needs is not installed."""
    if find_spec("libcst") is None:
        raise SettingsError("scan needs the extra `migrate`: pip install 'llm_adapter[migrate]'")


def scan_paths(paths: list[Path], target: Target) -> Scan:
    """What is found there. What cannot be read is said on stderr."""
    from llm_adapter.devtools.migrate.scan import scan as scanned

    found = scanned(paths, target)
    for path, reason in found.unreadable.items():
        say(console(stderr=True), one_line(f"llm-adapter: {path} is not scanned: {reason}"))
    return found


def ollama_target() -> Target:
    """An Ollama that nothing is known of."""
    from llm_adapter.devtools.migrate.verdicts import Target

    return Target(resolve(None, Settings(provider="ollama"), {}), "ollama", assumed=True)


def _found_kinds(found: Scan) -> set[str]:
    """The verdicts and the kinds of what was found, as --fail-on names them. A client of ours is none that is left."""
    verdicts = {verdict.replace(" ", "-") for verdict in found.verdicts()}
    kinds = {one.kind for one in found.findings if not one.details.get("ours")}
    return verdicts | kinds | ({"unreadable"} if found.unreadable else set())


def _target(profile: str | None) -> Target:
    """The profile's destination; Ollama, while there is no configuration at all."""
    from llm_adapter.devtools.migrate.verdicts import Target

    settings = Settings.load(profile=profile)
    if (assumed := assumed_settings(settings, os.environ)) is not None:
        return Target(resolve(None, assumed, {}), "ollama", assumed=True)
    address = {"OPENAI_BASE_URL": os.environ.get("OPENAI_BASE_URL", "")}
    connection = resolve(None, settings, {} if settings.configured else address)
    return Target(connection, settings.profile or connection.provider.name)


def _print(found: Scan, as_json: bool, as_sarif: bool) -> None:
    if as_json:
        print_json(found.json())
    elif as_sarif:
        from llm_adapter.devtools.migrate.sarif import sarif

        print_json(sarif(found))
    else:
        from llm_adapter.cli.scan_report import show

        show(console(), found)
