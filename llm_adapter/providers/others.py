"""Providers of other packages, by name: imported when the first client is made that has one."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import Any

from llm_adapter.provider import Provider
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.provider_names import installed_providers, is_place


@lru_cache
def other_provider(name: str) -> Provider:
    """The provider that an installed package brings under this name, or that is at this place.

    What is found there is the provider, or a class or function that makes it without arguments. Raises `SettingsError`.
    """
    place = _place(name)
    module, _, attribute = place.partition(":")
    try:
        found: Any = attrgetter(attribute)(import_module(module))
    except Exception as error:  # others' code may raise anything
        raise SettingsError(f"provider {name!r} cannot be loaded: {_described(error)}", ("provider",)) from error
    if isinstance(found, type) or not isinstance(found, Provider):
        try:
            found = found()
        except Exception as error:
            raise SettingsError(f"provider {name!r} cannot be made: {_described(error)}", ("provider",)) from error
    if not isinstance(found, Provider):
        raise SettingsError(
            f"{place} is no provider: `name`, `base_url` and `endpoint` are needed, as llm_adapter.Provider has them",
            ("provider",),
        )
    return found


def _place(name: str) -> str:
    if is_place(name):
        return name
    places = installed_providers().get(name, [])
    if len(places) == 1:
        return places[0]
    problem = f"is brought by several packages: {', '.join(places)}" if places else "is not installed any more"
    raise SettingsError(f"provider {name!r} {problem}", ("provider",))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
