"""The options and arguments that commands share."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from openai import OpenAIError

from llm_adapter.settings.settings import Settings


def matching_profiles(incomplete: str) -> list[str]:
    """The profiles of the configuration files that begin so, for the shell's completion. Asks no server."""
    try:
        return [name for name in Settings.profiles(os.environ) if name.startswith(incomplete)]
    except OpenAIError:
        return []


SECONDS = 120.0  # for one call: the first one loads the model
Timeout = Annotated[float, typer.Option(min=1, help="Seconds for one call; the first one loads the model.")]
Profile = Annotated[
    str | None,
    typer.Option("--profile", "-p", help="The profile of your configuration to use.", autocompletion=matching_profiles),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AskedModel = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="The model, by the name that call sites use or by the server's; by default one is chosen."
    ),
]


Name = Annotated[str, typer.Argument(help="The model's name, with or without its tag.", metavar="MODEL")]
Names = Annotated[list[str], typer.Argument(help="The models' names, with or without their tags.", metavar="MODEL...")]
