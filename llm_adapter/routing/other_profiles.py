"""The settings of a profile that another profile names: its shadow, a route, or where calls go when its server fails.

They are read from the files alone: the LLM_ADAPTER_ variables are the first profile's, and so is a key among them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import PREFIX
from llm_adapter.settings.trust import VARIABLE as TRUST


def other_profile(first: Settings, field: str, name: str) -> Settings:
    """The settings of the profile that a field of the first one's names. Raises `SettingsError`.

    They are as private as the first's, and name no shadow of their own.
    """
    environ = _without_ours(os.environ)
    known = Settings.profiles(environ, first.folder)
    if name not in known:
        have = f"known profiles: {', '.join(known)}" if known else "no file defines a profile"
        where = named_in(first, field)
        raise SettingsError(
            f"`{field}` names profile {name!r}, which is not defined{near(name, known)}; {have} {where}", (field,)
        )
    private = {"local_only": True} if first.local_only else {}
    try:
        return Settings.at(first.folder, environ, profile=name).model_copy(update={"shadow": None, **private})
    except SettingsError as error:
        raise unusable(first, field, name, error) from None


def unusable(first: Settings, field: str, name: str, error: Exception) -> SettingsError:
    """The error of a profile that is there and cannot be used."""
    return SettingsError(f"`{field}` cannot be profile {name!r} {named_in(first, field)}: {error}", (field,))


def named_in(first: Settings, field: str) -> str:
    """Where the field comes from, as the end of a message."""
    return f"(from {first.origin(field)})"


def _without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in environ.items() if not key.upper().startswith(PREFIX) or key.upper() == TRUST}
