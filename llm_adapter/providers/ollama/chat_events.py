"""The chunks of a streamed chat: role on the first, the finish on one of its own, then usage, then [DONE].

Source: ollama/middleware/openai.go ChatWriter, openai/openai.go ToStreamChunks, v0.33.0-rc2; the recordings *_stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Call, Json, Replay
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.events import Lines, Several
from llm_adapter.providers.ollama.message import FINGERPRINT, finish_reason, logprobs, reasoning, tool_calls
from llm_adapter.providers.ollama.structured import Wanted, broken
from llm_adapter.providers.ollama.tools import NO_TOOLS, OPENERS, Plan, recovered


@dataclass
class Tally:
    """What all choices of a stream share: their last messages, and how many there will be."""

    count: int = 1
    lasts: list[Json] = field(default_factory=list)


def events(call: Call, plan: Plan, form: Wanted | None, count: int) -> Events | Several:
    """The decoder for `count` streams, each a choice."""
    tally = Tally(count)
    parts = [Events(call, plan, form, place, tally) for place in range(count)]
    return parts[0] if count == 1 else Several(parts)


class Events(Lines):
    """The decoder of one choice."""

    def __init__(
        self,
        call: Call,
        plan: Plan = NO_TOOLS,
        form: Wanted | None = None,
        index: int = 0,
        tally: Tally | None = None,
    ) -> None:
        super().__init__(call)
        self._plan, self._form, self._index = plan, form, index
        self._tally = tally or Tally()
        self._opened = False
        self._called = 0
        self._text: list[str] = []
        self._held: str | None = "" if plan.functions and call.settings.recover_tool_calls else None
        self._head = self._tail = b""

    @property
    def last(self) -> bool:
        return len(self._tally.lasts) == self._tally.count

    def chunks(self, native: Json) -> bytes:
        message = native.get("message") or {}
        if native.get("done"):
            self._tally.lasts.append(native)
        delta = self._delta(message, bool(native.get("done")))
        logs = logprobs(native) if "logprobs" in native else None
        out = self._chunk(native, delta, logs) if delta or logs else b""
        return out + self._end(native) if native.get("done") else out

    def _delta(self, message: Json, done: bool) -> Json:
        delta: Json = {} if self._opened else {"role": "assistant", "content": ""}
        self._opened = True
        calls = message.get("tool_calls") or []
        content = message.get("content") or ""
        if self._held is not None:
            content, calls = self._withheld(content, calls, done)
        if content:
            delta["content"] = content
            if self._form is not None:
                self._text.append(content)
        delta |= reasoning(message)
        if calls:
            delta |= self._calls(calls)
        return delta

    def _calls(self, natives: list[Json]) -> Json:
        calls = tool_calls(self.call, {"tool_calls": natives}, self._called, self._index)
        if not self._plan.parallel:
            calls = calls[: 0 if self._called else 1]
        self._called += len(calls)
        if not self._plan.legacy:
            return {"tool_calls": calls} if calls else {}
        return {"function_call": calls[0]["function"]} if calls else {}

    def _withheld(self, content: str, calls: list[Json], done: bool) -> tuple[str, list[Json]]:
        """Text that may be a tool call is kept back until that is decided (P10): at its first word, or at the end."""
        self._held = text = (self._held or "") + content
        start = text.lstrip()
        undecided = not start or any(start.startswith(opener[: len(start)]) for opener in OPENERS)
        if calls or not undecided:
            self._held = None
            return text, calls
        if not done:
            return "", []
        found = recovered(text, self._plan.parameters)
        if found:
            self.call.report.note("changed", "tool_calls")
        return ("", found) if found else (text, [])

    def _end(self, native: Json) -> bytes:
        reason = finish_reason(native, bool(self._called), self._plan)
        if self._form is not None and reason == "stop":
            text = "".join(self._text)
            found = self._form.faults(text)
            self.call.report.structured_output = {"enforced": not found, "validated": not found, "repaired": False}
            if found:
                refusal = broken(text, found, "the reply does not fit `response_format`", "structured_output_invalid")
                return self.failed(refusal.envelope())
        counts = {"usage": self._usage()} if wire.include_usage(self.call) else {}
        figures = {"ollama": wire.timings(*self._tally.lasts), "adapter": self.call.report.json(native.get("model"))}
        finish = [_choice(self._index, {}, None, reason)]
        if not self.last:
            return self._event(native, finish, {})
        if not counts:
            return self._event(native, finish, figures)
        return self._event(native, finish, {}) + self._event(native, [], {**counts, **figures})

    def _usage(self) -> Json:
        counts = [wire.usage(one, str(self.call.body.get("messages"))) for one in self._tally.lasts]
        completion = sum(one["completion_tokens"] for one in counts)
        total = counts[0]["prompt_tokens"] + completion
        return {**counts[0], "completion_tokens": completion, "total_tokens": total}

    def _chunk(self, native: Json, delta: Json, logs: Json | None) -> bytes:
        """One delta. The head is the same for all of a stream's chunks, and is rendered once: this is the hot path."""
        if logs is not None:
            return self._event(native, [_choice(self._index, delta, logs, None)], {})
        if not self._head:
            whole = self._event(native, [_choice(self._index, {}, None, None)], {})
            self._head, _, self._tail = whole.partition(b"{}")
        return self._head + json.dumps(delta).encode() + self._tail

    def _event(self, native: Json, choices: list[Json], more: Json) -> bytes:
        model = native.get("model") or self.call.body.get("model")
        head = {"id": f"chatcmpl-{self.call.id}", "created": self.call.created, "model": model}
        return _rendered({**head, "choices": choices, **more})


def replayed(whole: Json, include_usage: bool) -> Replay:
    """A complete chat completion as the stream that would have brought it."""
    head = {key: whole[key] for key in ("id", "created", "model")}
    out = b""
    for choice in whole["choices"]:
        delta = {key: value for key, value in choice["message"].items() if key != "refusal"}
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": place, **one} for place, one in enumerate(delta["tool_calls"])]
        out += _rendered({**head, "choices": [_choice(choice["index"], delta, choice["logprobs"], None)]})
        out += _rendered({**head, "choices": [_choice(choice["index"], {}, None, choice["finish_reason"])]})
    if include_usage:
        out += _rendered({**head, "choices": [], "usage": whole["usage"]})
    return Replay(out + b"data: [DONE]\n\n")


def _rendered(chunk: Json) -> bytes:
    whole = {"object": "chat.completion.chunk", "system_fingerprint": FINGERPRINT, **chunk}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


def _choice(index: int, delta: Json, logs: Any, reason: str | None) -> Json:
    return {"index": index, "delta": delta, "logprobs": logs, "finish_reason": reason}
