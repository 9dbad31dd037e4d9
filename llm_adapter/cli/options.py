"""The options that commands share."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from openai import OpenAIError

from llm_adapter.settings.settings import Settings


def _profiles(incomplete: str) -> list[str]:
    """For the shell's completion: the profiles of the configuration files. Asks no server, and never complains."""
    try:
        return [name for name in Settings.profiles(os.environ) if name.startswith(incomplete)]
    except OpenAIError:
        return []


SECONDS = 120.0  # for one call: the first one loads the model
Timeout = Annotated[float, typer.Option(min=1, help="Seconds for one call; the first one loads the model.")]
Profile = Annotated[str | None, typer.Option(help="A profile of your configuration.", autocompletion=_profiles)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AskedModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A model, by the call sites' name or the server's; by default one is chosen."),
]
