"""Work that blocks, with a limit of time: whoever waits goes on at the limit, though the work cannot be stopped."""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

ResultT = TypeVar("ResultT")


class OutOfTime(Exception):  # noqa: N818 - the call's own error is the SDK's APITimeoutError
    """The work is not done at its limit. It goes on in its thread, and nobody takes its result."""


def within(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """What the work returns or raises. Raises OutOfTime after so many seconds; None: there is no limit."""
    if seconds is None:
        return work()
    outcome: concurrent.futures.Future[ResultT] = concurrent.futures.Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True, name="llm_adapter work").start()
    if not concurrent.futures.wait([outcome], seconds).done:
        raise OutOfTime
    return outcome.result()


async def awithin(seconds: float | None, work: Callable[[], ResultT]) -> ResultT:
    """The same in an event loop, which goes on meanwhile; when its task is cancelled, the work is left behind too."""
    with anyio.move_on_after(seconds):
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    raise OutOfTime
