"""Replies of `/v1` servers, repaired to OpenAI's exact shape.

- A stream that stops without an end is an error.
- What the model thought is there under both names that servers use: `reasoning` (Ollama, vLLM) and
  `reasoning_content` (llama.cpp, LM Studio).
- Each tool call has an id, and each of a stream its own `index`: Ollama sends `index: 0` for every call, older servers
  send none, and some servers send no id.
- With `parallel_tool_calls=False` the first call is left alone, as vLLM does it itself: Ollama and llama.cpp do not
  know the parameter.

Bytes that need no repair are passed on as they came.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

from llm_adapter.provider import Json
from llm_adapter.translation.errors import stream_error
from llm_adapter.translation.wire import CHOICES, INTERRUPTED, event, tool_call_id

_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_SUSPECT = re.compile(rb'"(?:tool_calls|reasoning|reasoning_content|error)"')


def repaired(reply: Any, call_id: str, single: bool = False, first: int = 0) -> Json:
    """A whole reply of a chat, completions or embeddings call, repaired in place.

    single: whether the caller wants one tool call at most. first: the place of its first choice among all.
    """
    if isinstance(reply, dict):
        for index, choice in enumerate(reply.get("choices") or (), first):
            message = choice.get("message")
            if isinstance(message, dict):
                _spell_both(message)
                if single and message.get("tool_calls"):
                    del message["tool_calls"][1:]
                for place, tool_call in enumerate(message.get("tool_calls") or ()):
                    tool_call["id"] = tool_call.get("id") or tool_call_id(call_id, index * CHOICES + place)
                    tool_call["type"] = tool_call.get("type") or "function"
    return reply  # type: ignore[no-any-return]


class RepairDecoder:
    """A push decoder: server-sent events in, the same out, repaired. Fed in pieces of any size."""

    def __init__(self, call_id: str, single: bool = False, first: int = 0) -> None:
        self._rest = b""
        self._open = False  # an event has begun, and its blank line has not come yet
        self._ended = False
        self._calls: dict[int, ToolCalls] = {}
        self._id = call_id
        self._single = single
        self._first = first  # the place of this stream's first choice among all
        self._over = False  # an error of ours has ended it: what comes after is not part of the reply

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._open = bool(lines[-1].strip())
        return b"".join(self._repaired_line(line) + b"\n" for line in lines)

    def finish(self) -> bytes:
        # Half a line is no event; and without a blank line behind it, the SDK drops a whole one.
        rest = self._repaired_line(self._rest) if _is_whole_event(self._rest) else b""
        end = b"\n\n" if rest or self._open else b""
        return rest + end + (b"" if self._ended else event(stream_error(INTERRUPTED)))

    def _repaired_line(self, line: bytes) -> bytes:
        if self._over:
            return b""
        field, _, value = line.partition(b":")
        done = field == b"data" and value.strip() == b"[DONE]"
        if done or _FINISHED.search(line):
            self._ended = True
        if done:
            return self._done(line)
        if field == b"error" or (field == b"data" and self._suspect(value)):
            try:
                chunk = from_json(value.strip())
            except ValueError:
                return line
            # Older llama.cpp sends its error in a field of its own.
            chunk = self._chunk({"error": chunk} if field == b"error" else chunk)
            if chunk is None:
                return b""
            return b"data: " + to_json(chunk) + (b"\r" if line.endswith(b"\r") else b"")
        return line

    def _done(self, line: bytes) -> bytes:
        return line

    def _suspect(self, value: bytes) -> bool:
        """Whether a chunk may need something."""
        return _SUSPECT.search(value) is not None

    def _chunk(self, chunk: Any) -> Any:
        """A chunk as it leaves; None for one that does not."""
        if not isinstance(chunk, dict):
            return chunk
        if chunk.get("error"):
            self._ended = True
            return stream_error(chunk["error"])
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta")
            if isinstance(delta, dict):
                _spell_both(delta)
                index = choice.get("index") or 0
                calls = self._calls.setdefault(index, ToolCalls(self._id, (self._first + index) * CHOICES))
                for tool_call in delta.get("tool_calls") or ():
                    calls.assign_place(tool_call)
                if self._single and delta.get("tool_calls"):
                    delta["tool_calls"] = [one for one in delta["tool_calls"] if one["index"] == 0]
        return chunk


class ToolCalls:
    """The places and ids of one choice's streamed tool calls: a call with a new id, or a new name, has a new place."""

    def __init__(self, call_id: str, first: int = 0) -> None:
        self._id = call_id
        self._first = first  # the number of its first call, in ids
        self._places: dict[str, int] = {}
        self._last: int | None = None
        self._current: dict[Any, int | None] = {}  # the server's index to the place of the call it last meant

    def assign_place(self, tool_call: Json) -> None:
        """Give one delta its place, and its id when it opens a call."""
        given, name = tool_call.get("id"), (tool_call.get("function") or {}).get("name")
        index = tool_call.get("index")
        known = self._places.get(given) if given else self._current.get(index, self._last if index is None else None)
        if known is None or (not given and name):
            known = len(self._places)
            tool_call["id"] = given or tool_call_id(self._id, self._first + known)
            tool_call["type"] = tool_call.get("type") or "function"
            self._places[tool_call["id"]] = known
        self._current[index] = self._last = known
        tool_call["index"] = known


def _is_whole_event(line: bytes) -> bool:
    value = line.partition(b":")[2].strip()
    try:
        return value == b"[DONE]" or bool(from_json(value))
    except ValueError:
        return False


def _spell_both(message: Json) -> None:
    text = message.get("reasoning") or message.get("reasoning_content")
    if isinstance(text, str):
        message["reasoning"] = message["reasoning_content"] = text
