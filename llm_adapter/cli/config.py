"""`llm-adapter config`: the settings in effect and where each came from. No key is ever shown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from llm_adapter.connection import NO_KEY, completed, connect
from llm_adapter.provider import Started
from llm_adapter.settings import Settings, SettingsError


def config(
    profile: Annotated[str | None, typer.Option(help="A profile of your configuration.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in effect and where each came from. Keys are masked."""
    settings = completed(Settings.load(profile=profile), os.environ)
    address, key = _destination(settings, os.environ)
    fields = {
        name: {"value": _shown(getattr(settings, name)), "from": settings.origin(name)}
        for name in type(settings).model_fields
    }
    if as_json:
        print(json.dumps({"address": address, "key": key, "settings": fields}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)  # "[profiles.local]" would pass for markup
    console.print(f"address  {address}\nkey      {key}")
    console.print(_table(fields), soft_wrap=False)


def _destination(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where calls go, and which key goes with them: its source, never the key."""
    try:
        connection = connect(settings, environ)
    except SettingsError as error:
        return settings.base_url or settings.host or "unknown", str(error)
    if isinstance(connection.provider, Started):
        return "in this process", "none needed"
    address = connection.effective.base_url or ""
    if connection.api_key is None:
        return address, "OPENAI_API_KEY" if environ.get("OPENAI_API_KEY") else "OPENAI_API_KEY, which is not set"
    if connection.api_key == NO_KEY:
        return address, "none is sent"
    if settings.api_key is not None:
        return address, f"`api_key` from {settings.origin('api_key')}"
    return address, settings.api_key_env or "OLLAMA_API_KEY"


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, SecretStr) else value


def _table(fields: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("setting", "value", "from", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.overflow = "fold"
    for name, field in fields.items():
        value = field["value"]
        text = "-" if value is None else value if isinstance(value, str) else json.dumps(value)
        table.add_row(name, text, field["from"], style="dim" if field["from"] == "default" else None)
    return table
