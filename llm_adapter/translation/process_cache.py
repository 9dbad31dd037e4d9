"""Per-process caches, and a context in which they are empty: for `explain`, which must neither read nor fill them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

CacheT = TypeVar("CacheT", dict[Any, Any], set[Any])

_caches: list[Any] = []


def register_cache(cache: CacheT) -> CacheT:
    """Make a module's cache known to `isolated_caches`. Returns the cache itself."""
    _caches.append(cache)
    return cache


@contextmanager
def isolated_caches() -> Iterator[None]:
    """Every registered cache is empty inside, and is as it was before afterwards."""
    kept = [(cache, cache.copy()) for cache in _caches]
    for cache, _ in kept:
        cache.clear()
    try:
        yield
    finally:
        for cache, before in kept:
            cache.clear()
            cache.update(before)
