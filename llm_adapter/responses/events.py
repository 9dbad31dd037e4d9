"""Chat's server-sent events  →  the Responses API's, in OpenAI's order: a push decoder around the backend's own.

created, in_progress, then for each item: added, its parts and their deltas, done; at the end completed or incomplete.
Where chat has an error, or stops before its end, comes `response.failed` and an error that the SDK raises.
Source: openai-python lib/streaming/responses/_responses.py and types/responses/*_event.py, v3.52.0; the recordings
responses.json, whose server gives no `summary_part` events.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic_core import from_json

from llm_adapter.provider import Event, Json, ObjectEvents
from llm_adapter.provider import Events as ChatEvents
from llm_adapter.responses import output
from llm_adapter.responses.history import Turn
from llm_adapter.responses.items import item_id
from llm_adapter.responses.streamed_items import FunctionCallItem, MessageItem, ReasoningItem, Writer
from llm_adapter.translation.errors import stream_error
from llm_adapter.translation.wire import INTERRUPTED


class ResponseDecoder(ObjectEvents):
    """The decoder of one response. `inner` is None when the chat's events are at hand already: see `take`."""

    def __init__(self, turn: Turn, inner: ChatEvents | None = None) -> None:
        self._turn, self._inner = turn, inner
        self._call = turn.call
        self._rest = b""
        self._writer = Writer()
        self._begun = self._over = False
        self._items: list[ReasoningItem | MessageItem | FunctionCallItem] = []
        self._open_item: ReasoningItem | MessageItem | None = None  # what goes on with the next text of its kind
        self._called: dict[Any, FunctionCallItem] = {}
        self._chat: Json = {}  # model, usage and figures, as they come
        self._reason: str | None = None
        self.long_work: Callable[[], list[Event]] | None = None  # keeping the response in a file

    def events(self, data: bytes) -> list[Event]:
        inner = self._inner
        assert inner is not None
        if not isinstance(inner, ObjectEvents):
            return self.take(inner.feed(data))
        self._begin()
        for event in inner.events(data):
            self._read_event(event)
        return self._writer.written()

    def last_events(self) -> list[Event]:
        inner = self._inner
        self._begin()
        if isinstance(inner, ObjectEvents):
            for event in inner.last_events():
                self._read_event(event)
        elif inner is not None:
            self._read(inner.finish())
        self._read_line(self._rest)
        if not self._over:
            # Some servers leave out [DONE]; without a reason, the reply has not ended either.
            self._complete() if self._reason else self._fail(stream_error(INTERRUPTED)["error"])
        return self._writer.written()

    def take(self, data: bytes) -> list[Event]:
        """The events for some of chat's."""
        self._begin()
        self._read(data)
        return self._writer.written()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            for kind in ("response.created", "response.in_progress"):
                self._writer.write(kind, response=output.unfinished_response(self._call))

    def _read(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read_line(line)

    def _read_event(self, event: Event) -> None:
        if self._over or not event.is_told:
            return
        if event.data:
            self._complete()
        else:
            self._read_chunk_or_error(event.json())

    def _read_line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.strip()
        if field != b"data" or self._over or not value:
            return
        if value == b"[DONE]":
            self._complete()
            return
        self._read_chunk_or_error(_parsed_chunk(value))

    def _read_chunk_or_error(self, chunk: Json) -> None:
        if chunk.get("error"):
            self._fail(chunk["error"])
        else:
            self._read_chunk(chunk)

    def _read_chunk(self, chunk: Json) -> None:
        self._chat |= {name: chunk[name] for name in ("model", "usage", "ollama") if chunk.get(name)}
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            thought = delta.get("reasoning") or delta.get("reasoning_content")
            if thought:
                self._item_of_kind(ReasoningItem).add(thought)
            if delta.get("content"):
                said = self._item_of_kind(MessageItem)
                said.add(delta["content"], output.logprobs(choice.get("logprobs")))
            for tool_call in delta.get("tool_calls") or ():
                self._tool_call(tool_call)
            self._reason = choice.get("finish_reason") or self._reason

    def _item_of_kind(self, kind: type[ReasoningItem] | type[MessageItem]) -> Any:
        """The item that text of a kind belongs to: the one that is open, or a new one."""
        if not isinstance(self._open_item, kind):
            self._close_open_item()
            self._open_item = self._new_item(kind)
        return self._open_item

    def _close_open_item(self) -> None:
        if self._open_item is not None:
            self._open_item.close()
            self._open_item = None

    def _new_item(self, kind: Any, **about: Any) -> Any:
        place = len(self._items)
        item = kind(self._writer, place, item_id(kind.type, self._call.id, self._turn.first + place), **about)
        self._items.append(item)
        return item

    def _tool_call(self, tool_call: Json) -> None:
        function = tool_call.get("function") or {}
        called = self._called.get(tool_call["index"])
        if called is None:
            self._close_open_item()
            called = self._new_item(FunctionCallItem, call_id=tool_call["id"], function=function.get("name") or "")
            self._called[tool_call["index"]] = called
        if function.get("arguments"):
            called.add(function["arguments"])

    def _complete(self) -> None:
        self._over = True
        answered = any(isinstance(item, (MessageItem, FunctionCallItem)) for item in self._items)
        if not answered and output.is_empty_message(False, self._reason):
            self._item_of_kind(MessageItem)
        cut = self._reason in output.CUT
        for item in self._items:
            item.close(cut and item is self._items[-1])
        whole = output.finished_response(self._call, [item.item for item in self._items], self._reason, self._chat)
        if self._turn.waits:
            self.long_work = partial(self._keep_in_file, whole)
        else:
            self._keep(whole)

    def _keep_in_file(self, whole: Json) -> list[Event]:
        self.long_work = None
        self._keep(whole)
        return self._writer.written()

    def _keep(self, whole: Json) -> None:
        """Store the response, and write the event of the end, which says whether that was possible."""
        self._turn.keep(whole)
        whole["adapter"] = self._call.report.json(whole["model"])
        self._writer.write(f"response.{whole['status']}", response=whole)

    def _fail(self, error: Json) -> None:
        self._over = True
        response = output.unfinished_response(self._call, "failed")
        response["output"] = [item.item for item in self._items]
        response["error"] = {"code": "server_error", "message": error.get("message")}
        self._writer.write("response.failed", response=response)
        # OpenAI's fields, and the object that makes the SDK raise instead of handing the event on.
        told = {name: error.get(name) for name in ("code", "message", "param")}
        self._writer.write("error", **told, error=error)


def _parsed_chunk(value: bytes) -> Json:
    try:
        chunk = from_json(value)
    except ValueError:
        try:
            chunk = json.loads(value)  # takes lone surrogates
        except ValueError:
            chunk = None
    if not isinstance(chunk, dict):
        return stream_error(f"the stream holds something that is not an object: {value[:80]!r}")
    return chunk
