"""What is said of settings that do not reach the server of a client, when the client is made."""

from __future__ import annotations

import logging

from llm_adapter.routing.connection import Connection
from llm_adapter.settings.errors import SettingsError, warn_caller
from llm_adapter.settings.readers import reader_of
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.unread import UnreadSetting, unread_settings

_log = logging.getLogger("llm_adapter")


def unread(connection: Connection) -> list[UnreadSetting]:
    """The settings of a destination that its server does not read, as far as its kind is known."""
    resolved = connection.resolved
    return unread_settings(connection.configured, reader_of(resolved.provider, resolved.dialect))


def tell_unread(connection: Connection) -> None:
    """Warn of settings that have no effect. Raises `SettingsError` for those that would change the replies, if the
    policy `unsupported` says so.

    One that also holds for other profiles is no error here, and where it does not change a reply, only in the log.
    """
    for one in unread(connection):
        if is_error(connection.configured, one):
            raise SettingsError(f"{one.message}. {cure(one)}", (one.field,))
        if not is_told(connection.configured, one):
            _log.info("%s", one.message)
        else:
            warn_caller(one.message)


def is_told(settings: Settings, one: UnreadSetting) -> bool:
    """Whether it is more than a line of the log. What holds for other profiles too is not this one's mistake."""
    return settings.policy(one.field) != "ignore" and (one.changes_reply or not one.shared)


def is_error(settings: Settings, one: UnreadSetting) -> bool:
    """Whether a client cannot be made with it."""
    return one.changes_reply and not one.shared and settings.policy(one.field) == "error"


def cure(one: UnreadSetting) -> str:
    """What makes the error go away."""
    return f'Take it out of the settings, or have it left out: `unsupported = {{ {one.field} = "warn" }}`'
