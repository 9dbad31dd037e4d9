"""Text of a stream with tools on offer: it leaves as soon as it can be no tool call any more, and no sooner.

The measure is `calls_written_as_text`, which decides about a whole reply.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import call

from llm_adapter.translation.chat_stream import ChoiceDeltas
from llm_adapter.translation.reply_checks import ReplyRequirements, choice_and_faults
from llm_adapter.translation.written_calls import WrittenCallScanner, calls_written_as_text

NAMES = ("get_weather", "get_time")
CALLED = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
BRACES = '{"name": "get_time", "arguments": {"a": "}}\\"}"}}'
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in NAMES]

# Texts, and how much of each has come when it is known to be no call.
RELEASED: dict[str, tuple[str, str]] = {
    "prose": ("It is sunny", "I"),
    "another language": ("```python\nprint(1)\n```", "```p"),
    "a longer name of a language": ("```jsonc\n{}\n```", "```jsonc"),
    "JSON in a fence": ('```json\n{"total": 3}\n```', '```json\n{"to'),
    "another key": ('{"total": 3, "items": [1]}', '{"to'),
    "a key that only begins so": ('{"names": ["a"]}', '{"names'),
    "another name": ('{"name": "Ana", "age": 30}', '{"name": "A'),
    "a name that only begins so": ('{"name": "get_weather_now"}', '{"name": "get_weather_'),
    "a name that is no text": ('{"name": 1}', '{"name": 1'),
    "a schema": ('{"type": "object"}', '{"type": "o'),
    "arguments that are none": ('{"arguments": "x"}', '{"arguments": "'),
    "an empty object": ("{} and more", "{}"),
    "a list of numbers": ("[1, 2, 3]", "[1"),
    "a list of texts": ('["a", "b"]', '["'),
    "another tag": ("<think>Hmm</think>", "<th"),
    "a tag that only begins so": ("<tool_box>", "<tool_b"),
    "a link": ("[TOOLS](x)", "[TOOLS"),
    "a call with something beside it": (CALLED[:-1] + ', "why": 1} and so on', CALLED[:-1] + ', "why": 1}'),
    "a call and prose": (f"{CALLED} as you asked", f"{CALLED} a"),
    "a fence and prose": (f"```json\n{CALLED}\n``` as you asked", f"```json\n{CALLED}\n``` a"),
    "braces in a text": (f"{BRACES} so", f"{BRACES} s"),
}


@pytest.mark.parametrize(("text", "known"), RELEASED.values(), ids=RELEASED)
def test_text_is_released_as_soon_as_it_is_none(text: str, known: str) -> None:
    scanner = WrittenCallScanner(NAMES)
    verdicts = [scanner.may_be_calls(letter) for letter in text]
    assert text[: verdicts.index(False) + 1] == known


SEPARATORS = st.sampled_from(
    ["", " ", "\n", ", ", ";", "<tool_call>", "</tool_call>\n", "[TOOL_CALLS]", "[/TOOL_CALLS]"]
)
STRINGS = st.text('ab{}[]"\\`<> ', max_size=4)
ARGUMENTS = st.dictionaries(STRINGS, STRINGS | st.dictionaries(STRINGS, st.integers(), max_size=1), max_size=2)
CALLS = st.builds(
    lambda name, key, arguments, indent: json.dumps({"name": name, key: arguments}, indent=indent),
    st.sampled_from([*NAMES, "get_wether", 'a"b']),
    st.sampled_from(["arguments", "parameters", "args"]),
    ARGUMENTS,
    st.sampled_from([None, 2]),
)
WRAPPED = CALLS.map(lambda text: f'{{"type": "function", "function": {text}}}')
LISTS = st.lists(CALLS | WRAPPED, max_size=2).map(lambda calls: f"[{', '.join(calls)}]")
PIECES = st.lists(SEPARATORS | CALLS | WRAPPED | LISTS | st.sampled_from(["{}", "x", "[", "1"]), max_size=5).map(
    "".join
)
FENCES = st.sampled_from(["", "```", "```json\n", "```tool_call ", "```python\n", " ```json", "\n"])
TEXTS = st.builds(
    lambda opening, text, end: opening + text + end, FENCES, PIECES, st.sampled_from(["", "```", "\n``` ", "`"])
)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


@settings(max_examples=60)
@given(TEXTS | st.text(max_size=20), st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_is_what_the_whole_reply_is(text: str, places: list[int]) -> None:
    """However a text is cut, the same calls and the same text come out."""
    requirements = ReplyRequirements.of(call("/chat/completions", {"model": "m", "tools": TOOLS}), "")
    message = {"role": "assistant", "content": text}
    whole = choice_and_faults(requirements, {"index": 0, "message": message, "finish_reason": "stop"})[0]
    deltas = ChoiceDeltas(requirements)
    out = [deltas.outgoing({"content": piece}, None) for piece in cut(text, places)] + [deltas.outgoing({}, "stop")]
    said = "".join(one.delta.get("content") or "" for one in out)
    calls = [one for delta in out for one in delta.delta.get("tool_calls") or ()]
    assert said == (whole["message"]["content"] or "")
    assert [one["function"] for one in calls] == [one["function"] for one in whole["message"].get("tool_calls") or ()]
    assert out[-1].reason == whole["finish_reason"]


@settings(max_examples=60)
@given(TEXTS)
def test_calls_are_never_released_as_text(text: str) -> None:
    scanner = WrittenCallScanner(NAMES)
    verdicts = [scanner.may_be_calls(letter) for letter in text]
    assert all(verdicts) or not calls_written_as_text(text, NAMES)


def test_the_texts_of_the_property_hold_calls() -> None:
    """The property would hold for texts without any."""
    for text in (CALLED, f"```json\n{CALLED}\n```", f"<tool_call>{CALLED}</tool_call>", f"[{CALLED}, {CALLED}]"):
        assert calls_written_as_text(text, NAMES)
