"""What a model thought: `reasoning_effort` on one that cannot think, and the keys that carry the text in a reply.

Ollama itself checks before it generates, and answers 400 (the recordings think_unsupported and think, jinja); "none" is
accepted by every model. So nothing is asked beforehand: `unsupported` in the settings decides when the refusal comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Event, Flow, Json, ObjectEvents, Rejected, Replay, Reply, json_bytes
from llm_adapter.translation.parameters import refuses, unsupported


def without_thinking(call: Call, refusal: Rejected) -> Call:
    """The call without thinking, after the server refused it. Raises the refusal itself where it is about something
    else, or where `unsupported` is "error"."""
    error = refusal.error
    if error["param"] != "reasoning_effort" or refuses(call, "reasoning_effort"):
        raise refusal
    unsupported(call, "reasoning_effort", f"`reasoning_effort`: {error['message']}")
    kept = {name: value for name, value in call.body.items() if name not in ("reasoning_effort", "think")}
    return replace(call, body=kept, settings=call.settings.model_copy(update={"think": None}))


_KEYS = ("reasoning", "reasoning_content")


def with_reasoning_fields(endpoint: Endpoint) -> Endpoint:
    """The endpoint of a chat or a completion, whose replies carry what the model thought as `reasoning_fields` says.

    It stands around the whole endpoint: what checks a reply, and the Responses API, look at the text themselves.
    """

    def chosen(call: Call) -> Flow:
        reply = yield from endpoint(call)
        wanted = call.settings.reasoning_fields
        return reply if wanted == "both" else _with_keys(reply, () if wanted == "none" else (wanted,))

    return chosen


def _with_keys(reply: Reply, keys: tuple[str, ...]) -> Reply:
    if isinstance(reply, dict):
        _spell(reply, keys)
        return reply
    if isinstance(reply, Replay):
        return Replay(_spelled_bytes(reply.data, keys))
    several = hasattr(reply, "next_stream")
    if isinstance(reply, ObjectEvents):
        return _SpelledStreams(reply, keys) if several else _SpelledEvents(reply, keys)
    return _SpelledByteStreams(reply, keys) if several else _SpelledBytes(reply, keys)


def _spell(reply: Json, keys: tuple[str, ...]) -> bool:
    """Put the text under these keys and under no others, in a whole reply or a chunk; whether there was any."""
    parts = list(_parts(reply))
    for part in parts:
        given = [part.pop(key, None) for key in _KEYS]
        text = next((one for one in given if one is not None), None)
        part.update(dict.fromkeys(keys, text) if text is not None else {})
    return bool(parts)


def _parts(reply: Json) -> Iterator[Json]:
    """Where the keys may stand: a completion has them on its choices."""
    for choice in reply.get("choices") or ():
        for part in (choice, choice.get("message"), choice.get("delta")):
            if isinstance(part, dict) and not part.keys().isdisjoint(_KEYS):
                yield part


def _spelled(events: list[Event], keys: tuple[str, ...]) -> list[Event]:
    return [
        Event(one.value, one.event) if isinstance(one.value, dict) and _spell(one.value, keys) else one
        for one in events
    ]


def _spelled_bytes(events: bytes, keys: tuple[str, ...]) -> bytes:
    """Whole server-sent events, of which those change that have one of the keys."""
    if b'"reasoning' not in events:
        return events
    return b"".join(_spelled_line(line, keys) for line in events.splitlines(keepends=True))


def _spelled_line(line: bytes, keys: tuple[str, ...]) -> bytes:
    if b'"reasoning' not in line or not line.startswith(b"data:"):
        return line
    chunk = json.loads(line.removeprefix(b"data:"))
    end = line[len(line.rstrip(b"\r\n")) :]
    return b"data: " + json_bytes(chunk) + end if _spell(chunk, keys) else line


class _SpelledEvents(ObjectEvents):
    """A decoder of chunks. Its `next_stream`, where it has one, is in the subclass."""

    def __init__(self, inner: Any, keys: tuple[str, ...]) -> None:
        self._inner = inner
        self._keys = keys

    def events(self, data: bytes) -> list[Event]:
        return _spelled(self._inner.events(data), self._keys)

    def last_events(self) -> list[Event]:
        return _spelled(self._inner.last_events(), self._keys)


class _SpelledStreams(_SpelledEvents):
    def next_stream(self) -> list[Event]:
        return _spelled(self._inner.next_stream(), self._keys)


class _SpelledBytes:
    """The same of a provider of one's own, which gives bytes."""

    def __init__(self, inner: Any, keys: tuple[str, ...]) -> None:
        self._inner = inner
        self._keys = keys

    def feed(self, data: bytes) -> bytes:
        return _spelled_bytes(self._inner.feed(data), self._keys)

    def finish(self) -> bytes:
        return _spelled_bytes(self._inner.finish(), self._keys)


class _SpelledByteStreams(_SpelledBytes):
    def next_stream(self) -> bytes:
        return _spelled_bytes(self._inner.next_stream(), self._keys)
