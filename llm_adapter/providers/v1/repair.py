"""Replies of `/v1` servers, repaired to OpenAI's exact shape.

- A stream that stops without an end is an error, and so is one that holds something else than chunks.
- What the model thought is there under both names that servers use: `reasoning` (Ollama, vLLM) and
  `reasoning_content` (llama.cpp, LM Studio).
- Each tool call has an id, and each of a stream its own `index`: Ollama sends `index: 0` for every call, older servers
  send none, and some servers send no id.
- Arguments are always JSON: a call without any has "" on some servers, null or an object on others. A call that the
  limit of tokens cut off stays as it is: it has lost its arguments.
- With `parallel_tool_calls=False` the first call is left alone, as vLLM does it itself: Ollama and llama.cpp do not
  know the parameter.

Bytes that need no repair are passed on as they came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from llm_adapter.provider import Comment, Done, Event, Json, ObjectEvents, Rejected, json_bytes, parsed_json
from llm_adapter.translation.errors import interrupted, stream_envelope, stream_error, stream_error_of
from llm_adapter.translation.reply_shapes import CHUNK, Shape, index_of_plain_text
from llm_adapter.translation.wire import CHOICES, Interrupted, tool_call_id

_SUSPECT = re.compile(rb'"(?:tool_calls|reasoning|reasoning_content)"|"(?:delta|choices)"\s*:\s*null')
_NO_ARGUMENTS = "{}"
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"error", b"id", b"retry")
_KEPT = 4_000  # bytes of something that is no event, for the error that tells it


def repaired(reply: Json, call_id: str, single: bool = False, first: int = 0) -> Json:
    """A whole chat completion, repaired in place.

    single: whether the caller wants one tool call at most. first: the place of its first choice among all.
    """
    for index, choice in enumerate(reply["choices"], first):
        message = choice["message"]
        _spell_both(message)
        last = len(message.get("tool_calls") or ()) - 1
        if single and message.get("tool_calls"):
            del message["tool_calls"][1:]
        for place, tool_call in enumerate(message.get("tool_calls") or ()):
            tool_call["id"] = tool_call.get("id") or tool_call_id(call_id, index * CHOICES + place)
            tool_call["type"] = tool_call.get("type") or "function"
            _write_arguments(tool_call["function"], cut=place == last and choice.get("finish_reason") == "length")
        if isinstance(message.get("function_call"), dict):
            _write_arguments(message["function_call"], cut=choice.get("finish_reason") == "length")
    return reply


def complete(reply: Json) -> Json:
    """The reply itself. Raises `Rejected` where a choice has not come to its end."""
    if not all(choice.get("finish_reason") for choice in reply["choices"]):
        raise Interrupted
    return reply


def without_alternatives(choice: Json) -> None:
    """Leave of a choice's logprobs those of its own tokens: `top_logprobs` is 0."""
    for token in (choice.get("logprobs") or {}).get("content") or ():
        token["top_logprobs"] = []


class Lines:
    """Lines of bytes that come in pieces, each with its end: LF, CR, or both. A byte order mark at the start goes."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete now. A CR at the end of a piece waits for its LF."""
        data = self._rest + data
        if not self._begun and len(data) < len(_BOM):
            self._rest = data
            return
        if not self._begun:
            self._begun, data = True, data.removeprefix(_BOM)
        lines = data.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from lines

    @property
    def is_between_lines(self) -> bool:
        return self._begun and not self._rest

    def rest(self) -> bytes:
        """What has come of a line that has no end."""
        rest, self._rest = self._rest, b""
        return rest if self._begun else rest.removeprefix(_BOM)


