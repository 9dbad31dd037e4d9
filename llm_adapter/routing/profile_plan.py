"""The other profiles that a client's calls may go to: by a route, or when its own server cannot take them.

All of them are read, and checked, when the client is made.

- A route is followed once: the routes of the profile that it leads to are not looked at, its `fallback` is.
- The `fallback` of a profile that calls fall back to comes after it. Its routes are not looked at.
- What stands above a file's profiles, or in the environment, is meant for all of them: for a profile that it names it
  says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple
from weakref import WeakValueDictionary

from llm_adapter.provider import Json
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.destination import names_provider, resolve
from llm_adapter.routing.other_profiles import named_in, other_profile, unusable
from llm_adapter.routing.privacy import asks_for_privacy
from llm_adapter.routing.stateful import names_state
from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.unavailable import ENDPOINTS

MODEL = "model:"


# The endpoints that another server can answer as well: nothing of theirs is kept at one.
MOVABLE = frozenset(
    [
        *("/chat/completions", "/completions", "/embeddings", "/responses"),
        *("/moderations", "/images/generations", "/audio/speech"),
    ]
)


class Destination(NamedTuple):
    """Another profile, ready for calls."""

    name: str
    connection: Connection
    plan: ProfilePlan | None = None  # kept, so that it is not made a second time with the client

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return "in this process" if self.connection.starter is not None else f"at {self.connection.address}"


class Route(NamedTuple):
    """A route, and where it leads."""

    key: str  # "embeddings", or "model:gpt-4*"
    to: Destination

    def leads(self, path: str, model: object) -> bool:
        """Whether a call with this path, below /v1, and this model goes there."""
        if self.key.startswith(MODEL):
            return isinstance(model, str) and fnmatchcase(model, self.key.removeprefix(MODEL))
        return path.lstrip("/").partition("/")[0] == self.key


@dataclass(frozen=True)
class ProfilePlan:
    """What a profile says about others."""

    settings: Settings  # the profile's
    routes: tuple[Route, ...]  # those by a model first: they say more
    fallback: tuple[Destination, ...]

    def route(self, path: str, model: object) -> Route | None:
        """The first route of a call; None: it stays, as one does whose model names its provider."""
        return None if names_provider(model) else next((one for one in self.routes if one.leads(path, model)), None)

    def candidates(self, connection: Connection, method: str, path: str, body: Json) -> Sequence[Destination]:
        """The profiles that a call may go to when its server cannot take it. connection: the call's own."""
        stays = connection.is_programs_own or connection.via_model_prefix or asks_for_privacy(body)
        if stays or method.upper() != "POST" or path not in MOVABLE or names_state(body, path):
            return ()
        return self.fallback


# By the settings' identity: they cannot be hashed, copies of a client share them, and a plan keeps its own alive.
_plans: WeakValueDictionary[int, ProfilePlan] = WeakValueDictionary()


def plan_of(settings: Settings) -> ProfilePlan:
    """What the settings say about other profiles. Raises `SettingsError` for what could not be done."""
    plan = _plans.get(id(settings))
    if plan is None:
        plan = _plans[id(settings)] = ProfilePlan(settings, tuple(_routes(settings)), tuple(_fallback(settings)))
    return plan


def _routes(settings: Settings) -> Iterator[Route]:
    for key in settings.routes:
        _check_key(settings, key)
    for key, name in sorted(settings.routes.items(), key=lambda one: not one[0].startswith(MODEL)):
        if name != settings.profile:
            found = other_profile(settings, "routes", name)
            _check_circle(settings, found, key)
            yield Route(key, _destination(settings, "routes", name, found.model_copy(update={"routes": {}})))


def _check_key(settings: Settings, key: str) -> None:
    if key not in ENDPOINTS and not (key.startswith(MODEL) and key != MODEL):
        raise SettingsError(
            f"`routes` has {key!r}, which is neither the first part of an endpoint's path, such as `embeddings`, nor "
            f"`model:` and a pattern of names{near(key, ENDPOINTS)} {named_in(settings, 'routes')}",
            ("routes",),
        )


def _check_circle(first: Settings, found: Settings, key: str) -> None:
    """Raises `SettingsError` where each of two or more profiles says of the same calls that another one has them."""
    passed = [first.profile, found.profile]
    while not found.is_shared("routes") and (name := found.routes.get(key)) not in (None, found.profile):
        if name in passed:
            raise _circle(first, "routes", [*passed, name])
        found = other_profile(first, "routes", str(name))
        passed.append(name)


def _fallback(settings: Settings) -> Iterator[Destination]:
    for name in dict.fromkeys(_fallback_names(settings, settings, (settings.profile,))):
        found = other_profile(settings, "fallback", name)
        alone = found.model_copy(update={"routes": {}, "fallback": ()})
        yield _destination(settings, "fallback", name, alone)


def _fallback_names(first: Settings, settings: Settings, passed: tuple[str | None, ...]) -> Iterator[str]:
    """The profiles in the order in which they are tried, each with those that it names itself behind it."""
    for name in settings.fallback:
        if name in passed and settings.is_shared("fallback"):
            continue
        if name in passed:
            raise _circle(first, "fallback", [*passed, name])
        yield name
        found = other_profile(first, "fallback", name)
        if not found.is_shared("fallback"):
            yield from _fallback_names(first, found, (*passed, name))


def _circle(first: Settings, field: str, names: list[str | None]) -> SettingsError:
    shown = " -> ".join(str(name) for name in names)
    return SettingsError(f"`{field}` goes round in a circle: {shown} {named_in(first, field)}", (field,))


def _destination(first: Settings, field: str, name: str, settings: Settings) -> Destination:
    """The destination of a profile, with all that could fail later checked now. Raises `SettingsError`."""
    try:
        connection = resolve(None, settings, {})
        _check_key_is_there(connection, os.environ)
        return Destination(name, connection, plan_of(settings) if settings.fallback else None)
    except SettingsError as error:
        raise unusable(first, field, name, error) from None


def _check_key_is_there(connection: Connection, environ: Mapping[str, str]) -> None:
    """Raises `SettingsError` where the SDK would not make a client for want of a key."""
    if connection.api_key is None and not (environ.get("OPENAI_API_KEY") or environ.get("OPENAI_ADMIN_KEY")):
        raise SettingsError("OPENAI_API_KEY is not set; set it, or name the variable of a key in `api_key_env`")
