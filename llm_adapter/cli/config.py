"""`llm-adapter config`: the settings in effect and where each came from. No key is ever shown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console

from llm_adapter.cli.help import App
from llm_adapter.cli.init import init
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json, print_verbose, say
from llm_adapter.provider import Started
from llm_adapter.routing.connection import NO_KEY, connect, with_ollama_host
from llm_adapter.routing.profile_plan import plan_of
from llm_adapter.routing.unread import unread
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.unread import UnreadSetting

app = App()
app.command()(init)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    profile: Profile = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Show the settings that nothing sets, too: their defaults.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the settings in effect, and where each one comes from. Keys are masked. JSON has all of them."""
    if context.invoked_subcommand is None:
        config(profile, as_json, everything)


def config(profile: str | None = None, as_json: bool = False, everything: bool = False) -> None:
    """Print the settings in effect, and where each one comes from. everything: those that nothing sets, too."""
    settings = with_ollama_host(Settings.load(profile=profile), os.environ)
    address, key = destination(settings, os.environ)
    ways = _other_profiles(settings)
    without_effect = [one.message for one in _unread(settings, os.environ)]
    fields = {
        name: {"value": _masked(getattr(settings, name)), "from": settings.origin(name)}
        for name in type(settings).model_fields
    }
    if as_json:
        left_out = None if settings.left_out is None else settings.left_out._asdict()
        found = {"address": address, "key": key, **ways, "settings": fields}
        print_json({**found, "left_out": left_out, "unread": without_effect})
        return
    screen = console()
    if settings.profile is not None:
        say(screen, f"profile  {settings.profile}")
    say(screen, f"address  {address}\nkey      {key}")
    for name, shown in ways.items():
        say(screen, f"{name:9}{shown if isinstance(shown, str) else ', '.join(shown)}")
    if settings.left_out is not None:
        say(screen, f"left out {settings.left_out}", "yellow")
    for message in without_effect:
        say(screen, f"unread   {message}", "yellow")
    _print_settings(screen, fields if everything else {n: one for n, one in fields.items() if one["from"] != "default"})
    if not everything:
        say(screen, "all others have their defaults: llm-adapter config --all", "dim")


def _print_settings(screen: Console, fields: Mapping[str, Mapping[str, Any]]) -> None:
    screen.print()
    if not fields:
        say(screen, "nothing is set")
        return
    rows = [(name, _cell_text(field["value"]), field["from"]) for name, field in fields.items()]
    print_verbose(screen, ("setting", "value", "from"), rows, lambda row: "dim" if row[2] == "default" else "")


def _other_profiles(settings: Settings) -> dict[str, list[str] | str]:
    """Where routes lead, and which profiles calls fall back to; or why no client can be made."""
    if not (settings.routes or settings.fallback):
        return {}
    try:
        plan = plan_of(settings)
    except SettingsError as error:
        return {"routes" if "routes" in error.fields else "fallback": str(error)}
    routes = [f"{one.key} to {one.to.name} {one.to.place}" for one in plan.routes]
    fallback = [f"{one.name} {one.place}" for one in plan.fallback]
    return {name: shown for name, shown in (("routes", routes), ("fallback", fallback)) if shown}


def _unread(settings: Settings, environ: Mapping[str, str]) -> list[UnreadSetting]:
    """The settings that the server does not read, where it is known which server that is."""
    try:
        return unread(connect(settings, environ))
    except SettingsError:
        return []


def destination(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where calls go, and which key goes with them: its source, never the key."""
    try:
        connection = connect(settings, environ)
    except SettingsError as error:
        return settings.base_url or settings.host or "unknown", str(error)
    if isinstance(connection.provider, Started):
        return "in this process", "none needed"
    address = connection.address
    if connection.api_key is None:
        return address, "OPENAI_API_KEY" if environ.get("OPENAI_API_KEY") else "OPENAI_API_KEY, which is not set"
    if connection.headers:
        return address, f"`headers` ({', '.join(connection.headers)}) from {settings.origin('headers')}"
    if connection.api_key == NO_KEY:
        return address, "none is sent"
    if settings.api_key is not None:
        return address, f"`api_key` from {settings.origin('api_key')}"
    return address, settings.api_key_env or "OLLAMA_API_KEY"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(one) for name, one in value.items()}
    return str(value) if isinstance(value, SecretStr) else value


def _cell_text(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)
