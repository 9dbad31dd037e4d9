"""Turns: what the model of a fake server says next, the same for every server's API.

A turn is a frozen value, and each function below gives one; those that take a turn change how another one goes:
`slow(2, thinking("Paris? France.", text("Paris")))`. Times are seconds. Pieces are what a stream sends one by one:
the words, each with the white space before it, and always the whole text when they are joined.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["text", "embeddings", "any"]
_PIECES = re.compile(r"\s*\S+|\s+")
_THOUGHTS = ("reasoning", "reasoning_content", "thinking")  # the spellings of what a model thought


class Usage(NamedTuple):
    """Counts that a reply states. Without them the fake server estimates."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. Text for arguments goes as it is: models do write JSON that is none.

    index: what the server says of its place among the calls. Ollama has said 0 for every call (ollama#15457, 0.20), and
    before 0.4.7 nothing (ollama#7881): `tool_calls(ToolCall("f", {"a": 1}, index=0), ToolCall("g", {}, index=0))`.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None  # None: the server gives one, as it does
    index: int | None = -1  # -1: its place; None: the server says none

    def placed(self, place: int) -> Json:
        """The field that says its place."""
        return {} if self.index is None else {"index": place if self.index == -1 else self.index}

    @property
    def text(self) -> str:
        """The arguments as OpenAI has them: JSON in a string."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)

    @property
    def parsed(self) -> Json:
        """The arguments as Ollama has them, an object. It drops a call without one; here it comes as an empty one."""
        if not isinstance(self.arguments, str):
            return dict(self.arguments)
        try:
            found = json.loads(self.arguments)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


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
class Delays:
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
    pace: Delays = Delays()
    more: tuple[Turn, ...] = ()  # the other choices, where a call asks for several
    kind: Kind | None = None  # of the calls that it answers; None: its content tells

    @property
    def answers(self) -> Kind:
        """The kind of the calls that it answers: a text is no answer to a call for embeddings, nor the reverse."""
        if self.kind is not None:
            return self.kind
        if self.vectors is not None:
            return "embeddings"
        return "text" if self.content or self.thinking or self.calls else "any"

    @property
    def finish_reason(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    @property
    def spoken(self) -> tuple[str, ...]:
        """The pieces of the content."""
        return pieces(self.content) if self.pieces is None else self.pieces


def turned(given: Turn | str) -> Turn:
    """What a script is given as a turn: a string is a text. Raises `TypeError` for anything else."""
    if isinstance(given, Turn):
        return given
    if isinstance(given, str):
        return Turn(given, kind="text")
    words = f"a turn is a string, or what text(), tool_call(), error() and the like give; this is {given!r:.80}"
    raise TypeError(f"{words}: several are given one by one, script(*turns)" if isinstance(given, list) else words)


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
        return Turn(content, thinking, finish=finish, usage=counts, kind="text")
    given = tuple(content) if isinstance(content, Iterable) else (content,)
    if not all(isinstance(one, str) for one in given):
        raise TypeError(f"text() takes a string, or the strings of its pieces, and not {content!r:.80}")
    return Turn("".join(given), thinking, finish=finish, usage=counts, pieces=given, kind="text")


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
    return replace(turned(then), thinking=thought)


def embedding(vectors: Iterable[float] | Iterable[Iterable[float]] | None = None) -> Turn:
    """Vectors, one or one for each input. Without any, they are made from the input: the same text, the same vector."""
    if vectors is None:
        return Turn(kind="embeddings")
    given = tuple(vectors)
    many: Any = given if given and not isinstance(given[0], (int, float)) else (given,)
    return Turn(vectors=tuple(tuple(float(part) for part in vector) for vector in many), kind="embeddings")


def choices(first: Turn | str, *more: Turn | str) -> Turn:
    """Several choices of one reply, for servers that know `n`."""
    return replace(turned(first), more=tuple(turned(one) for one in more))


HELLO = replace(text("Hello from the fake server."), kind="any")


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
    turn: Turn | str = HELLO,
) -> Turn:
    """A failure, in the words that the server has for one of this status. It answers a call of any kind.

    mid_stream: a streamed reply begins with 200, and fails after so many pieces of `turn`. A reply that is not
    streamed fails from the start, with the status. Raises `ValueError` for a status that is no error's.
    """
    if not 400 <= status < 600:
        raise ValueError(f"error({status}) is none: a status of 400 to 599 is; text() and the like answer with 200")
    failure = Failure(message, status, code, type, param, tuple((headers or {}).items()), after if mid_stream else None)
    found = replace(turned(turn), failure=failure)
    return found if mid_stream else replace(found, kind="any")


def disconnect(*, after: int = 0, turn: Turn | str = HELLO) -> Turn:
    """The connection is cut after so many pieces of a stream; a reply that is not streamed is cut before its end."""
    return replace(turned(turn), cut=after)


def slow(seconds: float = 0.0, turn: Turn | str = HELLO, *, first: float = 0.0, between: float = 0.0) -> Turn:
    """A reply that takes its time: before its headers, before the first piece, between pieces."""
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"slow(seconds, turn): the seconds come first, and this is a {type(seconds).__name__}")
    return replace(turned(turn), pace=Delays(seconds, first, between))


# --- a recorded OpenAI reply as a turn: what makes any persona say the same again, in its own way.
# Source: openai/types, 3.52.0. Log probabilities are not kept: the fake makes its own.


def reply(recorded: Json, status: int | None = None) -> Turn:
    """The turn that makes this reply: a chat completion, a text completion, vectors, a response, or an error.

    recorded: the JSON of the reply. status: of an error; by default what its `code` says, or 400.
    Raises `ValueError` for anything else.
    """
    match recorded:
        case {"error": error} if error is not None and "output" not in recorded:
            return Turn(failure=_recorded_failure(error, status))
        case {"object": "chat.completion", "choices": [*choices]} if choices:
            return _with_choices([_chat_turn(choice) for choice in choices], recorded)
        case {"object": "text_completion", "choices": [*choices]} if choices:
            return _with_choices(
                [text(str(one.get("text") or ""), finish=one.get("finish_reason")) for one in choices], recorded
            )
        case {"object": "list", "data": [{"embedding": _}, *_] as data}:
            vectors = tuple(_recorded_vector(one["embedding"]) for one in data)
            return Turn(vectors=vectors, usage=_recorded_usage(recorded))
        case {"object": "response", "output": [*items]}:
            return replace(_response_turn(items), usage=_recorded_usage(recorded), finish=_response_finish(recorded))
        case _:
            raise ValueError(f"no turn makes this reply: {recorded.get('object')!r} is not among those that are known")


def _with_choices(turns: list[Turn], recorded: Json) -> Turn:
    return replace(turns[0], more=tuple(turns[1:]), usage=_recorded_usage(recorded))


def _chat_turn(choice: Json) -> Turn:
    message = choice.get("message") or {}
    thought = next((message[name] for name in _THOUGHTS if message.get(name)), "")
    calls = tuple(_recorded_calls(message))
    content = message.get("content") or message.get("refusal") or ""
    return Turn(str(content), str(thought), calls, choice.get("finish_reason"), kind="text")


def _recorded_calls(message: Json) -> Iterable[ToolCall]:
    for call in message.get("tool_calls") or []:
        function = call.get("function") or call.get("custom") or {}
        yield ToolCall(function["name"], function.get("arguments", function.get("input", "")), call.get("id") or None)
    if function := message.get("function_call"):
        yield ToolCall(function["name"], function["arguments"])


def _recorded_usage(recorded: Json) -> Usage | None:
    usage = recorded.get("usage") or {}
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    return None if prompt is None else Usage(prompt, usage.get("completion_tokens", usage.get("output_tokens", 0)))


def _recorded_vector(given: Any) -> tuple[float, ...]:
    if isinstance(given, str):
        data = base64.b64decode(given)
        return struct.unpack(f"<{len(data) // 4}f", data)
    return tuple(float(part) for part in given)


def _response_turn(items: list[Json]) -> Turn:
    said, thought, calls = "", "", []
    for item in items:
        if item.get("type") == "message":
            said += "".join(part.get("text", part.get("refusal", "")) for part in item.get("content") or [])
        elif item.get("type") == "reasoning":
            thought += "".join(part.get("text", "") for part in item.get("summary") or [])
        elif item.get("type") == "function_call":
            calls.append(ToolCall(item["name"], item["arguments"], item.get("call_id")))
    return Turn(said, thought, tuple(calls), kind="text")


def _response_finish(recorded: Json) -> str | None:
    return "length" if recorded.get("status") == "incomplete" else None


def _recorded_failure(error: Any, status: int | None) -> Failure:
    if not isinstance(error, dict):
        return Failure(str(error), status or 400)
    code = error.get("code")
    found = status or (code if isinstance(code, int) and 400 <= code < 600 else 400)
    words = str(error.get("message") or "")
    return Failure(words, found, code if isinstance(code, str) else None, error.get("type"), error.get("param"))
