"""POST /chat/completions  ↔  POST /api/chat

Source: ollama/openai/openai.go FromChatRequest, ToChatCompletion, v0.24.0 and v0.33.0-rc2; where they lose something,
we do not. Rule: what the caller did not ask for is not sent, but for `truncate: false`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from llm_adapter.errors import checked
from llm_adapter.flows import Steps, together
from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.chat_events import Events, events, replayed
from llm_adapter.providers.ollama.inputs import prepared
from llm_adapter.providers.ollama.message import FINGERPRINT, finish_reason, logprobs, message, older
from llm_adapter.providers.ollama.messages import messages
from llm_adapter.providers.ollama.params import CHAT
from llm_adapter.providers.ollama.reasoning import thoughtless
from llm_adapter.providers.ollama.sizing import counted, shortened, sized
from llm_adapter.providers.ollama.structured import Wanted, broken, correction, unfenced, wanted
from llm_adapter.providers.ollama.tools import Plan, forced_call, plan, recovered
from llm_adapter.repair import INTERRUPTED
from llm_adapter.rows import AdapterWarning

__all__ = ["Events", "flow", "request", "response"]


@dataclass(frozen=True)
class Asked:
    """What a call asks for beyond text."""

    call: Call
    plan: Plan
    form: Wanted | None
    count: int

    @classmethod
    def of(cls, call: Call) -> Asked:
        return cls(call, plan(call), wanted(call), call.body.get("n") or 1)


def flow(call: Call) -> Flow:
    """One request a choice, side by side; where a reply has to be checked and does not fit, one more."""
    call = yield from prepared(call)
    while True:
        sized_call = yield from sized(call, call.body.get("messages"))
        try:
            return (yield from _exchange(sized_call))
        except Rejected as refusal:
            if refusal.error["code"] == "context_length_exceeded":
                call = shortened(call, (yield from counted(sized_call, refusal)))
            else:
                call = thoughtless(call, refusal)


def _exchange(call: Call) -> Flow:
    asked = Asked.of(call)
    natives = wire.seeded(request(call, asked), asked.count)
    if call.stream and not asked.plan.forced:
        replies = yield [NativeRequest("POST", "/api/chat", one, stream=True) for one in natives]
        for reply in replies:
            checked(reply)
        return events(call, asked.plan, asked.form, asked.count)
    results = yield from together([answer(asked, one) for one in natives])
    whole = response(call, results, asked)
    return replayed(whole, wire.include_usage(call)) if call.stream else whole


def request(call: Call, asked: Asked | None = None) -> Json:
    """The native request. Raises `Rejected`."""
    asked = asked or Asked.of(call)
    native = wire.generating(CHAT, call, {"messages": messages(call)})
    for name in ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"):
        if call.body.get(name) not in (None, "auto", True) and CHAT[name].verdict == "emulated":
            call.report.note("emulated", name)
    if asked.plan.functions:
        native["tools"] = asked.plan.native
    if asked.plan.forced:
        # A thinking model would think first, and not be constrained while it does. The whole call is checked, so
        # there is nothing to stream.
        native |= {"format": asked.plan.format, "think": False, "stream": False}
    elif asked.form is not None:
        native["format"] = asked.form.format
    return native


def answer(asked: Asked, native: Json) -> Steps[Json]:
    """The native reply of one choice, checked against what the call asks for. Raises `Rejected`."""
    corrections = asked.call.settings.corrections
    for attempt in range(corrections + 1):
        reply: NativeReply = yield NativeRequest("POST", "/api/chat", native)
        got: Json = checked(reply).json()
        if not got.get("done"):
            # 0.24 answers 200 with done=false when it stops a model that repeats itself (routes.go ChatHandler).
            raise Rejected(INTERRUPTED, status=502, kind="api_error")
        said = got.get("message") or {}
        got, found = examined(asked, got)
        if asked.form is not None:
            outcome = {"enforced": attempt == 0 and not found, "validated": not found, "repaired": attempt > 0}
            asked.call.report.structured_output = outcome
        if not found:
            break
        if attempt == corrections:
            raise _broken(asked, said, found)
        native = {**native, "messages": [*native["messages"], *correction(said, found)]}
    return got


def examined(asked: Asked, native: Json) -> tuple[Json, list[str]]:
    """A native reply as it is meant, and what is wrong with it."""
    said = native.get("message") or {}
    text = said.get("content") or ""
    calls = said.get("tool_calls") or _calls_in(asked, text)
    if asked.plan.forced:
        calls = calls[:1] or [one for one in (forced_call(text),) if one]
        found = asked.plan.faults(calls[0]) if calls else ["it has to be one call of an allowed tool"]
        return _with(native, content="", tool_calls=calls), found
    if calls:
        if not asked.plan.parallel:
            calls = calls[:1]
        content = text if said.get("tool_calls") else ""
        strict = [fault for one in calls for fault in asked.plan.faults(one, strict_only=True)]
        return _with(native, content=content, tool_calls=calls), strict if asked.plan.functions else []
    if asked.form is None or native.get("done_reason") == "length":
        return native, []
    return _with(native, content=unfenced(text)), asked.form.faults(unfenced(text))


def _calls_in(asked: Asked, text: str) -> list[Json]:
    if not (asked.plan.functions and asked.call.settings.recover_tool_calls):
        return []
    calls = recovered(text, asked.plan.parameters)
    if calls and not asked.plan.forced:
        asked.call.report.note("changed", "tool_calls")  # they came as text
    return calls


def _with(native: Json, **changes: Any) -> Json:
    said = {key: value for key, value in {**(native.get("message") or {}), **changes}.items() if value != []}
    return {**native, "message": said}


def _broken(asked: Asked, said: Json, found: list[str]) -> Rejected:
    raw = said.get("content") or ""
    if asked.plan.forced or said.get("tool_calls"):
        return broken(raw, found, "the model did not call a tool as it was asked to", "tool_call_invalid")
    return broken(raw, found, "the reply does not fit `response_format`", "structured_output_invalid")


def response(call: Call, natives: list[Json], asked: Asked) -> Json:
    """The chat completion of its choices' native replies: complete ones, durations in nanoseconds."""
    choices = [_choice(asked, place, native) for place, native in enumerate(natives)]
    return {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": call.created,
        "model": natives[0].get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
        "choices": choices,
        "usage": usage(call, natives),
        "ollama": wire.timings(*natives),
    }


def usage(call: Call, natives: list[Json]) -> Json:
    """The prompt once, the completions of all choices, as OpenAI counts them."""
    prompt = str(call.body.get("messages")) if "prompt_eval_count" not in natives[0] else ""
    counts = [wire.usage(one, prompt, str((one.get("message") or {}).get("content"))) for one in natives]
    completion = sum(one["completion_tokens"] for one in counts)
    total = counts[0]["prompt_tokens"] + completion
    return {**counts[0], "completion_tokens": completion, "total_tokens": total}


def _choice(asked: Asked, place: int, native: Json) -> Json:
    said = native.get("message") or {}
    reason = finish_reason(native, bool(said.get("tool_calls")), asked.plan)
    if reason == "length" and not said.get("content") and said.get("thinking"):
        # P6: the budget went into thinking, and the content is empty without an error.
        asked.call.report.note("changed", "thinking used the whole of max_tokens")
        warnings.warn("thinking used the whole of `max_tokens`: the content is empty", AdapterWarning, stacklevel=2)
    reply = message(asked.call, said, place)
    return {
        "index": place,
        "message": older(reply) if asked.plan.legacy else reply,
        "logprobs": logprobs(native),
        "finish_reason": reason,
    }
