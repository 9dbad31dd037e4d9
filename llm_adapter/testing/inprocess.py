"""Answers inside the process: httpx's and httpx2's own transports are asked here first, and nothing is sent.

The seam is `handle_request` of the two transports, which is public. A client with a transport of its own - a
MockTransport, a TestClient's - is none of ours, and what respx patches lies below: a test may use them beside this.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

import anyio
import pytest

from llm_adapter.testing.personas.wire import Answer

FAMILIES = ("httpx", "httpx2")
# What the two libraries say of a connection that ends too early (httpcore _async/http11.py and h11, 1.0.9).
_NO_RESPONSE = "Server disconnected without sending a response."
_INCOMPLETE = "peer closed connection without sending complete message body (incomplete chunked read)"
_TIMEOUT = "timed out"

# A request of either family and its content -> what to answer; None lets it pass.
Reply = Callable[[Any, bytes], "Answer | None"]


def answering(reply: Reply, patches: pytest.MonkeyPatch) -> None:
    """Have every request of httpx and httpx2 answered by `reply`, until the patches are undone."""
    for name in FAMILIES:
        try:
            family = import_module(name)
        except ImportError:
            continue
        _patch(family, reply, patches)


def _patch(family: Any, reply: Reply, patches: pytest.MonkeyPatch) -> None:
    body = _body(family)
    send, asend = family.HTTPTransport.handle_request, family.AsyncHTTPTransport.handle_async_request

    def handle_request(transport: Any, request: Any) -> Any:
        answer = reply(request, request.read())
        if answer is None:
            return send(transport, request)
        pause = _Pause(family, request)
        pause(answer.wait)
        return _response(family, answer, request, body(answer, pause))

    async def handle_async_request(transport: Any, request: Any) -> Any:
        answer = reply(request, await request.aread())
        if answer is None:
            return await asend(transport, request)
        pause = _Pause(family, request)
        await pause.a(answer.wait)
        return _response(family, answer, request, body(answer, pause))

    patches.setattr(family.HTTPTransport, "handle_request", handle_request)
    patches.setattr(family.AsyncHTTPTransport, "handle_async_request", handle_async_request)


def _response(family: Any, answer: Answer, request: Any, body: Any) -> Any:
    if not answer.status:  # cut before anything came
        raise family.RemoteProtocolError(_NO_RESPONSE, request=request)
    return family.Response(answer.status, headers=list(answer.headers), stream=body, request=request)


class _Pause:
    """A server's waiting, as a client with a time limit sees it."""

    def __init__(self, family: Any, request: Any) -> None:
        limit = request.extensions.get("timeout", {}).get("read")
        self._limit = float("inf") if limit is None else limit
        self.family, self.request = family, request

    def __call__(self, seconds: float) -> None:
        if seconds:
            time.sleep(min(seconds, self._limit))
        self._judge(seconds)

    async def a(self, seconds: float) -> None:
        if seconds:
            await anyio.sleep(min(seconds, self._limit))
        self._judge(seconds)

    def _judge(self, seconds: float) -> None:
        if seconds > self._limit:
            raise self.family.ReadTimeout(_TIMEOUT, request=self.request)


def _body(family: Any) -> Any:
    """The class of a family's bodies: one that gives each piece of an answer when it is its time."""

    class Body(family.SyncByteStream, family.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, answer: Answer, pause: _Pause) -> None:
            self._answer, self._pause = answer, pause

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._answer.pieces:
                self._pause(piece.wait)
                yield piece.data
            self._end()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self._answer.pieces:
                await self._pause.a(piece.wait)
                yield piece.data
            self._end()

        def _end(self) -> None:
            if self._answer.aborted:
                raise self._pause.family.RemoteProtocolError(_INCOMPLETE, request=self._pause.request)

    return Body
