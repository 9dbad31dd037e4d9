"""POST /chat/completions  ↔  POST /api/chat

Source: ollama/openai/openai.go FromChatRequest, ToChatCompletion, v0.24.0 and v0.33.0-rc2; where they lose something,
we do not. Rule: what the caller did not ask for is not sent, but for `truncate: false`.
"""

from __future__ import annotations

from functools import partial

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.chat_events import Events, events
from llm_adapter.providers.ollama.inputs import prepared
from llm_adapter.providers.ollama.message import FINGERPRINT, finish_reason, logprobs, message
from llm_adapter.providers.ollama.messages import messages, natives_of
from llm_adapter.providers.ollama.parameters import CHAT
from llm_adapter.providers.ollama.sizing import counted, shortened, sized
from llm_adapter.translation.chat_stream import replayed
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parallel import Steps, together
from llm_adapter.translation.parameters import note_emulated
from llm_adapter.translation.reasoning import thoughtless
from llm_adapter.translation.reply_checks import Ask, Asked, answered, combined, steadied
from llm_adapter.translation.wire import Interrupted

__all__ = ["Events", "flow", "request", "response"]

_asked = partial(Asked.of, where="provider 'ollama'", constrained=True)


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
    asked = _asked(call)
    natives = wire.seeded(request(call, asked), asked.count)
    if call.stream and not asked.plan.forced:
        replies = yield [NativeRequest("POST", "/api/chat", one, stream=True) for one in natives]
        for reply in replies:
            checked(reply)
        return events(asked)
    wholes = yield from together([answered(asked, _ask(asked, one, place)) for place, one in enumerate(natives)])
    whole = combined(wholes)
    if len(wholes) > 1:
        whole["ollama"] = wire.timings(*(one["ollama"] for one in wholes))
    return replayed(asked, whole) if call.stream else whole


def request(call: Call, asked: Asked | None = None) -> Json:
    """The native request. Raises `Rejected`."""
    asked = asked or _asked(call)
    native = wire.generating(CHAT, call, {"messages": messages(call)})
    note_emulated(CHAT, call.body, call)
    if asked.plan.functions:
        native["tools"] = asked.plan.folded
    if asked.plan.forced:
        # A thinking model would think first, and not be constrained while it does. The whole call is checked, so
        # there is nothing to stream.
        native |= {"format": asked.plan.format, "think": False, "stream": False}
    elif asked.form is not None:
        native["format"] = asked.form.format
    return native


def _ask(asked: Asked, native: Json, place: int) -> Ask:
    """The native way of asking for one choice."""

    def ask(turns: list[Json], steady: bool) -> Steps[Json]:
        more: Json = {"messages": [*native["messages"], *natives_of(asked.call, turns)]} if turns else {}
        if steady:
            more["options"] = steadied(asked.call, native.get("options", {}))
        reply: NativeReply = yield NativeRequest("POST", "/api/chat", {**native, **more})
        got: Json = checked(reply).json()
        if not got.get("done"):
            raise Interrupted
        return response(asked.call, got, place)

    return ask


def response(call: Call, native: Json, place: int = 0) -> Json:
    """The chat completion of one choice's native reply: a complete one, durations in nanoseconds."""
    said = native.get("message") or {}
    choice = {
        "index": place,
        "message": message(call, said, place),
        "logprobs": logprobs(native),
        "finish_reason": finish_reason(native),
    }
    return {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": call.created,
        "model": native.get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
        "usage": usage(call, native),
        "ollama": wire.timings(native),
    }


def usage(call: Call, native: Json) -> Json:
    """The counts of one choice."""
    prompt = str(call.body.get("messages")) if "prompt_eval_count" not in native else ""
    return wire.usage(native, prompt, str((native.get("message") or {}).get("content")))
