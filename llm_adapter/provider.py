"""The seam for backends: what a provider is, what it is asked, what it answers. No IO.

A provider says which calls it translates (`endpoint`). An endpoint is a generator in the manner of httpx's
`auth_flow`: it yields native requests - one, or several to run side by side - receives their replies, and returns
the OpenAI reply: a dictionary, or `Events` for a stream. Whoever drives it does the IO, sync or async.

    class Shout:
        name = "shout"
        def base_url(self, settings): return "https://shout.example/v1"
        def endpoint(self, method, path): return chat if (method, path) == ("POST", "/chat/completions") else None
"""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable
from urllib.parse import unquote

from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

Json: TypeAlias = dict[str, Any]


def in_ascii(text: str) -> str:
    """A name of a configuration's as a header can hold it."""
    return text.encode("ascii", "backslashreplace").decode()


class Unasked(str):
    """An argument's text that the caller did not give: the SDK sends it for reasons of its own."""

    __slots__ = ()


@dataclass(slots=True)
class Report:
    """What became of one call; the reply shows it as `completion.adapter`. Names of parameters, never their values."""

    provider: str = ""
    requested_model: str | None = None
    notes: dict[str, list[str]] = field(default_factory=dict)  # emulated, ignored, left_out, changed, unknown
    structured_output: Json | None = None  # enforced, validated, repaired
    route: Json | None = None  # the profile that a route led to, and by which key: to, by
    fallback: Json | None = None  # why another profile than the call's own answered: from, to, reason
    model: str | None = None  # the provider's name for it, where the reply carries the call's

    def note(self, kind: str, what: str) -> None:
        """Add one name to a list of the report, once."""
        names = self.notes.setdefault(kind, [])
        if what not in names:
            names.append(what)

    def json(self, model: Any) -> Json:
        """The report for a reply of the provider's model."""
        report: Json = {
            "provider": self.provider,
            "model": self.model or model,
            "requested_model": self.requested_model or model,
        }
        for name in ("structured_output", "route", "fallback"):
            if (value := getattr(self, name)) is not None:
                report[name] = value
        return {**report, **self.notes}

    def header(self) -> str:
        """The same in one line, for raw responses: known when the response begins."""
        ways = {"route": self.route, "fallback": self.fallback}
        return "; ".join(
            [
                f"provider={self.provider}",
                *(f"{kind}={in_ascii(way['to'])}" for kind, way in ways.items() if way),
                *(f"{kind}={','.join(names)}" for kind, names in self.notes.items()),
            ]
        )


@dataclass(frozen=True, slots=True)
class Call:
    """What the SDK asked. The id and the time come in from outside, so that translation stays pure."""

    method: str
    path: str  # below /v1, without a query: "/chat/completions"
    body: Json  # the call's arguments with `extra_body` merged in; the model is the provider's, aliases resolved
    settings: Settings
    id: str  # hexadecimal, unique per attempt
    created: int  # unix seconds
    report: Report = field(default_factory=Report, compare=False)
    query: Mapping[str, Any] = field(default_factory=dict)  # of the call's address: a list's page
    files: Any = None  # of a call that uploads some: names and what the SDK gives its HTTP client for them

    @property
    def named(self) -> str:
        """The model in the path: GET and DELETE /models/{id}."""
        return unquote(self.path.removeprefix("/models/"))

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """One HTTP request to the backend."""

    method: str
    path: str | None  # below the server's root: "/api/chat"; None: the call's own path below /v1
    body: Json | None = None
    stream: bool = False  # a success is read as it comes; an error is always read whole
    passthrough: bool = False  # the response goes to the SDK as it came, and the endpoint is not resumed
    resume_on_error: bool = False  # with `passthrough`: an error does resume the endpoint, which says what it means
    progress: bool = False  # the lines of the reply are a pull's progress: shown as they come, without a read timeout


@dataclass(frozen=True, slots=True)
class Fetch:
    """Several GETs of addresses that a call's messages name, on the internet: nothing of the call is sent along.

    The endpoint is resumed with their replies, in their order; one that fails is thrown into it, as `Rejected`.
    """

    urls: tuple[str, ...]
    hosts: tuple[str, ...] = ()  # hosts that may be private ones; all others have to be on the public internet


@dataclass(frozen=True, slots=True)
class WaitForPull:
    """Wait until another call's pull of the same model is over.

    The driver may give up early and resume the endpoint, which has to look again.
    """

    over: concurrent.futures.Future[None]


@dataclass(frozen=True, slots=True)
class LongWork:
    """What the endpoint does next takes long: it is resumed outside the event loop, and within the call's time.

    what: the work, as the beginning of a sentence. ends_by_itself: it has a limit of its own, and not the call's.
    """

    what: str = "Reading or converting the images of the messages"
    ends_by_itself: bool = False


@dataclass(frozen=True, slots=True)
class NativeReply:
    """What came back. `body` is empty while a stream is still open."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The parsed body. Raises `Rejected` (502) when it is not JSON."""
        try:
            return parsed_json(self.body)
        except ValueError:
            text = self.body[:200].decode("utf-8", "replace")
            raise Rejected(f"the server's reply is not JSON: {text!r}", status=502, kind="api_error") from None


