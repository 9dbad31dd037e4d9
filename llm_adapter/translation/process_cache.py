"""What is remembered of servers between calls, and how to do without it for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

MemoryT = TypeVar("MemoryT", dict[Any, Any], set[Any])

_memories: list[Any] = []


def remembered(memory: MemoryT) -> MemoryT:
    """A module's memory, made known."""
    _memories.append(memory)
    return memory


@contextmanager
def apart() -> Iterator[None]:
    """Calls inside know nothing of those before, and leave nothing behind: for calls that are only explained."""
    kept = [(memory, memory.copy()) for memory in _memories]
    for memory, _ in kept:
        memory.clear()
    try:
        yield
    finally:
        for memory, before in kept:
            memory.clear()
            memory.update(before)
