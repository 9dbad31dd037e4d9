"""Messages as a /v1 server takes them: the form before `tools` in today's, and for Ollama nothing that it takes apart.

Source: ollama/openai/openai.go FromChatRequest, v0.24.0: every part of a content becomes a message of its own, a tool
result in parts loses its id, a message that holds nothing is refused.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Json
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.translation.messages import (
    begun_reply,
    joined_text,
    messages_of,
    note_begun_reply,
    with_object_arguments,
    with_one_begun_reply,
    with_one_system_message,
    with_speakers,
)


def with_adapted_messages(body: Json, call: Call, dialect: Dialect) -> Json:
    """The body with its messages as this server takes them; the same object when nothing changes. Raises `Rejected`."""
    given = messages_of(body)
    today = [_with_tool_calls(one, place) for place, one in enumerate(given)]
    messages = with_one_system_message(with_object_arguments(with_speakers(today, call), call))
    if dialect.goes_on_with_last_message:
        note_begun_reply(messages, call)
    if not dialect.accepts_content_parts:
        messages = [_with_joined_text(one) for one in messages]
    elif dialect.repeats_last_message:
        messages = with_one_begun_reply(messages)
        if begun_reply(messages):
            messages = [*messages[:-1], _with_joined_text(messages[-1])]
    return body if messages == given else {**body, "messages": messages}


def _with_tool_calls(message: Any, place: int) -> Any:
    match message:
        case {"role": "assistant", "function_call": {"name": _} as function}:
            kept = {name: value for name, value in message.items() if name != "function_call"}
            return {**kept, "tool_calls": [{"id": _older_call_id(place), "type": "function", "function": function}]}
        case {"role": "function", "name": name, "content": content}:
            return {"role": "tool", "tool_call_id": _older_call_id(place - 1), "name": name, "content": content}
        case _:
            return message


def _older_call_id(place: int) -> str:
    # A result follows its call, and the older form has no ids.
    return f"call_{place:04d}"


def _with_joined_text(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    changes: Json = {}
    if content is None and message.get("tool_calls") is None:
        changes["content"] = ""
    elif isinstance(content, list) and (joined := joined_text(content)) is not None:
        changes["content"] = joined
    return {**message, **changes} if changes else message
