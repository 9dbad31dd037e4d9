"""What is asked of a server and what it answers, as values: no socket, no clock, no dice.

`Answer.pieces` are what a driver writes one after the other. A chunked HTTP server sends each as a chunk of its own;
an in-process mock gives each as one read of the body.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

Json: TypeAlias = dict[str, Any]

JSON = "application/json"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
TEXT = "text/plain"
_MANAGED = ("/api/show", "/api/pull", "/api/push", "/api/create", "/api/delete")


def part_of(value: Any, name: str) -> Json:
    """An object inside another one; empty, where there is none."""
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


@dataclass(frozen=True, slots=True)
class OpenAICall:
    """What a program called, in OpenAI's form: as the call site has it, whatever was sent for it."""

    method: str
    path: str  # below /v1
    body: Any = None  # the arguments, with `extra_body` merged in
    attempt: str = ""  # the same for all requests of one attempt; "" for a request that is the call itself


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """One request. `path` is what follows the host, with /v1 or /api; `body` is the decoded JSON, None without any.

    text: what came in place of JSON, empty where nothing came at all; None, where the body is JSON.
    """

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in small letters; no key is kept here
    authorized: bool = True  # a key came with it
    number: int = 1  # of the request: what ids are made of
    time: float = 1_700_000_000.0  # seconds since 1970, UTC
    text: str | None = None
    digest: str = ""  # "sha256:..." of a body that is a file
    openai: OpenAICall | None = None  # the call that it was sent for; None, where nobody knows it in OpenAI's form

    @property
    def native(self) -> bool:
        """Whether it speaks Ollama's API, and not OpenAI's."""
        return not self.path.startswith("/v1")

    @property
    def wire(self) -> str:
        """Whose API it speaks: "openai" or "ollama"."""
        return "ollama" if self.native else "openai"

    @property
    def asks_for(self) -> Literal["embeddings", "completion", "chat"]:
        """What a call of a model wants: vectors, the rest of a text, or an answer to a conversation."""
        if self.path.startswith("/api/embed") or self.path.endswith("/embeddings"):
            return "embeddings"
        return "completion" if self.path in ("/v1/completions", "/api/generate") else "chat"

    @property
    def fields(self) -> Json:
        """The body's fields; none, where there is no object."""
        return self.body if isinstance(self.body, dict) else {}

    def part(self, name: str) -> Json:
        """An object among the fields; empty, where there is none."""
        return part_of(self.body, name)

    def items(self, name: str) -> list[Any]:
        """A list among the fields; empty, where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, list) else []

    @property
    def called_functions(self) -> Iterator[Json]:
        """The functions that were called in the history: of messages, or of a response's items."""
        for item in (*self.items("messages"), *self.items("input")):
            if isinstance(item, dict) and item.get("type") == "function_call":
                yield item
            calls = item.get("tool_calls") if isinstance(item, dict) else None
            yield from (part_of(call, "function") for call in (calls if isinstance(calls, list) else ()))

    @property
    def streamed(self) -> bool:
        """Whether a stream is wanted: Ollama's default is yes, OpenAI's no. null is no answer."""
        wanted = self.fields.get("stream")
        return self.native if wanted is None else bool(wanted)

    @property
    def model(self) -> str:
        """The model's name; Ollama takes `name` for `model` where models are managed."""
        name = self.fields.get("model") or (self.fields.get("name") if self.path in _MANAGED else None)
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that go out together, and the seconds before they do."""

    data: bytes
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `aborted`: the connection is cut after the last piece, before the body's end."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    streamed: bool = False
    aborted: bool = False
    wait: float = 0.0  # seconds before the headers

    @property
    def body(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def content_type(self) -> str | None:
        return next((value for name, value in self.headers if name == "content-type"), None)


def whole(content: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An answer in one piece of JSON."""
    return Answer(status, (("content-type", JSON), *headers), (Piece(encoded(content)),))


def plain(content: str, status: int = 200) -> Answer:
    return Answer(status, (("content-type", TEXT),), (Piece(content.encode()),))


def empty(status: int = 200) -> Answer:
    return Answer(status, (), ())


def encoded(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def event(content: Any, name: str | None = None) -> bytes:
    """One server-sent event."""
    named = b"" if name is None else b"event: " + name.encode() + b"\n"
    return named + b"data: " + encoded(content) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def line(content: Any) -> bytes:
    """One line of NDJSON."""
    return encoded(content) + b"\n"


def streamed_lines(contents: Iterable[Any]) -> Answer:
    """A stream of lines that no turn is about."""
    return Answer(200, (("content-type", LINES),), tuple(Piece(line(one)) for one in contents), streamed=True)


def stamp(time: float) -> str:
    """A moment as Go writes it."""
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
