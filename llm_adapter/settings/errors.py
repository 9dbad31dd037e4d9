"""The error of a configuration that cannot be used, and the hint with the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable

from openai import OpenAIError


class SettingsError(OpenAIError, ValueError):
    """Configuration that cannot be used: says what, where and what to do. Raised when a client is made."""

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields  # the settings that it is about


def near(name: str, known: Iterable[str], quote: str = "'") -> str:
    """What may be meant by an unknown name, as the end of a message; or nothing."""
    from difflib import get_close_matches  # only a mistake pays for it

    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {quote}{matches[0]}{quote}?" if matches else ""
