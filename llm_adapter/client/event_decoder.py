"""A faster decoder of server-sent events for the SDK's streams, which ask for one by `_make_sse_decoder`.

The SDK's own goes through a stream line by line, which takes most of what a chunk costs. Nearly every event is one line
of data, or has a line with its name before it. Such events are cut out whole here, and parsed without a `str` between.
From the first event on that is anything else - several lines of data, another field, a CR, a name that is not UTF-8 -
the SDK's decoder reads the rest of the stream. That is safe, for between two events it would remember nothing: only
`id` outlives an event, and one with an `id` is anything else. What has no end at the end of the stream is the SDK's
too. tests/client/test_event_decoder.py holds events and errors against the SDK's own, however the bytes are cut.
Source: openai-python src/openai/_streaming.py SSEDecoder, v2.45.0 and v3.57.0.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from pydantic_core import from_json

from llm_adapter.transport.event_pieces import EventPieces


class RawEvent:
    """One event, as far as the SDK's streams look at it. raw: the data, in UTF-8."""

    __slots__ = ("event", "raw")
    is_told = True

    def __init__(self, raw: bytes, event: str | None = None) -> None:
        self.raw = raw
        self.event = event

    @property
    def is_end(self) -> bool:
        return self.raw == b"[DONE]"

    @property
    def data(self) -> str:
        return self.raw.decode()

    def json(self) -> Any:
        """The parsed data. Raises what the SDK's own does, for what it refuses."""
        try:
            return from_json(self.raw)
        except ValueError:  # also for what only the slower parser takes, such as lone surrogates
            return json.loads(self.data)

    def validated(self, validator: Any) -> Any:
        """The object of a chunk's data; None for anything else, and for what may be an error."""
        raw = self.raw
        if self.event is not None:
            return None
        try:
            # A key may be written with escapes. Where there are some, the keys are looked at.
            if b'"error"' not in raw and b"\\u" not in raw:
                return validator.validate_json(raw, strict=True)
            value = from_json(raw)
            return None if type(value) is dict and value.get("error") else validator.validate_python(value, strict=True)
        except ValueError:
            return None


class EventDecoder:
    """The decoder of one stream. others: the SDK's, for what is not cut here.

    Where the stream has events as objects, there is nothing to decode: see `llm_adapter/transport/event_pieces.py`.
    Who takes the first events in another way does so by `begin`, `feed` and `leave`; see `chunk_stream.py`.
    """

    def __init__(self, others: Any) -> None:
        self._others = others
        self._cutter = Cutter()
        self._source: Any = None  # pieces of bytes, or lists of events
        self.feed: Any = self._cutter.feed  # makes events of what the source gives
        self._left: list[Any] = []  # events that were not taken in another way
        self._error: Exception | None = None
        self._begun = False
        self.at_end: Callable[[Any], Any] | None = None  # called with the source before the event that ends the stream

    def begin(self, iterator: Iterator[bytes]) -> Any:
        """The source, made of what `iter_bytes` of a response gives."""
        body = iterator.body() if isinstance(iterator, EventPieces) else None
        return self._begin(iter(iterator) if body is None else body.batches(), body)

    def abegin(self, iterator: AsyncIterator[bytes]) -> Any:
        """The same in an event loop."""
        body = iterator.body() if isinstance(iterator, EventPieces) else None
        return self._begin(aiter(iterator) if body is None else body.async_batches(), body)

    def _begin(self, source: Any, body: Any) -> Any:
        self._begun, self._source = True, source
        if body is not None:
            self.feed = list
        return source

    @property
    def is_left(self) -> bool:
        """Whether `iter_bytes` has to go on."""
        return bool(self._left) or self._cutter.others_go_on

    def leave(self, batch: list[Any], event: Any) -> None:
        """Leave an event, and those that came with it, to `iter_bytes`."""
        self._left = batch[batch.index(event) :]

    def fail(self, error: Exception) -> None:
        """Have `iter_bytes` raise an error of the source's."""
        self._error = error

    def iter_bytes(self, iterator: Iterator[bytes]) -> Iterator[Any]:
        """The events of a stream whose bytes come in pieces of any size; where it has begun, those that are left."""
        source = self._source if self._begun else self.begin(iterator)
        yield from self._ended(_told(self._left), source)
        if self._error is not None:
            raise self._error
        if not self._cutter.others_go_on:
            for piece in source:
                yield from self._ended(_told(self.feed(piece)), source)
                if self._cutter.others_go_on:
                    break
        # A source that is at its end has nothing more.
        yield from self._others.iter_bytes(chain(self._cutter.rest(), source))

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """The same in an event loop."""
        source = self._source if self._begun else self.abegin(iterator)
        for event in await self._aended(_told(self._left), source):
            yield event
        if self._error is not None:
            raise self._error
        if not self._cutter.others_go_on:
            async for piece in source:
                for event in await self._aended(_told(self.feed(piece)), source):
                    yield event
                if self._cutter.others_go_on:
                    break
        async for event in self._others.aiter_bytes(_chained(self._cutter.rest(), source)):
            yield event

    def _ended(self, events: list[Any], source: Any) -> list[Any]:
        """The events themselves; where the last of them is the end, what is done before it is told has been done."""
        if self.at_end is not None and events and events[-1].is_end:
            self.at_end(source)
        return events

    async def _aended(self, events: list[Any], source: Any) -> list[Any]:
        if self.at_end is not None and events and events[-1].is_end:
            await self.at_end(source)
        return events


