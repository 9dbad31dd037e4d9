"""A call's messages, as every server but OpenAI's wants them: at least one, and one system message at their head.

Chat templates read the first system message alone, or allow no second one: on llama.cpp of 2026-10 a prompt has the
same number of tokens with the second as without it. A system message further on stays where it is.
"""

from __future__ import annotations

from collections import ChainMap
from itertools import takewhile
from typing import Any

from llm_adapter.provider import Json, Rejected


def messages_of(body: Json) -> list[Any]:
    """The messages of a call. Raises `Rejected` where there are none: llama.cpp would answer all the same."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Rejected("`messages` must be a list with at least one message", param="messages", code="invalid_value")
    return messages


def with_one_system_message(messages: list[Any]) -> list[Any]:
    """The messages, with the leading system messages joined to one, which keeps their other fields."""
    leading = list(takewhile(_is_system, messages))
    if len(leading) < 2:
        return messages
    content = "\n\n".join(str(joined_text(one["content"])) for one in leading)
    return [{**ChainMap(*leading), "content": content}, *messages[len(leading) :]]


def joined_text(content: Any) -> str | None:
    """A content's text, its parts joined by a line break, as llama.cpp and vLLM join them; None for more than text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [_part_text(part) for part in content]
    return "\n".join(map(str, texts)) if all(isinstance(one, str) for one in texts) else None


def _is_system(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") != "system":
        return False
    return joined_text(message.get("content")) is not None


def _part_text(part: Any) -> Any:
    match part:
        case {"type": "text", "text": text} | {"type": "refusal", "refusal": text}:
            return text
        case _:
            return None
