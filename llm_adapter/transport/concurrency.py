"""How many requests are under way at one server: places, taken in turn by all clients of the process (P22).

One queue for threads and event loops alike. A place is taken before a request is sent and given back when its response
is read or closed. Nobody may wait for ever for one who waits for them, so:

- An open stream that nobody has read from for UNREAD seconds gives its place up as soon as another call waits.
- Streams that one call opens side by side take their places together, and never more than there are.
- A thread that runs an event loop does not wait: those that it would wait for may be in that loop.
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


class Place:
    """Room at a server for one request, or for several that one call opens together."""

    __slots__ = ("_limiter", "limit", "shares", "size", "state", "unread_since", "wake")

    def __init__(self, limiter: Limiter, limit: int, shares: int = 1) -> None:
        """limit: how many may be under way, as the client that asks was told. shares: how many will let go of it."""
        self._limiter = limiter
        self.limit = limit
        self.shares = shares
        self.size = min(shares, limit)
        self.state: Literal["new", "queued", "seated", "left"] = "new"
        self.unread_since: float | None = None  # of a stream: when somebody last stopped to read it
        self.wake: Callable[[], Any] = bool

    def take(self, seconds: float | None = None, *, wait: bool = True) -> bool:
        """Wait in this thread until it is there. False: it was not within so many seconds."""
        if self._limiter.seated(self, crowd=not wait):
            return True
        event = threading.Event()
        self._limiter.queue(self, event.set)
        end = None if seconds is None else monotonic() + seconds
        try:
            while not event.wait(_step(end)):
                if not self._still(end):
                    return False
        except BaseException:
            self.free()
            raise
        return True

    async def atake(self, seconds: float | None = None) -> bool:
        """The same in an event loop, which goes on meanwhile."""
        if self._limiter.seated(self):
            return True
        event = anyio.Event()
        self._limiter.queue(self, partial(_soon(), event.set))
        end = None if seconds is None else monotonic() + seconds
        try:
            while not event.is_set():
                with anyio.move_on_after(_step(end)):
                    await event.wait()
                if not event.is_set() and not self._still(end):
                    return False
        except BaseException:
            self.free()
            raise
        return True

    def release(self) -> None:
        """Let go of one share; with the last one the place is free."""
        self._limiter.leave(self, shares=1)

    def free(self) -> None:
        """Let go of all of it, wherever it is. Idempotent."""
        self._limiter.leave(self, shares=self.shares)

    def _still(self, end: float | None) -> bool:
        """Whether to wait on, after a while without success."""
        if end is not None and monotonic() >= end:
            self.free()
            return False
        self._limiter.reclaim()
        return True


class Limiter:
    """The places at one server. First come, first served: a later call never passes one that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seated: set[Place] = set()
        self._queue: deque[Place] = deque()
        self._taken = 0

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def seated(self, place: Place, *, crowd: bool = False) -> bool:
        """Whether the place is there at once. crowd: it has to be, though it be one too many."""
        with self._lock:
            if crowd or (not self._queue and self._taken + place.size <= place.limit):
                self._seat(place)
                return True
            return False

    def queue(self, place: Place, wake: Callable[[], Any]) -> None:
        """Get in line. wake: called from any thread when the place is there."""
        with self._lock:
            place.wake, place.state = wake, "queued"
            self._queue.append(place)
            self._advance()

    def leave(self, place: Place, shares: int) -> None:
        with self._lock:
            place.shares -= shares
            if place.shares <= 0:
                self._remove(place)
                self._advance()

    def reclaim(self) -> None:
        """Take back what unread streams hold."""
        with self._lock:
            since = monotonic() - UNREAD
            for place in [one for one in self._seated if one.unread_since is not None and one.unread_since <= since]:
                _log.info("an open stream was not read for %g seconds: its place goes to a call that waits", UNREAD)
                self._remove(place)
            self._advance()

    def _seat(self, place: Place) -> None:
        place.state = "seated"
        self._seated.add(place)
        self._taken += place.size

    def _remove(self, place: Place) -> None:
        if place.state == "seated":
            self._seated.remove(place)
            self._taken -= place.size
        elif place.state == "queued":
            self._queue.remove(place)
        place.state = "left"

    def _advance(self) -> None:
        while self._queue and self._taken + self._queue[0].size <= self._queue[0].limit:
            place = self._queue.popleft()
            try:
                place.wake()
            except RuntimeError:  # its event loop is closed: nobody is there any more
                place.state = "left"
            else:
                self._seat(place)


_limiters: dict[Hashable, Limiter] = {}
if hasattr(os, "register_at_fork"):
    # Those who hold places or the lock are in the parent.
    os.register_at_fork(after_in_child=_limiters.clear)


def limiter(origin: Hashable) -> Limiter:
    """The limiter of one server, the same for all clients of the process."""
    return _limiters.get(origin) or _limiters.setdefault(origin, Limiter())


def _step(end: float | None) -> float:
    return UNREAD if end is None else max(0.0, min(UNREAD, end - monotonic()))


def _soon() -> Callable[..., Any]:
    """What calls a function in this event loop, from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return import_module("trio").lowlevel.current_trio_token().run_sync_soon  # type: ignore[no-any-return]
