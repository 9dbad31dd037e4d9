"""POST /chat/completions  ↔  POST /api/chat

Source: ollama/openai/openai.go FromChatRequest, ToChatCompletion, ToStreamChunks, v0.24.0 and v0.33.0-rc2; where they
lose something, we do not. Rule: what the caller did not ask for is not sent, but for `truncate: false`.
"""

from __future__ import annotations

import json
from typing import Any

from llm_adapter.errors import checked
from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.events import Lines
from llm_adapter.providers.ollama.messages import messages
from llm_adapter.providers.ollama.params import CHAT
from llm_adapter.repair import INTERRUPTED, tool_call_id

FINGERPRINT = "fp_ollama"


def flow(call: Call) -> Flow:
    """One request, one reply."""
    reply: NativeReply = yield NativeRequest("POST", "/api/chat", request(call), stream=call.stream)
    checked(reply)
    return Events(call) if call.stream else response(call, reply.json())


def request(call: Call) -> Json:
    """The native request. Raises `Rejected`."""
    return wire.generating(CHAT, call, {"messages": messages(call)})


def response(call: Call, native: Json) -> Json:
    """The chat completion of one native reply.

    native: a ChatResponse; durations in nanoseconds; counts are absent on a cached prompt of older servers.
    Raises `Rejected` when the reply is not complete: 0.24 answers 200 with done=false when it stops a model that
    repeats itself (server/routes.go ChatHandler).
    """
    if not native.get("done"):
        raise Rejected(INTERRUPTED, status=502, kind="api_error")
    message = native.get("message") or {}
    calls = tool_calls(call, message)
    reply: Json = {
        "role": "assistant",
        "content": message.get("content") or ("" if not calls else None),
        "refusal": None,
    }
    reply |= reasoning(message)
    if calls:
        reply["tool_calls"] = [{key: value for key, value in one.items() if key != "index"} for one in calls]
    choice = {
        "index": 0,
        "message": reply,
        "logprobs": logprobs(native),
        "finish_reason": finish_reason(native, bool(calls)),
    }
    return {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": call.created,
        "model": native.get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
        "usage": wire.usage(native),
        "ollama": wire.timings(native),
    }


def tool_calls(call: Call, message: Json, first: int = 0) -> list[Json]:
    """OpenAI's tool calls with places from `first` on, and ids where an older server gives none (before 0.12.10)."""
    return [
        {
            "index": place,
            "id": one.get("id") or tool_call_id(call.id, place),
            "type": "function",
            "function": {
                "name": one["function"]["name"],
                "arguments": json.dumps(
                    one["function"].get("arguments") or {}, ensure_ascii=False, separators=(",", ":")
                ),
            },
        }
        for place, one in enumerate(message.get("tool_calls") or (), first)
    ]


def reasoning(message: Json) -> Json:
    """Both names under which clients look for the thinking (P6), or nothing."""
    thinking = message.get("thinking")
    return {"reasoning": thinking, "reasoning_content": thinking} if thinking else {}


def finish_reason(native: Json, called: bool) -> str:
    """OpenAI's reason; Ollama says stop, length, load or unload, and never that tools were called."""
    reason = native.get("done_reason") or "stop"
    return "tool_calls" if called and reason == "stop" else str(reason)


def logprobs(native: Json) -> Json | None:
    """OpenAI's logprobs, or None. They cover every token the model produced, thinking too."""
    given = native.get("logprobs")
    return {"content": [_logprob(one) for one in given], "refusal": None} if given else None


def _logprob(one: Json) -> Json:
    top = [{"bytes": None, **other} for other in one.get("top_logprobs") or ()]
    return {"bytes": None, **one, "top_logprobs": top}


class Events(Lines):
    """The chunks of a streamed chat: role on the first only, the finish on a chunk of its own, then usage, [DONE]."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._include_usage = wire.include_usage(call)
        self._opened = False
        self._called = 0
        self._head = b""
        self._tail = b""

    def chunks(self, native: Json) -> bytes:
        delta = self._delta(native.get("message") or {})
        logs = logprobs(native) if "logprobs" in native else None
        out = self._chunk(native, delta, logs) if delta or logs else b""
        return out + self._end(native) if native.get("done") else out

    def _delta(self, message: Json) -> Json:
        delta: Json = {} if self._opened else {"role": "assistant", "content": ""}
        if message.get("content"):
            delta["content"] = message["content"]
        delta |= reasoning(message)
        if calls := tool_calls(self.call, message, self._called):
            self._called += len(calls)
            delta["tool_calls"] = calls
        self._opened = True
        return delta

    def _end(self, native: Json) -> bytes:
        reason = finish_reason(native, bool(self._called))
        if not self._include_usage:
            return self._event(native, [_choice({}, None, reason)], {"ollama": wire.timings(native)})
        end = self._event(native, [_choice({}, None, reason)], {})
        return end + self._event(native, [], {"usage": wire.usage(native), "ollama": wire.timings(native)})

    def _chunk(self, native: Json, delta: Json, logs: Json | None) -> bytes:
        """One delta. The head is the same for all of a stream's chunks, and is rendered once: this is the hot path."""
        if not self._head:
            whole = self._event(native, [_choice({}, None, None)], {})
            self._head, _, self._tail = whole.partition(b"{}")
        if logs is not None:
            return self._event(native, [_choice(delta, logs, None)], {})
        return self._head + json.dumps(delta).encode() + self._tail

    def _event(self, native: Json, choices: list[Json], more: Json) -> bytes:
        chunk: Json = {
            "id": f"chatcmpl-{self.call.id}",
            "object": "chat.completion.chunk",
            "created": self.call.created,
            "model": native.get("model") or self.call.body.get("model"),
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
            **more,
        }
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _choice(delta: Json, logs: Any, reason: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": logs, "finish_reason": reason}
