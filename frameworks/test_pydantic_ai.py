"""pydantic-ai takes the asynchronous client, in its provider for OpenAI; `run_sync` is its synchronous side."""

from __future__ import annotations

import pytest
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from llm_adapter.testing import tool_call


def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return SUNNY if city == "Paris" else "unknown"


@pytest.fixture
def model(async_client) -> OpenAIChatModel:
    provider = OpenAIProvider(openai_client=async_client)
    return OpenAIChatModel(MODEL, provider=provider, settings={"temperature": 0})


def test_chat(model):
    result = Agent(model).run_sync(HELLO)
    assert result.output == GREETING


def test_chat_async(run, model):
    result = run(Agent(model).run(HELLO))
    assert result.output == GREETING


def test_stream(run, model):
    async def main():
        async with Agent(model).run_stream(COUNT) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    pieces = run(main())
    assert "".join(pieces) == COUNTED
    assert len(pieces) > 5


def test_structured_output(model):
    assert Agent(model, output_type=NativeOutput(Person)).run_sync(ANA).output == Person(name="Ana", age=30)


def test_structured_output_stream(run, model):
    async def main():
        async with Agent(model, output_type=NativeOutput(Person)).run_stream(ANA) as result:
            return await result.get_output()

    assert run(main()) == Person(name="Ana", age=30)


def test_tool_loop(model):
    result = Agent(model, tools=[get_weather]).run_sync(PARIS)
    assert result.output == REPORT
    calls = [part for message in result.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
    assert [(call.tool_name, call.args_as_dict()) for call in calls] == [("get_weather", {"city": "Paris"})]


def test_structured_output_by_tool(model):
    """How pydantic-ai does it by default: `tool_choice` is "required"."""

    def weather(city: str) -> str:
        return city

    output = ToolOutput(weather, name="get_weather", description="Get the current weather for a city")
    assert Agent(model, output_type=output).run_sync(PARIS).output == "Paris"


def test_guide(guide, loop, capsys):
    guide("pydantic_ai")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"


WEATHER = tool_call("get_weather", {"city": "Paris"})
JSON = '{"name": "Ana", "age": 30}'
PROGRAM = "uses_pydantic_ai"
TURNS = (
    *(GREETING, GREETING, COUNTED, JSON, JSON, tool_call("final_result", {"name": "Ana", "age": 30})),
    *(WEATHER, REPORT, tool_call("ask_about_weather", {}), WEATHER, SUNNY, REPORT),
)


def test_an_unmodified_program(outcome, destination):
    assert outcome.raised == {}
    model = "tiny" if destination.fake else "gpt-4o-mini"  # an embedded reply has the name that was asked for
    assert outcome.cells["chat"] == [GREETING, model, True]
    assert outcome.cells["chat_of_responses"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert (
        outcome.cells["structured_output"] == outcome.cells["structured_output_by_prompt"] == {"name": "Ana", "age": 30}
    )
    assert outcome.cells["structured_output_by_tool"]["age"] == 30  # the tiny model gives another name
    assert outcome.cells["tools"] == REPORT
    assert len(set(outcome.cells["embeddings"])) == 1


def test_a_named_agent_asks_another(outcome, destination):
    """Their names stay in pydantic-ai: nothing of them is sent."""
    name, said, requests = outcome.cells["named_agent"]
    assert (name, bool(said)) == ("boss", True)
    if destination.fake is not None:
        assert (said, requests) == (REPORT, 4)
        assert [message["content"] for message in destination.fake.calls[-2].body["messages"]] == [PARIS, "", SUNNY]
