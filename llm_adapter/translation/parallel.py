"""Endpoints made of smaller ones: several generators of native requests, run as one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from llm_adapter.provider import Event, Json, NativeReply, NativeRequest, ObjectEvents

T = TypeVar("T")
Steps: TypeAlias = Generator[NativeRequest, NativeReply, T]  # one request at a time, and a result


def together(flows: Sequence[Steps[T]]) -> Generator[NativeRequest | Sequence[NativeRequest], Any, list[T]]:
    """The results of several flows in their order; each step's requests go out side by side."""
    if len(flows) == 1:  # nearly every call: it need not pay for the others
        return [(yield from flows[0])]
    results: dict[int, T] = {}
    waiting: dict[int, NativeRequest] = {}
    replies: dict[int, NativeReply | None] = dict.fromkeys(range(len(flows)))
    while replies:
        waiting.clear()
        for place, reply in replies.items():
            try:
                waiting[place] = flows[place].send(reply)  # type: ignore[arg-type]
            except StopIteration as stop:  # noqa: PERF203 - it is how a generator returns
                results[place] = stop.value
        got = (yield list(waiting.values())) if waiting else []
        replies = dict(zip(list(waiting), got, strict=True))
    return [results[place] for place in range(len(flows))]


def seeded(sampling: Json, count: int) -> list[Json]:
    """The sampling of `count` choices of one call: a seed that the caller gave is counted up, so that they differ."""
    seed = sampling.get("seed")
    if count == 1 or not isinstance(seed, int):
        return [sampling] * count
    return [{**sampling, "seed": seed + place} for place in range(count)]


class SequentialStreams(ObjectEvents):
    """The decoder of several streams of one reply, which are fed one after the other: see `SequentialEvents`."""

    def __init__(self, parts: Sequence[ObjectEvents]) -> None:
        self._parts = list(parts)

    def events(self, data: bytes) -> list[Event]:
        return self._parts[0].events(data)

    def next_stream(self) -> list[Event]:
        return self._parts.pop(0).last_events()

    def last_events(self) -> list[Event]:
        return self._parts[0].last_events()
