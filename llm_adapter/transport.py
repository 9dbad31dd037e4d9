"""One round trip over the SDK's own HTTP client: native requests built from the first, the OpenAI response at the end.

Family-agnostic: the SDK runs on httpx2 or on a caller's legacy httpx, so a response is made in the family of the
request that it answers. Bodies are read with `iter_bytes`, for mocked responses have been read already.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from pydantic_core import to_json

from llm_adapter.connection import Connection
from llm_adapter.exchange import Exchange
from llm_adapter.provider import Address, Events, Fetch, NativeReply, NativeRequest, Rejected, Replay, Turning

EXTENSION = "llm_adapter"  # the request's extension that carries its round trip: it survives redirects and event hooks
_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding", "content-type")


class RoundTrip:
    """One call under way. `exchange` is None for a call that only needs its server to be started."""

    def __init__(self, connection: Connection, exchange: Exchange | None, path: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._path = path
        # The first request of all is the one that the SDK built, unless something is fetched before.
        self._begun = exchange is not None and exchange.fetch is not None
        self._address: Address | None = None  # of the server that was started for it

    @property
    def startup(self) -> Callable[[], Address] | None:
        """What has to run first, outside the event loop: it blocks while a model loads."""
        started = self._connection.started
        # What is answered without a request needs no server.
        if started is None or (self._exchange is not None and self._exchange.answer is not None):
            return None
        return lambda: started.start(self._connection.effective, self._path)

    def move(self, request: Any, address: Address) -> None:
        """Point a request, and those that follow it, at a server that was started for it."""
        self._address = address
        target = type(request.url)(address.root)
        request.url = request.url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
        request.headers["host"] = f"{target.host}:{target.port}"
        request.headers["authorization"] = f"Bearer {address.api_key}"

    @property
    def untouched(self) -> bool:
        return self._exchange is None or self._exchange.untouched

    @property
    def errand(self) -> Callable[[], None] | None:
        """What has to be fetched from elsewhere before the next requests, outside the event loop: it blocks."""
        exchange = self._exchange
        if exchange is None or exchange.fetch is None:
            return None
        return partial(_fetched, exchange, exchange.fetch)

    def explained(self, response: Any) -> bool:
        """Whether an untouched response has to go to the endpoint after all: it is an error."""
        return response.status_code >= 400 and self._exchange is not None and self._exchange.explained

    def requests(self, client: Any, first: Any) -> list[Any]:
        """The HTTP requests to send next, side by side; none when the reply is complete."""
        if self._exchange is None:
            return [first]
        natives = self._exchange.pending
        built = [] if self._begun else [first]
        self._begun = True
        return [*built[: len(natives)], *(self._request(client, first, native) for native in natives[len(built) :])]

    def _request(self, client: Any, first: Any, native: NativeRequest) -> Any:
        headers = [
            (key, value) for key, value in first.headers.multi_items() if key.lower() not in (*_OF_THE_BODY, "host")
        ]
        if native.body is not None:
            headers.append(("content-type", "application/json"))
        extensions = {key: value for key, value in first.extensions.items() if key != EXTENSION}
        request = client.build_request(
            native.method,
            self._connection.url(native.path if native.path is not None else self._path.lstrip("/")),
            params=first.url.params or None,
            headers=headers,
            content=None if native.body is None else to_json(native.body),
            extensions=extensions,
        )
        if self._address is not None:
            self.move(request, self._address)
        return request

    @property
    def streams(self) -> list[bool]:
        """Which of the requests to send next are answered by a stream; the others are read as they are sent."""
        assert self._exchange is not None
        return [native.stream for native in self._exchange.pending]

    def unread(self, responses: Sequence[Any]) -> list[Any]:
        """The responses whose body is wanted whole: errors, and everything that is not a stream."""
        assert self._exchange is not None
        pairs = zip(self._exchange.pending, responses, strict=True)
        return [response for native, response in pairs if not native.stream or response.status_code >= 400]

    def resume(self, responses: Sequence[Any]) -> None:
        assert self._exchange is not None
        whole = {id(response) for response in self.unread(responses)}
        self._exchange.resume(
            [
                NativeReply(response.status_code, response.headers, response.content if id(response) in whole else b"")
                for response in responses
            ]
        )

    def response(self, request: Any, responses: Sequence[Any], *, stream: bool) -> Any:
        """The OpenAI response, in the family of the request; `responses` are the native ones of the last step."""
        assert self._exchange is not None
        status, content = self._exchange.reply()
        natives = list(responses)
        if isinstance(content, Replay):
            content, events = content.data, True
        else:
            events = not isinstance(content, bytes)
        family = sys.modules[type(request).__module__.partition(".")[0]]
        headers = [] if not natives else _kept(natives[-1].headers)
        headers.append(("content-type", "text/event-stream" if events else "application/json"))
        headers.append(("x-llm-adapter", self._exchange.call.report.header()))
        extensions = dict(natives[-1].extensions) if natives else {}
        extensions.pop("network_stream", None)
        # Where one of several failed, the others' streams are still open: the body closes them.
        if isinstance(content, bytes) and not stream and all(native.is_closed for native in natives):
            response = family.Response(status, headers=headers, request=request, extensions=extensions, content=content)
            _time(response, natives)
            return response
        body = _body_class(family)(content, natives)
        body.answer = family.Response(status, headers=headers, request=request, extensions=extensions, stream=body)
        return body.answer


def _fetched(exchange: Exchange, fetch: Fetch) -> None:
    from llm_adapter.fetch import default

    try:
        replies = default().all(fetch)
    except Rejected as refusal:
        exchange.fail(refusal)
    else:
        exchange.resume(replies)


def _kept(headers: Any) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers.multi_items() if key.lower() not in _OF_THE_BODY]


def _time(response: Any, natives: Sequence[Any]) -> None:
    """`.elapsed` is the native response's, which is known once that is closed; a mocked one has none."""
    try:
        response.elapsed = natives[-1].elapsed
    except (IndexError, RuntimeError):
        pass


