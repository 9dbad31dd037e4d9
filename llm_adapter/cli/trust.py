"""`llm-adapter trust`: lets a project's file decide everything for programs that only run in the project's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_adapter.cli.options import AsJson
from llm_adapter.cli.screen import console, print_json, say
from llm_adapter.settings import trust as trusting
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import FILE, content, project_file, user_folder


def trust(
    path: Annotated[
        Path | None, typer.Argument(help="A file, or a folder in the project; by default the working directory.")
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Trust it no more.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show the trusted files instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trust a project's llm_adapter.toml as it is now: after a change, it needs trust anew.

    A program that is part of the project needs no trust. LLM_ADAPTER_TRUST=PATH does the same for one run, say in CI.
    """
    folder = user_folder(os.environ)
    if listed:
        _show(sorted(trusting.trusted(folder)), as_json)
        return
    if folder is None:
        raise SettingsError("there is no folder for the user's configuration: set XDG_CONFIG_HOME")
    file = _file(path)
    try:
        done = _forgotten(file, folder) if forget else _trusted(file, folder)
    except OSError as error:
        raise SettingsError(f"{folder / trusting.STORE} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"path": str(file), "trusted": not forget})
    else:
        for line in done:
            say(console(), line)


def _file(path: Path | None) -> Path:
    """The project's file by its absolute path, the way the settings find it."""
    place = Path(os.path.realpath(path.parent)) / path.name if path is not None and not path.is_dir() else None
    file = place or project_file(None if path is None else path.resolve())
    if file is None or not file.is_file():
        raise SettingsError(f"there is no {FILE} at {path or Path.cwd()} or above")
    return file


def _forgotten(file: Path, folder: Path) -> list[str]:
    known = trusting.distrust(file, folder)
    return [f"{file} is trusted no more" if known else f"{file} was not trusted"]


def _trusted(file: Path, folder: Path) -> list[str]:
    found = content(Settings, file)
    trusting.trust(file, found, folder)
    return [f"{file} is trusted as it is now. It decides:", *map(str, _decides(found, "")), "`--forget` takes it back."]


def _decides(found: Mapping[str, Any], profile: str) -> list[str]:
    """What only a trusted file may say, one line for each setting. A key is not shown."""
    lines = []
    for name, value in found.items():
        if name == "profiles":
            lines += [line for inner, fields in value.items() for line in _decides(fields, f"[profiles.{inner}] ")]
        elif name in trusting.KEPT or trusting.NEEDS_TRUST.get(name) is not None:
            lines.append(f"  {profile}{name} = {'...' if name in ('api_key', 'headers') else value!r}")
    return lines


def _show(files: list[str], as_json: bool) -> None:
    if as_json:
        print_json(files)
        return
    for file in files:
        say(console(), file)
    if not files:
        say(console(), "no file is trusted")
