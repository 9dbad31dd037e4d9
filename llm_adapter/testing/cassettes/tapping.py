"""Where calls are recorded and played: around two methods of every client of the SDK, for as long as a test runs.

`_build_request` is where a call's own arguments are seen, before aliases and translation; `_send_request` is where its
reply is OpenAI's, whatever answered. Both are called by the SDK's one `request`, sync and async, inside its retries.
The two are put on the client itself, when it is first used: an attribute of the object stands before those of all its
classes, so the outermost method is seen whoever overrides it (the SDK for Azure and workload identities, we, a
framework), clients that were made before are seen too, and HTTP underneath may be httpx or httpx2, with whatever
transport. A transport would see native requests instead, and not those of an embedded server or of a caller's own
client. A call that finds no recording fails in `_build_request`, which is outside the SDK's retries.

Source: openai-python src/openai/_base_client.py request, v2.45.0 and v3.52.0.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import openai
from openai._base_client import AsyncAPIClient, SyncAPIClient
from pydantic_core import from_json, to_json

from llm_adapter.provider import Report
from llm_adapter.testing.cassettes.tape import DONE, CassetteError, Line, RecordedRequest, body, event_parts
from llm_adapter.traffic.watch import wrap_sdk
from llm_adapter.transport.body import MadeBody, Observer, http_library, observe, stream_class
from llm_adapter.transport.round_trip import REPORT

_EXTENSION = "llm_adapter_cassette"
# The headers that mean something to the SDK or to its user; none of them is a secret.
_KEPT = (
    *("content-type", "x-request-id", "x-llm-adapter", "x-llm-adapter-fallback", "x-should-retry"),
    *("openai-model", "openai-version"),
)
# What is told at a body's end: its bytes, whether it was read to the end, and what broke it off.
End: TypeAlias = Callable[[bytes, bool, "Exception | None"], None]


class Deck(Protocol):
    """What a tapped client is connected to."""

    def find_line(self, client: Any, call: RecordedRequest) -> Line | None:
        """The line that answers a call, or None where it is to be made and recorded. Raises `CassetteError`."""

    def replays(self, line: Line) -> bool:
        """Whether a line is the reply; else it is given to a fake server, which the call then goes to."""

    def begin_record(self, client: Any) -> Record:
        """The place of a call that is recorded, in the order in which calls were made."""


class Record:
    """One call that is being recorded; `line` is None until its reply has come to an end."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self.line: Line | None = None
        self._meta = meta
        self._since = monotonic()
        self._tee: Any = None

    def answered(self, call: RecordedRequest, response: Any) -> Any:
        """The response, whose body is recorded as it is read."""
        end = functools.partial(self._ended, call, response)
        if response.is_closed:  # read already
            end(response.content, True, None, decoded=True)
        else:
            self._tee = RecordedBody(end)
            observe(response, self._tee)
        return response

    def failed(self, call: RecordedRequest, error: Exception) -> None:
        """No reply came. What is no error of the connection's is not for the tape: the test's own code raised it."""
        if _is_of_connection(error):
            self._keep(call, failure=_failure(error))

    def close(self) -> None:
        """The test is over: a stream that is still open has been abandoned."""
        if self._tee is not None:
            self._tee.tell()

    def _ended(
        self,
        call: RecordedRequest,
        response: Any,
        data: bytes,
        whole: bool,
        error: Exception | None,
        *,
        decoded: bool = False,
    ) -> None:
        came = body(response.headers.get("content-type", ""), data if decoded else _decompressed(response, data))
        events = came.get("events") or [None]
        self._keep(
            call,
            status=response.status_code,
            headers={name: response.headers[name] for name in _KEPT if name in response.headers},
            abandoned=not whole and error is None and event_parts(events[-1])[1] != DONE,
            failure=None if error is None else _failure(error),
            **came,
        )

    def _keep(self, call: RecordedRequest, **told: Any) -> None:
        meta = {**self._meta, "seconds": round(monotonic() - self._since, 3)}
        self.line = Line(call.method, call.path, call.query, call.request, meta=meta, **told)


class _Take(NamedTuple):
    call: RecordedRequest
    line: Line | None


