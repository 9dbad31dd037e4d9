"""One round trip over the SDK's own HTTP client: native requests built from the first, the OpenAI response at the end.

Family-agnostic: the SDK runs on httpx2 or on a caller's legacy httpx, so a response is made in the family of the
request that it answers. Bodies are read with `iter_bytes`, for mocked responses have been read already.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from llm_adapter.connection import Connection
from llm_adapter.exchange import Exchange
from llm_adapter.provider import Address, Events, NativeReply, NativeRequest, Started

EXTENSION = "llm_adapter"  # the request's extension that carries its round trip: it survives redirects and event hooks
_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding", "content-type")


class RoundTrip:
    """One call under way. `exchange` is None for a call that only needs its server to be started."""

    def __init__(self, connection: Connection, exchange: Exchange | None, path: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._path = path
        self._begun = False  # the first request of all is the one that the SDK built
        self._address: Address | None = None  # of the server that was started for it

    @property
    def startup(self) -> Callable[[], Address] | None:
        """What has to run first, outside the event loop: it blocks while a model loads."""
        provider = self._connection.provider
        if not isinstance(provider, Started):
            return None
        return lambda: provider.start(self._connection.effective, self._path)

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
            headers=headers,
            content=None if native.body is None else to_json(native.body),
            extensions=extensions,
        )
        if self._address is not None:
            self.move(request, self._address)
        return request

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
        family = sys.modules[type(request).__module__.partition(".")[0]]
        events = not isinstance(content, bytes)
        headers = [] if not natives else _kept(natives[-1].headers)
        headers.append(("content-type", "text/event-stream" if events else "application/json"))
        extensions = dict(natives[-1].extensions) if natives else {}
        extensions.pop("network_stream", None)
        if not (events or stream):
            response = family.Response(status, headers=headers, request=request, extensions=extensions, content=content)
            _time(response, natives)
            return response
        body = _body_class(family)(content, natives)
        body.answer = family.Response(status, headers=headers, request=request, extensions=extensions, stream=body)
        return body.answer


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
        if isinstance(self._content, bytes):
            yield self._content
            return
        self._source = self._source or self._natives[-1].iter_bytes()
        for data in self._source:
            if out := self._content.feed(data):
                yield out
        yield self._content.finish()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._content, bytes):
            yield self._content
            return
        self._source = self._source or self._natives[-1].aiter_bytes()
        async for data in self._source:
            if out := self._content.feed(data):
                yield out
        yield self._content.finish()

    def close(self) -> None:
        for native in self._natives:
            native.close()
        _time(self.answer, self._natives)

    async def aclose(self) -> None:
        for native in self._natives:
            await native.aclose()
        _time(self.answer, self._natives)
