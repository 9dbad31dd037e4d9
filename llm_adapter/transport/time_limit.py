"""Work that blocks and waiting for others, with a limit of time: whoever waits goes on at the limit, whatever they do.

Each work has a thread of its own, and waiting has none. anyio's are shared with the rest of the program, which could
start no more work of its own while forty calls wait; and they keep the process from ending.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import anyio

from llm_adapter.settings.errors import SettingsError
from llm_adapter.transport.concurrency import call_in_this_loop

ResultT = TypeVar("ResultT")

_LOOK = 1.0  # seconds between two looks at whether the program still runs


class OutOfTime(Exception):  # noqa: N818 - the call's own error is the SDK's APITimeoutError
    """The work is not done at its limit. It goes on in its thread, and nobody takes its result."""


def within(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """What the work returns or raises. Raises OutOfTime after so many seconds; None: there is no limit."""
    return work() if seconds is None else wait_for(seconds, _begun(work))


async def awithin(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """The same in an event loop, which goes on meanwhile; when its task is cancelled, the work is left behind too."""
    return await await_for(seconds, _begun(work))


def wait_for(
    seconds: float | None, outcome: concurrent.futures.Future[ResultT], *, ends_with_program: bool = False
) -> ResultT:
    """The outcome of what another thread or task does. Raises OutOfTime after so many seconds; None: no limit.

    ends_with_program: raise `SettingsError` when the main thread has ended, so that no wait keeps the process alive.
    """
    end = None if seconds is None else monotonic() + seconds
    while not outcome.done():
        left = _LOOK if end is None else min(_LOOK, end - monotonic())
        if left <= 0:
            raise OutOfTime
        concurrent.futures.wait([outcome], left)
        if ends_with_program and not outcome.done() and not threading.main_thread().is_alive():
            raise SettingsError("the process ends while its model loads")
    return outcome.result()


async def await_for(seconds: float | None, outcome: concurrent.futures.Future[ResultT]) -> ResultT:
    """The same in an event loop, which goes on meanwhile; it takes no thread."""
    if not outcome.done():
        event = anyio.Event()
        outcome.add_done_callback(partial(_wake, call_in_this_loop(), event.set))
        with anyio.move_on_after(seconds):
            await event.wait()
        if not outcome.done():
            raise OutOfTime
    return outcome.result()


def _wake(in_loop: Callable[..., Any], waiter: Callable[[], Any], _: object) -> None:
    with suppress(RuntimeError):  # the event loop is closed: nobody is there any more
        in_loop(waiter)


def _begun(work: Callable[[], ResultT]) -> concurrent.futures.Future[ResultT]:
    """The outcome of work that has begun in a thread."""
    outcome: concurrent.futures.Future[ResultT] = concurrent.futures.Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name="llm_adapter work").start()
    return outcome
