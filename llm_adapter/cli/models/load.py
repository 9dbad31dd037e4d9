"""`llm-adapter models load` and `unload`."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_adapter.cli.options import AsJson, Name, Names, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI


def load(
    model: Name,
    keep_alive: Annotated[
        str | None,
        typer.Option(help="How long it stays loaded: 30m, 1h, or -1 for ever; by default as the profile says."),
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Load a model into memory, so that the first call need not wait for it."""
    with OpenAI(profile=profile) as client:
        client.models.load(model, keep_alive=keep_alive)
    _print_done({"loaded": [model]}, as_json)


def unload(names: Names, profile: Profile = None, as_json: AsJson = False) -> None:
    """Unload models from memory."""
    with OpenAI(profile=profile) as client:
        for name in names:
            client.models.unload(name)
    _print_done({"unloaded": names}, as_json)


def _print_done(what: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print_json(what)
        return
    for verb, names in what.items():
        console().print(f"{verb} {', '.join(names)}")
