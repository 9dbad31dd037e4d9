"""The chunks of a streamed chat: role on the first, the finish on one of its own, then usage, then [DONE].

Source: ollama/middleware/openai.go ChatWriter, openai/openai.go ToStreamChunks, v0.33.0-rc2; the recordings *_stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from llm_adapter.provider import Call, Json
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.events import Lines
from llm_adapter.providers.ollama.message import FINGERPRINT, finish_reason, logprobs, reasoning, tool_calls
from llm_adapter.translation.chat_stream import Deltas, chunk_choice, wants_usage
from llm_adapter.translation.parallel import Several
from llm_adapter.translation.reply_checks import Asked, summed


@dataclass
class Tally:
    """What all choices of a stream share: their last messages, and how many there will be."""

    count: int = 1
    lasts: list[Json] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)  # of each choice, in the order of `lasts`


def events(asked: Asked) -> Events | Several:
    """The decoder for the streams of all choices."""
    tally = Tally(asked.count)
    parts = [Events(asked.call, asked, place, tally) for place in range(asked.count)]
    return parts[0] if asked.count == 1 else Several(parts)


class Events(Lines):
    """The decoder of one choice."""

    def __init__(self, call: Call, asked: Asked | None = None, index: int = 0, tally: Tally | None = None) -> None:
        super().__init__(call)
        self._index = index
        self._deltas = Deltas(asked or Asked(call), index)
        self._tally = tally or Tally()
        self._opened = False
        self._called = 0
        self._head = self._tail = b""

    @property
    def last(self) -> bool:
        return len(self._tally.lasts) == self._tally.count

    def chunks(self, native: Json) -> bytes:
        message, done = native.get("message") or {}, bool(native.get("done"))
        if done:
            self._tally.lasts.append(native)
            self._tally.pieces.append(self.pieces)
        delta, reason, error = self._deltas.settle(self._delta(message), finish_reason(native) if done else None)
        logs = logprobs(native) if "logprobs" in native else None
        out = self._chunk(native, delta, logs) if delta or logs else b""
        if error is not None:
            return out + self.failed(error)
        return out if reason is None else out + self._end(native, reason)

    def _delta(self, message: Json) -> Json:
        delta: Json = {} if self._opened else {"role": "assistant", "content": ""}
        self._opened = True
        if message.get("content"):
            delta["content"] = message["content"]
        delta |= reasoning(message)
        if message.get("tool_calls"):
            delta["tool_calls"] = tool_calls(self.call, message, self._called, self._index)
            self._called += len(delta["tool_calls"])
        return delta

    def _end(self, native: Json, reason: str) -> bytes:
        counts = {"usage": self._usage()} if wants_usage(self.call) else {}
        figures = {"ollama": wire.timings(*self._tally.lasts), "adapter": self.call.report.json(native.get("model"))}
        finish = [chunk_choice(self._index, {}, None, reason)]
        if not self.last:
            return self._event(native, finish, {})
        if not counts:
            return self._event(native, finish, figures)
        return self._event(native, finish, {}) + self._event(native, [], {**counts, **figures})

    def _usage(self) -> Json:
        prompt = str(self.call.body.get("messages"))
        ends = zip(self._tally.lasts, self._tally.pieces, strict=True)
        return summed([wire.usage(one, prompt, pieces=pieces) for one, pieces in ends])

    def _chunk(self, native: Json, delta: Json, logs: Json | None) -> bytes:
        """One delta. The head is the same for all of a stream's chunks, and is rendered once: this is the hot path."""
        if logs is not None:
            return self._event(native, [chunk_choice(self._index, delta, logs, None)], {})
        if not self._head:
            whole = self._event(native, [chunk_choice(self._index, {}, None, None)], {})
            self._head, _, self._tail = whole.partition(b"{}")
        return self._head + json.dumps(delta).encode() + self._tail

    def _event(self, native: Json, choices: list[Json], more: Json) -> bytes:
        model = native.get("model") or self.call.body.get("model")
        head = {"id": f"chatcmpl-{self.call.id}", "created": self.call.created, "model": model}
        return _rendered({**head, "choices": choices, **more})


def _rendered(chunk: Json) -> bytes:
    whole = {"object": "chat.completion.chunk", "system_fingerprint": FINGERPRINT, **chunk}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"
