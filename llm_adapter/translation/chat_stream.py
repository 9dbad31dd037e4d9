"""The deltas of one streamed choice, as they leave: the same for every backend.

A stream cannot be sent back, so what does not fit ends it with an error (P2, P9). Text that may be a tool call is held
until that is decided (P10). Deltas are in OpenAI's shape; their tool calls have sound places and ids.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from llm_adapter.provider import Call, Json, Replay
from llm_adapter.translation.reply_checks import (
    NO_CALL,
    ReplyRequirements,
    called_reason,
    calls_in,
    identified,
    invalid_reply,
    note_structured_output,
)
from llm_adapter.translation.tool_calls import OPENERS


class OutgoingDelta(NamedTuple):
    delta: Json
    reason: str | None
    error: Json | None = None  # the envelope with which the stream ends instead


class ChoiceDeltas:
    """The state of one choice."""

    def __init__(self, requirements: ReplyRequirements, index: int = 0) -> None:
        self._requirements, self._index = requirements, index
        self._held: str | None = "" if requirements.recovers else None
        self._text: list[str] = []  # kept where the whole of it is checked
        self._calls: dict[int, Json] = {}  # by place

    def outgoing(self, delta: Json, reason: str | None) -> OutgoingDelta:
        """A delta and the finish reason beside it, as they leave."""
        text, calls = delta.get("content") or "", delta.get("tool_calls") or []
        shown, called = text, calls
        if self._held is not None:
            shown, called = self._withheld(text, calls, reason is not None)
        if self._requirements.form is not None and shown:
            self._text.append(shown)
        self._remember(called)
        if not self._requirements.plan.parallel:
            called = [one for one in called if one["index"] == 0]
        out = {name: value for name, value in delta.items() if name != "tool_calls"}
        if shown != text:
            out.pop("content", None)
            out |= {"content": shown} if shown or "role" in delta else {}
        out |= self._form_of(called)
        return OutgoingDelta(out, None) if reason is None else self._ended(out, reason)

    def _form_of(self, called: list[Json]) -> Json:
        if not called:
            return {}
        return {"function_call": called[0]["function"]} if self._requirements.plan.legacy else {"tool_calls": called}

    def _remember(self, called: list[Json]) -> None:
        """The calls, put together where they are checked at the end."""
        for one in called:
            known = self._calls.setdefault(one["index"], {"function": {"name": "", "arguments": ""}})["function"]
            if self._requirements.judged:
                function = one.get("function") or {}
                known["name"] += function.get("name") or ""
                known["arguments"] += function.get("arguments") or ""

    def _withheld(self, text: str, calls: list[Json], done: bool) -> tuple[str, list[Json]]:
        """Text that may be a tool call is kept back until that is decided: at its first word, or at the end."""
        self._held = held = (self._held or "") + text
        start = held.lstrip()
        undecided = not start or any(start.startswith(opener[: len(start)]) for opener in OPENERS)
        if calls or not undecided:
            self._held = None
            return held, calls
        if not done:
            return "", []
        self._held = None
        found = identified(self._requirements, calls_in(self._requirements, held), self._index)
        return ("", [{"index": place, **one} for place, one in enumerate(found)]) if found else (held, [])

    def _ended(self, delta: Json, reason: str) -> OutgoingDelta:
        plan, form = self._requirements.plan, self._requirements.form
        if self._calls:
            # Where calls are left out, the reply that is left was not cut.
            reason = reason if plan.parallel or len(self._calls) == 1 else "stop"
            found = [] if reason == "length" else self._faults()
            reason = str(called_reason(plan, reason))
        elif plan.forced:
            found = [NO_CALL]
        elif form is not None and reason == "stop":
            found = form.faults("".join(self._text))
            note_structured_output(self._requirements, enforced=not found, validated=not found, repaired=False)
        else:
            found = []
        said = {"content": "".join(self._text), "tool_calls": list(self._calls.values())}
        return OutgoingDelta(
            delta, reason, invalid_reply(self._requirements, said, found).envelope() if found else None
        )

    def _faults(self) -> list[str]:
        plan = self._requirements.plan
        calls = [self._calls[place] for place in sorted(self._calls)]
        checked = (calls if plan.parallel else calls[:1]) if plan.functions and self._requirements.judged else ()
        return [fault for one in checked for fault in plan.faults(one, strict_only=not plan.forced)]


def replayed(requirements: ReplyRequirements, whole: Json) -> Replay:
    """A complete chat completion as the stream that would have brought it."""
    whole = {**whole, "adapter": requirements.call.report.json(whole.get("model"))}
    include_usage = wants_usage(requirements.call)
    head: Json = {"object": "chat.completion.chunk"}
    head |= {key: whole[key] for key in ("id", "created", "model", "system_fingerprint") if key in whole}
    events: list[Json] = []
    for choice in whole["choices"]:
        delta = {key: value for key, value in choice["message"].items() if key != "refusal"}
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": place, **one} for place, one in enumerate(delta["tool_calls"])]
        events.append({"choices": [chunk_choice(choice["index"], delta, choice.get("logprobs"), None)]})
        events.append({"choices": [chunk_choice(choice["index"], {}, None, choice["finish_reason"])]})
    events[-1] |= {key: whole[key] for key in ("ollama", "adapter") if key in whole and not include_usage}
    if include_usage:
        figures: Json = {key: whole[key] for key in ("usage", "ollama", "adapter") if key in whole}
        events.append({"choices": [], **figures})
    lines = [b"data: " + json.dumps({**head, **one}).encode() + b"\n\n" for one in events]
    return Replay(b"".join(lines) + b"data: [DONE]\n\n")


def wants_usage(call: Call) -> bool:
    """Whether a stream is to end with its usage."""
    options: Any = call.body.get("stream_options")
    return bool(isinstance(options, dict) and options.get("include_usage"))


def chunk_choice(index: int, delta: Json, logs: Any, reason: str | None) -> Json:
    """One choice of a chunk."""
    return {"index": index, "delta": delta, "logprobs": logs, "finish_reason": reason}
