"""What a forked child does about what it has from its parent, whose threads are not there any more.

The interpreter keeps its hooks longer than all modules. What they reach would be looked through once more when the
process ends, which is half of all that is loaded; so it has one hook of ours, which lets go of the others before.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

CacheT = TypeVar("CacheT", dict[Any, Any], set[Any])

_beginnings: list[Callable[[], Any]] = []


def begin_in_child(beginning: Callable[[], Any]) -> None:
    """Have a function called in each forked child."""
    _beginnings.append(beginning)


def _begin() -> None:
    for beginning in _beginnings:
        beginning()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)
    atexit.register(_beginnings.clear)


class ForkSafeLock:
    """A lock that is free in a forked child, though a thread of the parent held it."""

    def __init__(self) -> None:
        self._begin_anew()
        begin_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def emptied_at_fork(cache: CacheT) -> CacheT:
    """The cache itself, which is empty in a forked child: for what threads of this process are about."""
    begin_in_child(cache.clear)
    return cache
