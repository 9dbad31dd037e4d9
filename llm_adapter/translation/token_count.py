"""A conversation and its budget: how many tokens it has, and what goes when it does not fit. Pure.

trimmed, dropped = trim_messages(messages, 4096)
count_tokens("qwen3:8b", messages)        # Count(tokens=31, method="estimate")
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

# What the template adds to every message: role, markers, line breaks. ChatML's share, and about everybody's.
_PER_MESSAGE = 4
# An image is a few hundred tokens, whatever the length of its base64.
_PER_IMAGE = 600


class Count(NamedTuple):
    """How many tokens a conversation has. "exact" is by the model's own vocabulary, without the server's template."""

    tokens: int
    method: Literal["exact", "estimate"]


def count_tokens(model: str, messages: str | Iterable[Any], tools: Any = None) -> Count:
    """The tokens of a conversation or of one text, for any model. Never raises and never asks the network.

    Exact where tiktoken is installed, knows the model and has its vocabulary at hand; an estimate everywhere else.
    """
    text, messages = ([messages], []) if isinstance(messages, str) else ([], list(messages))
    texts = [*text, *map(_prompt_text, messages), *([json.dumps(tools)] if tools else [])]
    encode = _encoder(model)
    if encode is None:
        return Count(sum(estimate(text) for text in texts) + _overhead(messages), "estimate")
    return Count(sum(len(encode(text)) for text in texts) + _overhead(messages), "exact")


def estimated_count(body: dict[str, Any]) -> dict[str, Any]:
    """The count of a chat call's prompt where no server counts it, marked as what it is."""
    tokens = count_tokens("", body["messages"], body.get("tools")).tokens
    return {"input_tokens": tokens, "estimated": True}


def estimate(text: str) -> int:
    """Tokens of a text, roughly: four letters of an alphabet each; every other character its own."""
    letters = sum(1 for character in text if character.isascii())
    return (letters + 3) // 4 + len(text) - letters


def trim_messages(
    messages: list[Any], budget: int, count: Callable[[list[Any]], int] | None = None
) -> tuple[list[Any], list[Any]]:
    """The messages that fit the budget, and those left out: the oldest turns, whole.

    System messages and the last turn stay, whatever they cost. A turn begins with a user message, so a tool call is
    never separated from its result. count: the tokens of a list of messages; an estimate by default.
    """
    count = count or _estimated
    head = next((place for place, one in enumerate(messages) if not _is_system(one)), len(messages))
    turns = _turns(messages[head:])

    def kept(gone: int) -> list[Any]:
        staying = [one for turn in turns[:gone] for one in turn if _is_system(one)]
        return [*messages[:head], *staying, *(one for turn in turns[gone:] for one in turn)]

    gone = _least(len(turns) - 1, lambda gone: count(kept(gone)) <= budget)
    return kept(gone), [one for turn in turns[:gone] for one in turn if not _is_system(one)]


def without_oldest_rounds(messages: list[Any], budget: int) -> list[Any]:
    """The messages without the oldest rounds of the last turn: answers of the model, and results of their tool calls.

    An agent asks once and calls tools for long: its one turn is the whole conversation. The last round stays.
    """
    asked = max((place for place, one in enumerate(messages) if _role(one) == "user"), default=-1) + 1
    starts = [place for place in range(asked, len(messages)) if _role(messages[place]) == "assistant"]

    def kept(gone: int) -> list[Any]:
        return [*messages[: starts[0]], *messages[starts[gone] :]] if starts else messages

    return kept(_least(len(starts) - 1, lambda gone: _estimated(kept(gone)) <= budget))


def _least(limit: int, holds: Callable[[int], bool]) -> int:
    """The least number for which it holds, as it then does for all greater ones; the limit where it holds for none."""
    return bisect_left(range(max(limit, 0)), True, key=holds)


def _estimated(messages: list[Any]) -> int:
    return count_tokens("", messages).tokens


def _is_system(message: Any) -> bool:
    return _role(message) in ("system", "developer")


def _turns(messages: list[Any]) -> list[list[Any]]:
    turns: list[list[Any]] = []
    for message in messages:
        if _role(message) == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else getattr(message, "role", None)


def _overhead(messages: Iterable[Any]) -> int:
    images = sum(_images(message) for message in messages)
    return _PER_MESSAGE * sum(1 for _ in messages) + _PER_IMAGE * images


def _images(message: Any) -> int:
    content = message.get("content") if isinstance(message, dict) else getattr(message, "content", None)
    parts = content if isinstance(content, list) else []
    return sum(1 for part in parts if isinstance(part, dict) and part.get("type") == "image_url")


def _prompt_text(message: Any) -> str:
    """What of a message is written into the prompt."""
    message = message if isinstance(message, dict) else message.model_dump(exclude_none=True)
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    calls = message.get("tool_calls")
    return content + (json.dumps(calls) if calls else "")


def _encoder(model: str) -> Callable[[str], list[int]] | None:
    """The model's own vocabulary, if it is at hand: tiktoken downloads one that it does not have, and we do not."""
    if not model.startswith(("gpt-", "o1", "o3", "o4", "text-embedding-")):
        return None
    try:
        import tiktoken
        from tiktoken.registry import ENCODINGS

        name = tiktoken.encoding_name_for_model(model)
    except (ImportError, KeyError):
        return None
    return ENCODINGS[name].encode if name in ENCODINGS else None
