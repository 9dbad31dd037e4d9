"""Per-process caches of what servers said, and a context in which they are empty.

`explain` makes its calls in that context: it must neither read the caches nor fill them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from llm_adapter.settings.errors import WARNED

CacheT = TypeVar("CacheT", dict[Any, Any], set[Any])

_caches: list[Any] = [WARNED]


def register_cache(cache: CacheT) -> CacheT:
    """The cache itself, now known to `clear_caches` and `isolated_caches`."""
    _caches.append(cache)
    return cache


def clear_caches() -> None:
    """Empty every cache: for tests, whose servers come and go under one address."""
    for cache in _caches:
        cache.clear()


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
