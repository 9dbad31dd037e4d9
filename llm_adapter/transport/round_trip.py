"""One attempt of one call over the SDK's own HTTP client: native requests out, the OpenAI response at the end.

The SDK runs on httpx2 or on a caller's legacy httpx, so a response is made with the library of the request that it
answers. Bodies are read with `iter_bytes`, for mocked responses have been read already.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import openai

from llm_adapter.exchange import Exchange
from llm_adapter.provider import Fetch, NativeReply, NativeRequest, Raw, Rejected, Replay, Report, ServerUse, json_bytes
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.proxies import proxy_of
from llm_adapter.routing.terms import Terms, is_explicit, is_repeatable
from llm_adapter.settings.errors import caller_kept
from llm_adapter.translation.process_cache import forget_server
from llm_adapter.transport.body import Observer, http_library, observe, set_elapsed, stream_class
from llm_adapter.transport.event_pieces import response_class
from llm_adapter.transport.held_reply import RAW, held_response
from llm_adapter.transport.native_requests import NativeRequests, translated_headers
from llm_adapter.transport.read_limit import has_begun
from llm_adapter.transport.sending import asend_all, in_event_loop, in_time, send_all
from llm_adapter.transport.time_limit import OutOfTime, await_for, awithin, wait_for, within
from llm_adapter.transport.translated_body import TranslatedBody

# The extension of a response that came as the server made it: the report for the reply that the SDK makes of it.
REPORT = "llm_adapter.report"
_LOADING = "Loading the model, which goes on for later calls,"
NO_RETRY = "x-should-retry", "false"  # the SDK obeys it (openai-python _base_client.py _should_retry, v3.52.0)

# The server is not there, or it ends: what listens there next may be another one.
_GONE = frozenset({"ConnectError", "RemoteProtocolError", "ReadError", "WriteError"})
_EXPLAINED = frozenset({"ConnectError", "ConnectTimeout", "ProxyError", "ReadError", "RemoteProtocolError"})

_log = logging.getLogger("llm_adapter")


class Blocking(NamedTuple):
    """Run something that blocks, outside the event loop."""

    run: Callable[[], Any]
    seconds: float | None = None  # that it may take; None: any time


class Wait(NamedTuple):
    """Wait for a server that starts, or for another call; the answer is the outcome."""

    outcome: concurrent.futures.Future[Any]
    seconds: float | None = None  # that it may take; None: any time
    another_call: bool = False


class Send(NamedTuple):
    """Send requests side by side; the answer is their responses. streams: whose bodies are left to be read."""

    requests: list[Any]
    streams: list[bool]


class Read(NamedTuple):
    """Read responses to their ends."""

    responses: Sequence[Any]


class Close(NamedTuple):
    """Close responses."""

    responses: Sequence[Any]


Step: TypeAlias = "Blocking | Wait | Send | Read | Close"
Steps: TypeAlias = "Generator[Step, Any, Any]"


def run(steps: Steps, send: Callable[..., Any], terms: Terms | None, **kwargs: Any) -> Any:
    """Do the steps of a round trip; the response. send: the SDK's own way to send one request."""
    result: Any = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as stop:
            return stop.value
        result = None
        match step:
            case Send():
                result = send_all(send, step.requests, step.streams, terms, **kwargs)
            case Read():
                for response in step.responses:
                    response.read()
            case Close():
                for response in step.responses:
                    response.close()
            case Blocking():
                with caller_kept():
                    result = within(step.seconds, step.run)
            case Wait():
                result = _outcome(step)


def _outcome(wait: Wait) -> Any:
    # Another call that is waited for may be a task of the event loop that this thread runs.
    if wait.another_call and in_event_loop():
        return None
    try:
        return wait_for(wait.seconds, wait.outcome, ends_with_program=not wait.another_call)
    except Rejected as refusal:
        return refusal


async def _aoutcome(wait: Wait) -> Any:
    try:
        return await await_for(wait.seconds, wait.outcome)
    except Rejected as refusal:
        return refusal


async def arun(steps: Steps, send: Callable[..., Awaitable[Any]], terms: Terms | None, **kwargs: Any) -> Any:
    """The same in an event loop."""
    result: Any = None
    while True:
        try:
            step = steps.send(result)
        except StopIteration as stop:
            return stop.value
        result = None
        match step:
            case Send():
                result = await asend_all(send, step.requests, step.streams, terms, **kwargs)
            case Read():
                for response in step.responses:
                    await response.aread()
            case Close():
                for response in step.responses:
                    await response.aclose()
            case Blocking():
                with caller_kept():
                    result = await awithin(step.seconds, step.run)
            case Wait():
                result = await _aoutcome(step)