class RepairDecoder(ObjectEvents):
    """A push decoder: server-sent events in, the same out, repaired. Fed in pieces of any size."""

    def __init__(self, call_id: str, single: bool = False, first: int = 0, shape: Shape = CHUNK) -> None:
        self._shape = shape
        self._lines = Lines()
        self._raw: list[bytes] = []  # the lines of the event under way, as they came
        self._data: list[bytes] = []  # the values of its data
        self._is_error = False
        self._strange = b""  # lines that are no event's
        self._calls: dict[int, ToolCalls] = {}
        self._id = call_id
        self._single = single
        self._first = first  # the place of this stream's first choice among all
        self._begun: set[Any] = set()  # choices
        self._finished: set[Any] = set()
        self._over = False  # it has ended, well or with an error: what comes after is not part of the reply

    def events(self, data: bytes) -> list[Event]:
        # Between two events, those of one line of data are cut out whole: nearly all are.
        if self._raw or not self._lines.is_between_lines or b"\r" in data:
            return self._events_of_lines(data)
        if data[-2:] == b"\n\n" and data.find(b"\n") == len(data) - 2:
            return self._block(data[:-2])
        *blocks, rest = data.split(b"\n\n")
        return [event for block in blocks for event in self._block(block)] + self._events_of_lines(rest)

    def last_events(self) -> list[Event]:
        rest = self._lines.rest()
        # Half a line is no event; and without a blank line behind it, the SDK drops a whole one.
        out = self._line(rest) if _is_whole(rest) else []
        if self._over:
            return out
        out += self._event(b"\n" if not self._raw or self._raw[-1].endswith((b"\n", b"\r")) else b"\n\n")
        return out if self._over or self._ended else out + self._failed(interrupted(self._strange))

    def _events_of_lines(self, data: bytes) -> list[Event]:
        return [event for line in self._lines.feed(data) for event in self._line(line)] if data else []

    def _block(self, block: bytes) -> list[Event]:
        """The events of what stands between two blank lines."""
        if block[:6] == b"data: " and b"\n" not in block and block[6:].strip() and not self._over:
            return self._data_event(block[6:], block + b"\n\n")
        return self._events_of_lines(block + b"\n\n")

    @property
    def _ended(self) -> bool:
        """Whether every choice that has begun has its finish reason."""
        return bool(self._finished) and self._begun <= self._finished

    def _failed(self, envelope: Json) -> list[Event]:
        """The event that ends the stream with an error."""
        self._over = True
        return [Event(envelope)]

    def _line(self, line: bytes) -> list[Event]:
        if self._over:
            return []
        bare = line.rstrip(b"\r\n")
        if not bare:
            return self._event(line)
        field, _, value = bare.partition(b":")
        match field:
            case b"data":
                self._data.append(value.removeprefix(b" "))
            case b"error":  # older llama.cpp sends its error in a field of its own
                self._data.append(value)
                self._is_error = True
            case b"event":
                self._is_error = value.strip() == b"error"
            case b"":
                pass
            case b"id" | b"retry":  # of no use here, and after one the SDK takes a comment for an event of no data
                return []
            case _:  # the SDK would read over it
                self._strange = (self._strange + line)[:_KEPT]
                return []
        if field != b"data":
            line = line.decode("utf-8", "replace").encode()
        self._raw.append(line)
        return []

    def _event(self, end: bytes) -> list[Event]:
        """The event under way, as it leaves. end: the blank line that ends it."""
        raw, data, is_error = self._raw, self._data, self._is_error
        self._raw, self._data, self._is_error = [], [], False
        value = data[0] if len(data) == 1 else b"\n".join(data)
        if is_error:
            return self._failed(stream_error_of(value) if value.strip() else interrupted(self._strange))
        if not value.strip():  # comments; the SDK would read JSON in an event of no data
            comments = [line for line in raw if line.startswith(b":")]
            return [Comment(b"".join(comments) + end)] if comments else []
        return self._data_event(value, b"".join(raw) + end)

    def _data_event(self, value: bytes, raw: bytes) -> list[Event]:
        """The events of one that has data. raw: its bytes."""
        try:
            chunk = from_json(value)
        except ValueError:
            chunk = None
        index = index_of_plain_text(chunk)
        if index is not None and self._passes_text(index):
            self._begun.add(index)
            return [Event(chunk, raw=raw)]
        if value.strip() == b"[DONE]":
            done = self._done(raw) if self._ended else self._failed(interrupted(self._strange))
            self._over = True
            return done
        try:
            chunk = self._shape.parsed(value) if chunk is None else self._shape.checked(chunk)
        except Rejected as refusal:
            return self._failed(stream_envelope(refusal))
        except ValueError:
            return self._failed(stream_error(f"the stream holds something that is not JSON: {value[:80]!r}"))
        self._count_ends(chunk)
        if not self._suspect(value) and "choices" in chunk:
            return [Event(chunk, raw=raw)]
        changed = [self._chunk(one) for one in (*self._ends_of_calls(chunk), chunk)]
        return [_changed_event(one, raw) for one in changed if one is not None]

    def _passes_text(self, index: int) -> bool:
        """Whether a piece of text of one choice leaves as it came."""
        return True

    def _ends_of_calls(self, chunk: Json) -> list[Json]:
        """The chunk before one that ends a choice, with the ends of its calls that have had no arguments."""
        if not self._calls:  # as in a text completion, where nobody has looked at what stands in the place of a delta
            return []
        choices = [one for one in chunk.get("choices") or () if _is_uncut_end(one)]
        finished = [one.get("index") or 0 for one in choices if not (one.get("delta") or {}).get("tool_calls")]
        ends = [
            {"index": index, "delta": {"tool_calls": ends}, "finish_reason": None}
            for index, calls in self._calls.items()
            if index in finished and (ends := calls.ends())
        ]
        head = {name: value for name, value in chunk.items() if name not in ("choices", "usage", "timings")}
        return [{**head, "choices": ends}] if ends else []

    def _count_ends(self, chunk: Json) -> None:
        for choice in chunk.get("choices") or ():
            self._begun.add(choice.get("index"))
            if choice.get("finish_reason"):
                self._finished.add(choice.get("index"))

    def _done(self, raw: bytes) -> list[Event]:
        """What becomes of [DONE]."""
        return [Done(raw)]

    def _suspect(self, value: bytes) -> bool:
        """Whether a chunk may need something."""
        return _SUSPECT.search(value) is not None or any(calls.without_arguments for calls in self._calls.values())

    def _chunk(self, chunk: Json) -> Json | None:
        """A chunk as it leaves; None for one that does not."""
        chunk["choices"] = chunk.get("choices") or []
        if self._shape is CHUNK:
            for choice in chunk["choices"]:
                choice["delta"] = choice.get("delta") or {}
                self._repair_delta(choice["delta"], choice.get("index") or 0, _is_uncut_end(choice))
        return chunk

    def _repair_delta(self, delta: Json, index: int, last: bool) -> None:
        _spell_both(delta)
        calls = self._calls.setdefault(index, ToolCalls(self._id, (self._first + index) * CHOICES))
        if given := delta.get("tool_calls"):
            changed = [one for tool_call in given for one in calls.repaired(tool_call)]
            changed += calls.ends() if last else ()
            delta["tool_calls"] = [one for one in changed if not self._single or one["index"] == 0]


