"""Messages as a /v1 server takes them: the form before `tools` in today's, and for Ollama nothing that it takes apart.

Source: ollama/openai/openai.go FromChatRequest, v0.24.0: every part of a content becomes a message of its own, a tool
result in parts loses its id, a message that holds nothing is refused, and so are arguments that are "" (P19, P30).
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Json
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.translation.messages import given, headed, text


def adapted(body: Json, dialect: Dialect) -> Json:
    """The body with its messages as this server takes them; the same object when nothing changes. Raises `Rejected`."""
    said = given(body)
    messages = headed([_today(one, place) for place, one in enumerate(said)])
    if not dialect.accepts_content_parts:
        messages = [_joined(one) for one in messages]
    return body if messages == said else {**body, "messages": messages}


def _today(message: Any, place: int) -> Any:
    match message:
        case {"role": "assistant", "function_call": {"name": _} as function}:
            kept = {name: value for name, value in message.items() if name != "function_call"}
            return {**kept, "tool_calls": [{"id": _id(place), "type": "function", "function": function}]}
        case {"role": "function", "name": name, "content": content}:
            return {"role": "tool", "tool_call_id": _id(place - 1), "name": name, "content": content}
        case _:
            return message


def _id(place: int) -> str:
    # A result follows its call, and the older form has no ids.
    return f"call_{place:04d}"


def _joined(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    changes: Json = {}
    if content is None and message.get("tool_calls") is None:
        changes["content"] = ""
    elif isinstance(content, list) and (joined := text(content)) is not None:
        changes["content"] = joined
    calls = message.get("tool_calls")
    if isinstance(calls, list) and any(_empty(one) for one in calls):
        changes["tool_calls"] = [
            {**one, "function": {**one["function"], "arguments": "{}"}} if _empty(one) else one for one in calls
        ]
    return {**message, **changes} if changes else message


def _empty(tool_call: Any) -> bool:
    match tool_call:
        case {"function": {"arguments": ""}}:
            return True
        case _:
            return False