class RoundTrip:
    """One attempt of one call. `exchange` is None for a call that is not translated.

    `steps` are what is to be done, in order; `run` and `arun` do it. Leaving the `with` closes the exchange, and turns
    errors that the SDK must not answer with another attempt into the SDK's own.
    """

    def __init__(self, connection: Connection, exchange: Exchange | None, path: str) -> None:
        self._connection = connection
        self._exchange = exchange
        self._path = path
        self.attempts = 1  # this one counted
        self.last = False  # whether the SDK gives up after this attempt
        self._since = monotonic()
        self._client: Any = None  # the HTTP client
        self._request: Any = None  # that the SDK built
        model = None if exchange is None else exchange.call.body.get("model")
        self._server_use = ServerUse(model if isinstance(model, str) else None)
        self._blocked_by = ""  # what is waited for outside the event loop, as the beginning of a sentence
        self._has_load_timeout = False  # whether `load_timeout` holds for it
        self.before_sending: Callable[[Any], None] | None = None  # is handed each request that has its slot; may raise
        self.load_timed_out = False  # whether the response did not begin in that time
        self._report: Report | None = None  # of a call that is not translated, where there is something to tell

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def is_answered(self) -> bool:
        """Whether the call has its answer, a refusal for one, before anything is sent."""
        return self._exchange is not None and self._exchange.answer is not None

    def report(self) -> Report:
        """The report of the call, to be told more: also of one that is not translated."""
        if self._exchange is not None:
            return self._exchange.call.report
        self._report = self._report or Report(self._connection.provider.name)
        return self._report

    def discard(self) -> None:
        """End a round trip that is not made."""
        if self._exchange is not None:
            self._exchange.close()

    @property
    def terms(self) -> Terms | None:
        return self._connection.terms

    def sending(self, send: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
        """The SDK's own way to send a request, with an end to all of a response's reads together.

        A call with neither translation nor terms is the SDK's own, and waits as the SDK does.
        """
        own = self._exchange is None and self.terms is None
        send = send if own else in_time(send, asynchronous=asynchronous)
        return send if self.before_sending is None else partial(_checked, self.before_sending, send)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._exchange is not None:
            self._exchange.close()
        if error is None:
            return
        self._server_use.ended = True
        self._log_outcome(type(error).__name__)
        self.load_timed_out = self._has_load_timeout and self._is_load_timeout(error)
        if isinstance(error, OutOfTime):
            self._raise_out_of_time()
        # By name, for the error is of either HTTP library.
        if type(error).__name__ in _GONE:
            forget_server(self._connection.resolved.base_url or "")
        if self.last and type(error).__name__ in _EXPLAINED:
            self._raise_explained(error)
        # The SDK would begin again after a read timeout, while the server still works on this attempt.
        if self.terms is not None and self.terms.no_repeats and type(error).__name__ == "ReadTimeout":
            raise openai.APITimeoutError(request=error.request) from error  # type: ignore[attr-defined]

    def _is_load_timeout(self, error: Any) -> bool:
        """Whether a time ran out before the response began."""
        if isinstance(error, OutOfTime):
            return self._blocked_by == _LOADING
        return type(error).__name__ == "ReadTimeout" and not has_begun(error.request)

    def _raise_out_of_time(self) -> None:
        """Raise the SDK's own error, at once: another attempt would begin with the same work."""
        message = f"Request timed out. {self._blocked_by} took longer than the call's timeout."
        raise timeout_error(self._request, message) from None

    def _raise_explained(self, error: Any) -> None:
        """Say more than the SDK's "Connection error." where the cause is known."""
        from llm_adapter.routing.failures import explained

        url = error.request.url
        proxy = proxy_of(self._client, url)
        message = explained(error, str(url), self._connection.resolved, self.attempts, proxy)
        if message is None:
            return
        if type(error).__name__ == "ConnectTimeout":
            raise timeout_error(error.request, message) from error
        raise openai.APIConnectionError(message=message, request=error.request) from error

    def steps(self, client: Any, first: Any, *, stream: bool) -> Steps:
        """What to do until the call has its OpenAI response, which the generator returns.

        client: the HTTP client. first: the request that the SDK built. stream: whether the caller reads the body.
        """
        response = yield from self._steps(client, first, stream=stream)
        if self._connection.starter is not None:
            use = self._server_use
            if response.is_closed:
                use.ended = True
            elif isinstance(response.stream, TranslatedBody):
                response.stream.when_closed = use.end
            else:
                observe(response, _EndOfUse(use))
        return response

    def _steps(self, client: Any, first: Any, *, stream: bool) -> Steps:
        exchange, self._client, self._request = self._exchange, client, first
        requests = NativeRequests(self._connection, self._path, client, first)
        # With the SDK's timeouts as they are now: sending changes those of a request.
        end = self._end_of_blocking(first.extensions.get("timeout") or {}, stream=stream)
        if start := self._server_start(end):
            self._blocked_by = _LOADING
            started = yield start
            if isinstance(started, Rejected):
                return _refusal(first, started)
            requests.address = started
        if exchange is None:
            responses = yield Send([requests.first()], [stream])
            return (yield from self._detour(responses, first)) or self._mark_no_retry(responses[0])
        # The SDK built the first native request, if the exchange began with one.
        built = requests.begun(exchange.pending)
        responses = ()
        while exchange.wait or (blocking := self._next_blocking_step(exchange)) or exchange.pending:
            if exchange.wait:
                yield Wait(exchange.wait.over, another_call=True)  # a pull takes as long as it takes
                exchange.resume(())
                continue
            if blocking:
                unlimited = exchange.long_work is not None and exchange.long_work.ends_by_itself
                yield Blocking(blocking, None if unlimited else _seconds_until(end))
                continue
            native, passthrough = exchange.pending, exchange.passthrough
            to_send, built = [*built, *map(requests.build, native[len(built) :])], []
            if responses:
                yield Close(responses)
            responses = yield Send(to_send, [stream] if passthrough else [one.stream for one in native])
            if detour := (yield from self._detour(responses, first)):
                return detour
            if passthrough and not (exchange.resume_on_error and responses[0].status_code >= 400):
                return self._mark_no_retry(responses[0])
            whole = _read_whole(native, responses)
            yield Read(whole)
            exchange.resume([_native_reply(one, whole) for one in responses])
        return self._response(exchange, first, responses, stream=stream)

    def _detour(self, responses: Sequence[Any], request: Any) -> Generator[Step, Any, Any]:
        """The response that says so, where one did not come from the server; else None."""
        settings = self._connection.resolved
        untranslated = self._path if self._exchange is None else None
        for response in responses:
            if response.is_success and not response.history:
                continue
            from llm_adapter.routing.detours import answered_on_the_way, may_be_a_detour, redirected

            refusal = redirected(response, settings, untranslated)
            if refusal is None and response.status_code >= 400:
                proxy = proxy_of(self._client, response.request.url)
                if may_be_a_detour(response.status_code, proxy):
                    yield Read([response])
                    refusal = answered_on_the_way(response, proxy, settings)
            if refusal is not None:
                yield Close(responses)
                return _refusal(request, refusal)
        return None

    def _server_start(self, end: float | None) -> Step | None:
        """What starts the server first, in the time that is left: it lasts while a model loads."""
        starter = self._connection.starter
        # What is answered without a request needs no server.
        if starter is None or (self._exchange is not None and self._exchange.answer is not None):
            return None
        settings, seconds = self._connection.resolved, _seconds_until(end)
        # No isinstance(): with a protocol it is slow before Python 3.12.
        if begin := getattr(starter, "begin", None):
            return Wait(begin(settings, self._path, self._server_use), seconds)
        return Blocking(partial(starter.start, settings, self._path), seconds)

    def _next_blocking_step(self, exchange: Exchange) -> Callable[[], None] | None:
        """What the exchange needs before its next requests: an address fetched, or long work."""
        if exchange.fetch is not None:
            self._blocked_by = "Fetching the images that the messages name"
            return partial(_fetch, exchange, exchange.fetch)
        if exchange.long_work is None:
            return None
        self._blocked_by = exchange.long_work.what
        return partial(exchange.resume, ())

    def _end_of_blocking(self, sdk: Mapping[str, float | None], *, stream: bool) -> float | None:
        """When what blocks has to be done, by the clock `monotonic`. sdk: the timeouts of the SDK's request."""
        if self.terms is None or is_explicit(sdk):
            seconds = sdk.get("read")
        else:
            self._has_load_timeout = self.terms.load is not None
            seconds = self.terms.timeouts(sdk, stream=stream)["read"]
        return None if seconds is None else self._since + seconds

    @property
    def _unwritten_report(self) -> Report | None:
        """The report of a reply that goes to the SDK as it came, where it says that another server answered."""
        exchange = self._exchange
        if exchange is None or not exchange.passthrough:
            return self._report
        report = exchange.call.report
        led_away = self._connection.via_model_prefix and report.notes
        return report if led_away or report.fallback or report.route else None

    def _mark_no_retry(self, response: Any) -> Any:
        """A response that goes to the SDK as it came, marked where the SDK is not to try again."""
        if (report := self._unwritten_report) is not None:
            response.headers.setdefault("x-llm-adapter", report.header())
            response.extensions[REPORT] = report
        if response.status_code >= 400 and self._is_final(response.status_code, [response]):
            response.headers.setdefault(*NO_RETRY)
        return response

    def _is_final(self, status: int, natives: Sequence[Any]) -> bool:
        """Whether the SDK is not to repeat a call that got this status: its server failed, or we refuse its reply."""
        if status >= 500 and not natives:
            return True  # ours, before anything was sent
        if self.terms is None or not self.terms.no_repeats or status < 500:
            return False
        return not is_repeatable(status) or all(native.status_code != status for native in natives)

    def _response(self, exchange: Exchange, request: Any, natives: Sequence[Any], *, stream: bool) -> Any:
        """The OpenAI response to the SDK's request; `natives` are the responses of the last step."""
        status, content = exchange.reply()
        self._log_outcome(status)
        is_stream = not isinstance(content, bytes | dict | Raw)
        headers = translated_headers(natives[-1].headers) if natives else []
        media_type = content.media_type if isinstance(content, Raw) else "application/json"
        headers.append(("content-type", "text/event-stream" if is_stream else media_type))
        headers.append(("x-llm-adapter", exchange.call.report.header()))
        if self._is_final(status, natives):
            headers.append(NO_RETRY)
        extensions = dict(natives[-1].extensions) if natives else {}
        extensions.pop("network_stream", None)
        http, about = http_library(request), {"headers": headers, "request": request, "extensions": extensions}
        # Where one of several failed, the others' streams are still open: the body closes them.
        whole = not stream and all(native.is_closed for native in natives)
        if isinstance(content, dict):
            if whole and RAW not in request.headers:
                return set_elapsed(held_response(http, content, **about), natives)
            content = json_bytes(content)
        content = content.data if isinstance(content, Replay | Raw) else content
        kind = response_class(http) if is_stream else http.Response
        if isinstance(content, bytes) and whole:
            return set_elapsed(kind(status, content=content, **about), natives)
        body = stream_class(TranslatedBody, http)(content, natives)
        body.response = kind(status, stream=body, **about)
        return body.response

    def _log_outcome(self, outcome: int | str) -> None:
        """One line for the log of a translated call: names and numbers, never what was said or by whom."""
        if self._exchange is None or not _log.isEnabledFor(logging.DEBUG):
            return
        call = self._exchange.call
        _log.debug(
            "%s %s: %s after %.3f s; %s; model=%r%s",
            *(call.method, call.path, outcome, monotonic() - self._since),
            *(call.report.header(), call.body.get("model"), "; streamed" if call.stream else ""),
        )


def _checked(check: Callable[[Any], None], send: Callable[..., Any], request: Any, **options: Any) -> Any:
    check(request)
    return send(request, **options)


class _EndOfUse(Observer):
    """Notes when a response is closed that a started server gives."""

    def __init__(self, use: ServerUse) -> None:
        self._use = use

    def closed(self) -> None:
        self._use.end()


def timeout_error(request: Any, message: str) -> openai.APITimeoutError:
    """The SDK's error with a message of ours: its own constructor takes none."""
    error = openai.APITimeoutError(request=request)
    error.message, error.args = message, (message,)
    return error


def _refusal(request: Any, refusal: Rejected) -> Any:
    """The response that says why a call is refused."""
    return http_library(request).Response(refusal.status, json=refusal.envelope(), request=request)


def _seconds_until(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - monotonic())


def _read_whole(natives: Sequence[NativeRequest], responses: Sequence[Any]) -> list[Any]:
    """The responses whose body is read whole: errors, and everything that is not a stream."""
    pairs = list(zip(natives, responses, strict=True))
    for native, response in pairs:
        if native.progress and response.status_code < 400:
            from llm_adapter.transport.pull_line import show_pull

            show_pull(response, str((native.body or {}).get("model")))
    return [one for native, one in pairs if not native.stream or native.progress or one.status_code >= 400]


def _native_reply(response: Any, whole: Sequence[Any]) -> NativeReply:
    is_whole = any(response is one for one in whole)
    return NativeReply(response.status_code, response.headers, response.content if is_whole else b"")


def _fetch(exchange: Exchange, fetch: Fetch) -> None:
    from llm_adapter.transport.fetch.fetcher import shared_fetcher

    try:
        replies = shared_fetcher().all(fetch)
    except Rejected as refusal:
        exchange.fail(refusal)
    else:
        exchange.resume(replies)
