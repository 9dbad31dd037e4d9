"""Arguments of tool calls: in the history and in replies, where a server or a model leaves them out or breaks them off.

OpenAI takes any text in the history, and its clients parse what comes. The fakes refuse what the servers refuse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import SYNC_AND_ASYNC, Play, every, mode
from pydantic import BaseModel

from llm_adapter import Settings
from llm_adapter.testing import Fake, ToolCall, serving, tool_call, tool_calls

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
PING: Any = {"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}
STRICT: Any = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
BROKEN = '{"city": "Par'


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["ollama@0.32", "llamacpp", "vllm", "lmstudio", "ollama's /v1"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Fake, Settings]]:
    v1 = request.param == "ollama's /v1"
    with serving("ollama@0.32" if v1 else request.param) as fake:
        yield fake, Settings(base_url=f"{fake.url}/v1", dialect="ollama", api_key="x") if v1 else fake.settings()


# --- in the history

# What stands in the history, and what the server gets.
HISTORIES: dict[str, tuple[Any, Any]] = {
    "an object": ('{"city": "Paris"}', {"city": "Paris"}),
    "empty": ("", {}),
    "white space": (" \n", {}),
    "null": ("null", {}),
    "none": (None, {}),
    "no text": ({"city": "Paris"}, {"city": "Paris"}),
    "broken off": (BROKEN, {"arguments": BROKEN}),
    "a list": ("[1]", {"arguments": "[1]"}),
    "a string": ('"Paris"', {"arguments": '"Paris"'}),
    "no JSON": ("Paris, I think", {"arguments": "Paris, I think"}),
}


def history(arguments: Any, form: str) -> list[Any]:
    function = {"name": "get_weather", "arguments": arguments}
    if form == "functions":
        called: Any = {"role": "assistant", "content": None, "function_call": function}
        return [*HI, called, {"role": "function", "name": "get_weather", "content": "an error"}]
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    return [*HI, called, {"role": "tool", "tool_call_id": "c", "content": "an error"}]


@pytest.mark.parametrize("form", ["tools", "functions"])
def test_a_history_is_taken(form: str, server: tuple[Fake, Settings]) -> None:
    """An agent goes on after a call that the model broke off; the model sees what it wrote."""
    fake, settings = server

    def script(client: Any) -> Any:
        for arguments, sent in HISTORIES.values():
            fake.script("ok")
            told = history(arguments, form)
            reply = yield client.chat.completions.create(model="m", messages=told, tools=[WEATHER])
            [called] = [one["tool_calls"] for one in fake.last.body["messages"] if one.get("tool_calls")]
            given = called[0]["function"]["arguments"]
            assert (given if isinstance(given, dict) else json.loads(given)) == sent
            assert (reply.adapter.changed or []) == (["messages"] if "arguments" in sent else [])

    SYNC_AND_ASYNC[0](script, settings=settings)


@pytest.mark.parametrize("arguments", ["", BROKEN])
@pytest.mark.parametrize("stream", [False, True])
def test_an_item_of_the_responses_api(arguments: str, stream: bool, server: tuple[Fake, Settings]) -> None:
    fake, settings = server
    called = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": arguments}
    result = {"type": "function_call_output", "call_id": "c", "output": "an error"}

    def script(client: Any) -> Any:
        got = yield client.responses.create(model="m", input=[*HI, called, result], stream=stream)
        return (yield every(got))[-1].response if stream else got

    fake.script("ok")
    assert SYNC_AND_ASYNC[0](script, settings=settings).output_text == "ok"


@pytest.mark.parametrize("stream", [False, True])
def test_a_history_on_the_embedded_llamacpp(stream: bool, play: Play) -> None:
    """It answers 500 to the text itself."""
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        for arguments in ("", BROKEN):
            asked: Any = {"model": "m", "messages": history(arguments, "tools"), "tools": [WEATHER], "max_tokens": 4}
            got = yield client.chat.completions.create(**asked, stream=stream)
            if stream:
                yield every(got)

    play(script, settings=Settings(provider="embedded"))


def test_a_strict_call_that_was_broken_off_is_sent_back(server: tuple[Fake, Settings]) -> None:
    """The call stands in the turn that asks for another one."""
    fake, settings = server

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="m", messages=HI, tools=[STRICT]))

    fake.script(tool_call("get_weather", BROKEN), tool_call("get_weather", {"city": "Paris"}))
    [called] = SYNC_AND_ASYNC[0](script, settings=settings).choices[0].message.tool_calls
    assert json.loads(called.function.arguments) == {"city": "Paris"}
    fake.assert_all_used()


# --- in replies


class Ping(BaseModel):
    pass


@pytest.mark.parametrize("arguments", ["", " "])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_without_arguments(arguments: str, stream: bool, play: Play, server: tuple[Fake, Settings]) -> None:
    """Call sites parse the text: it is an object that holds nothing, for each of several calls."""
    fake, settings = server
    fake.script(tool_calls(ToolCall("ping", arguments), ToolCall("get_weather", {"city": "x"}), ToolCall("ping", "")))

    def script(client: Any) -> Any:
        got = yield client.chat.completions.create(model="m", messages=HI, tools=[PING, WEATHER], stream=stream)
        return put_together((yield every(got))) if stream else got.choices[0].message.tool_calls

    calls = play(script, settings=settings)
    texts = [one if isinstance(one, str) else one.function.arguments for one in calls]
    assert [json.loads(one) for one in texts] == [{}, {"city": "x"}, {}]


def put_together(chunks: list[Any]) -> list[str]:
    """The arguments of a stream's calls; none comes beside the finish reason, where loops stop reading."""
    arguments: dict[int, str] = {}
    for choice in [choice for chunk in chunks for choice in chunk.choices]:
        for one in choice.delta.tool_calls or ():
            assert choice.finish_reason is None
            arguments[one.index] = arguments.get(one.index, "") + (one.function.arguments or "")
    return [arguments[place] for place in sorted(arguments)]


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_parses_a_call_without_arguments(stream: bool, play: Play, server: tuple[Fake, Settings]) -> None:
    fake, settings = server
    fake.script(tool_calls(ToolCall("Ping", ""), ToolCall("Ping", "")))
    asked: Any = {"model": "m", "messages": HI, "tools": [openai.pydantic_function_tool(Ping)]}

    def script(client: Any) -> Any:
        if not stream:
            return (yield client.chat.completions.parse(**asked))
        accumulator = openai.lib.streaming.chat.ChatCompletionStreamState(input_tools=asked["tools"])
        for chunk in (yield every((yield client.chat.completions.create(**asked, stream=True)))):
            accumulator.handle_chunk(chunk)
        return accumulator.get_final_completion()

    calls = play(script, settings=settings).choices[0].message.tool_calls
    assert [one.function.parsed_arguments for one in calls] == [Ping(), Ping()]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_without_arguments(stream: bool, server: tuple[Fake, Settings]) -> None:
    fake, settings = server
    fake.script(tool_calls(ToolCall("ping", "")))
    tool: Any = {"type": "function", "name": "ping", "parameters": {"type": "object", "properties": {}}}

    def script(client: Any) -> Any:
        got = yield client.responses.create(model="m", input="Hi", tools=[tool], stream=stream)
        return (yield every(got))[-1].response if stream else got

    assert [one.arguments for one in SYNC_AND_ASYNC[0](script, settings=settings).output] == ["{}"]


