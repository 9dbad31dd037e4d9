"""`llm-adapter config init`: a first configuration file, with every choice explained and none made."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from llm_adapter.cli.defaults import running_ollama, suggested_aliases
from llm_adapter.cli.options import AsJson
from llm_adapter.cli.scan import check_installed, ollama_target, scan_paths
from llm_adapter.cli.screen import console, print_json, say
from llm_adapter.devtools.reporting.text import counted, one_line
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.sources import FILE
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME, names_embedding_model

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
{models}

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
# Models of OpenAI's that are neither asked for chats nor for embeddings.
_NEITHER = re.compile(r"whisper|tts|dall-e|gpt-image|transcribe|audio|realtime|moderation|sora|-live")
_EXAMPLE = {CHAT_NAME: "qwen3:8b", EMBEDDING_NAME: "nomic-embed-text"}


Overwrite = Annotated[bool, typer.Option("--yes", "-y", help="Overwrite an existing file without a question.")]
Chosen = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        help=f"Let the file choose one of its profiles: {', '.join(_PROFILES)}. By default it chooses none.",
    ),
]
FromScan = Annotated[
    bool,
    typer.Option("--from-scan", help="Scan the code for models, map each in the profile `local`, and choose it."),
]
Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True, help="What --from-scan looks at; by default the working directory.", metavar="[PATH...]"
    ),
]


def init(
    yes: Overwrite = False,
    profile: Chosen = None,
    from_scan: FromScan = False,
    paths: Paths = None,
    as_json: AsJson = False,
) -> None:
    """Write an llm_adapter.toml, with comments that explain each choice, into the working directory."""
    if profile is not None and profile not in _PROFILES:
        raise typer.BadParameter(f"{profile!r} is not one of {', '.join(_PROFILES)}", param_hint="--profile")
    if paths and not from_scan:
        raise typer.BadParameter("paths are for --from-scan alone", param_hint="PATH")
    if from_scan:
        check_installed()
    path = Path.cwd() / FILE
    if path.exists() and not yes:
        _confirm(path)
    settings, names = running_ollama(os.environ) or (None, [])
    host = None if settings is None else settings.host
    found = _scanned_models(paths or [Path.cwd()]) if from_scan else None
    chosen = profile or ("local" if from_scan else None)
    try:
        path.write_text(content(chosen, host, names, found), "utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
    models = None if found is None else mapped(found, names)
    if as_json:
        scanned = {} if models is None else {"profile": chosen, "models": models}
        print_json({"path": str(path), "ollama": host, **scanned})
        return
    _show(str(path), host, chosen, models)


def _show(path: str, host: str | None, chosen: str | None, models: dict[str, str] | None) -> None:
    screen = console()
    say(screen, f"wrote {path}")
    if models is not None:
        say(
            screen,
            f"The profile `{chosen}` is chosen; `local` maps {counted(len(models), 'name')}: look at the models.",
        )
        screen.print("Next: llm-adapter doctor")
        return
    if host:
        say(screen, f"Ollama is running at {host}: the file suggests its models, in comments.")
    screen.print("Next: llm-adapter config --profile local")


def _scanned_models(paths: list[Path]) -> dict[str, str]:
    """OpenAI's models that the code names, each with the first place where it stands."""
    found = scan_paths(paths, ollama_target()).openai_models()
    return {name: str(place) for name, place in found.items()}


def mapped(found: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """A model for each name that code uses, and for every other one: of the server's, or the usual ones.

    What neither chats nor embeds is left out. Code does not tell which model is meant: the first ones are taken.
    """
    aliases = suggested_aliases(names)
    chat = aliases.get("*", _EXAMPLE[CHAT_NAME])
    embedding = aliases.get(EMBEDDING_NAME, _EXAMPLE[EMBEDDING_NAME])
    models = {name: embedding if names_embedding_model(name) else chat for name in found if not _NEITHER.search(name)}
    return {**models, "*": chat}


def _confirm(path: Path) -> None:
    if not sys.stdin.isatty():
        raise SettingsError(f"{path} exists already: --yes overwrites it")
    typer.confirm(f"{path} exists already. Overwrite it?", abort=True)


def content(profile: str | None, host: str | None, names: Sequence[str], found: Mapping[str, str] | None = None) -> str:
    """The file. found: names of models in the code, each with a place where it stands; None: nothing was scanned."""
    models = _suggested_models(names) if found is None else _models_table(found, names)
    chosen = f'profile = "{profile}"' if profile else '# profile = "local"'
    return _TEMPLATE.format(chosen=chosen, host=host or "http://localhost:11434", models=models)


def _models_table(found: Mapping[str, str], names: Sequence[str]) -> str:
    """A line for each name that the code uses."""
    models = mapped(found, names)
    missing = [name for name in dict.fromkeys(models.values()) if name not in names]
    lines = ["[profiles.local.models]"]
    if missing:
        lines.insert(0, f"# Not seen on a server yet: llm-adapter models pull {' '.join(missing)}")
    width = max(len(f"{json.dumps(name)} = {json.dumps(model)}") for name, model in models.items())
    for name, model in models.items():
        where = f"# {one_line(found[name])}" if name in found else "# every other name"
        lines.append(f"{f'{json.dumps(name)} = {json.dumps(model)}':{width}}  {where}")
    lines += [
        f"# {json.dumps(name)}: no chat and no embeddings; {one_line(found[name])}"
        for name in found
        if name not in models
    ]
    if any(map(names_embedding_model, found)):
        lines.append("# Another model embeds in other dimensions: an index is built anew, or asks for `dimensions`.")
    return "\n".join(lines)


def _suggested_models(names: Sequence[str]) -> str:
    """A running Ollama's models, in comments: which is for what, only its owner knows."""
    aliases = suggested_aliases(names)
    usual = {CHAT_NAME: aliases.get("*"), EMBEDDING_NAME: aliases.get(EMBEDDING_NAME)}
    models = {name: model for name, model in usual.items() if model} or _EXAMPLE
    pairs = ", ".join(f"{json.dumps(name)} = {json.dumps(model)}" for name, model in models.items())
    suggestions = f"# models = {{ {pairs} }}"
    if names:
        # In JSON, a name cannot end its comment's line.
        suggestions = f"# This Ollama has {', '.join(map(json.dumps, names))}.\n{suggestions}"
    return suggestions
