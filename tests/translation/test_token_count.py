"""Budgets: what is counted, what is left out, and how the context grows."""

from __future__ import annotations

from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from llm_adapter import Count, count_tokens, trim_messages
from llm_adapter.translation import token_count

SYSTEM = {"role": "system", "content": "s" * 40}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "r" * 40}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_unknown_models_are_estimated() -> None:
    """No model name raises, and the result says what it is."""
    assert count_tokens("qwen3:8b", [user("Hello there")]) == Count(8, "estimate")
    assert count_tokens("qwen3:8b", "Hello there") == Count(4, "estimate")  # a text has no template around it


def test_known_models_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the vocabulary at hand the count is exact."""
    made = tiktoken.Encoding(
        "o200k_base", pat_str=".", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", made)
    assert count_tokens("gpt-4o-mini", [user("Hello")]) == Count(9, "exact")


def test_images_count_by_the_piece() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    assert count_tokens("m", [{"role": "user", "content": [image]}]).tokens < 1000


def test_the_oldest_turns_go_whole() -> None:
    """System and the last turn stay; a call goes with its result."""
    messages = [
        SYSTEM,
        user("a" * 400),
        CALL,
        RESULT,
        user("b" * 400),
        {"role": "assistant", "content": "x"},
        user("c"),
    ]
    kept, dropped = trim_messages(messages, 155)
    assert kept == [SYSTEM, *messages[4:]]
    assert dropped == messages[1:4]
    assert trim_messages(messages, 1)[0] == [SYSTEM, user("c")]
    assert trim_messages(messages, 10**6) == (messages, [])


ROLES = st.lists(st.sampled_from(["user", "assistant", "round"]), max_size=12)


@given(ROLES, st.integers(0, 200))
def test_no_result_without_its_call(roles: list[str], budget: int) -> None:
    """Whatever is cut, nothing is split, reordered or lost without being named."""
    messages: list[Any] = [SYSTEM]
    for role in roles:
        messages += [CALL, RESULT] if role == "round" else [{"role": role, "content": "x" * 40}]
    kept, dropped = trim_messages(messages, budget)
    assert [SYSTEM, *dropped, *kept[1:]] == messages
    assert sum(one is CALL for one in kept) == sum(one is RESULT for one in kept)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("31415926 " * 300, 2700),
        ("0.844,12\n" * 300, 2700),
        ("\u660e\u5929\u4f1a\u4e0b\u96e8" * 20, 100),
        ("The weather report says that it will rain. " * 30, 271),
        ('{"id":7,"name":"user7","ok":true},' * 50, 900),
    ],
    ids=["digits", "csv", "chinese", "prose", "json"],
)
def test_the_estimate_is_rather_too_high(text: str, tokens: int) -> None:
    """tokens: by cl100k_base, split digit by digit as Qwen does."""
    assert tokens * 0.95 <= count_tokens("m", text).tokens <= tokens * 2


@pytest.mark.parametrize(
    "more",
    [
        {"reasoning": "x" * 700},
        {"reasoning_content": "x" * 700},
        {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "x" * 700}}]},
        {"content": [{"type": "text", "text": "x" * 700}]},
        {"content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
    ],
    ids=["reasoning", "reasoning_content", "tool_calls", "parts", "audio"],
)
def test_all_that_is_sent_is_counted(more: Any) -> None:
    bare = {"role": "assistant", "content": ""}
    assert count_tokens("m", [{**bare, **more}]).tokens >= count_tokens("m", [bare]).tokens + 200


def test_each_message_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    estimate = token_count.estimate
    monkeypatch.setattr(token_count, "estimate", lambda text: counted.append(text) or estimate(text))
    messages = [user(f"{place} {'x' * 40}") for place in range(200)]
    assert len(trim_messages(messages, 500)[0]) < 50
    assert len(counted) == len(messages)


def test_a_count_of_ones_own_is_asked_for_seldom() -> None:
    asked: list[int] = []

    def count(messages: list[Any]) -> int:
        asked.append(len(messages))
        return len(messages)

    messages = [SYSTEM, *(user(str(place)) for place in range(500))]
    assert trim_messages(messages, 10, count)[0] == [SYSTEM, *messages[-9:]]
    assert len(asked) <= 10