def parsed_json(data: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError, whatever the bytes or the characters are.

    The fast parser refuses lone surrogates, which a model can produce, and a byte order mark; the slow one does not.
    """
    try:
        return from_json(data)
    except ValueError as error:
        if "recursion" in str(error):
            raise
    except TypeError:  # for a text that has one as it is, and not escaped
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def json_bytes(value: Any) -> bytes:
    """A JSON text of what `parsed_json` gave: lone surrogates are written as escapes."""
    try:
        return to_json(value, inf_nan_mode="constants")
    except ValueError:
        return json.dumps(value).encode()


class Replay(NamedTuple):
    """A streamed reply that is complete already: server-sent events, [DONE] included."""

    data: bytes


class Raw(NamedTuple):
    """A reply that is no JSON: a file's content."""

    data: bytes
    media_type: str = "application/octet-stream"


class Event:
    """One server-sent event as an object, with what the SDK's streams look at: its bytes are made when they are read.

    value: its JSON. name: what stands before it as `event:`. raw: its bytes, where it came as it is.
    """

    __slots__ = ("event", "raw", "value")
    is_told = True  # to the SDK's streams; a comment is for who reads bytes
    is_end = False  # of the stream
    data = ""  # where the SDK looks for [DONE], and for nothing else

    def __init__(self, value: Any, name: str | None = None, raw: bytes = b"") -> None:
        self.value = value
        self.event = name
        self.raw = raw

    def json(self) -> Any:
        return self.value

    def validated(self, validator: Any) -> Any:
        """The SDK's object of a chunk; None for anything else. validator: pydantic's, of the object's class."""
        value = self.value
        if type(value) is not dict or value.get("error"):
            return None
        try:
            return validator.validate_python(value, strict=True)
        except ValueError:
            return None

    def rendered(self) -> bytes:
        if self.raw:
            return self.raw
        head = b"" if self.event is None else f"event: {self.event}\n".encode()
        return head + b"data: " + json_bytes(self.value) + b"\n\n"


class Comment(Event):
    """Lines that keep a connection alive. raw: the bytes."""

    __slots__ = ()
    is_told = False

    def __init__(self, raw: bytes) -> None:
        super().__init__(None, None, raw)


class Done(Event):
    """The end of a stream. raw: its bytes, where they came as they are."""

    __slots__ = ()
    data = "[DONE]"
    is_end = True

    def __init__(self, raw: bytes = b"data: [DONE]\n\n") -> None:
        super().__init__(None, None, raw)


def rendered(events: Sequence[Event]) -> bytes:
    """The bytes of some events."""
    return b"".join([event.rendered() for event in events])


class Events(Protocol):
    """A push decoder, in the manner of h11: native bytes in, server-sent events out.

    Where several streams were asked for side by side, they are fed one after the other; `next_stream` comes between.
    """

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes:
        """The last bytes. An end that is not the end of the reply is an error event."""


class ObjectEvents:
    """`Events` that give objects: the SDK gets them as they are, and bytes are made for who reads bytes."""

    def events(self, data: bytes) -> list[Event]:
        raise NotImplementedError

    def last_events(self) -> list[Event]:
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        return rendered(self.events(data))

    def finish(self) -> bytes:
        return rendered(self.last_events())


class EventsWithLongWork(Protocol):
    """`Events` that have long work to do, such as writing a file, which is done outside the event loop."""

    @property
    def long_work(self) -> Callable[[], Any] | None:
        """What is to be done before more is fed; it returns the next events, as `feed` does. None: there is nothing."""


class SequentialEvents(Protocol):
    """`Events` of several streams that are fed one after the other."""

    def next_stream(self) -> Any:
        """The last events of one stream, as bytes or as objects; the next is fed from here on."""


Reply: TypeAlias = "Json | Events | Replay | Raw"
Flow: TypeAlias = Generator["NativeRequest | Fetch | LongWork | WaitForPull | Sequence[NativeRequest]", Any, Reply]
Endpoint: TypeAlias = Callable[[Call], Flow]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a started server listens. The key belongs to this address alone."""

    root: str  # without /v1 and without a trailing slash
    api_key: str = field(repr=False)


@runtime_checkable
class Provider(Protocol):
    """A backend. Implementations are stateless, or share their state among all clients with equal settings."""

    @property
    def name(self) -> str: ...

    def base_url(self, settings: Settings) -> str | None:
        """What `client.base_url` says, ending in /v1; None leaves it to the SDK."""

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """The translation of one call; None hands the call to the server's own /v1, untouched."""


@runtime_checkable
class Started(Protocol):
    """A provider whose server runs in this process and starts with the first request."""

    def start(self, settings: Settings, path: str) -> Address:
        """The address that serves `path`. Blocks while a model loads; called outside the event loop."""


class ServerUse:
    """One call's use of a server that was started for it. While it lasts, the server must not be stopped.

    model: the one that the call names, aliases resolved; None where it names none.
    """

    __slots__ = ("__weakref__", "ended", "model")

    def __init__(self, model: str | None = None) -> None:
        self.model = model
        self.ended = False  # whether the call's reply has been read to its end or closed, or the call has failed

    def end(self) -> None:
        self.ended = True


@runtime_checkable
class StartedInBackground(Started, Protocol):
    """A provider that starts its server in a thread of its own: no call needs another one to wait for it."""

    def begin(self, settings: Settings, path: str, use: ServerUse) -> concurrent.futures.Future[Address]:
        """The address that serves `path`, once it is known. Does not block.

        Where it ends with `Rejected`, the call is answered with that refusal.

        use: the call's; of one whose reply is abandoned the last reference goes, so that it is best held weakly.
        """


class Rejected(Exception):  # noqa: N818 - users catch the SDK's class that it becomes
    """A refusal in OpenAI's envelope. It travels as a response: the SDK raises its own class by the status.

    status: 400 becomes `openai.BadRequestError`, 404 `NotFoundError`, and so on.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: Json = {"message": message, "type": kind, "param": param, "code": code, **details}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rejected, (self.status, self.error)

    def envelope(self) -> Json:
        return {"error": self.error}


def _rejected(status: int, error: Json) -> Rejected:
    refusal = Rejected(error["message"], status=status)
    refusal.error = error
    return refusal
