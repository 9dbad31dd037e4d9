"""`llm-adapter profiles`: which profiles there are, from which file, where each leads, and which one is chosen."""

from __future__ import annotations

import os
import warnings
from typing import Any

from llm_adapter.cli.config import destination
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json, print_table, say
from llm_adapter.routing.connection import with_ollama_host
from llm_adapter.settings.errors import AdapterWarning, SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import FILE, profile_list


def profiles(profile: Profile = None, as_json: AsJson = False) -> None:
    """List the profiles: each with its provider, its address and its file. A star marks the chosen one."""
    found = profile_list(Settings, os.environ, profile)
    rows = [_row(name, files, name == found.chosen) for name, files in found.files.items()]
    if as_json:
        print_json({"chosen": found.chosen, "chosen_by": found.chooser, "profiles": rows})
        return
    screen = console()
    if rows:
        cells = [
            ("*" if one["chosen"] else "", one["name"], one["provider"], one["address"], ", ".join(one["files"]))
            for one in rows
        ]
        print_table(screen, ("", "profile", "provider", "address", "from"), cells)
    say(screen, ("\n" if rows else "") + _choice(found.chosen, found.chooser, list(found.files)))


def _row(name: str, files: tuple[str, ...], chosen: bool) -> dict[str, Any]:
    provider, address = _where(name)
    return {"name": name, "provider": provider, "address": address, "files": list(files), "chosen": chosen}


def _where(name: str) -> tuple[str, str]:
    """The provider and the address, or what is wrong with the profile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AdapterWarning)  # who chooses the profile is warned
            settings = with_ollama_host(Settings.load(os.environ, profile=name), os.environ)
        return str(getattr(settings.provider, "name", settings.provider)), destination(settings, os.environ)[0]
    except SettingsError as error:
        return "?", str(error)


def _choice(chosen: str | None, chooser: str | None, names: list[str]) -> str:
    if chosen in names:
        return f"{chosen} is chosen, by {chooser}"
    if chosen is not None:
        return f"{chosen}, from {chooser}, is none of these"
    if names:
        return "none is chosen: calls go where the openai SDK sends them. LLM_ADAPTER_PROFILE=NAME chooses one"
    return f"there are no profiles: `llm-adapter config init` writes an {FILE}"