class ToolCalls:
    """One choice's streamed tool calls: their places, ids and arguments.

    A call with a new id, or a new name, has a new place. It ends where the next one begins, or the reply.
    """

    def __init__(self, call_id: str, first: int = 0) -> None:
        self._id = call_id
        self._first = first  # the number of its first call, in ids
        self._places: dict[str, int] = {}
        self._last: int | None = None
        self._current: dict[Any, int | None] = {}  # the server's index to the place of the call it last meant
        self.without_arguments: list[int] = []  # places of calls that have begun and have none yet

    def repaired(self, tool_call: Json) -> list[Json]:
        """One delta repaired; before it the ends of other calls that have had no arguments."""
        self._assign_place(tool_call)
        place, function = tool_call["index"], tool_call.get("function")
        ended = self.ends(but=place)
        if place in self.without_arguments and function:
            function["arguments"] = _arguments_text(function.get("arguments"))
            if function["arguments"]:
                self.without_arguments.remove(place)
        return [*ended, tool_call]

    def ends(self, but: int | None = None) -> list[Json]:
        """The deltas that give the calls their arguments which have ended without any."""
        ended = [place for place in self.without_arguments if place != but]
        self.without_arguments = [place for place in self.without_arguments if place == but]
        return [{"index": place, "function": {"arguments": _NO_ARGUMENTS}} for place in ended]

    def _assign_place(self, tool_call: Json) -> None:
        """Give one delta its place, and its id when it opens a call."""
        given, name = tool_call.get("id"), (tool_call.get("function") or {}).get("name")
        index = tool_call.get("index")
        known = self._places.get(given) if given else self._current.get(index, self._last if index is None else None)
        if known is None or (not given and name):
            known = len(self._places)
            tool_call["id"] = given or tool_call_id(self._id, self._first + known)
            tool_call["type"] = tool_call.get("type") or "function"
            self._places[tool_call["id"]] = known
            self.without_arguments.append(known)
        self._current[index] = self._last = known
        tool_call["index"] = known


def _changed_event(chunk: Json, raw: bytes) -> Event:
    """The event of a chunk that is not as it came, whose lines end as those did: raw."""
    crlf = raw.partition(b"\n")[0].endswith(b"\r")
    return Event(chunk, raw=b"data: " + json_bytes(chunk) + b"\r\n\r\n") if crlf else Event(chunk)


def _is_uncut_end(choice: Json) -> bool:
    return choice.get("finish_reason") not in (None, "", "length")


def _arguments_text(arguments: Any) -> str:
    """The arguments of a call in a reply as the JSON text that OpenAI's clients parse; "" for none."""
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    return arguments if isinstance(arguments, str) and arguments.strip() else ""


def _write_arguments(function: Json, *, cut: bool) -> None:
    function["arguments"] = _arguments_text(function.get("arguments")) or ("" if cut else _NO_ARGUMENTS)


def _is_whole(line: bytes) -> bool:
    """Whether a line that has no end is all there."""
    field, _, value = line.partition(b":")
    if field not in (b"data", b"error"):
        return bool(line) and not any(name.startswith(field) for name in _FIELDS)
    try:
        return value.strip() == b"[DONE]" or bool(parsed_json(value))
    except ValueError:
        return False


def _spell_both(message: Json) -> None:
    text = message.get("reasoning") or message.get("reasoning_content")
    if isinstance(text, str):
        message["reasoning"] = message["reasoning_content"] = text
