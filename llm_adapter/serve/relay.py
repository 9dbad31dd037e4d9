"""One request: from a caller in any language to the client, and its reply back, as it comes."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import openai
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llm_adapter.provider import parsed_json
from llm_adapter.serve.access import media_type, unreadable_body
from llm_adapter.serve.forms import read_form
from llm_adapter.serve.metrics import GONE, Metrics, Tail, path_label, provider_label
from llm_adapter.serve.replies import SERVER_ERROR, error, error_event
from llm_adapter.transport.raw import raw

_log = logging.getLogger("llm_adapter.serve")
_PASSED_ON = ("openai-beta", "idempotency-key")  # of the caller's headers: never its key
_KEPT = re.compile(
    r"content-type|content-disposition|retry-after(-ms)?|openai-(processing-ms|version|model)"
    r"|x-(request-id|should-retry|llm-adapter|llm-adapter-fallback|ratelimit-.*)"
)
# Letters, digits and what names of models have. A name may have a slash, which callers write as %2F.
_PATH = re.compile(r"(/[A-Za-z0-9%._:~@+-]+)+")
_ENDING = "The gateway is shutting down."
_ENDED = "The gateway is shutting down: the reply is not complete."


@dataclass
class Exchange:
    """What is known of one request while it is answered."""

    method: str
    path: str
    started: float = field(default_factory=time.monotonic)
    status: int = GONE
    provider: str = "none"
    request_id: str = ""
    first_byte: float | None = None
    is_stream: bool = False
    is_fallback: bool = False
    tail: Tail = field(default_factory=Tail)


class Relay:
    """An ASGI application for everything below /v1."""

    def __init__(self, client: openai.AsyncOpenAI, metrics: Metrics, max_body: int) -> None:
        self._client = client
        self._metrics = metrics
        self._max_body = max_body
        self.draining = False
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.draining:
            refusal = error(503, _ENDING, kind=SERVER_ERROR, headers={"connection": "close", "retry-after": "1"})
            await refusal(scope, receive, send)
            return
        exchange = Exchange(scope["method"], _path_below_v1(scope))
        self.open += 1
        self._metrics.open.inc()
        try:
            await self._answer(exchange, Request(scope, receive), send)
        finally:
            self.open -= 1
            self._metrics.open.dec()
            self._count(exchange)

    async def _answer(self, exchange: Exchange, request: Request, send: Send) -> None:
        watched = _Watched(exchange, send)
        arguments = await self._arguments(exchange, request)
        if isinstance(arguments, Response):
            await _send(exchange, arguments, watched)
        elif arguments is not None:
            try:
                await _unless_gone(self._relay(exchange, arguments, watched), request.receive)
            except asyncio.CancelledError:  # the server waits no longer
                if exchange.is_stream and not watched.is_over:
                    await watched.piece(error_event(_ENDED))
                raise

    async def _arguments(self, exchange: Exchange, request: Request) -> dict[str, Any] | Response | None:
        """What `raw` is given; or what is answered at once; None: the caller has gone."""
        path = exchange.path
        if not _is_openai_path(path):
            return error(404, f"Unknown request URL: {exchange.method} /v1{path}.", code="unknown_url")
        try:
            body = await _body(request, self._max_body)
        except ClientDisconnect:
            return None
        if body is None:
            return error(413, f"The request is larger than {self._max_body} bytes.")
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        asked = {"path": path, "query": _query(request), "headers": headers}
        return await _with_body(asked, body, request.headers.get("content-type", "")) if body else asked

    async def _relay(self, exchange: Exchange, arguments: dict[str, Any], send: _Watched) -> None:
        try:
            reply = await raw(self._client, exchange.method, **arguments)
        except openai.OpenAIError as failed:
            await _send(exchange, _failure(failed), send)
            return
        try:
            if reply.headers.get("content-type", "").startswith("application/json"):
                await _send(exchange, await _whole(exchange, reply), send)
            else:
                await _stream(exchange, reply, send)
        finally:
            await reply.close()

    def _count(self, exchange: Exchange) -> None:
        seconds, path = time.monotonic() - exchange.started, path_label(exchange.path)
        prompt, written = exchange.tail.tokens()
        metrics = self._metrics
        metrics.requests.labels(path, str(exchange.status), exchange.provider).inc()
        metrics.seconds.labels(path).observe(seconds)
        if exchange.first_byte is not None:
            metrics.first_byte.labels(path).observe(exchange.first_byte)
        metrics.tokens.labels("prompt", exchange.provider).inc(prompt)
        metrics.tokens.labels("completion", exchange.provider).inc(written)
        if exchange.is_fallback:
            metrics.fallbacks.inc()
        told = (exchange.method, exchange.path, exchange.status, seconds, prompt, written)
        _log.info("%s /v1%s %d %.3f s %d+%d tokens, %s, %s", *told, exchange.provider, exchange.request_id or "-")


class _Watched:
    """`send`, and what goes through it noted in the exchange."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self.is_over = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
        else:
            if self._exchange.first_byte is None and message.get("body"):
                self._exchange.first_byte = time.monotonic() - self._exchange.started
            self.is_over = not message.get("more_body", False)
        await self._send(message)

    async def piece(self, data: bytes) -> None:
        await self({"type": "http.response.body", "body": data, "more_body": True})