@contextmanager
def tap_clients(deck: Deck) -> Iterator[None]:
    """Connect every client of the SDK's, ours among them, that makes a call meanwhile."""
    clients: list[Any] = []
    wrap_sdk()  # whoever begins to watch meanwhile would be taken off with us
    originals = {kind: kind.request for kind in (SyncAPIClient, AsyncAPIClient)}

    def tapping(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def request(client: Any, *arguments: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            if client not in clients:
                clients.append(client)
                _tap(client, deck)
            return original(client, *arguments, **options)

        return request

    for kind, original in originals.items():
        kind.request = tapping(original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, original in originals.items():
            kind.request = original  # type: ignore[method-assign]
        for client in clients:
            del client._build_request, client._send_request


def _tap(client: Any, deck: Deck) -> None:
    build, send = client._build_request, client._send_request

    def build_request(options: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        call = _recorded_request(client, options)
        line = deck.find_line(client, call)
        request = build(options, **more)
        request.extensions[_EXTENSION] = _Take(call, line)
        return request

    def send_request(request: Any, *, stream: bool, **more: Any) -> Any:
        take: _Take | None = request.extensions.pop(_EXTENSION, None)
        if take is None or (take.line is not None and not deck.replays(take.line)):
            return send(request, stream=stream, **more)
        if take.line is not None:
            return _replayed_response(request, take.line, stream=stream)
        record = deck.begin_record(client)
        try:
            return record.answered(take.call, send(request, stream=stream, **more))
        except Exception as error:
            record.failed(take.call, error)
            raise

    async def asend_request(request: Any, *, stream: bool, **more: Any) -> Any:
        take: _Take | None = request.extensions.pop(_EXTENSION, None)
        if take is None or (take.line is not None and not deck.replays(take.line)):
            return await send(request, stream=stream, **more)
        if take.line is not None:
            return _replayed_response(request, take.line, stream=stream)
        record = deck.begin_record(client)
        try:
            return record.answered(take.call, await send(request, stream=stream, **more))
        except Exception as error:
            record.failed(take.call, error)
            raise

    client._build_request = build_request
    client._send_request = asend_request if isinstance(client, AsyncAPIClient) else send_request


def _recorded_request(client: Any, options: Any) -> RecordedRequest:
    """The call, read before anything rewrites its options. Raises `CassetteError` for an upload."""
    url = urlsplit(options.url)
    path = url.path.removeprefix(urlsplit(str(client.base_url)).path.rstrip("/")) if url.netloc else url.path
    if options.files or options.content is not None:
        raise CassetteError(f"{options.method.upper()} {path} sends a file, which a cassette does not hold")
    sent = options.json_data
    if options.extra_json:  # merged as the SDK does it
        sent = {**(sent if isinstance(sent, Mapping) else {}), **options.extra_json}
    query = {**dict(parse_qsl(url.query)), **(options.params or {})}
    request, query = from_json(to_json([sent, query]))
    return RecordedRequest(options.method.upper(), f"/{path.lstrip('/')}", request, query)


def _replayed_response(request: Any, line: Line, *, stream: bool) -> Any:
    """The response of a line, in the HTTP library of the request."""
    http = http_library(request)
    failure = None if line.failure is None else _error(line.failure, http, request)
    if line.status is None:
        assert failure is not None
        raise failure
    headers = dict(line.headers)
    if line.status >= 400:
        headers["retry-after-ms"] = "1"  # the SDK repeats as it did, and does not wait
    if stream or failure is not None or line.abandoned:
        body = stream_class(MadeBody, http)(_pieces(line, failure))
        response = http.Response(line.status, headers=headers, request=request, stream=body)
    else:
        response = http.Response(line.status, headers=headers, request=request, content=b"".join(line.pieces()))
    if (report := _report(headers)) is not None:
        response.extensions[REPORT] = report
    response.elapsed = timedelta(seconds=line.meta.get("seconds", 0))
    return response


def _is_of_connection(error: Exception) -> bool:
    if isinstance(error, openai.APIConnectionError):
        return True
    library = sys.modules.get(type(error).__module__.partition(".")[0])
    return isinstance(error, getattr(library, "TransportError", ()))


def _failure(error: Exception) -> dict[str, str]:
    owner = "openai." if isinstance(error, openai.OpenAIError) else ""
    return {"kind": owner + type(error).__name__, "message": str(error)}


def _error(failure: Mapping[str, str], http: Any, request: Any) -> Exception:
    match failure["kind"]:
        case "openai.APITimeoutError":
            return openai.APITimeoutError(request=request)
        case "openai.APIConnectionError":
            return openai.APIConnectionError(message=failure["message"], request=request)
        case kind:
            found = getattr(http, kind, None) or http.TransportError
            error: Exception = found(failure["message"], request=request)
            return error


def _decompressed(response: Any, data: bytes) -> bytes:
    """The body without its compression, by the response's own library."""
    encoding = response.headers.get("content-encoding")
    if not encoding or not data:
        return data
    whole = http_library(response).Response(200, headers={"content-encoding": encoding}, content=data)
    content: bytes = whole.content
    return content


# --- bodies that are recorded as they are read, and those that a recording plays: sync and async, either HTTP library


class RecordedBody(Observer):
    """Keeps the pieces of a response's body, and calls `end` once: at the body's end, or where the reader stopped."""

    def __init__(self, end: End) -> None:
        self._end: End | None = end
        self._data: list[bytes] = []

    def received(self, data: bytes) -> None:
        self._data.append(data)

    def ended(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, Exception):  # what is no Exception only stops the reader, who closes then
            self.tell(whole=error is None, failure=error)

    def closed(self) -> None:
        self.tell()

    def tell(self, *, whole: bool = False, failure: Exception | None = None) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(b"".join(self._data), whole, failure)


def _report(headers: Mapping[str, str]) -> Report | None:
    """The report of a reply that another profile answered, which is in the headers alone where it was OpenAI's own."""
    if "x-llm-adapter-fallback" not in headers:
        return None
    provider = headers.get("x-llm-adapter", "").partition(";")[0].removeprefix("provider=")
    told = headers["x-llm-adapter-fallback"].split("; ")
    return Report(provider, fallback=dict(part.split("=", 1) for part in told))


def _pieces(line: Line, failure: Exception | None) -> Iterator[bytes]:
    """The recorded body of a line, piece by piece; it breaks off where the recorded one did."""
    yield from line.pieces()
    if failure is not None:
        raise failure
    if line.abandoned:
        raise CassetteError(
            f"the stream of {line.call} was recorded up to here: the test that recorded it read no further"
        )
