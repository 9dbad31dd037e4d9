"""`llm-adapter config init`: a first configuration file, with every choice explained and none made."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from llm_adapter.cli.defaults import running_ollama, suggested_aliases
from llm_adapter.cli.options import AsJson
from llm_adapter.cli.screen import console, print_json, say
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.sources import FILE
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME

_TEMPLATE = """\
# Where calls of the `openai` SDK go, when they are made with `from llm_adapter import OpenAI`.
# `llm-adapter config` shows what is in effect and why. LLM_ADAPTER_PROFILE=local chooses a profile for one run,
# LLM_ADAPTER_<FIELD> changes one field. Keys belong in the environment, not in this file.

# The profile to use when LLM_ADAPTER_PROFILE names none. Without it, calls go where the plain SDK sends them.
{chosen}

# Ollama, by its native API.
[profiles.local]
provider = "ollama"
host = "{host}"
# How long a model stays loaded after a call, and the context to load it with.
# keep_alive = "30m"
# num_ctx = 8192
# The names that call sites use, and the models that answer to them; "*" is every other name.
{suggestions}

# OpenAI itself, with OPENAI_API_KEY.
[profiles.cloud]
provider = "openai"

# Any other server that speaks /v1: vLLM, LM Studio, llama.cpp. Its key is in a variable of its own.
# [profiles.cluster]
# provider = "openai"
# base_url = "https://llm.internal/v1"
# api_key_env = "CLUSTER_API_KEY"

# llama.cpp inside the process: no server and no key. Without model_path, two tiny models that ship with the package.
[profiles.embedded]
provider = "embedded"
# model_path = "~/models/model.gguf"
"""
_PROFILES = ("local", "cloud", "embedded")
_EXAMPLE = {CHAT_NAME: "qwen3:8b", EMBEDDING_NAME: "nomic-embed-text"}


def init(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Overwrite an existing file without a question.")] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            help=f"Let the file choose one of its profiles: {', '.join(_PROFILES)}. By default it chooses none."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an llm_adapter.toml, with comments that explain each choice, into the working directory."""
    if profile is not None and profile not in _PROFILES:
        raise typer.BadParameter(f"{profile!r} is not one of {', '.join(_PROFILES)}", param_hint="--profile")
    path = Path.cwd() / FILE
    if path.exists() and not yes:
        _confirm(path)
    settings, names = running_ollama(os.environ) or (None, [])
    host = None if settings is None else settings.host
    try:
        path.write_text(content(profile, host, names), "utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"path": str(path), "ollama": host})
        return
    screen = console()
    say(screen, f"wrote {path}")
    if host:
        say(screen, f"Ollama is running at {host}: the file suggests its models, in comments.")
    screen.print("Next: llm-adapter config --profile local")


def _confirm(path: Path) -> None:
    if not sys.stdin.isatty():
        raise SettingsError(f"{path} exists already: --yes overwrites it")
    typer.confirm(f"{path} exists already. Overwrite it?", abort=True)


def content(profile: str | None, host: str | None, names: list[str]) -> str:
    """The file. A running Ollama's models are suggested in comments: which is for what, only its owner knows."""
    aliases = suggested_aliases(names)
    usual = {CHAT_NAME: aliases.get("*"), EMBEDDING_NAME: aliases.get(EMBEDDING_NAME)}
    models = {name: model for name, model in usual.items() if model} or _EXAMPLE
    pairs = ", ".join(f"{json.dumps(name)} = {json.dumps(model)}" for name, model in models.items())
    suggestions = f"# models = {{ {pairs} }}"
    if names:
        # In JSON, a name cannot end its comment's line.
        suggestions = f"# This Ollama has {', '.join(map(json.dumps, names))}.\n{suggestions}"
    chosen = f'profile = "{profile}"' if profile else '# profile = "local"'
    return _TEMPLATE.format(chosen=chosen, host=host or "http://localhost:11434", suggestions=suggestions)
