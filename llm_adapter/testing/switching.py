"""`OpenAI()` itself switched to a fake server: by variables for llm_adapter's clients, and in the SDK for its own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from llm_adapter.installation.active import Installation, add, remove
from llm_adapter.installation.sdk_classes import switch_sdk
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import PREFIX

# Who switches has the last word on where calls go: what the environment says of it is left out.
_DESTINATION = ("profile", "provider", "host", "base_url", "dialect", "api_key", "api_key_env")


def switched_to(settings: Settings, *, takes_all: bool) -> ExitStack:
    """Switch new clients to a fake server, until the end of a block for which the result is the context manager.

    settings: those of clients for the server.
    """
    switch_sdk()
    installation = Installation(given=settings, folder=Path.cwd(), takes_all=takes_all)
    with ExitStack() as ends:
        set_variables(variables_of(settings), ends)
        add(installation)
        ends.callback(remove, installation)
        return ends.pop_all()


def variables_of(settings: Settings) -> dict[str, str]:
    """The settings of clients for a fake server, as variables have them."""
    given = settings.model_dump(exclude_unset=True)
    return {field: value if isinstance(value, str) else value.get_secret_value() for field, value in given.items()}


def set_variables(fields: dict[str, str], ends: ExitStack) -> Settings:
    """The settings that a client has from now on, until the `ends`."""
    patches = ends.enter_context(pytest.MonkeyPatch.context())
    for variable in list(os.environ):
        if variable.upper() in {f"{PREFIX}{field.upper()}" for field in _DESTINATION}:
            patches.delenv(variable)
    for field, value in fields.items():
        patches.setenv(f"{PREFIX}{field.upper()}", value)
    return Settings.load()
