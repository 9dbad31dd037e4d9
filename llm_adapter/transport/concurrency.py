"""How many requests are under way at one server: slots, taken in turn by all clients of the process.

There is one queue for threads and event loops. A slot is taken before a request is sent, and released when its response
is read or closed, or when its stream has had its finish. Two calls must not wait for each other for ever, so:

- A call never waits for a stream that its own thread or task has stopped reading: that stream's slot is taken over.
- An open stream that nobody has read from for UNREAD seconds loses its slot as soon as another call waits.
- Streams that one call opens side by side share one slot, whose weight is their number, or the limit if that is less.
- A thread that runs an event loop does not wait: the calls that it would wait for may be tasks of that loop.

A slot may be released by the garbage collector, in the middle of any line of any thread: a release takes no lock that
this thread may hold. It is noted, and whoever has the lock carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from time import monotonic
from typing import Any, Literal

import anyio

from llm_adapter.translation.forks import emptied_at_fork

UNREAD = 5.0  # seconds

_log = logging.getLogger("llm_adapter")


class Slot:
    """A slot at one server; a call with several streams holds one slot of their weight."""

    __slots__ = ("_limiter", "holders", "limit", "reader", "state", "unread_since", "wake", "weight")

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
        self.reader: Any = None  # of a stream: the task or thread that read from it last
        self.wake: Callable[[], Any] = bool

    def acquire(self, seconds: float | None = None, *, wait: bool = True) -> bool:
        """Take the slot, waiting for it in this thread. False: it was not free within so many seconds.

        wait: False takes it at once, though it be one too many.
        """
        if self._limiter.try_acquire(self, force=not wait):
            return True
        gate = threading.Lock()  # an Event has a lock inside, which a release by the collector might find held
        gate.acquire()
        self._limiter.enqueue(self, gate.release)
        end = None if seconds is None else monotonic() + seconds
        try:
            while not gate.acquire(timeout=_next_check(end)):
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
        self._limiter.enqueue(self, partial(call_in_this_loop(), event.set))
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

    def stopped_reading(self) -> None:
        """The stream's reader has got a piece, and may not come back for the next."""
        self.unread_since, self.reader = monotonic(), current_reader()

    def _keep_waiting(self, end: float | None) -> bool:
        """Whether to wait on, after a while without success."""
        if end is not None and monotonic() >= end:
            self.release_all()
            return False
        self._limiter.reclaim_unread()
        return True


class Limiter:
    """The slots at one server. First come, first served: a later call never passes one that waits.

    Clients may have different limits. A limit counts the requests of clients whose limits are as low or lower, so that
    a client with a low one waits for its own kind alone, and does not keep others from the slots that they may have.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Slot] = set()
        self._queue: deque[Slot] = deque()
        self._releases: deque[tuple[Slot, int]] = deque()

    @property
    def in_use(self) -> int:
        return sum(slot.weight for slot in self._held)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def try_acquire(self, slot: Slot, *, force: bool = False) -> bool:
        """Take the slot if it is free now. force: take it in any case, though it be one too many."""
        with self._locked():
            self._carry_out_releases()
            if force or self._may_begin(slot) or (self._take_over_own() and self._may_begin(slot)):
                self._hold(slot)
                return True
            return False

    def enqueue(self, slot: Slot, wake: Callable[[], Any]) -> None:
        """Get in line. wake: called from any thread when the slot is held."""
        with self._locked():
            slot.wake, slot.state = wake, "queued"
            self._queue.append(slot)
            self._serve_queue()

    def release(self, slot: Slot, holders: int) -> None:
        """Note a release, and carry it out unless the lock is held: its holder does so then. Never blocks."""
        self._releases.append((slot, holders))
        self._settle()

    def reclaim_unread(self) -> None:
        """Take back the slots of streams that nobody reads."""
        since = monotonic() - UNREAD
        with self._locked():
            unread = [one for one in self._held if one.unread_since is not None and one.unread_since <= since]
            for slot in unread:
                self._remove(slot)
            self._serve_queue()
        if unread:
            _log.info("an open stream was not read for %g seconds: its slot goes to a call that waits", UNREAD)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            yield
        self._settle()

    def _settle(self) -> None:
        """Carry out what was released, unless somebody else has the lock and will."""
        while self._releases and self._lock.acquire(blocking=False):
            try:
                self._carry_out_releases()
            finally:
                self._lock.release()

    def _carry_out_releases(self) -> None:
        while self._releases:
            slot, holders = self._releases.popleft()
            slot.holders -= holders
            if slot.holders <= 0:
                self._remove(slot)
        self._serve_queue()

    def _take_over_own(self) -> bool:
        """Whether streams that this thread or task has stopped reading gave up their slots."""
        reader = current_reader()
        own = [one for one in self._held if one.unread_since is not None and _is_left(one.reader, reader)]
        for slot in own:
            self._remove(slot)
        return bool(own)

    def _may_begin(self, slot: Slot) -> bool:
        """Whether a new call gets its slot now: there is room, and it passes nobody who waits for the same room."""
        return self._has_room(slot) and not any(one.limit >= slot.limit for one in self._queue)

    def _has_room(self, slot: Slot) -> bool:
        if not self._held:
            return True
        as_low = sum(one.weight for one in self._held if one.limit <= slot.limit)
        highest = max((one.limit for one in self._held), default=0)
        return as_low + slot.weight <= slot.limit and self.in_use + slot.weight <= max(highest, slot.limit)

    def _hold(self, slot: Slot) -> None:
        slot.state = "held"
        self._held.add(slot)

    def _remove(self, slot: Slot) -> None:
        if slot.state == "held":
            self._held.remove(slot)
        elif slot.state == "queued":
            self._queue.remove(slot)
        slot.state = "released"

    def _serve_queue(self) -> None:
        """Give free slots to those who wait, in their order. Whoever has no room holds up equal and lower limits."""
        held_up = 0
        for slot in list(self._queue):
            if slot.limit <= held_up:
                continue
            if not self._has_room(slot):
                held_up = slot.limit
                continue
            self._queue.remove(slot)
            try:
                slot.wake()
            except RuntimeError:  # its event loop is closed: nobody is there any more
                slot.state = "released"
            else:
                self._hold(slot)


_limiters: dict[Hashable, Limiter] = emptied_at_fork({})  # those who hold slots or the lock are in the parent


def limiter_of(origin: Hashable) -> Limiter:
    """The limiter of one server, the same for all clients of the process."""
    return _limiters.get(origin) or _limiters.setdefault(origin, Limiter())


def current_reader() -> Any:
    """The task that runs here, or else the thread: who would have to go on reading a stream."""
    loop = asyncio._get_running_loop()  # which is asked for each piece, and raises nothing where there is none
    return (loop and asyncio.current_task(loop)) or threading.get_ident()


def _is_left(reader: Any, me: Any) -> bool:
    """Whether a stream's reader is the one that waits now, or a task that has ended."""
    return reader == me or (isinstance(reader, asyncio.Task) and reader.done())


def _next_check(end: float | None) -> float:
    """Seconds until a waiting call looks again: for streams that nobody reads, and at the end of its own time."""
    return UNREAD if end is None else max(0.0, min(UNREAD, end - monotonic()))


def call_in_this_loop() -> Callable[..., Any]:
    """What calls a function in this event loop, from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return import_module("trio").lowlevel.current_trio_token().run_sync_soon  # type: ignore[no-any-return]
