"""Requests to one server and their responses, sent on its terms: each in its place, with the timeouts of its phase.

httpx has one read timeout for all of a request. Its transports read it from `extensions["timeout"]`, HTTP/2 for every
read, HTTP/1.1 once for the headers and once for the body (httpcore2 _sync/http11.py, 2.16): there the connection's
`network_stream` is made to look again. Where a transport has none, as mocks, one timeout stays for the whole body.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any

import anyio

from llm_adapter.limits import Place, limiter
from llm_adapter.waiting import Terms, explicit


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
        sdk = request.extensions.get("timeout")
        self._sdk = None if explicit(sdk) else sdk
        if self._sdk is None:
            self.patience = sdk and sdk.get("pool")  # httpx's own word for waiting one's turn
        elif terms.timed:
            # Not in place: the requests of one call share the dictionary.
            request.extensions["timeout"] = terms.timeouts(self._sdk, stream=stream)

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
        error = family(self.request).PoolTimeout("no place at the server: see `max_concurrency`", request=self.request)
        return error  # type: ignore[no-any-return]

    def opened(self, response: Any) -> Any:
        """The response, knowing its place. What is open still has a body to come."""
        if response.is_closed:
            self.over()
            return response
        paced = self._sdk is not None and self.terms.paced and self.stream
        if paced or self.place is not None:
            if paced:
                timeouts = self.request.extensions["timeout"]
                timeouts["read"] = self.terms.first_token or self._sdk["read"]
            response.stream = _watched_class(family(response))(response, self, paced)
        return response

    def going(self) -> None:
        """The first piece of the body is there."""
        if self._sdk is not None:
            self.request.extensions["timeout"]["read"] = self.terms.idle or self._sdk["read"]

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
    wait = not _in_event_loop()

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
        futures = [pool.submit(one, way) for way in ways]
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


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@lru_cache(maxsize=4)
def _watched_class(http: Any) -> Any:
    return type("Watched", (_Watched, http.SyncByteStream, http.AsyncByteStream), {})


class _Watched:
    """A native body that gives its place back when it is closed, and says when it is read and when it is not."""

    def __init__(self, response: Any, way: Way, paced: bool) -> None:
        self._stream = response.stream
        self._way = way
        self._network = response.extensions.get("network_stream") if paced else None
        if self._network is not None and response.extensions.get("http_version") == b"HTTP/2":
            self._network = None  # shared with other requests, and reads its timeout every time
        if self._network is not None:
            self._pace(self._network)
        self._rests()

    def _pace(self, network: Any) -> None:
        read, extensions = network.read, self._way.request.extensions

        def paced(max_bytes: int, timeout: float | None = None) -> Any:
            return read(max_bytes, timeout=extensions["timeout"]["read"])

        network.read = paced

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._works()
            for data in self._stream:
                self._way.going()
                self._rests()
                yield data
                self._works()
        finally:
            self._rests()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            self._works()
            async for data in self._stream:
                self._way.going()
                self._rests()
                yield data
                self._works()
        finally:
            self._rests()

    def _works(self) -> None:
        if self._way.place is not None:
            self._way.place.unread_since = None

    def _rests(self) -> None:
        if self._way.place is not None:
            self._way.place.unread_since = monotonic()

    @property
    def elapsed(self) -> Any:
        """Where httpx2 looks for a response's `elapsed`."""
        return self._stream.elapsed

    def close(self) -> None:
        self._unpaced()
        try:
            self._stream.close()
        finally:
            self._left()

    async def aclose(self) -> None:
        self._unpaced()
        try:
            await self._stream.aclose()
        finally:
            self._left()

    def _unpaced(self) -> None:
        # Before it is closed: then the connection is the next request's.
        network, self._network = self._network, None
        if network is not None:
            del network.read

    def _left(self) -> None:
        way, self._way = self._way, Way(self._way.request, False, Terms())
        way.over()
