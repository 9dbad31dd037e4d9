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
    token_counts,
    unless_refused,
    user,
    whole_choice,
)
from llm_adapter.testing.contract.streams import chunks

_ASKED = "What is the weather in Paris?"
_TWICE = "What is the weather in Paris, and what is the weather in Rome?"
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
_NAMED = {"type": "function", "function": {"name": "get_population"}}
_RESULT = "The weather is sunny and warm, with a light wind from the sea. " * 12  # 156 words
_READ = 78  # tokens that it adds at least
_MADE = ("tool_calls", "stop")  # OpenAI ends a call that was demanded with "stop"


def call(case: Case) -> Script:
    """A tool call comes as one, with the finish_reason tool_calls."""
    choice = whole_choice((yield case.ask(_ASKED, tools=[_WEATHER])))
    calls = _calls(choice, "the model did not call the tool")
    _whole(calls, "get_weather")
    expect(choice.finish_reason == "tool_calls", "the finish_reason 'tool_calls'", choice.finish_reason)
    _no_call_in(choice.message.content)


def none(case: Case) -> Script:
    """tool_choice="none" forbids calls."""
    choice = (yield from _demanding(case, "none", _ASKED)).choices[0]
    expect(not choice.message.tool_calls, "no call", choice.message.tool_calls)
    expect(choice.finish_reason != "tool_calls", "another finish_reason than 'tool_calls'", choice.finish_reason)


def required(case: Case) -> Script:
    """tool_choice="required" gives a call where the model would not make one."""
    choice = whole_choice((yield from _demanding(case, "required", QUESTION)))
    expect(choice.message.tool_calls, "a tool call", f"the text {choice.message.content!r}")
    _whole(choice.message.tool_calls, "get_weather", "get_population")
    expect(choice.finish_reason in _MADE, "the finish_reason 'tool_calls'", choice.finish_reason)


def named(case: Case) -> Script:
    """A named tool is called, though another one would fit."""
    choice = whole_choice((yield from _demanding(case, _NAMED, _ASKED)))
    expect(choice.message.tool_calls, "a call of get_population", f"the text {choice.message.content!r}")
    _whole(choice.message.tool_calls, "get_population")
    expect(choice.finish_reason in _MADE, "the finish_reason 'stop' or 'tool_calls'", choice.finish_reason)


def one_at_most(case: Case) -> Script:
    """parallel_tool_calls=False gives one call at most."""
    wish = partial(case.ask, _TWICE, tools=[_WEATHER], parallel_tool_calls=False)
    choice = whole_choice((yield from unless_refused(wish, "parallel_tool_calls")))
    calls = _calls(choice, "the model did not call the tool")
    expect(len(calls) == 1, "one call", f"{len(calls)}")


def parallel(case: Case) -> Script:
    """Calls that are made at once have ids of their own."""
    choice = whole_choice((yield case.ask(_TWICE, tools=[_WEATHER])))
    calls = _calls(choice, "the model did not call the tool")
    if len(calls) < 2:
        raise Inconclusive("the model made one call where two were asked for")
    _whole(calls, "get_weather")


def _answered(content: Any, case: Case) -> Script:
    """A tool's result is read."""
    without = token_counts((yield case.ask(_turns("Sunny."), tools=[_WEATHER])))
    got = yield case.ask(_turns(content), tools=[_WEATHER])
    grown = token_counts(got).prompt_tokens - without.prompt_tokens
    expect(grown >= _READ, f"a prompt longer by at least {_READ} tokens, for 156 words", f"one longer by {grown}")
    message = whole_choice(got).message
    expect(message.content or message.tool_calls, "a text or a call", message)


def streamed(case: Case) -> Script:
    """A tool call in a stream is put together by its index."""
    choice = yield from _streamed(case, _ASKED)
    calls = _calls(choice, "the model did not call the tool")
    _whole(calls, "get_weather")
    expect(choice.finish_reason == "tool_calls", "the finish_reason 'tool_calls'", choice.finish_reason)
    _no_call_in(choice.message.content)


def streamed_parallel(case: Case) -> Script:
    """Two calls in a stream stay two."""
    choice = yield from _streamed(case, _TWICE)
    calls = _calls(choice, "the model did not call the tool")
    _whole(calls, "get_weather")
    if len(calls) < 2:
        raise Inconclusive("the model made one call where two were asked for")


def _streamed(case: Case, asked: str) -> Generator[Any, Any, Any]:
    """The choice that the SDK makes of a stream's chunks."""
    got = yield from chunks(case, asked, tools=[_WEATHER])
    state: Any = ChatCompletionStreamState()
    for chunk in got:
        for delta in (part for choice in chunk.choices for part in choice.delta.tool_calls or ()):
            expect(isinstance(delta.index, int), "an `index` in each piece of a call", delta)
        state.handle_chunk(chunk)
    return whole_choice(state.current_completion_snapshot)


def _demanding(case: Case, choice: Any, asked: str) -> Generator[Any, Any, Any]:
    wish = partial(case.ask, asked, tools=[_WEATHER, _POPULATION], tool_choice=choice)
    return (yield from unless_refused(wish, "tool_choice"))


def _calls(choice: Any, otherwise: str) -> list[Any]:
    """The calls of a choice. A call that came as a text is not the model's fault."""
    _no_call_in(choice.message.content)
    if not choice.message.tool_calls:
        raise Inconclusive(otherwise)
    return list(choice.message.tool_calls)


def _whole(calls: list[Any], *tools: str) -> None:
    """Each call has an id of its own, a known name, and arguments that are a JSON object."""
    ids = [one.id for one in calls]
    expect(all(ids) and len(set(ids)) == len(ids), "an id for each call", ids)
    for one in calls:
        expect(one.type == "function", "the type 'function'", one.type)
        expect(one.function.name in tools, f"a call of {' or '.join(tools)}", one.function.name)
        expect(isinstance(_json(one.function.arguments), dict), "arguments in JSON", one.function.arguments)


def _no_call_in(content: str | None) -> None:
    value = _json(content or "")
    if "<tool_call>" in (content or "") or (isinstance(value, dict) and value.get("name") == "get_weather"):
        raise Broken("a tool call in `tool_calls`", f"the text {content!r}")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _turns(result: Any) -> list[Any]:
    made = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    return [
        user(_ASKED),
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
    Check("tool_result", partial(_answered, _RESULT), _READ_ALL, _TOOLS),
    Check("tool_result_parts", partial(_answered, _PARTS), _READ_ALL, _TOOLS),
    Check("stream_tool_call", streamed, _INDEX, _TOOLS),
    Check("stream_tool_calls", streamed_parallel, _INDEX, _TOOLS),
)
