"""Tool calls: made, demanded, forbidden, streamed and answered."""

from __future__ import annotations

import json
from collections.abc import Generator
from functools import partial
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState

from llm_adapter.testing.contract.case import (
    QUESTION,
    Broken,
    Case,
    Check,
    Inconclusive,
    Script,
    expect,
    expect_longer,
    token_counts,
    unless_refused,
    user,
    whole_choice,
)
from llm_adapter.testing.contract.streams import chunks

_ONE_CITY = "What is the weather in Paris?"
_TWO_CITIES = "What is the weather in Paris, and what is the weather in Rome?"
_WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_POPULATION: Any = {
    "type": "function",
    "function": {
        "name": "get_population",
        "description": "How many people live in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_NAMED_TOOL = {"type": "function", "function": {"name": "get_population"}}
_RESULT = "The weather is sunny and warm, with a light wind from the sea. " * 12  # 156 words
_READ_TOKENS = 78  # tokens that it adds at least
_CALL_REASONS = ("tool_calls", "stop")  # OpenAI ends a call that was demanded with "stop"


def call(case: Case) -> Script:
    """A tool call comes in `tool_calls`, with the finish_reason 'tool_calls'."""
    choice = whole_choice((yield case.ask(_ONE_CITY, tools=[_WEATHER])))
    calls = _tool_calls(choice)
    _expect_whole(calls, "get_weather")
    expect(choice.finish_reason == "tool_calls", "the finish_reason 'tool_calls'", choice.finish_reason)
    _expect_no_call_in(choice.message.content)


def none(case: Case) -> Script:
    """tool_choice="none" forbids calls."""
    choice = (yield from _choice_reply(case, "none", _ONE_CITY)).choices[0]
    expect(not choice.message.tool_calls, "no call", choice.message.tool_calls)
    expect(choice.finish_reason != "tool_calls", "another finish_reason than 'tool_calls'", choice.finish_reason)


def required(case: Case) -> Script:
    """tool_choice="required" gives a call where the model would not make one."""
    choice = whole_choice((yield from _choice_reply(case, "required", QUESTION)))
    expect(choice.message.tool_calls, "a tool call", f"the text {choice.message.content!r}")
    _expect_whole(choice.message.tool_calls, "get_weather", "get_population")
    expect(choice.finish_reason in _CALL_REASONS, "the finish_reason 'tool_calls'", choice.finish_reason)


def named(case: Case) -> Script:
    """A named tool is called, though another one would fit."""
    choice = whole_choice((yield from _choice_reply(case, _NAMED_TOOL, _ONE_CITY)))
    expect(choice.message.tool_calls, "a call of get_population", f"the text {choice.message.content!r}")
    _expect_whole(choice.message.tool_calls, "get_population")
    expect(choice.finish_reason in _CALL_REASONS, "the finish_reason 'stop' or 'tool_calls'", choice.finish_reason)


def one_at_most(case: Case) -> Script:
    """parallel_tool_calls=False gives one call at most."""
    wish = partial(case.ask, _TWO_CITIES, tools=[_WEATHER], parallel_tool_calls=False)
    choice = whole_choice((yield from unless_refused(wish, "parallel_tool_calls")))
    calls = _tool_calls(choice)
    expect(len(calls) == 1, "one call", f"{len(calls)}")


def parallel(case: Case) -> Script:
    """Two calls of one reply have ids of their own."""
    choice = whole_choice((yield case.ask(_TWO_CITIES, tools=[_WEATHER])))
    calls = _tool_calls(choice)
    if len(calls) < 2:
        raise Inconclusive("the model made one call where two were asked for")
    _expect_whole(calls, "get_weather")


def _tool_result(content: Any, case: Case) -> Script:
    """A tool's result reaches the model."""
    without = token_counts((yield case.ask(_conversation("Sunny."), tools=[_WEATHER])))
    got = yield case.ask(_conversation(content), tools=[_WEATHER])
    grown = token_counts(got).prompt_tokens - without.prompt_tokens
    expect_longer(grown, _READ_TOKENS)
    message = whole_choice(got).message
    expect(message.content or message.tool_calls, "a text or a call", message)


def streamed(case: Case) -> Script:
    """A tool call in a stream is put together by its index."""
    choice = yield from _streamed_choice(case, _ONE_CITY)
    calls = _tool_calls(choice)
    _expect_whole(calls, "get_weather")
    expect(choice.finish_reason == "tool_calls", "the finish_reason 'tool_calls'", choice.finish_reason)
    _expect_no_call_in(choice.message.content)


def streamed_parallel(case: Case) -> Script:
    """Two calls in a stream stay two."""
    choice = yield from _streamed_choice(case, _TWO_CITIES)
    calls = _tool_calls(choice)
    _expect_whole(calls, "get_weather")
    if len(calls) < 2:
        raise Inconclusive("the model made one call where two were asked for")


def _streamed_choice(case: Case, asked: str) -> Generator[Any, Any, Any]:
    """The choice that the SDK makes of a stream's chunks."""
    got = yield from chunks(case, asked, tools=[_WEATHER])
    state: Any = ChatCompletionStreamState()
    for chunk in got:
        for delta in (part for choice in chunk.choices for part in choice.delta.tool_calls or ()):
            expect(isinstance(delta.index, int), "an `index` in each piece of a call", delta)
        state.handle_chunk(chunk)
    return whole_choice(state.current_completion_snapshot)


def _choice_reply(case: Case, choice: Any, asked: str) -> Generator[Any, Any, Any]:
    wish = partial(case.ask, asked, tools=[_WEATHER, _POPULATION], tool_choice=choice)
    return (yield from unless_refused(wish, "tool_choice"))


def _tool_calls(choice: Any) -> list[Any]:
    """The calls of a choice. A call that came as a text is not the model's fault."""
    _expect_no_call_in(choice.message.content)
    if not choice.message.tool_calls:
        raise Inconclusive("the model did not call the tool")
    return list(choice.message.tool_calls)


def _expect_whole(calls: list[Any], *tools: str) -> None:
    """Each call has an id of its own, a known name, and arguments that are a JSON object."""
    ids = [one.id for one in calls]
    expect(all(ids) and len(set(ids)) == len(ids), "an id for each call", ids)
    for one in calls:
        expect(one.type == "function", "the type 'function'", one.type)
        expect(one.function.name in tools, f"a call of {' or '.join(tools)}", one.function.name)
        expect(isinstance(_json_value(one.function.arguments), dict), "arguments in JSON", one.function.arguments)


def _expect_no_call_in(content: str | None) -> None:
    value = _json_value(content or "")
    if "<tool_call>" in (content or "") or (isinstance(value, dict) and value.get("name") == "get_weather"):
        raise Broken("a tool call in `tool_calls`", f"the text {content!r}")


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _conversation(result: Any) -> list[Any]:
    made = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    return [
        user(_ONE_CITY),
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]


_PARTS = [{"type": "text", "text": _RESULT}]
_TEXT = "parse the model's calls: users see JSON otherwise, and nothing runs"
_FORCED = "force the call by a grammar or by a second try, or refuse `tool_choice` by name: agents loop otherwise"
_INDEX = "number the calls of a reply 0, 1, 2 in a stream: with one index for all the SDK joins them"
_READ_ALL = "hand a tool's result on with its id, be it a text or a list of parts"
_TOOLS = ("tools",)
CHECKS = (
    Check("tool_call", call, _TEXT, _TOOLS),
    Check("tool_choice_none", none, "hide the tools from the model for this call", _TOOLS),
    Check("tool_choice_required", required, _FORCED, _TOOLS),
    Check("tool_choice_named", named, _FORCED, _TOOLS),
    Check("tool_calls_parallel", parallel, "give each call an id", _TOOLS),
    Check("tool_calls_one", one_at_most, "keep the first call, or refuse `parallel_tool_calls` by name", _TOOLS),
    Check("tool_result", partial(_tool_result, _RESULT), _READ_ALL, _TOOLS),
    Check("tool_result_parts", partial(_tool_result, _PARTS), _READ_ALL, _TOOLS),
    Check("stream_tool_call", streamed, _INDEX, _TOOLS),
    Check("stream_tool_calls", streamed_parallel, _INDEX, _TOOLS),
)
