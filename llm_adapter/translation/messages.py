"""A call's messages, as every server but OpenAI's wants them: at least one, and one system message at their head.

Templates read the first system message alone, or allow no second one: on llama.cpp of 2026-10 a prompt has the same
number of tokens with the second as without it (P8). A system message further on stays where it is.
"""

from __future__ import annotations

from collections import ChainMap
from itertools import takewhile
from typing import Any

from llm_adapter.provider import Json, Rejected


def given(body: Json) -> list[Any]:
    """The messages of a call. Raises `Rejected` where there are none: llama.cpp would answer all the same."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Rejected("`messages` must be a list with at least one message", param="messages", code="invalid_value")
    return messages


def headed(messages: list[Any]) -> list[Any]:
    """The messages, the leading system messages of which are one; what else the first ones say of themselves stays."""
    leading = list(takewhile(_system, messages))
    if len(leading) < 2:
        return messages
    content = "\n\n".join(str(text(one["content"])) for one in leading)
    return [{**ChainMap(*leading), "content": content}, *messages[len(leading) :]]


def text(content: Any) -> str | None:
    """A content's text, its parts joined by a line break, as llama.cpp and vLLM join them; None for more than text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [_text(part) for part in content]
    return "\n".join(map(str, texts)) if all(isinstance(one, str) for one in texts) else None


def _system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "system" and text(message.get("content")) is not None


def _text(part: Any) -> Any:
    match part:
        case {"type": "text", "text": text} | {"type": "refusal", "refusal": text}:
            return text
        case _:
            return None
