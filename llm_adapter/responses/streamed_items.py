"""The items of a streamed response, each of which writes its own events while it grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_adapter.provider import Event, Json, json_bytes, parsed_json
from llm_adapter.responses.output import call_item, message_item, reasoning_item


class Writer:
    """Server-sent events with their numbers."""

    def __init__(self) -> None:
        self._number = 0
        self._events: list[Event] = []

    def write(self, kind: str, **event: Any) -> None:
        """An event. What is in it may still change: it is copied."""
        self.write_text(kind, **parsed_json(json_bytes(event)))

    def write_text(self, kind: str, **event: Any) -> None:
        """The same, of an event that holds nothing but texts and numbers, or what nobody changes."""
        self._events.append(Event({"type": kind, "sequence_number": self._number, **event}, kind))
        self._number += 1

    def written(self) -> list[Event]:
        """What was written since the last time."""
        events, self._events = self._events, []
        return events


class _StreamedItem:
    """An item under way: added when it begins, done when it is closed."""

    def __init__(self, writer: Writer, place: int, name: str) -> None:
        self._writer, self._place, self._name = writer, place, name
        self._pieces: list[str] = []
        self._closed = False

    @property
    def _text(self) -> str:
        return "".join(self._pieces)

    @property
    def item(self) -> Json:
        raise NotImplementedError

    def _write(self, kind: str, **event: Any) -> None:
        self._writer.write(f"response.{kind}", output_index=self._place, item_id=self._name, **event)

    def _write_text(self, kind: str, **event: Any) -> None:
        self._writer.write_text(f"response.{kind}", output_index=self._place, item_id=self._name, **event)

    def _write_added(self, item: Json) -> None:
        self._writer.write("response.output_item.added", output_index=self._place, item=item)

    def _write_end(self) -> None:
        raise NotImplementedError

    def close(self, cut: bool = False) -> None:
        """The events of an item's end; cut: the reply stops in the midst of it."""
        if self._closed:
            return
        self._closed = True
        self._cut = cut
        self._write_end()
        self._writer.write("response.output_item.done", output_index=self._place, item=self.item)

    _cut = False

    @property
    def _status(self) -> str:
        if not self._closed:
            return "in_progress"
        return "incomplete" if self._cut else "completed"


class ReasoningItem(_StreamedItem):
    """What a model thinks, as the summary of a reasoning item."""

    type = "reasoning"

    def __init__(self, writer: Writer, place: int, name: str) -> None:
        super().__init__(writer, place, name)
        self._write_added({**self.item, "summary": []})
        self._write("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""})

    @property
    def item(self) -> Json:
        return reasoning_item(self._name, self._text)

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._write_text("reasoning_summary_text.delta", summary_index=0, delta=text)

    def _write_end(self) -> None:
        text = self._text
        self._write("reasoning_summary_text.done", summary_index=0, text=text)
        self._write("reasoning_summary_part.done", summary_index=0, part={"type": "summary_text", "text": text})


class MessageItem(_StreamedItem):
    """What a model says, as a message of one part."""

    type = "message"

    def __init__(self, writer: Writer, place: int, name: str) -> None:
        super().__init__(writer, place, name)
        self._logs: list[Json] = []
        self._write_added({**self.item, "content": []})
        self._write("content_part.added", content_index=0, part=self.item["content"][0])

    @property
    def item(self) -> Json:
        return {**message_item(self._name, self._text, self._logs), "status": self._status}

    def add(self, text: str, logs: Sequence[Json]) -> None:
        self._pieces.append(text)
        self._logs += logs
        write = self._write if logs else self._write_text
        write("output_text.delta", content_index=0, delta=text, logprobs=list(logs))

    def _write_end(self) -> None:
        self._write("output_text.done", content_index=0, text=self._text, logprobs=self._logs)
        self._write("content_part.done", content_index=0, part=self.item["content"][0])


class FunctionCallItem(_StreamedItem):
    """A function call."""

    type = "function_call"

    def __init__(self, writer: Writer, place: int, name: str, *, call_id: str, function: str) -> None:
        super().__init__(writer, place, name)
        self._call_id, self._function = call_id, function
        self._write_added(self.item)

    @property
    def item(self) -> Json:
        return {**call_item(self._name, self._call_id, self._function, self._text), "status": self._status}

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._write_text("function_call_arguments.delta", delta=text)

    def _write_end(self) -> None:
        self._write("function_call_arguments.done", name=self._function, arguments=self._text)