@lru_cache(maxsize=4)
def _body_class(family: Any) -> Any:
    return type("Body", (_Body, family.SyncByteStream, family.AsyncByteStream), {})


class _Body:
    """A streamed body for both colours, as httpx's own ByteStream is; made a stream of one HTTP family above."""

    answer: Any = None  # the response that this is the body of
    # Kept, for the SDK reads on after [DONE] with a second iterator: a body read to its end keeps the connection.
    _source: Any = None

    def __init__(self, content: bytes | Events, natives: Sequence[Any]) -> None:
        self._content = content
        self._natives = natives

    def __iter__(self) -> Iterator[bytes]:
        self._source = self._source or self._translated()
        for data in self._source:  # noqa: UP028 - closing this iterator must leave the source open
            yield data

    def _translated(self) -> Iterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        for native in self._streams:
            yield self._turn(native)
            for data in native.iter_bytes():
                if out := self._content.feed(data):
                    yield out
        yield self._content.finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._source = self._source or self._atranslated()
        async for data in self._source:
            yield data

    async def _atranslated(self) -> AsyncIterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        for native in self._streams:
            yield self._turn(native)
            async for data in native.aiter_bytes():
                if out := self._content.feed(data):
                    yield out
        yield self._content.finish()

    @property
    def _streams(self) -> Sequence[Any]:
        return self._natives if isinstance(self._content, Turning) else self._natives[-1:]

    def _turn(self, native: Any) -> bytes:
        """What ends the stream before this one, where there is one."""
        if isinstance(self._content, Turning) and native is not self._natives[0]:
            return self._content.turn()
        return b""

    def close(self) -> None:
        for native in self._natives:
            native.close()
        _time(self.answer, self._natives)

    async def aclose(self) -> None:
        for native in self._natives:
            await native.aclose()
        _time(self.answer, self._natives)
