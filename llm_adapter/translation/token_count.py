"""A conversation and its budget: how many tokens it has, and what goes when it does not fit. Pure.

trimmed, dropped = trim_messages(messages, 4096)
count_tokens("qwen3:8b", messages)        # Count(tokens=31, method="estimate")

The estimate is made to err high: a prompt that is thought too short is refused, or cut without a word. Its weights are
measured with cl100k_base, split digit by digit as Qwen does. For texts and code it says 1.0 to 1.5 times what they
have, for numbers, logs and JSON 0.9 to 1.5; too little for languages with long words (Finnish 0.8), for hexadecimal
(0.9) and for base64 (0.6).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Literal, NamedTuple

# What the template adds to every message: role, markers, line breaks. ChatML's share, and about everybody's.
_PER_MESSAGE = 4
# An image is a few hundred tokens, whatever the length of its base64; and so are a few seconds of speech.
_PER_MEDIUM = 600
# Texts of a message beside its content. Source: the names that servers use for what a model thought.
_TEXTS = ("reasoning", "reasoning_content", "thinking", "refusal", "name")
_MEDIA = frozenset({"image_url", "input_audio"})
_NOT_ASCII = bytes(range(128, 256))
_DIGITS = b"0123456789"
_SIGNS = bytes(code for code in range(33, 127) if not chr(code).isalnum())


class Count(NamedTuple):
    """How many tokens a conversation has. "exact" is by the model's own vocabulary, without the server's template."""

    tokens: int
    method: Literal["exact", "estimate"]


def count_tokens(model: str, messages: str | Iterable[Any], tools: Any = None) -> Count:
    """The tokens of a conversation or of one text, for any model. Never raises and never asks the network.

    Exact where tiktoken is installed, knows the model and has its vocabulary at hand; an estimate everywhere else.
    """
    encode = _encoder(model)
    tokens_of = estimate if encode is None else lambda text: len(encode(text))
    given = [tokens_of(messages)] if isinstance(messages, str) else [_tokens(one, tokens_of) for one in messages]
    tokens = sum(given) + (tokens_of(json.dumps(tools)) if tools else 0)
    return Count(tokens, "estimate" if encode is None else "exact")


def estimated_sizes(messages: Iterable[Any]) -> list[int]:
    """The tokens of each message, by the estimate."""
    return [_tokens(one, estimate) for one in messages]


def estimated_count(body: dict[str, Any]) -> dict[str, Any]:
    """The count of a chat call's prompt where no server counts it, marked as what it is."""
    tokens = count_tokens("", body["messages"], body.get("tools")).tokens
    return {"input_tokens": tokens, "estimated": True}


def estimate(text: str) -> int:
    """Tokens of a text, roughly and rather too many.

    Seven letters or spaces make two tokens, three signs two, four digits five (with what parts them), and two bytes of
    UTF-8 beyond ASCII one.
    """
    data = text.encode("utf-8", "surrogatepass")
    plain = data.translate(None, _NOT_ASCII)
    digits = len(plain) - len(plain.translate(None, _DIGITS))
    signs = len(plain) - len(plain.translate(None, _SIGNS))
    letters, others = len(plain) - digits - signs, len(data) - len(plain)
    return -(-(24 * letters + 56 * signs + 105 * digits + 42 * others) // 84)


def trim_messages(
    messages: list[Any], budget: int, count: Callable[[list[Any]], int] | None = None
) -> tuple[list[Any], list[Any]]:
    """The messages that fit the budget, and those left out: the oldest turns, whole.

    System messages and the last turn stay, whatever they cost. A turn begins with a user message, so a tool call is
    never separated from its result. count: the tokens of a list of messages, called some ten times; by default an
    estimate, of each message once.
    """
    starts = _turn_starts(messages)
    if count is None:
        gone = _fewest(messages, estimated_sizes(messages), starts, budget)
    else:
        gone = _least(
            len(starts) - 1, lambda gone: count([messages[at] for at in _staying(messages, starts, gone)]) <= budget
        )
    staying = _staying(messages, starts, gone)
    left_out = sorted({*range(len(messages))} - {*staying})
    return [messages[at] for at in staying], [messages[at] for at in left_out]


def without_oldest(messages: list[Any], budget: int, sizes: list[int]) -> list[Any]:
    """The messages that fit the budget: without the oldest turns, and then without the oldest rounds of the last one.

    A round is an answer of the model with the results of its tool calls: an agent asks once and calls tools for long,
    so that its one turn is the whole conversation. The last round stays. sizes: the tokens of each message.
    """
    for starts_of in (_turn_starts, _round_starts):
        starts = starts_of(messages)
        staying = _staying(messages, starts, _fewest(messages, sizes, starts, budget))
        messages, sizes = [messages[at] for at in staying], [sizes[at] for at in staying]
    return messages


def system_tokens(messages: list[Any], sizes: list[int]) -> int:
    """The tokens of the system messages before the first turn."""
    return sum(sizes[: _turn_starts(messages)[0]])


def _turn_starts(messages: list[Any]) -> list[int]:
    """Where each turn begins: with a user message, and the first after the system messages at the beginning."""
    head = next((place for place, one in enumerate(messages) if not _is_system(one)), len(messages))
    return [head, *(place for place in range(head + 1, len(messages)) if _role(messages[place]) == "user")]


def _round_starts(messages: list[Any]) -> list[int]:
    """Where each round of the last turn begins."""
    asked = max((place for place, one in enumerate(messages) if _role(one) == "user"), default=-1) + 1
    rounds = [place for place in range(asked, len(messages)) if _role(messages[place]) == "assistant"]
    return rounds or [len(messages)]


def _staying(messages: list[Any], starts: list[int], gone: int) -> list[int]:
    """The places of what stays when so many of the parts that begin at `starts` go; system messages stay."""
    system = [place for place in range(starts[0], starts[gone]) if _is_system(messages[place])]
    return [*range(starts[0]), *system, *range(starts[gone], len(messages))]


def _fewest(messages: list[Any], sizes: list[int], starts: list[int], budget: int) -> int:
    """How many parts have to go for the rest to fit the budget; all but the last where it does not fit even then."""
    going = (0 if _is_system(one) else size for one, size in zip(messages, sizes, strict=True))
    before = list(accumulate(going, initial=0))
    over = sum(sizes) - budget
    return _least(len(starts) - 1, lambda gone: before[starts[gone]] - before[starts[0]] >= over)


def _least(limit: int, holds: Callable[[int], bool]) -> int:
    """The least number for which it holds, as it then does for all greater ones; the limit where it holds for none."""
    return bisect_left(range(max(limit, 0)), True, key=holds)


def _is_system(message: Any) -> bool:
    return _role(message) in ("system", "developer")


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else getattr(message, "role", None)


def _tokens(message: Any, tokens_of: Callable[[str], int]) -> int:
    fields = message if isinstance(message, dict) else message.model_dump(exclude_none=True)
    content = fields.get("content")
    media = sum(1 for part in _parts(content) if part.get("type") in _MEDIA)
    return tokens_of("\n".join(_texts(fields))) + _PER_MESSAGE + _PER_MEDIUM * media


def _texts(message: dict[str, Any]) -> Iterator[str]:
    """What of a message is written into the prompt."""
    content = message.get("content")
    texts = [content, *(part.get("text") for part in _parts(content)), *(message.get(name) for name in _TEXTS)]
    yield from (one for one in texts if isinstance(one, str) and one)
    for called in (message.get("tool_calls"), message.get("function_call")):
        if called:
            yield json.dumps(called, ensure_ascii=False, default=str)


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


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
