"""`llm_adapter.install()` and `uninstall()`: the SDK's own clients switched in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llm_adapter.installation.active import Installation, add, innermost, remove
from llm_adapter.installation.process import variables
from llm_adapter.installation.sdk_classes import switch_sdk, tell_of_earlier_clients
from llm_adapter.settings.errors import SettingsError

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings


def install(profile: str | None = None, settings: Settings | None = None, *, takes_all: bool = False) -> Installation:
    """Switch the SDK's own clients: from now on `openai.OpenAI()`, made by whichever code, goes to the profile.

    profile: a profile's name; settings: a `Settings` value; with neither it is what files and the environment say.
    takes_all: also switch clients to which the program gives the address of a server of its own. It holds for the whole
    process until `uninstall()`, or as a context manager until the end of the block. Clients that exist already stay
    where they are, and so do those for Azure and Bedrock. Child processes are switched as well, by variables of the
    environment that are as before afterwards. Raises `SettingsError`, also where nothing is configured.
    """
    if profile is not None and settings is not None:
        raise SettingsError("give `profile` or `settings`, not both: Settings.load(profile=...) makes one of the other")
    installation = Installation(profile, settings, Path.cwd(), takes_all)
    chosen = variables(installation, os.environ, installation.settings())
    if switch_sdk():
        tell_of_earlier_clients()
    installation.replaced.update({name: os.environ.get(name) for name in chosen})
    os.environ.update(chosen)
    add(installation)
    return installation


def uninstall() -> None:
    """End the innermost `install()`. Clients that were made meanwhile keep their destination.

    Raises RuntimeError where nothing is installed.
    """
    if (current := innermost()) is None:
        raise RuntimeError("llm_adapter.uninstall(): nothing is installed")
    remove(current)