async def _send(exchange: Exchange, response: Response, send: _Watched) -> None:
    _note(exchange, response.headers)
    await response({"type": "http"}, _nothing, send)


def _note(exchange: Exchange, headers: MutableHeaders) -> None:
    exchange.request_id = headers.setdefault("x-request-id", f"req_{uuid.uuid4().hex}")
    exchange.provider = provider_label(headers.get("x-llm-adapter", ""))
    exchange.is_fallback = "x-llm-adapter-fallback" in headers


async def _whole(exchange: Exchange, reply: Any) -> Response:
    """A reply that says nothing until it is whole: one that breaks off is an error, and not half a reply."""
    try:
        content = await reply.read()
    except Exception as broken:  # the HTTP library's own, in one of its two versions
        return error(502, f"The reply broke off: {broken}", kind=SERVER_ERROR)
    exchange.tail.add(content)
    return Response(content, reply.status_code, _kept(reply.headers))


async def _stream(exchange: Exchange, reply: Any, send: _Watched) -> None:
    """The reply's bytes as they come; `send` waits for a slow reader.

    A stream that breaks off ends in an error event and never in `[DONE]`, and its connection without its proper end.
    """
    exchange.is_stream = reply.headers.get("content-type", "").startswith("text/event-stream")
    # A proxy that holds events back until it has some kilobytes of them is told not to.
    unbuffered = {"cache-control": "no-cache", "x-accel-buffering": "no"} if exchange.is_stream else {}
    start = Response(None, reply.status_code, {**_kept(reply.headers), **unbuffered})
    del start.headers["content-length"]
    _note(exchange, start.headers)
    await send({"type": "http.response.start", "status": start.status_code, "headers": start.raw_headers})
    try:
        async for data in reply.iter_bytes():
            exchange.tail.add(data)
            await send.piece(data)
    except Exception as broken:
        _log.warning("%s /v1%s: the reply broke off: %s", exchange.method, exchange.path, broken)
        if exchange.is_stream:
            await send.piece(error_event(f"The reply broke off: {broken}"))
        return
    await send({"type": "http.response.body", "body": b""})


async def _unless_gone(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do the work; it is cancelled when the caller has gone, and with it what a server does for it."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Any:
    """There is nothing to receive any more."""
    return {"type": "http.disconnect"}


async def _body(request: Request, limit: int) -> bytes | None:
    """The request's body; None: it is larger than that. Raises `ClientDisconnect`."""
    size, parts = 0, []
    if (told := request.headers.get("content-length", "")).isdecimal() and int(told) > limit:
        return None
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _path_below_v1(scope: Scope) -> str:
    """The path as the caller wrote it, percent-encoded: a model's name may have a slash."""
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("ascii", "replace")
    return path.partition("?")[0].removeprefix(quote(scope.get("root_path", ""))).removeprefix("/v1")


def _is_openai_path(path: str) -> bool:
    """Whether it can be a path of OpenAI's API: below /api is a server's own, and dots would lead elsewhere."""
    segments = unquote(path).split("/")
    return _PATH.fullmatch(path) is not None and segments[1] != "api" and not {".", ".."} & {*segments}


def _query(request: Request) -> dict[str, Any]:
    """The query's values, in lists where a name has several."""
    query = request.query_params
    return {name: values[0] if len(values := query.getlist(name)) == 1 else values for name in query}


async def _with_body(asked: dict[str, Any], body: bytes, content_type: str) -> dict[str, Any] | Response:
    refusal = unreadable_body(asked["path"], content_type)
    if refusal is not None:
        return refusal
    kind = media_type(content_type)
    try:
        if kind == "multipart/form-data":
            arguments, files = await read_form(body, content_type)
            return {**asked, "body": arguments, "files": files}
        if kind.endswith(("/json", "+json")):
            return {**asked, "body": parsed_json(body)}
    except ValueError:
        return error(400, f"We could not parse the {'JSON' if kind.endswith('json') else 'form'} body of your request.")
    return {**asked, "content": body, "headers": {**asked["headers"], "content-type": content_type}}


def _failure(failed: openai.OpenAIError) -> Response:
    """An error of the client as a reply: a server's own goes on as it is."""
    if isinstance(failed, openai.APIStatusError):
        told = failed.response
        return Response(told.content, told.status_code, _kept(told.headers))
    if isinstance(failed, openai.APITimeoutError):
        return error(504, str(failed), kind=SERVER_ERROR)
    if isinstance(failed, openai.APIConnectionError):
        return error(502, f"{failed} {failed.__cause__ or ''}".strip(), kind=SERVER_ERROR)
    return error(500, str(failed), kind=SERVER_ERROR, headers={"x-should-retry": "false"})


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if _KEPT.fullmatch(name.lower())}
