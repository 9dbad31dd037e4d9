"""One test on every provider: what the mark llm_providers names, how it is switched to, and whether it can be used.

A provider is chosen by variables, as users do: the clients that the code under test makes follow, and the fixtures'
client has the same settings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest

from llm_adapter.devtools.doctor import keys
from llm_adapter.devtools.doctor.network import host_and_port, proxy_for, route
from llm_adapter.provider import Started
from llm_adapter.routing.connection import connect
from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import FILE
from llm_adapter.testing.elsewhere import TestCalls, call_lines, goes_to
from llm_adapter.testing.switching import set_variables, variables_of

if TYPE_CHECKING:
    from llm_adapter.testing.fake import Fake
    from llm_adapter.testing.network import Guard
    from llm_adapter.testing.personas.persona import Persona

EMBEDDED = "embedded"
FAKE = "fake:"
_ADVICE = (
    "A client follows the mark when llm_adapter.OpenAI() makes it while the test runs, in a fixture or in the code; "
    "one that a module makes when it is imported does not. A test that asks others on purpose says so: "
    "llm_providers(..., elsewhere=True)."
)


@dataclass(frozen=True)
class Chosen:
    """A provider in force. `close` brings the environment back."""

    name: str
    settings: Settings
    ends: ExitStack
    fake: Fake | None = None  # the server, if it is one
    calls: TestCalls | None = None  # the test's, where they are to go to this provider alone

    def complaint(self) -> str | None:
        """What is said of calls that went elsewhere; None where there are none."""
        if self.calls is None:
            return None
        astray = self.calls.sent_elsewhere(goes_to(connect(self.settings, os.environ)))
        if not astray:
            return None
        many = f"{len(astray)} call{'s' if len(astray) > 1 else ''} of it went elsewhere"
        return f"llm_providers: the test runs on {self.name!r}, and {many}:{call_lines(astray)}\n{_ADVICE}"

    def close(self) -> None:
        self.ends.close()


def provider_names(mark: pytest.Mark) -> list[str]:
    """The names in a mark; those of all profiles, if there are none. Fails the collection for one that is unknown."""
    try:
        defined = Settings.profiles(os.environ)
        names = list(dict.fromkeys(mark.args)) or defined
        if mark.kwargs.keys() - {"elsewhere"} or not names:
            raise SettingsError(
                "name profiles, 'embedded' or 'fake:PERSONA'" if names else f"there is no profile in {FILE}"
            )
        for name in names:
            _check_known(name, defined)
    except SettingsError as error:
        pytest.fail(f"llm_providers: {error}", pytrace=False)
    return names


def check_options(names: list[str]) -> None:
    """Refuse an option --llm-provider that can name no test."""
    try:
        defined = Settings.profiles(os.environ)
        for name in names:
            _check_known(name, defined)
    except SettingsError as error:
        raise pytest.UsageError(f"--llm-provider: {error}") from None


def chosen(
    name: str | None, guard: Guard | None, *, required: bool, given: Mapping[str, Any] = {}, elsewhere: bool = False
) -> Chosen:
    """Switch to a provider; without a name it is what the configuration names.

    given: options of a fake server. elsewhere: whether the test may call other servers too.
    Skips the test, or fails it if a provider is `required`, where this one cannot be used.
    """
    with ExitStack() as ends:
        fake, watched = None, name is not None
        try:
            if name is not None and name.startswith(FAKE):
                fake = _fake(name, given, ends)
            settings = Settings.load() if name is None else _switched_settings(name, fake, ends)
            name = name or str(getattr(settings.provider, "name", settings.provider))
            problem = _problem(settings, guard)
        except SettingsError as error:
            problem = str(error)
        if problem is not None:
            reason = f"{name or 'the configured provider'!r} cannot be used: {problem}"
            pytest.fail(reason, pytrace=False) if required else pytest.skip(reason)
        calls = None
        if watched and not elsewhere:
            calls = TestCalls()
            ends.callback(calls.close)
        return Chosen(str(name), settings, ends.pop_all(), fake, calls)


def _check_known(name: Any, defined: list[str]) -> None:
    if name in (*defined, EMBEDDED):
        return
    if isinstance(name, str) and name.startswith(FAKE):
        _persona(name)
        return
    known = [*defined, EMBEDDED, "fake:PERSONA"]
    hint = near(str(name), known)
    raise SettingsError(f"{name!r} is no profile of {FILE}{hint}; known: {', '.join(known)}")


def _switched_settings(name: str, fake: Fake | None, ends: ExitStack) -> Settings:
    """The settings that a client has from now on, until the `ends`."""
    if fake is not None:
        return set_variables(variables_of(fake.settings()), ends)
    return set_variables({"profile": name} if name in Settings.profiles(os.environ) else {"provider": EMBEDDED}, ends)


def _fake(name: str, given: Mapping[str, Any], ends: ExitStack) -> Fake:
    from llm_adapter.testing.fake import serving

    return ends.enter_context(serving(_persona(name), **given))


def _persona(name: str) -> Persona:
    from llm_adapter.testing.personas import persona

    try:
        return persona(name.removeprefix(FAKE))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _problem(settings: Settings, guard: Guard | None) -> str | None:
    """Why a provider cannot be used; None, if nothing is known to be in the way. Raises `SettingsError`."""
    connection = connect(settings, os.environ)
    if isinstance(connection.provider, Started):
        connection.provider.start(connection.resolved, "/chat/completions")
        return None
    if connection.api_key is None and keys.key_for(connection, os.environ).value is None:
        return "no key: set OPENAI_API_KEY"
    url = connection.address
    if guard is not None:
        proxy = proxy_for(url, settings.trust_env)[0]
        guard.allow(*(host_and_port(one)[0] for one in (url, proxy) if one))
    return _unreachable_reason(url, settings.trust_env)


@lru_cache(maxsize=64)
def _unreachable_reason(url: str, trust_env: bool | None) -> str | None:
    """Once for all tests: an address that does not answer takes seconds."""
    way = route(url, trust_env)
    if way.reached:
        return None
    return f"no server answers at {way.target} ({'; '.join(f'{one.address}: {one.error}' for one in way.attempts)})"
