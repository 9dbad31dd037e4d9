"""The checks of a streamed chat, choice by choice, in OpenAI's shape: the same for every backend.

A stream cannot be sent back to the model, so a reply that does not fit ends with an error. Text that may turn out to be
a tool call is held back until that is decided. The tool calls of the deltas that come in have an index and an id.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from llm_adapter.provider import Call, Json, Replay
from llm_adapter.translation.reply_checks import (
    NO_CALL,
    ReplyRequirements,
    calls_in_text,
    finish_reason_of_calls,
    invalid_reply,
    note_structured_output,
    with_ids,
)
from llm_adapter.translation.structured_output import Unfenced
from llm_adapter.translation.written_calls import WrittenCallScanner


class OutgoingDelta(NamedTuple):
    """One delta as the caller gets it."""

    delta: Json
    reason: str | None  # the finish reason beside it
    error: Json | None = None  # the envelope with which the stream ends instead


class ChoiceDeltas:
    """The deltas of one choice: what was held back, and what has to be checked at the end."""

    def __init__(self, requirements: ReplyRequirements, index: int = 0) -> None:
        self._requirements, self._index = requirements, index
        # The text so far, while it may turn out to be a tool call.
        self._held = WrittenCallScanner(requirements.plan.parameters) if requirements.recovers else None
        self._unfenced = Unfenced() if requirements.form is not None else None
        self._begun = requirements.begun  # with a form, a reply begins with it when it is streamed as well
        self._text: list[str] = []  # kept where the whole of it is checked
        self._calls: dict[int, Json] = {}  # by place

    @property
    def passes_text(self) -> bool:
        """Whether text goes out as it comes, from now on."""
        return self._held is None and self._unfenced is None

    def outgoing(self, delta: Json, reason: str | None) -> OutgoingDelta:
        """One delta of the server, and the finish reason beside it, as the caller gets them."""
        text = delta["content"] if isinstance(delta.get("content"), str) else ""
        calls = delta.get("tool_calls") or []
        text_out, calls_out = text, calls
        if self._held is not None:
            text_out, calls_out = self._decided(self._held, text, calls, reason is not None)
        if self._unfenced is not None:
            if text_out or reason is not None:
                text_out, self._begun = self._begun + text_out, ""
            text_out = self._unfenced.feed(text_out, done=reason is not None)
            self._text.append(text_out)
        self._collect_calls(calls_out)
        if not self._requirements.plan.parallel:
            calls_out = [one for one in calls_out if one["index"] == 0]
        out = {name: value for name, value in delta.items() if name != "tool_calls"}
        if text_out != text:
            out.pop("content", None)
            out |= {"content": text_out} if text_out or "role" in delta else {}
        out |= self._calls_in_form(calls_out)
        return OutgoingDelta(out, None) if reason is None else self._last_delta(out, reason)

    def _calls_in_form(self, calls: list[Json]) -> Json:
        if not calls:
            return {}
        return {"function_call": calls[0]["function"]} if self._requirements.plan.legacy else {"tool_calls": calls}

    def _collect_calls(self, calls: list[Json]) -> None:
        """Put the pieces of the calls together, for the check at the end."""
        for one in calls:
            call = self._calls.setdefault(one["index"], {"function": {"name": "", "arguments": ""}})["function"]
            if self._requirements.judged:
                function = one.get("function") or {}
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""

    def _decided(self, held: WrittenCallScanner, text: str, calls: list[Json], done: bool) -> tuple[str, list[Json]]:
        """What of the text and the calls may leave: nothing, while the text may turn out to be a call."""
        undecided = held.may_be_calls(text) and not calls
        if undecided and not done:
            return "", []
        self._held = None
        written = calls_in_text(self._requirements, held.text) if undecided else []
        found = with_ids(self._requirements, written, self._index)
        return ("", [{"index": place, **one} for place, one in enumerate(found)]) if found else (held.text, calls)

    def _last_delta(self, delta: Json, reason: str) -> OutgoingDelta:
        plan, form = self._requirements.plan, self._requirements.form
        if self._calls:
            # Where calls are left out, the reply that is left was not cut.
            reason = reason if plan.parallel or len(self._calls) == 1 else "stop"
            faults = [] if reason == "length" else self._faults()
            reason = str(finish_reason_of_calls(plan, reason))
        elif plan.forced:
            faults = [NO_CALL]
        elif form is not None and reason == "stop":
            faults = form.faults("".join(self._text))
            note_structured_output(self._requirements, enforced=not faults, validated=not faults, repaired=False)
        else:
            faults = []
        message = {"content": "".join(self._text), "tool_calls": list(self._calls.values())}
        error = invalid_reply(self._requirements, message, faults).envelope() if faults else None
        return OutgoingDelta(delta, reason, error)

    def _faults(self) -> list[str]:
        plan = self._requirements.plan
        calls = [self._calls[place] for place in sorted(self._calls)]
        checked = (calls if plan.parallel else calls[:1]) if plan.functions and self._requirements.judged else ()
        return [fault for one in checked for fault in plan.faults(one, strict_only=not plan.forced)]


def replay_of(requirements: ReplyRequirements, whole: Json) -> Replay:
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
