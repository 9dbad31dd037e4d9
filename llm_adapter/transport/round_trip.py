"""One round trip over the SDK's own HTTP client: native requests built from the first, the OpenAI response at the end.

Family-agnostic: the SDK runs on httpx2 or on a caller's legacy httpx, so a response is made in the family of the
request that it answers. Bodies are read with `iter_bytes`, for mocked responses have been read already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

import openai
from pydantic_core import to_json

from llm_adapter.exchange import Exchange
from llm_adapter.provider import Address, Fetch, NativeReply, NativeRequest, Rejected, Replay, WaitForPull
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.terms import Terms, repeatable
from llm_adapter.transport.body import streamed, timed
from llm_adapter.transport.sending import family, in_event_loop

EXTENSION = "llm_adapter"  # the request's extension that carries its round trip: it survives redirects and event hooks
NOT_AGAIN = "x-should-retry", "false"  # the SDK obeys it (openai-python _base_client.py _should_retry, v3.52.0)
_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding", "content-type")

_log = logging.getLogger("llm_adapter")


class RoundTrip:
    """One call under way. `exchange` is None for a call that is not translated.

    As a context it is what happens between the SDK's retries: see `__exit__`.
    """

    def __init__(self, connection: Connection, exchange: Exchange | None, path: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._path = path
        # The first request of all is the one that the SDK built, unless something is fetched before.
        self._begun = exchange is not None and exchange.fetch is not None
        self._address: Address | None = None  # of the server that was started for it
        self._timeouts: Any = None  # the SDK's, for every request
        self._left = False
        self.attempts = 1  # this one counted
        self.last = False  # whether the SDK gives up after this attempt
        self._since = monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """The SDK would repeat a read timeout, while the server still works on the first attempt (P21)."""
        self._left = True
        if self._exchange is not None:
            self._exchange.close()
        if error is None:
            return
        self._tell(type(error).__name__)
        if self.last and type(error).__name__ == "ConnectError":
            self._explain(error)
        # By name: it is of either HTTP library.
        if self.terms is not None and self.terms.gentle and type(error).__name__ == "ReadTimeout":
            raise openai.APITimeoutError(request=error.request) from error  # type: ignore[attr-defined]

    def _explain(self, error: Any) -> None:
        """Say more than the SDK's "Connection error." of a server that cannot be reached."""
        from llm_adapter.routing import unreachable

        if message := unreachable.explanation(self._connection.resolved, str(error), self.attempts):
            raise openai.APIConnectionError(message=message, request=error.request) from error

    @property
    def terms(self) -> Terms | None:
        return self._connection.terms

    @property
    def startup(self) -> Callable[[], Address] | None:
        """What has to run first, outside the event loop: it blocks while a model loads."""
        started = self._connection.starter
        # What is answered without a request needs no server.
        if started is None or (self._exchange is not None and self._exchange.answer is not None):
            return None
        return lambda: started.start(self._connection.resolved, self._path)

    def move(self, request: Any, address: Address) -> None:
        """Point a request, and those that follow it, at a server that was started for it."""
        self._address = address
        target = type(request.url)(address.root)
        request.url = request.url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
        request.headers["host"] = f"{target.host}:{target.port}"
        request.headers["authorization"] = f"Bearer {address.api_key}"
        # llama.cpp's server breaks off some connections that are used again, 4 in 1000 under load (2026-10); the SDK
        # would try once more, and a client without retries would fail. A new one on loopback costs 0.15 ms.
        request.headers["connection"] = "close"

    @property
    def passthrough(self) -> bool:
        return self._exchange is None or self._exchange.passthrough

    @property
    def errand(self) -> Callable[[], None] | None:
        """What has to be fetched from elsewhere before the next requests, outside the event loop: it blocks."""
        exchange = self._exchange
        if exchange is None:
            return None
        if exchange.wait is not None:
            return partial(self._wait, exchange, exchange.wait)
        return None if exchange.fetch is None else partial(_fetched, exchange, exchange.fetch)

    def _wait(self, exchange: Exchange, wait: WaitForPull) -> None:
        # Who is waited for may be a task of the loop that this thread runs.
        while not self._left and not in_event_loop() and not wait.over.wait(0.2):
            pass
        if not self._left:
            exchange.resume(())

    def explained(self, response: Any) -> bool:
        """Whether an untouched response has to go to the endpoint after all: it is an error."""
        return response.status_code >= 400 and self._exchange is not None and self._exchange.resume_on_error

    def requests(self, client: Any, first: Any) -> list[Any]:
        """The HTTP requests to send next, side by side; none when the reply is complete."""
        self._timeouts = self._timeouts or first.extensions.get("timeout")
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
        # What tells of its progress takes the time that it takes.
        extensions["timeout"] = {**(self._timeouts or {}), "read": None} if native.progress else self._timeouts
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

    def streams(self, asked: bool) -> list[bool]:
        """Which of the requests to send next are answered by a stream; the others are read as they are sent."""
        if self._exchange is None or self._exchange.passthrough:
            return [asked]
        return [native.stream for native in self._exchange.pending]

    def settled(self, response: Any) -> Any:
        """An untouched response, with a word to the SDK where it is not to ask again."""
        if response.status_code >= 400 and self._final(response.status_code, [response]):
            response.headers.setdefault(*NOT_AGAIN)
        return response

    def _final(self, status: int, natives: Sequence[Any]) -> bool:
        """Whether the SDK is not to repeat what was answered so: the server failed at it, or we refuse its reply."""
        if self.terms is None or not self.terms.gentle or status < 500:
            return False
        return not repeatable(status) or all(native.status_code != status for native in natives)

    def unread(self, responses: Sequence[Any]) -> list[Any]:
        """The responses whose body is wanted whole: errors, and everything that is not a stream."""
        assert self._exchange is not None
        pairs = list(zip(self._exchange.pending, responses, strict=True))
        for native, response in pairs:
            if native.progress and response.status_code < 400:
                from llm_adapter.transport.pull_line import telling

                telling(response, str((native.body or {}).get("model")))
        return [one for native, one in pairs if not native.stream or native.progress or one.status_code >= 400]

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
        http = family(request)
        headers = [] if not natives else _kept(natives[-1].headers)
        headers.append(("content-type", "text/event-stream" if events else "application/json"))
        headers.append(("x-llm-adapter", self._exchange.call.report.header()))
        if self._final(status, natives):
            headers.append(NOT_AGAIN)
        self._tell(status)
        extensions = dict(natives[-1].extensions) if natives else {}
        extensions.pop("network_stream", None)
        # Where one of several failed, the others' streams are still open: the body closes them.
        if isinstance(content, bytes) and not stream and all(native.is_closed for native in natives):
            response = http.Response(status, headers=headers, request=request, extensions=extensions, content=content)
            timed(response, natives)
            return response
        body = streamed(http)(content, natives)
        body.answer = http.Response(status, headers=headers, request=request, extensions=extensions, stream=body)
        return body.answer

    def _tell(self, outcome: int | str) -> None:
        """One line for the log of a translated call: names and numbers, never what was said or by whom."""
        if self._exchange is None or not _log.isEnabledFor(logging.DEBUG):
            return
        call = self._exchange.call
        _log.debug(
            "%s %s: %s after %.3f s; %s; model=%r%s",
            *(call.method, call.path, outcome, monotonic() - self._since),
            *(call.report.header(), call.body.get("model"), "; streamed" if call.stream else ""),
        )


def _fetched(exchange: Exchange, fetch: Fetch) -> None:
    from llm_adapter.transport.fetch.fetcher import default

    try:
        replies = default().all(fetch)
    except Rejected as refusal:
        exchange.fail(refusal)
    else:
        exchange.resume(replies)


def _kept(headers: Any) -> list[tuple[str, str]]:
    return [(key, value) for key, value in headers.multi_items() if key.lower() not in _OF_THE_BODY]
