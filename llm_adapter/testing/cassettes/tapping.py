"""Where calls are recorded and played: around two methods of every client of the SDK, for as long as a test runs.

`_build_request` is where a call's own arguments are seen, before aliases and translation; `_send_request` is where its
reply is OpenAI's, whatever answered. Both are called by the SDK's one `request` of each colour, inside its retries. The
two are put on the client itself, when it is first used: an attribute of the object stands before those of all its
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
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

import openai
from openai._base_client import AsyncAPIClient, SyncAPIClient
from pydantic_core import from_json, to_json

from llm_adapter.testing.cassettes.bodies import Played, Tee, of_library
from llm_adapter.testing.cassettes.tape import DONE, Asked, CassetteError, Line, body, named
from llm_adapter.transport.sending import family

_EXTENSION = "llm_adapter_cassette"
# The headers that mean something to the SDK or to its user; none of them is a secret.
_KEPT = ("content-type", "x-request-id", "x-llm-adapter", "x-should-retry", "openai-model", "openai-version")


class Deck(Protocol):
    """What a tapped client is connected to."""

    def asked(self, client: Any, asked: Asked) -> Line | None:
        """The line that answers a call, or None where it is to be made and recorded. Raises `CassetteError`."""

    def played(self, line: Line) -> bool:
        """Whether a line is the reply; else it is given to a fake server, which the call then goes to."""

    def begun(self, client: Any) -> Record:
        """The place of a call that is recorded, in the order in which calls were made."""


class Record:
    """One call that is being recorded; `line` is None until its reply has come to an end."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self.line: Line | None = None
        self._meta = meta
        self._since = monotonic()
        self._tee: Any = None

    def answered(self, asked: Asked, response: Any) -> Any:
        """The response, whose body is recorded as it is read."""
        end = functools.partial(self._ended, asked, response)
        if response.is_closed:  # read already
            end(response.content, True, None, decoded=True)
        else:
            self._tee = response.stream = of_library(Tee, family(response))(response.stream, end)
        return response

    def failed(self, asked: Asked, error: Exception) -> None:
        """No reply came. What is no error of the connection's is not for the tape: the test's own code raised it."""
        if _is_of_connection(error):
            self._tell(asked, failure=_failure(error))

    def left(self) -> None:
        """The test is over: a stream that is still open has been abandoned."""
        if self._tee is not None:
            self._tee.tell()

    def _ended(
        self, asked: Asked, response: Any, data: bytes, whole: bool, error: Exception | None, *, decoded: bool = False
    ) -> None:
        came = body(response.headers.get("content-type", ""), data if decoded else _decoded(response, data))
        events = came.get("events") or [None]
        self._tell(
            asked,
            status=response.status_code,
            headers={name: response.headers[name] for name in _KEPT if name in response.headers},
            abandoned=not whole and error is None and named(events[-1])[1] != DONE,
            failure=None if error is None else _failure(error),
            **came,
        )

    def _tell(self, asked: Asked, **told: Any) -> None:
        meta = {**self._meta, "seconds": round(monotonic() - self._since, 3)}
        self.line = Line(asked.method, asked.path, asked.query, asked.request, meta=meta, **told)


class _Take(NamedTuple):
    asked: Asked
    line: Line | None


@contextmanager
def tapped(deck: Deck) -> Iterator[None]:
    """Connect every client of the SDK's, ours among them, that makes a call meanwhile."""
    clients: list[Any] = []
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
        asked = _asked(client, options)
        line = deck.asked(client, asked)
        request = build(options, **more)
        request.extensions[_EXTENSION] = _Take(asked, line)
        return request

    def send_request(request: Any, *, stream: bool, **more: Any) -> Any:
        take: _Take | None = request.extensions.pop(_EXTENSION, None)
        if take is None or (take.line is not None and not deck.played(take.line)):
            return send(request, stream=stream, **more)
        if take.line is not None:
            return _played(request, take.line, stream=stream)
        record = deck.begun(client)
        try:
            return record.answered(take.asked, send(request, stream=stream, **more))
        except Exception as error:
            record.failed(take.asked, error)
            raise

    async def asend_request(request: Any, *, stream: bool, **more: Any) -> Any:
        take: _Take | None = request.extensions.pop(_EXTENSION, None)
        if take is None or (take.line is not None and not deck.played(take.line)):
            return await send(request, stream=stream, **more)
        if take.line is not None:
            return _played(request, take.line, stream=stream)
        record = deck.begun(client)
        try:
            return record.answered(take.asked, await send(request, stream=stream, **more))
        except Exception as error:
            record.failed(take.asked, error)
            raise

    client._build_request = build_request
    client._send_request = asend_request if isinstance(client, AsyncAPIClient) else send_request


def _asked(client: Any, options: Any) -> Asked:
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
    return Asked(options.method.upper(), f"/{path.lstrip('/')}", request, query)


def _played(request: Any, line: Line, *, stream: bool) -> Any:
    """The response of a line, in the HTTP library of the request."""
    http = family(request)
    failure = None if line.failure is None else _error(line.failure, http, request)
    if line.status is None:
        assert failure is not None
        raise failure
    headers = dict(line.headers)
    if line.status >= 400:
        headers["retry-after-ms"] = "1"  # the SDK repeats as it did, and does not wait
    content = Played(line, failure)
    if stream or failure is not None or line.abandoned:
        body = of_library(Played, http)(line, failure)
        response = http.Response(line.status, headers=headers, request=request, stream=body)
    else:
        response = http.Response(line.status, headers=headers, request=request, content=b"".join(content))
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


def _decoded(response: Any, data: bytes) -> bytes:
    """The body without its compression, by the response's own library."""
    encoding = response.headers.get("content-encoding")
    if not encoding or not data:
        return data
    whole = family(response).Response(200, headers={"content-encoding": encoding}, content=data)
    content: bytes = whole.content
    return content
