"""How many requests are under way at one server: slots, taken in turn by all clients of the process.

There is one queue for threads and event loops. A slot is taken before a request is sent, and released when its response
is read or closed. Two calls must not wait for each other for ever, so:

- An open stream that nobody has read from for UNREAD seconds loses its slot as soon as another call waits.
- Streams that one call opens side by side share one slot, whose weight is their number, or the limit if that is less.
- A thread that runs an event loop does not wait: the calls that it would wait for may be tasks of that loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from importlib import import_module
from time import monotonic
from typing import Any, Literal

import anyio

UNREAD = 5.0  # seconds

_log = logging.getLogger("llm_adapter")


class Slot:
    """A slot at one server; a call with several streams holds one slot of their weight."""

    __slots__ = ("_limiter", "holders", "limit", "state", "unread_since", "wake", "weight")

    def __init__(self, limiter: Limiter, limit: int, holders: int = 1) -> None:
        """limit: how many requests may be under way, as the settings of this client say.

        holders: how many requests share the slot. It is free when each of them has released it.
        """
        self._limiter = limiter
        self.limit = limit
        self.holders = holders
        self.weight = min(holders, limit)
        self.state: Literal["new", "queued", "held", "released"] = "new"
        self.unread_since: float | None = None  # of a stream: when somebody last stopped reading it
        self.wake: Callable[[], Any] = bool

    def acquire(self, seconds: float | None = None, *, wait: bool = True) -> bool:
        """Take the slot, waiting for it in this thread. False: it was not free within so many seconds.

        wait: False takes it at once, though it be one too many.
        """
        if self._limiter.try_acquire(self, force=not wait):
            return True
        event = threading.Event()
        self._limiter.enqueue(self, event.set)
        end = None if seconds is None else monotonic() + seconds
        try:
            while not event.wait(_next_check(end)):
                if not self._keep_waiting(end):
                    return False
        except BaseException:
            self.release_all()
            raise
        return True

    async def aacquire(self, seconds: float | None = None) -> bool:
        """The same in an event loop, which goes on meanwhile."""
        if self._limiter.try_acquire(self):
            return True
        event = anyio.Event()
        self._limiter.enqueue(self, partial(_call_in_this_loop(), event.set))
        end = None if seconds is None else monotonic() + seconds
        try:
            while not event.is_set():
                with anyio.move_on_after(_next_check(end)):
                    await event.wait()
                if not event.is_set() and not self._keep_waiting(end):
                    return False
        except BaseException:
            self.release_all()
            raise
        return True

    def release(self) -> None:
        """One holder is done; with the last one the slot is free."""
        self._limiter.release(self, holders=1)

    def release_all(self) -> None:
        """Free the slot for all its holders, or leave the queue. Idempotent."""
        self._limiter.release(self, holders=self.holders)

    def _keep_waiting(self, end: float | None) -> bool:
        """Whether to wait on, after a while without success."""
        if end is not None and monotonic() >= end:
            self.release_all()
            return False
        self._limiter.reclaim_unread()
        return True


class Limiter:
    """The slots at one server. First come, first served: a later call never passes one that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Slot] = set()
        self._queue: deque[Slot] = deque()
        self._in_use = 0

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def try_acquire(self, slot: Slot, *, force: bool = False) -> bool:
        """Take the slot if it is free now. force: take it in any case, though it be one too many."""
        with self._lock:
            if force or (not self._queue and self._in_use + slot.weight <= slot.limit):
                self._hold(slot)
                return True
            return False

    def enqueue(self, slot: Slot, wake: Callable[[], Any]) -> None:
        """Get in line. wake: called from any thread when the slot is held."""
        with self._lock:
            slot.wake, slot.state = wake, "queued"
            self._queue.append(slot)
            self._serve_queue()

    def release(self, slot: Slot, holders: int) -> None:
        with self._lock:
            slot.holders -= holders
            if slot.holders <= 0:
                self._remove(slot)
                self._serve_queue()

    def reclaim_unread(self) -> None:
        """Take back the slots of streams that nobody reads."""
        with self._lock:
            since = monotonic() - UNREAD
            for slot in [one for one in self._held if one.unread_since is not None and one.unread_since <= since]:
                _log.info("an open stream was not read for %g seconds: its slot goes to a call that waits", UNREAD)
                self._remove(slot)
            self._serve_queue()

    def _hold(self, slot: Slot) -> None:
        slot.state = "held"
        self._held.add(slot)
        self._in_use += slot.weight

    def _remove(self, slot: Slot) -> None:
        if slot.state == "held":
            self._held.remove(slot)
            self._in_use -= slot.weight
        elif slot.state == "queued":
            self._queue.remove(slot)
        slot.state = "released"

    def _serve_queue(self) -> None:
        while self._queue and self._in_use + self._queue[0].weight <= self._queue[0].limit:
            slot = self._queue.popleft()
            try:
                slot.wake()
            except RuntimeError:  # its event loop is closed: nobody is there any more
                slot.state = "released"
            else:
                self._hold(slot)


_limiters: dict[Hashable, Limiter] = {}
if hasattr(os, "register_at_fork"):
    # Those who hold slots or the lock are in the parent.
    os.register_at_fork(after_in_child=_limiters.clear)


def limiter_of(origin: Hashable) -> Limiter:
    """The limiter of one server, the same for all clients of the process."""
    return _limiters.get(origin) or _limiters.setdefault(origin, Limiter())


def _next_check(end: float | None) -> float:
    """Seconds until a waiting call looks again: for streams that nobody reads, and at the end of its own time."""
    return UNREAD if end is None else max(0.0, min(UNREAD, end - monotonic()))


def _call_in_this_loop() -> Callable[..., Any]:
    """What calls a function in this event loop, from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return import_module("trio").lowlevel.current_trio_token().run_sync_soon  # type: ignore[no-any-return]
