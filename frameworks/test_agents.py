"""openai-agents takes the asynchronous client. Its tracing would send every prompt to OpenAI: it is off here."""

from __future__ import annotations

import agents
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person, embedded_only

agents.set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return SUNNY if city == "Paris" else "unknown"


@pytest.fixture
def agent(async_client) -> Agent:
    model = OpenAIChatCompletionsModel(model=MODEL, openai_client=async_client)
    return Agent(name="Test", model=model, model_settings=ModelSettings(temperature=0))


def test_chat(agent):
    result = Runner.run_sync(agent, HELLO)
    assert result.final_output == GREETING


def test_chat_async(run, agent):
    result = run(Runner.run(agent, HELLO))
    assert result.final_output == GREETING
    assert result.context_wrapper.usage.output_tokens > 0


def test_stream(run, agent):
    async def main():
        result = Runner.run_streamed(agent, COUNT)
        events = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        return result.final_output, [event.delta for event in events if event.type == "response.output_text.delta"]

    output, pieces = run(main())
    assert output == "".join(pieces) == COUNTED
    assert len(pieces) > 5


def test_structured_output(agent):
    assert Runner.run_sync(agent.clone(output_type=Person), ANA).final_output == Person(name="Ana", age=30)


def test_tool_loop(agent):
    result = Runner.run_sync(agent.clone(tools=[get_weather]), PARIS)
    assert result.final_output == REPORT
    assert [item.output for item in result.new_items if item.type == "tool_call_output_item"] == [SUNNY]


def test_tool_call_stream(run, agent):
    """Until the tool is called: the answer after it is not recorded as a stream."""

    async def main():
        stop = agent.clone(tools=[get_weather], tool_use_behavior="stop_on_first_tool")
        result = Runner.run_streamed(stop, PARIS)
        calls = [
            event.item.raw_item
            async for event in result.stream_events()
            if event.type == "run_item_stream_event" and event.name == "tool_called"
        ]
        return result.final_output, calls

    output, (call,) = run(main())
    assert output == SUNNY
    assert (call.name, call.arguments.replace(" ", "")) == ("get_weather", '{"city":"Paris"}')


def test_guide(guide, loop, capsys):
    guide("agents")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"


@embedded_only
@pytest.mark.parametrize("streamed", [False, True])
def test_the_responses_api(run, async_client, streamed):
    """The SDK's own default; what one turn is answered with goes into the next."""
    agent = Agent(
        name="Test",
        model=OpenAIResponsesModel(model=MODEL, openai_client=async_client),
        model_settings=ModelSettings(temperature=0),
        tools=[get_weather],
    )

    async def main():
        if not streamed:
            return await Runner.run(agent, PARIS)
        result = Runner.run_streamed(agent, PARIS)
        assert [event async for event in result.stream_events()]
        return result

    assert run(main()).final_output == REPORT
