"""What is remembered of servers in this process: each cache has an end, and all of them are registered here.

An answer ends after a time, when something is done to its model, when its server could not be reached (one that is
started anew may be of another kind), or by `clear_caches`. Time is the call's own, so that translation reads no clock.
`explain` makes its calls in `isolated_caches`: it must neither read the caches nor fill them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from llm_adapter.settings.errors import WARNED

CacheT = TypeVar("CacheT", dict[Any, Any], set[Any])
KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

_caches: list[Any] = [WARNED]


class ExpiringCache(Generic[KeyT, ValueT]):
    """Answers of servers that are believed for so many seconds. A key begins with the server's address."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[KeyT, tuple[ValueT, float]] = {}
        _caches.append(self)

    def get(self, key: KeyT, now: float, max_age: float | None = None) -> ValueT | None:
        """The answer, if it is not too old. now: unix seconds of the call. max_age: where less is asked for."""
        value, since = self._entries.get(key, (None, 0.0))
        age = now - since
        return value if 0 <= age <= min(self._seconds, max_age or self._seconds) else None

    def set(self, key: KeyT, value: ValueT, now: float) -> None:
        self._entries[key] = value, now

    def drop(self, key: KeyT) -> None:
        self._entries.pop(key, None)

    def keys(self) -> list[KeyT]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()

    def copy(self) -> dict[KeyT, tuple[ValueT, float]]:
        return self._entries.copy()

    def update(self, entries: dict[KeyT, tuple[ValueT, float]]) -> None:
        self._entries.update(entries)


def register_cache(cache: CacheT) -> CacheT:
    """The cache itself, now known to `clear_caches` and `isolated_caches`: for what is told once a process."""
    _caches.append(cache)
    return cache


def clear_caches() -> None:
    """Empty every cache: for tests, whose servers come and go under one address."""
    for cache in _caches:
        cache.clear()


def forget_server(address: str) -> None:
    """Ask a server anew about everything: it could not be reached, and may be another one when it is up again."""
    for cache in _caches:
        if isinstance(cache, ExpiringCache):
            for key in cache.keys():  # noqa: SIM118 - a copy, for others write meanwhile
                if key[0] == address:
                    cache.drop(key)


@contextmanager
def isolated_caches() -> Iterator[None]:
    """Inside, all caches begin empty; afterwards they hold what they held before."""
    kept = [cache.copy() for cache in _caches]
    clear_caches()
    try:
        yield
    finally:
        clear_caches()
        for cache, before in zip(_caches, kept, strict=False):  # a module imported inside has registered one more
            cache.update(before)