def _told(events: list[Any]) -> list[Any]:
    return [event for event in events if event.is_told]


async def _chained(before: Iterable[bytes], iterator: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in before:
        yield piece
    async for piece in iterator:
        yield piece


class Cutter:
    """Cuts events out of a stream's bytes, as long as each is of a common shape.

    Each byte is joined to others once, in however many pieces an event comes.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []  # the pieces of an event that has no end yet
        self.others_go_on = False  # what is left, and all that comes, is for the SDK's decoder

    def feed(self, piece: bytes) -> list[RawEvent]:
        """The events that are complete now."""
        held = self._held
        if not piece:
            return []
        if b"\r" in piece:
            held.append(piece)
            self.others_go_on = True
            return []
        if not held and piece[:6] == b"data: " and piece[-2:] == b"\n\n" and piece.find(b"\n") == len(piece) - 2:
            return [RawEvent(piece[6:-2])]  # one event, as nearly always
        if held:
            if b"\n\n" not in piece and not (piece[:1] == b"\n" == held[-1][-1:]):
                held.append(piece)
                return []
            piece = b"".join((*held, piece))
        *blocks, rest = piece.split(b"\n\n")
        events: list[RawEvent] = []
        for place, block in enumerate(blocks):
            if block[:6] == b"data: " and b"\n" not in block:
                events.append(RawEvent(block[6:]))
            elif (event := _named_event(block)) is not None:
                events.append(event)
            elif not _is_comment(block):
                self.others_go_on = True
                rest = b"\n\n".join((*blocks[place:], rest))
                break
        self._held = [rest] if rest else []
        return events

    def rest(self) -> list[bytes]:
        """The pieces of what has not become an event."""
        return self._held


def _named_event(block: bytes) -> RawEvent | None:
    """The event of two lines, its name and its data; None for anything else."""
    name, _, data = block.partition(b"\n")
    if name[:7] != b"event: " or data[:6] != b"data: " or b"\n" in data:
        return None
    try:
        return RawEvent(data[6:], name[7:].decode() or None)
    except UnicodeDecodeError:
        return None


def _is_comment(block: bytes) -> bool:
    """Whether it is nothing, or a line that servers send to keep a connection alive."""
    return not block or (block[:1] == b":" and b"\n" not in block and block.isascii())
