"""One native message  →  the message of an OpenAI choice: content, tool calls, reasoning, logprobs.

Source: ollama/openai/openai.go ToChatCompletion, ToToolCalls, v0.24.0; the recordings.
"""

from __future__ import annotations

import json

from llm_adapter.provider import Call, Json
from llm_adapter.translation.wire import CHOICES, tool_call_id

FINGERPRINT = "fp_ollama"


def message(call: Call, native: Json, choice: int = 0) -> Json:
    """OpenAI's message; its content is null beside tool calls, as OpenAI has it (P30)."""
    calls = tool_calls(call, native, choice=choice)
    content = native.get("content") or (None if calls else "")
    reply: Json = {"role": "assistant", "content": content, "refusal": None, **reasoning(native)}
    if calls:
        reply["tool_calls"] = [{key: value for key, value in one.items() if key != "index"} for one in calls]
    return reply


def tool_calls(call: Call, native: Json, first: int = 0, choice: int = 0) -> list[Json]:
    """OpenAI's tool calls with places from `first` on, and ids where an older server gives none (before 0.12.10)."""
    return [
        {
            "index": place,
            "id": one.get("id") or tool_call_id(call.id, choice * CHOICES + place),
            "type": "function",
            "function": {"name": one["function"]["name"], "arguments": _text(one["function"].get("arguments") or {})},
        }
        for place, one in enumerate(native.get("tool_calls") or (), first)
    ]


def _text(arguments: Json) -> str:
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def reasoning(native: Json) -> Json:
    """Both names under which clients look for the thinking (P6), or nothing."""
    thinking = native.get("thinking")
    return {"reasoning": thinking, "reasoning_content": thinking} if thinking else {}


def finish_reason(native: Json) -> str:
    """Ollama's reason: stop, length, load or unload, and never that tools were called."""
    return str(native.get("done_reason") or "stop")


def logprobs(native: Json) -> Json | None:
    """OpenAI's logprobs, or None. They cover every token the model produced, thinking too."""
    given = native.get("logprobs")
    return {"content": [_logprob(one) for one in given], "refusal": None} if given else None


def _logprob(one: Json) -> Json:
    top = [{"bytes": None, **other} for other in one.get("top_logprobs") or ()]
    return {"bytes": None, **one, "top_logprobs": top}
