"""A native reply  →  the parts of an OpenAI one: message, tool calls, reasoning, logprobs, usage, timings.

Source: ollama/openai/openai.go ToChatCompletion, ToToolCalls, v0.24.0; the recordings.
"""

from __future__ import annotations

import json

from llm_adapter.provider import Call, Json
from llm_adapter.translation.token_count import estimate
from llm_adapter.translation.wire import CHOICES, tool_call_id

FINGERPRINT = "fp_ollama"
# Nanoseconds, but for the counts (ollama/api/types.go Metrics, v0.24.0).
TIMINGS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


def message(call: Call, native: Json, choice: int = 0) -> Json:
    """OpenAI's message; its content is null beside tool calls, as OpenAI has it."""
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
            "function": {"name": one["function"]["name"], "arguments": _as_json_text(one["function"].get("arguments"))},
        }
        for place, one in enumerate(native.get("tool_calls") or (), first)
    ]


def _as_json_text(arguments: Json | None) -> str:
    return json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))


def reasoning(native: Json) -> Json:
    """Both names under which clients look for the thinking, or nothing."""
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


def usage(native: Json, prompt: str = "", reply: str = "", *, pieces: int = 0) -> Json:
    """OpenAI's usage from the counts of the last message.

    An older server gives no count for a cached prompt: it is estimated from the text then, and marked so. Of a
    stream, the number of its pieces stands for the reply's tokens: Ollama sends one piece a token.
    """
    counts = {"prompt_tokens": native.get("prompt_eval_count"), "completion_tokens": native.get("eval_count")}
    texts = {"prompt_tokens": prompt, "completion_tokens": reply}
    known = {name: estimate(texts[name]) if count is None else count for name, count in counts.items()}
    if counts["completion_tokens"] is None:
        known["completion_tokens"] += pieces
    marked = {"estimated": True} if None in counts.values() else {}
    return {**known, "total_tokens": sum(known.values()), **marked}


def timings(*natives: Json) -> Json:
    """Ollama's own figures, `completion.ollama`; of several replies, their sums."""
    sums: Json = {}
    for one in natives:
        sums |= {name: sums.get(name, 0) + one[name] for name in TIMINGS if one.get(name) is not None}
    return sums