# --- of a tool that was not offered

ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}
CHOICES: dict[str, Any] = {
    "none given": {},
    "auto": {"tool_choice": "auto"},
    "allowed": {"tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}},
}


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_name_reaches_the_agent(stream: bool, play: Play, server: tuple[Fake, Settings]) -> None:
    """It tells the model, as it does at OpenAI: one request, no correction."""
    fake, settings = server
    fake.requests.clear()

    def script(client: Any) -> Any:
        names = []
        for choice in CHOICES.values():
            fake.script(tool_call("get_wether", {"city": "Paris"}))
            got = yield client.chat.completions.create(model="m", messages=HI, tools=[WEATHER], stream=stream, **choice)
            choices = [choice for chunk in (yield every(got)) for choice in chunk.choices] if stream else got.choices
            said = [choice.delta if stream else choice.message for choice in choices]
            names += [one.function.name for part in said for one in part.tool_calls or () if one.function.name]
        return names

    assert play(script, settings=settings) == ["get_wether"] * len(CHOICES)
    assert len([one for one in fake.requests if "chat" in one.path]) == len(CHOICES)


def test_an_unknown_name_among_strict_tools_is_sent_back(server: tuple[Fake, Settings]) -> None:
    """OpenAI's model cannot write one there."""
    fake, settings = server
    fake.script(tool_call("get_wether", {"city": "Paris"}), tool_call("get_weather", {"city": "Paris"}))

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="m", messages=HI, tools=[STRICT]))

    [called] = SYNC_AND_ASYNC[0](script, settings=settings).choices[0].message.tool_calls
    assert called.function.name == "get_weather"
