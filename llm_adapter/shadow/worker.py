"""One thread compares all calls of the process that were copied, one at a time; only few of them may wait for it.

Only `drain` waits for the thread. A call that finds the queue full is not compared, but counted. At exit the calls in
the queue get the seconds of `shadow_exit`, for a script ends with its last call; what is dropped then is counted in a
last record. A forked process begins with a queue, a thread and connections of its own.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from llm_adapter.shadow.journal import warn_once, write_record
from llm_adapter.shadow.record import client_of, ended_record, record_of
from llm_adapter.translation.forks import begin_in_child

if TYPE_CHECKING:
    from llm_adapter.shadow.record import Destinations, Job

PENDING = 32  # calls that wait

_log = logging.getLogger("llm_adapter.shadow")


class Worker:
    """The queue and the thread, which starts with the first call."""

    def __init__(self) -> None:
        # Its `put` may interrupt itself: a stream that is garbage collected meanwhile puts its copy as well.
        self._queue: queue.SimpleQueue[Job | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._clients: WeakKeyDictionary[Destinations, Any] = WeakKeyDictionary()
        self._last: Destinations | None = None  # of the call that was handed over last
        self.left_out = 0  # since the last record
        self.leaving = False

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    @property
    def full(self) -> bool:
        return self.waiting >= PENDING or self.leaving

    def submit(self, job: Job) -> None:
        self._last = job.shadow
        if self.full:
            self.left_out += 1
            return
        self._queue.put(job)
        if self._thread is None:
            self._start()

    def drain(self, timeout: float | None) -> bool:
        if self._thread is None:
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout)

    def finish(self) -> None:
        """Wait as long as `shadow_exit` says, and count what is dropped, in a record of its own."""
        if self._last is None:
            return
        first = self._last.first.configured
        if not self.drain(first.shadow_exit):
            self.left_out += self.waiting  # our own event stands for the call that is being compared
        self.leaving = True
        if self.left_out:
            _log.warning(
                "%d calls are not compared at exit: `shadow_exit` is how long it waits, shadow.drain() waits for all",
                self.left_out,
            )
            write_record(ended_record(self.left_out), self._last.log)

    def _start(self) -> None:
        if self._starting.acquire(blocking=False):  # else another thread is starting it
            try:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, daemon=True, name="llm_adapter shadow")
                    thread.start()
                    self._thread = thread
            finally:
                self._starting.release()

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            if isinstance(job, threading.Event):
                job.set()
                continue
            try:
                self._compare(job)
            except Exception as error:
                self.left_out += 1
                if not self.leaving:
                    warn_once("a comparison failed", error)
            del job

    def _compare(self, job: Job) -> None:
        client = self._clients.get(job.shadow)
        record = record_of(job, client or self._client(job.shadow))
        if self.leaving:  # the process ends, and its server may be gone
            return
        if client is None:
            # Exit functions run in reverse order: ours is to come before that of a server which this call started.
            atexit.unregister(_finish_at_exit)
            atexit.register(_finish_at_exit)
        left_out, self.left_out = self.left_out, 0
        write_record({**record, "left_out": left_out}, job.shadow.log)

    def _client(self, shadow: Destinations) -> Any:
        self._clients[shadow] = client = client_of(shadow)
        return client


active = True  # whether calls are copied at all
_worker = Worker()
_of_parents: list[Worker] = []  # kept alive, for a child must not close the connections of its parent


def submit(job: Job) -> None:
    _worker.submit(job)


def full() -> bool:
    """Whether no more calls can wait."""
    return _worker.full


def count_left_out() -> None:
    """Count a call that was chosen and is not compared."""
    _worker.left_out += 1


@contextmanager
def paused() -> Iterator[None]:
    """No call of the process is copied meanwhile: for probes and tools, whose calls are not a user's."""
    global active
    before, active = active, False
    try:
        yield
    finally:
        active = before


def drain(timeout: float | None = None) -> bool:
    """Wait until every call that was copied so far is compared; for tests, and for scripts before they end.

    timeout: in seconds; None waits as long as it takes. False: it was not within that time.
    """
    return _worker.drain(timeout)


def _finish_at_exit() -> None:
    _worker.finish()


def _start_anew_after_fork() -> None:
    global _worker
    _of_parents.append(_worker)
    _worker = Worker()


begin_in_child(_start_anew_after_fork)
atexit.register(_finish_at_exit)
