"""The error of a configuration that cannot be used, the hint with the nearest known name, and our warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple

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


# Packages between a call site and us: a warning is of no use at a line of theirs.
_BETWEEN = frozenset({_PACKAGE, "openai", "httpx", "httpx2", "httpcore", "httpcore2", "anyio", "asyncio", "contextlib"})
# What was warned of, and where: the caller's file and line, and the message.
WARNED: set[tuple[str, int, str]] = set()
_MANY = 10_000  # places and messages that are remembered
_KEPT: ContextVar[CallerPlace | None] = ContextVar("caller", default=None)


class CallerPlace(NamedTuple):
    """The line of the program that led into this package."""

    file: str
    line: int
    module: str
    registry: dict[Any, Any]


def warn_caller(message: str) -> None:
    """Warn at the line outside this package and the SDK that led here: once for each line and message."""
    place = _caller()
    key = (place.file, place.line, message)
    if key in WARNED:
        return
    warnings.warn_explicit(message, AdapterWarning, place.file, place.line, place.module, place.registry)
    if len(WARNED) >= _MANY:
        WARNED.clear()
    WARNED.add(key)  # where warnings are errors, it is one each time


@contextmanager
def caller_kept() -> Iterator[None]:
    """Inside, a thread that is started with this context knows the caller, who is not on its own stack."""
    token = _KEPT.set(_caller())
    try:
        yield
    finally:
        _KEPT.reset(token)


def _caller() -> CallerPlace:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _package(frame) in _BETWEEN:
        frame = frame.f_back
    kept = _KEPT.get()
    if frame is None or (kept is not None and _package(frame) in ("threading", "concurrent")):
        return kept or CallerPlace("llm_adapter", 1, _PACKAGE, {})
    names = frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    return CallerPlace(frame.f_code.co_filename, frame.f_lineno, names.get("__name__") or "<string>", registry)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "").partition(".")[0]
