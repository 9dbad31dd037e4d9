"""The error of a configuration that cannot be used, the hint with the nearest known name, and our warning."""

from __future__ import annotations

from collections.abc import Iterable

from openai import OpenAIError

_PACKAGE = __name__.partition(".")[0]


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


class AdapterWarning(UserWarning):
    """Something that was asked for was changed or left out: the settings allow it, or a file may not ask for it."""


def warn_caller(message: str) -> None:
    """Warn at the line outside this package that led here."""
    import sys
    import warnings

    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, AdapterWarning, stacklevel=level)
