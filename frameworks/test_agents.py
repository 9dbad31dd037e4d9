"""openai-agents takes the asynchronous client. Its tracing would send every prompt to OpenAI: it is off here."""

from __future__ import annotations

import agents
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person, embedded_only

from llm_adapter.testing import tool_call

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


WEATHER = tool_call("get_weather", {"city": "Paris"})
PROGRAM = "uses_agents"
TURNS = (
    *(GREETING, GREETING, COUNTED, '{"name": "Ana", "age": 30}'),
    *(WEATHER, REPORT, GREETING, COUNTED),
    *(tool_call("transfer_to_weather_agent", {}), WEATHER, REPORT),
    *(tool_call("ask_about_weather", {"input": PARIS}), WEATHER, SUNNY, REPORT),
)


def test_an_unmodified_program(outcome):
    """By the Responses API, but for one call; no trace leaves, though the program does not switch tracing off."""
    assert outcome.raised == {}
    assert (outcome.cells["chat"], outcome.cells["chat_of_chat_completions"]) == (GREETING, GREETING)
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert outcome.cells["tools"] == [[None, SUNNY, None], REPORT]
    assert outcome.cells["a_session"] == [GREETING, COUNTED, 4]
    asked = [call["request"] for call in outcome.calls if call["calls"]]
    assert asked.count("POST /chat/completions") == 1
    assert set(asked) == {"POST /chat/completions", "POST /responses"}


def test_named_agents(outcome, destination):
    """One agent hands over to another, whose name is in the tool's; the tiny model does not call a tool then."""
    last, items, said = outcome.cells["named_agent"]
    assert (last, items[:2], items[-1]) == (
        *("Weather agent", ["handoff_call_item", "handoff_output_item"], "message_output_item"),
    )
    items, told = outcome.cells["agent_as_a_tool"]
    assert items == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    if destination.fake is not None:
        assert (said, told) == (REPORT, REPORT)
        inner = destination.fake.calls[-2].body["messages"]
        assert [message["content"] for message in inner] == [PARIS, "", SUNNY]
        handed = destination.fake.calls[-5].body["messages"]
        assert handed[2]["content"] == '{"assistant": "Weather agent"}'
