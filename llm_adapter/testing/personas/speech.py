"""From a turn to what is sent: how much of it a server lets the model say, and what goes out when.

Tokens are estimates: a piece of a stream is one token of a reply, about four letters of an alphabet one of a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_adapter.testing.personas.wire import EVENTS, JSON, Answer, Piece, encoded
from llm_adapter.testing.turns import ToolCall, Turn, Usage, pieces
from llm_adapter.translation.token_count import estimate

_PER_MESSAGE = 4  # the role and the marks of a template
_SILENT = {"role", "type", "id", "tool_call_id", "image_url", "images", "input_audio", "file"}
CUT = Answer(0, (), (), aborted=True)  # the connection goes before anything is sent


@dataclass(frozen=True, slots=True)
class Utterance:
    """A turn as the server lets it pass: cut by a limit or a stop sequence, and counted."""

    thinking: tuple[str, ...]
    content: tuple[str, ...]
    calls: tuple[ToolCall, ...]
    finish: str
    usage: Usage
    stated: bool  # the turn said its usage, which is then that of the whole reply

    @property
    def text(self) -> str:
        return "".join(self.content)

    @property
    def thought(self) -> str:
        return "".join(self.thinking)


def utterance(turn: Turn, prompt: int, limit: Any = None, stop: Any = None, *, thinks: bool = True) -> Utterance:
    """What the model says of a turn. limit: tokens, thinking among them; stop: a text, or several."""
    thoughts = pieces(turn.thinking) if thinks else ()
    content = _before_stop(turn.spoken, [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else [])
    most = limit if isinstance(limit, int) and limit > 0 else len(thoughts) + len(content)
    finish, calls = turn.finish_reason, turn.calls
    if most < len(thoughts) + len(content):
        thoughts, content, calls, finish = thoughts[:most], content[: max(0, most - len(thoughts))], (), "length"
    count = len(thoughts) + len(content) + sum(1 + len(pieces(call.text)) for call in calls)
    stated = turn.usage is not None and finish == turn.finish_reason
    if turn.usage is not None:
        prompt, count = turn.usage.prompt_tokens, turn.usage.completion_tokens if stated else count
    return Utterance(thoughts, content, calls, finish, Usage(prompt, count), stated)


def total(spoken: Sequence[Utterance]) -> Usage:
    """The tokens of a reply with several choices: the prompt counts once."""
    if spoken[0].stated:
        return spoken[0].usage
    return Usage(spoken[0].usage.prompt_tokens, sum(one.usage.completion_tokens for one in spoken))


def _before_stop(spoken: tuple[str, ...], stops: Iterable[Any]) -> tuple[str, ...]:
    whole = "".join(spoken)
    places = [whole.find(stop) for stop in stops if isinstance(stop, str)]  # an empty one is found at once
    left = min([place for place in places if place >= 0], default=len(whole))
    kept = []
    for piece in spoken:
        kept.append(piece[:left])
        left -= len(kept[-1])
    return tuple(piece for piece in kept if piece)


def prompt_tokens(body: Any) -> int:
    """About how many tokens a request's prompt has, whatever API it is of."""
    fields = body if isinstance(body, dict) else {}
    messages = fields.get("messages")
    request = [fields.get(name) for name in ("messages", "prompt", "input", "instructions", "system", "tools")]
    frame = _PER_MESSAGE * len(messages) if isinstance(messages, list) else 0
    return max(1, frame + sum(estimate(text) for text in _texts(request)))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, part in value.items():
                if name not in _SILENT:
                    yield from _texts(part)
        case list() | tuple():
            for part in value:
                yield from _texts(part)
        case int():  # a token's id
            yield "x"


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream: what opens it, its pieces, what closes it, and what a failure in the middle leaves instead."""

    pieces: tuple[bytes, ...]
    closing: tuple[bytes, ...]
    broken: tuple[bytes, ...]
    opening: tuple[bytes, ...] = ()


def streamed(turn: Turn, frames: Frames, kind: str = EVENTS) -> Answer:
    """A stream as the turn has it go: to its end, to a failure, or to a cut."""
    sent, ending, pace = frames.pieces, frames.closing, turn.pace
    if turn.cut is not None:
        if turn.cut == 0:
            return replace(CUT, wait=pace.start)
        sent, ending = sent[: turn.cut], ()
    elif turn.failure is not None:
        sent, ending = sent[: turn.failure.after], frames.broken
    waits = [pace.first, *[0.0] * (len(frames.opening) - 1)] if frames.opening else []
    waits += [pace.first if not waits and place == 0 else pace.between if place else 0.0 for place in range(len(sent))]
    waits += [0.0] * len(ending)
    data = (*frames.opening, *sent, *ending)
    out = tuple(Piece(one, wait) for one, wait in zip(data, waits, strict=True))
    headers = (("content-type", kind),)
    return Answer(200, headers, out, streamed=True, aborted=turn.cut is not None, wait=pace.start)


def complete(turn: Turn, content: Any) -> Answer:
    """A reply in one piece, as the turn has it go. What is cut is cut in the middle of its body."""
    wait = turn.pace.start + turn.pace.first
    if turn.cut == 0:
        return replace(CUT, wait=wait)
    data = encoded(content)
    headers = (("content-type", JSON), ("content-length", str(len(data))))
    sent = data if turn.cut is None else data[: len(data) // 2]
    return Answer(200, headers, (Piece(sent),), aborted=turn.cut is not None, wait=wait)
