"""The calls of a test, and those among them that did not go where the test was to run.

A client that was made before the test, when a module was imported for one, goes where it went: such a test would be
green though nothing of it ran on the provider that it names.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from llm_adapter.provider import Started
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.description import deciding_setting
from llm_adapter.settings.errors import AdapterWarning
from llm_adapter.settings.hosts import same_origin
from llm_adapter.traffic.observed import ObservedCall
from llm_adapter.traffic.watch import Watcher, add_watcher, remove_watcher

if TYPE_CHECKING:
    from llm_adapter.testing.fake import Fake

_ADVICE = (
    "`fake_llm.client()` is a client of it. After `fake_llm.use()`, or with the mark fake_llm(..., use=True), so is "
    "every OpenAI() that is made, but none that a module made when it was imported."
)
_SHADOW = "<thread llm_adapter shadow>"  # calls of the background are not the test's


class TestCalls(Watcher):
    """The calls that are made while it is open."""

    __test__ = False  # pytest takes a class by this name for one of tests

    def __init__(self) -> None:
        self.calls: list[ObservedCall] = []
        add_watcher(self)

    def call_begun(self, call: ObservedCall) -> None:
        if call.place.file != _SHADOW:
            self.calls.append(call)

    def __enter__(self) -> TestCalls:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        remove_watcher(self)

    def sent_elsewhere(self, is_there: Callable[[ObservedCall, str], bool]) -> list[ObservedCall]:
        """The calls of which a request went elsewhere. is_there: whether one to this URL went where it was to go."""
        return [call for call in self.calls if not all(is_there(call, url) for url in call.urls)]


def never_asked(fake: Fake, calls: TestCalls) -> str | None:
    """What is said of a fake server that was never asked; None where it was, or where the test knows.

    The complaint is an error where calls went elsewhere, or a script was written. Else a warning is enough: a fixture
    may make one for every test.
    """
    complaint = fake.complaint
    if complaint is None:
        return None
    astray = [call for call in calls.calls if call.urls]
    if astray:
        many = f"{len(astray)} call{'s' if len(astray) > 1 else ''} went elsewhere"
        return f"fake_llm {complaint}; {many}:{call_lines(astray)}\n{_ADVICE}"
    if fake.unused:
        return f"fake_llm {complaint}. {_ADVICE}"
    warnings.warn(f"fake_llm {complaint}. {_ADVICE}", AdapterWarning, stacklevel=2)
    return None


def goes_to(connection: Connection) -> Callable[[ObservedCall, str], bool]:
    """Whether a request of a call went to the server of a connection."""

    def is_there(call: ObservedCall, url: str) -> bool:
        if isinstance(connection.provider, Started):
            own: Connection | None = getattr(call.client, "_connection", None)
            return own is not None and call.answered_by.provider == own.provider.name == connection.provider.name
        return same_origin(connection.address, url)

    return is_there


def call_lines(calls: Iterable[ObservedCall]) -> str:
    """Calls in lines, each line once: who made the call, with which client, and where it went."""
    counts = Counter(_line(call) for call in calls)
    return "".join(f"\n  {line}{f' ({many} times)' if many > 1 else ''}" for line, many in counts.items())


def _line(call: ObservedCall) -> str:
    connection = getattr(call.client, "_connection", None)
    why = f" ({deciding_setting(connection, os.environ)})" if connection is not None else ""
    client = f"the {call.client_kind} made at {call.client_place}"
    return f"{client} asked {call.answered_by}{why}: {call.method} {call.path}, called at {call.place}"
