"""Streams of `/v1` servers: repaired and checked; several streams of one reply become one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llm_adapter.provider import Call, Done, Event, Events, Json
from llm_adapter.providers.v1.repair import RepairDecoder, without_alternatives
from llm_adapter.translation.chat_stream import ChoiceDeltas, wants_usage
from llm_adapter.translation.errors import no_reply
from llm_adapter.translation.parallel import SequentialStreams
from llm_adapter.translation.reply_checks import ReplyRequirements, summed_usage
from llm_adapter.translation.reply_shapes import STREAMED

_OF_A_CHUNK = ("choices", "usage", "timings")
_LAST = re.compile(rb'"finish_reason"\s*:\s*"|"usage"\s*:\s*\{')


@dataclass
class Tally:
    """What all streams of a reply share."""

    streams: int
    choices: int  # in all of them
    per_prompt: int  # streams that share a prompt
    finished: int = 0
    usages: dict[int, Json] = field(default_factory=dict)  # by stream
    head: Json = field(default_factory=dict)  # of the first chunk: the whole is one completion


def decoder(requirements: ReplyRequirements, count: int) -> Events:
    """The decoder of `count` streams of a chat."""
    tally = Tally(count, requirements.count, count)
    parts = [ChatDecoder(requirements, place, tally) for place in range(count)]
    return parts[0] if count == 1 else SequentialStreams(parts)


class StreamDecoder(RepairDecoder):
    """The decoder of one stream. A subclass says what becomes of one choice of a chunk."""

    def __init__(self, call: Call, place: int, tally: Tally, everything: bool) -> None:
        super().__init__(call.id, first=place, shape=STREAMED[call.path])
        self._call, self._place, self._tally = call, place, tally
        self._everything = everything or tally.streams > 1

    def _choice(self, choice: Json) -> Json | None:
        """Change a choice in place. An error's envelope ends the stream."""
        raise NotImplementedError

    def _passes_text(self, index: int) -> bool:
        return not self._everything

    def _suspect(self, value: bytes) -> bool:
        return self._everything or super()._suspect(value) or _LAST.search(value) is not None

    def _done(self, raw: bytes) -> list[Event]:
        tally = self._tally
        if self._place < tally.streams - 1:
            return []
        if tally.streams == 1 or not wants_usage(self._call) or len(tally.usages) < tally.streams:
            return [Done(raw)]
        counts = summed_usage([tally.usages[place] for place in range(tally.streams)], tally.per_prompt)
        report = self._call.report.json(tally.head.get("model"))
        return [Event({**tally.head, "choices": [], "usage": counts, "adapter": report}), Done(raw)]

    def _chunk(self, chunk: Json) -> Json | None:
        super()._chunk(chunk)
        choices = chunk["choices"]
        if self._tally.streams > 1:
            self._share_id_and_usage(chunk)
        held = [_brings_nothing(one) for one in choices]
        for choice in choices:
            choice["index"] = (choice.get("index") or 0) + self._place
            error = self._choice(choice)
            if error is not None:
                self._over = True
                return error
            self._tally.finished += choice.get("finish_reason") is not None
        if choices and not any(held) and all(_brings_nothing(one) for one in choices):
            return None  # what it brought is held back
        if self._tally.streams > 1 and not choices:
            return None
        self._add_report(chunk, choices)
        return chunk

    def _share_id_and_usage(self, chunk: Json) -> None:
        """One id for all streams, and one usage behind the last: servers give it in different places."""
        tally = self._tally
        tally.head = tally.head or {name: value for name, value in chunk.items() if name not in _OF_A_CHUNK}
        chunk |= {name: tally.head[name] for name in ("id", "created") if name in tally.head}
        if usage := chunk.pop("usage", None):
            tally.usages[self._place] = usage

    def _add_report(self, chunk: Json, choices: list[Json]) -> None:
        """What became of the call, on the last chunk."""
        last = any(one.get("finish_reason") for one in choices) and self._tally.finished == self._tally.choices
        if (not choices and chunk.get("usage")) or (last and not wants_usage(self._call)):
            chunk["adapter"] = self._call.report.json(chunk.get("model"))


class ChatDecoder(StreamDecoder):
    """The decoder of one stream of a chat."""

    def __init__(self, requirements: ReplyRequirements, place: int, tally: Tally) -> None:
        plan = requirements.plan
        everything = (
            requirements.judged or requirements.recovers or plan.legacy or (bool(plan.functions) and not plan.parallel)
        ) or requirements.call.body.get("top_logprobs") == 0
        super().__init__(requirements.call, place, tally, everything)
        self._requirements = requirements
        self._deltas: dict[int, ChoiceDeltas] = {}

    def _passes_text(self, index: int) -> bool:
        if not self._everything:
            return True
        deltas = self._deltas.get(index)
        return self._tally.streams == 1 and deltas is not None and deltas.passes_text

    def _choice(self, choice: Json) -> Json | None:
        if self._call.body.get("top_logprobs") == 0:
            without_alternatives(choice)
        delta = choice.get("delta") or {}
        if isinstance(delta.get("content"), list):
            return no_reply(choice, "the content of a chunk is not a text").envelope()
        deltas = self._deltas.setdefault(choice["index"], ChoiceDeltas(self._requirements, choice["index"]))
        choice["delta"], reason, error = deltas.outgoing(delta, choice.get("finish_reason"))
        if "finish_reason" in choice:
            choice["finish_reason"] = reason
        return error


def _brings_nothing(choice: Json) -> bool:
    """Whether a choice of a chunk brings nothing."""
    return not (choice.get("delta") or choice.get("text") or choice.get("finish_reason") or choice.get("logprobs"))
