"""The requests of one step, sent side by side to one server: each with its slot there, and with its timeouts."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from llm_adapter.routing.terms import Terms, is_explicit
from llm_adapter.transport.body import http_library, observe
from llm_adapter.transport.concurrency import Slot, limiter_of
from llm_adapter.transport.read_limit import limit_reads
from llm_adapter.transport.timeouts import OpenStream, ReadTimeouts


class PendingSend:
    """One HTTP request with its slot at the server and its timeouts."""

    def __init__(self, request: Any, stream: bool, terms: Terms) -> None:
        self.request = request
        self.stream = stream
        self.terms = terms
        self.slot: Slot | None = None
        self.shares_slot = False  # then the slot is taken once, for all requests of the step
        self.slot_timeout: float | None = None  # seconds
        # The read timeouts of a stream: for its first piece, and for each of the others.
        self._stream_timeouts: tuple[float | None, float | None] | None = None
        sdk = request.extensions.get("timeout")
        if is_explicit(sdk):
            self.slot_timeout = sdk and sdk.get("pool")  # httpx's timeout for waiting until a connection is free
        elif terms.has_timeouts:
            request.extensions["timeout"] = terms.timeouts(sdk, stream=stream)
            if stream:
                self._stream_timeouts = (terms.first_token or sdk["read"], terms.idle or sdk["read"])

    @property
    def needs_slot(self) -> bool:
        return self.terms.needs_slot(self.request.method, self.request.url.path)

    def new_slot(self, holders: int = 1) -> Slot:
        """A slot for this request, or for several to its server; not acquired yet."""
        url = self.request.url
        assert self.terms.limit is not None
        return Slot(limiter_of((url.scheme, url.netloc)), self.terms.limit, holders)

    def pool_timeout(self) -> Exception:
        """What httpx raises when no connection is free in time."""
        timeout: type[Exception] = http_library(self.request).PoolTimeout
        return timeout("the server had no free slot in time: see `max_concurrency`")

    def watched(self, response: Any) -> Any:
        """The response. While it is open, its body keeps the slot."""
        if response.is_closed:
            self.release()
        elif self.slot is not None or self._stream_timeouts is not None:
            own = self._stream_timeouts
            timeouts = None if own is None else ReadTimeouts(self.request, response, *own)
            observe(response, OpenStream(self.slot, timeouts))
        return response

    def release(self) -> None:
        if self.slot is not None:
            self.slot.release()


def _pending_sends(
    requests: Sequence[Any], streams: Sequence[bool], terms: Terms
) -> tuple[list[PendingSend], Slot | None]:
    """The requests of one step, and the slot that they share, if they have to take it together.

    A call's streams are opened side by side and read one after the other: with slots of their own, two such calls could
    wait for each other. Where there are more of them than the server has slots, they are sent when all slots are free.
    """
    sends = [PendingSend(request, stream, terms) for request, stream in zip(requests, streams, strict=True)]
    limited = [one for one in sends if one.needs_slot]
    if not limited:
        return sends, None
    shared = limited[0].new_slot(len(limited)) if len(limited) > 1 and any(streams) else None
    for one in limited:
        one.slot = shared or one.new_slot()
        one.shares_slot = shared is not None
    return sends, shared


def in_time(send: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
    """`send`, whose responses begin in time, however they drip.

    A whole response has to be complete in time where the caller or the profile says what that is. By default there are
    600 seconds, and some servers say with spaces that they still work on a reply.
    """

    def send_in_time(request: Any, *, stream: bool, **kwargs: Any) -> Any:
        whole = not stream and is_explicit(request.extensions.get("timeout"))
        limit_reads(request, whole=whole, asynchronous=asynchronous)
        return send(request, stream=stream, **kwargs)

    return send_in_time


def send_all(
    send: Callable[..., Any], requests: Sequence[Any], streams: Sequence[bool], terms: Terms | None, **kwargs: Any
) -> list[Any]:
    """The responses to the requests of one step, sent side by side. streams: whose bodies are left to be read."""
    if terms is None and len(requests) == 1:
        return [send(requests[0], stream=streams[0], **kwargs)]
    sends, shared = _pending_sends(requests, streams, terms or Terms())
    wait = not in_event_loop()

    def send_one(one: PendingSend) -> Any:
        if one.slot is not None and not one.shares_slot and not one.slot.acquire(one.slot_timeout, wait=wait):
            raise one.pool_timeout()
        try:
            return one.watched(send(one.request, stream=one.stream, **kwargs))
        except BaseException:
            one.release()
            raise

    if len(sends) == 1:
        return [send_one(sends[0])]
    if shared is not None and not shared.acquire(sends[0].slot_timeout, wait=wait):
        raise sends[0].pool_timeout()
    with concurrent.futures.ThreadPoolExecutor(len(sends)) as pool:
        futures = [pool.submit(send_one, one) for one in sends]  # each releases its own share
    if any(future.exception() for future in futures):
        for future in futures:
            if future.exception() is None:
                future.result().close()
    return [future.result() for future in futures]


async def asend_all(
    send: Callable[..., Awaitable[Any]],
    requests: Sequence[Any],
    streams: Sequence[bool],
    terms: Terms | None,
    **kwargs: Any,
) -> list[Any]:
    """The same in an event loop."""
    if terms is None and len(requests) == 1:
        return [await send(requests[0], stream=streams[0], **kwargs)]
    sends, shared = _pending_sends(requests, streams, terms or Terms())

    async def send_one(one: PendingSend) -> Any:
        if one.slot is not None and not one.shares_slot and not await one.slot.aacquire(one.slot_timeout):
            raise one.pool_timeout()
        try:
            return one.watched(await send(one.request, stream=one.stream, **kwargs))
        except BaseException:
            one.release()
            raise

    if len(sends) == 1:
        return [await send_one(sends[0])]
    if shared is not None and not await shared.aacquire(sends[0].slot_timeout):
        raise sends[0].pool_timeout()
    try:
        return await _gathered(send_one, sends)
    except BaseException:
        if shared is not None:
            shared.release_all()  # a task that was cancelled before it ran has released nothing
        raise


async def _gathered(send_one: Callable[[PendingSend], Awaitable[Any]], sends: Sequence[PendingSend]) -> list[Any]:
    """The responses of several requests, in their order; all are closed when one fails."""
    responses: dict[int, Any] = {}
    failures: list[Exception] = []

    async def run(place: int) -> None:
        try:
            responses[place] = await send_one(sends[place])
        except Exception as error:  # out of its group: the SDK knows HTTP's errors, not groups of them
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place in range(len(sends)):
            group.start_soon(run, place)
    if failures:
        for response in responses.values():
            await response.aclose()
        raise failures[0]
    return [responses[place] for place in range(len(sends))]


def in_event_loop() -> bool:
    """Whether this thread runs an event loop: then what it would wait for may be one of the loop's tasks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
