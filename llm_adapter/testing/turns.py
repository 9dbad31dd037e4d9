"""Turns: what the model of a fake server says next, the same for every server's API.

A turn is a frozen value, and each function below gives one; those that take a turn change how another one goes:
`slow(2, thinking("Paris? France.", text("Paris")))`. Times are seconds. Pieces are what a stream sends one by one:
the words, each with the white space before it, and always the whole text when they are joined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]
_PIECES = re.compile(r"\s*\S+|\s+")


class Usage(NamedTuple):
    """Counts that a reply states. Without them the fake server estimates."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. Text for arguments goes as it is: models do write JSON that is none."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None  # None: the server gives one, as it does

    @property
    def text(self) -> str:
        """The arguments as OpenAI has them: JSON in a string."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong, in place of a reply or in the middle of its stream."""

    message: str
    status: int = 500
    code: str | None = None
    type: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    after: int | None = None  # pieces of the stream that come before it; None: the reply never begins


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one waits, in seconds."""

    start: float = 0.0  # before the headers
    first: float = 0.0  # from there to the first piece
    between: float = 0.0  # two pieces


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says next, and how it goes."""

    content: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str | None = None  # OpenAI's word; None: tool_calls with calls, stop without
    usage: Usage | None = None
    vectors: tuple[tuple[float, ...], ...] | None = None  # None: made from the input
    pieces: tuple[str, ...] | None = None  # of the content; None: its words
    failure: Failure | None = None
    cut: int | None = None  # the connection breaks after so many pieces
    pace: Pace = Pace()
    more: tuple[Turn, ...] = ()  # the other choices, where a call asks for several

    @property
    def finish_reason(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    @property
    def spoken(self) -> tuple[str, ...]:
        """The pieces of the content."""
        return pieces(self.content) if self.pieces is None else self.pieces


def pieces(text: str) -> tuple[str, ...]:
    """The words of a text, each with the white space before it; joined, they are the text."""
    return tuple(_PIECES.findall(text))


def text(
    content: str | Iterable[str],
    *,
    thinking: str = "",
    finish: str | None = None,
    usage: tuple[int, int] | None = None,
) -> Turn:
    """A reply in words. Content in several strings is streamed in just these pieces."""
    counts = None if usage is None else Usage(*usage)
    if isinstance(content, str):
        return Turn(content, thinking, finish=finish, usage=counts)
    given = tuple(content)
    return Turn("".join(given), thinking, finish=finish, usage=counts, pieces=given)


def json_text(value: Any, **options: Any) -> Turn:
    """A reply whose text is this value as JSON, as structured outputs give. The fake checks it against no schema."""
    return text(json.dumps(value, ensure_ascii=False), **options)


def tool_call(
    name: str,
    arguments: Mapping[str, Any] | str | None = None,
    *,
    id: str | None = None,  # noqa: A002 - the name on the wire
    content: str = "",
) -> Turn:
    """A reply that calls one tool. `tool_calls` gives several in one turn."""
    return Turn(content, calls=(ToolCall(name, {} if arguments is None else arguments, id),))


def tool_calls(*calls: ToolCall | tuple[str, Mapping[str, Any] | str], content: str = "") -> Turn:
    """A reply that calls several tools: `tool_calls(("f", {"a": 1}), ("g", {"b": 2}))`."""
    return Turn(content, calls=tuple(call if isinstance(call, ToolCall) else ToolCall(*call) for call in calls))


def thinking(thought: str, then: Turn | str = "") -> Turn:
    """A reply that thinks first."""
    return replace(text(then) if isinstance(then, str) else then, thinking=thought)


def embedding(vectors: Iterable[float] | Iterable[Iterable[float]] | None = None) -> Turn:
    """Vectors, one or one for each input. Without any, they are made from the input: the same text, the same vector."""
    if vectors is None:
        return Turn()
    given = tuple(vectors)
    many: Any = given if given and not isinstance(given[0], (int, float)) else (given,)
    return Turn(vectors=tuple(tuple(float(part) for part in vector) for vector in many))


def choices(first: Turn, *more: Turn) -> Turn:
    """Several choices of one reply, for servers that know `n`."""
    return replace(first, more=more)


HELLO = text("Hello from the fake server.")


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    type: str | None = None,  # noqa: A002 - OpenAI's word
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    mid_stream: bool = False,
    after: int = 1,
    turn: Turn = HELLO,
) -> Turn:
    """A failure, in the words that the server has for one of this status.

    mid_stream: a streamed reply begins with 200, and fails after so many pieces of `turn`. A reply that is not
    streamed fails from the start, with the status.
    """
    named = tuple((headers or {}).items())
    return replace(turn, failure=Failure(message, status, code, type, param, named, after if mid_stream else None))


def disconnect(*, after: int = 0, turn: Turn = HELLO) -> Turn:
    """The connection is cut after so many pieces of a stream; a reply that is not streamed is cut before its end."""
    return replace(turn, cut=after)


def slow(seconds: float = 0.0, turn: Turn = HELLO, *, first: float = 0.0, between: float = 0.0) -> Turn:
    """A reply that takes its time: before its headers, before the first piece, between pieces."""
    return replace(turn, pace=Pace(seconds, first, between))
