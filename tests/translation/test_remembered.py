"""What is remembered of values, and that nothing is remembered of one for another."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_adapter.provider import Call
from llm_adapter.settings.settings import Settings
from llm_adapter.translation import grammar_schema, tool_calls
from llm_adapter.translation.grammar_schema import GRAMMARS, normalised
from llm_adapter.translation.remembered import LARGEST, LIMIT, remembered
from llm_adapter.translation.tool_calls import tool_plan

values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, -0.0, "", "a", "1"]),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inside, max_size=2),
    max_leaves=4,
)


@given(st.lists(values, max_size=6))
def test_every_value_has_its_own_result(given_values: list[Any]) -> None:
    """1, 1.0 and True are equal in Python, and so are two orders of a dictionary."""
    told = remembered(repr)
    for value in [*given_values, *copy.deepcopy(given_values)]:
        assert told(value) == repr(value)


def counted() -> tuple[Any, list[Any]]:
    calls: list[Any] = []

    @remembered
    def make(value: Any, *others: Any) -> tuple[Any, ...]:
        calls.append(value)
        return (value, *others)

    return make, calls


def test_it_is_made_once() -> None:
    make, calls = counted()
    first = make({"a": [1]}, "x")
    assert make({"a": [1]}, "x") is first
    assert make({"a": [1]}, "y") == ({"a": [1]}, "y")
    assert len(calls) == 2


@pytest.mark.parametrize("value", [object(), {"a": object()}, "a" * LARGEST], ids=["another", "within", "large"])
def test_it_is_made_each_time(value: Any) -> None:
    make, calls = counted()
    assert make(value) == make(value) == (value,)
    assert len(calls) == 2


def test_memory_has_an_end() -> None:
    make, calls = counted()
    for place in [*range(LIMIT + 1), 0]:
        make(place)
    assert len(calls) == LIMIT + 2


# --- what uses it ----------------------------------------------------------------------------------------------------

PARAMETERS = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?!x)"}}, "description": "Told."}


def plan(name: str = "f") -> Any:
    tools = [{"type": "function", "function": {"name": name, "parameters": copy.deepcopy(PARAMETERS)}}] * 20
    return tool_plan(Call("POST", "/chat/completions", {"tools": tools}, Settings(), "1", 0), "a server")


def test_tools_are_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls have them: it is most of what a call with tools costs. The result is not changed."""
    first = copy.deepcopy(plan("once").folded)
    monkeypatch.setattr(tool_calls, "shown_parameters", None)
    assert plan("once").folded == first
    with pytest.raises(TypeError):
        _ = plan("another").folded


def test_a_schema_is_normalised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {**PARAMETERS, "title": "Once"}
    first = copy.deepcopy(normalised(copy.deepcopy(schema), GRAMMARS["llamacpp"], arguments=True))
    monkeypatch.setattr(grammar_schema, "_normalised", None)
    assert normalised(copy.deepcopy(schema), GRAMMARS["llamacpp"], arguments=True) == first
    with pytest.raises(TypeError):
        normalised(copy.deepcopy(schema), GRAMMARS["vllm"], arguments=True)


def test_a_schema_that_needs_nothing_stays_itself() -> None:
    """Also where an equal one came before."""
    schema = {"type": "object", "properties": {}, "title": "Itself"}
    for _ in range(2):
        again = copy.deepcopy(schema)
        assert normalised(again, GRAMMARS["llamacpp"]).schema is again
