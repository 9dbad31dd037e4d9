"""A recorded OpenAI reply as a turn: what makes any persona say the same again, in its own way.

Source: openai/types, 3.52.0. Log probabilities are not kept: the fake makes its own.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from llm_adapter.testing.turns import Failure, Json, ToolCall, Turn, Usage

_THOUGHTS = ("reasoning", "reasoning_content", "thinking")  # the spellings of what a model thought


def reply(recorded: Json, status: int | None = None) -> Turn:
    """The turn that makes this reply: a chat completion, a text completion, vectors, a response, or an error.

    recorded: the JSON of the reply. status: of an error; by default what its `code` says, or 400.
    Raises `ValueError` for anything else.
    """
    match recorded:
        case {"error": error} if error is not None and "output" not in recorded:
            return Turn(failure=_failure(error, status))
        case {"object": "chat.completion", "choices": [*choices]} if choices:
            return _all([_chat_choice(choice) for choice in choices], recorded)
        case {"object": "text_completion", "choices": [*choices]} if choices:
            return _all(
                [Turn(str(one.get("text") or ""), finish=one.get("finish_reason")) for one in choices], recorded
            )
        case {"object": "list", "data": [{"embedding": _}, *_] as data}:
            vectors = tuple(_vector(one["embedding"]) for one in data)
            return Turn(vectors=vectors, usage=_usage(recorded))
        case {"object": "response", "output": [*items]}:
            return replace(_response(items), usage=_usage(recorded), finish=_ending(recorded))
        case _:
            raise ValueError(f"no turn makes this reply: {recorded.get('object')!r} is not among those that are known")


def _all(turns: list[Turn], recorded: Json) -> Turn:
    return replace(turns[0], more=tuple(turns[1:]), usage=_usage(recorded))


def _chat_choice(choice: Json) -> Turn:
    message = choice.get("message") or {}
    thought = next((message[name] for name in _THOUGHTS if message.get(name)), "")
    calls = tuple(_calls(message))
    content = message.get("content") or message.get("refusal") or ""
    return Turn(str(content), str(thought), calls, choice.get("finish_reason"))


def _calls(message: Json) -> Iterable[ToolCall]:
    for call in message.get("tool_calls") or []:
        function = call.get("function") or call.get("custom") or {}
        yield ToolCall(function["name"], function.get("arguments", function.get("input", "")), call.get("id") or None)
    if function := message.get("function_call"):
        yield ToolCall(function["name"], function["arguments"])


def _usage(recorded: Json) -> Usage | None:
    usage = recorded.get("usage") or {}
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    return None if prompt is None else Usage(prompt, usage.get("completion_tokens", usage.get("output_tokens", 0)))


def _vector(given: Any) -> tuple[float, ...]:
    if isinstance(given, str):
        data = base64.b64decode(given)
        return struct.unpack(f"<{len(data) // 4}f", data)
    return tuple(float(part) for part in given)


def _response(items: list[Json]) -> Turn:
    said, thought, calls = "", "", []
    for item in items:
        if item.get("type") == "message":
            said += "".join(part.get("text", part.get("refusal", "")) for part in item.get("content") or [])
        elif item.get("type") == "reasoning":
            thought += "".join(part.get("text", "") for part in item.get("summary") or [])
        elif item.get("type") == "function_call":
            calls.append(ToolCall(item["name"], item["arguments"], item.get("call_id")))
    return Turn(said, thought, tuple(calls))


def _ending(recorded: Json) -> str | None:
    return "length" if recorded.get("status") == "incomplete" else None


def _failure(error: Any, status: int | None) -> Failure:
    if not isinstance(error, dict):
        return Failure(str(error), status or 400)
    code = error.get("code")
    found = status or (code if isinstance(code, int) and 400 <= code < 600 else 400)
    words = str(error.get("message") or "")
    return Failure(words, found, code if isinstance(code, str) else None, error.get("type"), error.get("param"))
