"""Work that blocks, with a limit of time: whoever waits goes on at the limit, though the work cannot be stopped.

Each work has a thread of its own. anyio's are shared with the rest of the program, which could start no more work of
its own while forty calls wait for a model to load; and they keep the process from ending.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio

from llm_adapter.transport.concurrency import call_in_this_loop

ResultT = TypeVar("ResultT")


class OutOfTime(Exception):  # noqa: N818 - the call's own error is the SDK's APITimeoutError
    """The work is not done at its limit. It goes on in its thread, and nobody takes its result."""


def within(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """What the work returns or raises. Raises OutOfTime after so many seconds; None: there is no limit."""
    if seconds is None:
        return work()
    outcome = _begun(work, bool)
    if not concurrent.futures.wait([outcome], seconds).done:
        raise OutOfTime
    return outcome.result()


async def awithin(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """The same in an event loop, which goes on meanwhile; when its task is cancelled, the work is left behind too."""
    done = anyio.Event()
    outcome = _begun(work, partial(call_in_this_loop(), done.set))
    with anyio.move_on_after(seconds):
        await done.wait()
    if not outcome.done():
        raise OutOfTime
    return outcome.result()


def _begun(work: Callable[[], ResultT], tell: Callable[[], Any]) -> concurrent.futures.Future[ResultT]:
    """The outcome of work that has begun in a thread. tell: called there when it is done."""
    outcome: concurrent.futures.Future[ResultT] = concurrent.futures.Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        with suppress(RuntimeError):  # its event loop is closed: nobody is there any more
            tell()

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name="llm_adapter work").start()
    return outcome
