"""Requests to one server and their responses, sent on its terms: each in its place, with the timeouts of its phase."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from llm_adapter.routing.terms import Terms, explicit
from llm_adapter.transport.concurrency import Place, limiter
from llm_adapter.transport.timeouts import Pace, watched


def family(request: Any) -> Any:
    """The HTTP library that a request or a response is of: httpx2, or a caller's legacy httpx."""
    return sys.modules[type(request).__module__.partition(".")[0]]


class Way:
    """One request's way to its server and back."""

    def __init__(self, request: Any, stream: bool, terms: Terms) -> None:
        self.request = request
        self.stream = stream
        self.terms = terms
        self.place: Place | None = None
        self.reserved = False  # the place is taken already, together with others
        self.patience: float | None = None  # how long to wait for a place
        # The read timeouts of a stream: for its first piece, and for each of the others.
        self._body: tuple[float | None, float | None] | None = None
        sdk = request.extensions.get("timeout")
        if explicit(sdk):
            self.patience = sdk and sdk.get("pool")  # httpx's own word for waiting one's turn
        elif terms.timed:
            request.extensions["timeout"] = terms.timeouts(sdk, stream=stream)
            self._body = (terms.first_token or sdk["read"], terms.idle or sdk["read"]) if stream else None

    @property
    def counted(self) -> bool:
        return self.terms.counts(self.request.method, self.request.url.path)

    def choose(self, shares: int = 1) -> Place:
        """A place for this request, or for several to its server; not taken yet."""
        url = self.request.url
        assert self.terms.limit is not None
        return Place(limiter((url.scheme, url.netloc)), self.terms.limit, shares)

    def crowded(self) -> Exception:
        """What httpx raises when there is no connection to be had in time."""
        timeout: type[Exception] = family(self.request).PoolTimeout
        return timeout("no place at the server in time: see `max_concurrency`")

    def opened(self, response: Any) -> Any:
        """The response. One that is still open has a body to come, which keeps the place."""
        if response.is_closed:
            self.over()
        elif self.place is not None or self._body is not None:
            pace = None if self._body is None else Pace(self.request, response, *self._body)
            response.stream = watched(family(response))(response.stream, self.place, pace)
        return response

    def over(self) -> None:
        if self.place is not None:
            self.place.release()


def _ways(requests: Sequence[Any], streams: Sequence[bool], terms: Terms) -> tuple[list[Way], Place | None]:
    """The ways of one step's requests, and the one place that they share, where they have to take it together.

    A call's streams are opened side by side and read one after the other: with places of their own, two such calls
    could wait for each other. Where there are more of them than places, they are sent nevertheless, when all are free.
    """
    ways = [Way(request, stream, terms) for request, stream in zip(requests, streams, strict=True)]
    counted = [way for way in ways if way.counted]
    if not counted:
        return ways, None
    shared = counted[0].choose(len(counted)) if len(counted) > 1 and any(streams) else None
    for way in counted:
        way.place = shared or way.choose()
        way.reserved = shared is not None
    return ways, shared


def sent(
    send: Callable[..., Any], requests: Sequence[Any], streams: Sequence[bool], terms: Terms | None, **kwargs: Any
) -> list[Any]:
    """The responses to one step's requests, sent side by side. streams: which bodies are left to be read."""
    if terms is None and len(requests) == 1:
        return [send(requests[0], stream=streams[0], **kwargs)]
    ways, shared = _ways(requests, streams, terms or Terms())
    wait = not in_event_loop()

    def one(way: Way) -> Any:
        if way.place is not None and not way.reserved and not way.place.take(way.patience, wait=wait):
            raise way.crowded()
        try:
            return way.opened(send(way.request, stream=way.stream, **kwargs))
        except BaseException:
            way.over()
            raise

    if len(ways) == 1:
        return [one(ways[0])]
    if shared is not None and not shared.take(ways[0].patience, wait=wait):
        raise ways[0].crowded()
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        futures = [pool.submit(one, way) for way in ways]  # each lets go of its own share
    if any(future.exception() for future in futures):
        for future in futures:
            if future.exception() is None:
                future.result().close()
    return [future.result() for future in futures]


async def asent(
    send: Callable[..., Awaitable[Any]],
    requests: Sequence[Any],
    streams: Sequence[bool],
    terms: Terms | None,
    **kwargs: Any,
) -> list[Any]:
    """The same in an event loop."""
    if terms is None and len(requests) == 1:
        return [await send(requests[0], stream=streams[0], **kwargs)]
    ways, shared = _ways(requests, streams, terms or Terms())

    async def one(way: Way) -> Any:
        if way.place is not None and not way.reserved and not await way.place.atake(way.patience):
            raise way.crowded()
        try:
            return way.opened(await send(way.request, stream=way.stream, **kwargs))
        except BaseException:
            way.over()
            raise

    if len(ways) == 1:
        return [await one(ways[0])]
    if shared is not None and not await shared.atake(ways[0].patience):
        raise ways[0].crowded()
    try:
        return await _together([(one, way) for way in ways])
    except BaseException:
        if shared is not None:
            shared.free()  # a task that was cancelled before it ran has let go of nothing
        raise


async def _together(actions: Sequence[tuple[Callable[[Way], Awaitable[Any]], Way]]) -> list[Any]:
    """The responses of several requests, in their order; all are closed when one fails."""
    responses: dict[int, Any] = {}
    failures: list[Exception] = []

    async def run(place: int) -> None:
        act, way = actions[place]
        try:
            responses[place] = await act(way)
        except Exception as error:  # out of its group: the SDK knows HTTP's errors, not groups of them
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place in range(len(actions)):
            group.start_soon(run, place)
    if failures:
        for response in responses.values():
            await response.aclose()
        raise failures[0]
    return [responses[place] for place in range(len(actions))]


def in_event_loop() -> bool:
    """Whether this thread runs one: who is waited for may be in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
