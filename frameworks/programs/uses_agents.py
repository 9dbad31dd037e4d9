"""OpenAI's Agents SDK, as its documents show it: the Responses API, which is its default, and handoffs."""

from __future__ import annotations

import asyncio

from agents import Agent, ModelSettings, OpenAIProvider, RunConfig, Runner, SQLiteSession, function_tool
from cells import run_cells
from pydantic import BaseModel

PARIS = "What is the weather in Paris?"
SETTINGS = ModelSettings(temperature=0)
ONE_TOOL = ModelSettings(temperature=0, tool_choice="required", parallel_tool_calls=False)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


# One event loop for all: the SDK's clients share their connections, which belong to the loop that they were made in.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)

assistant = Agent(name="Assistant", model="gpt-4o-mini", model_settings=SETTINGS)
weather = Agent(name="Weather agent", model="gpt-4o-mini", model_settings=SETTINGS, tools=[get_weather])


def chat():
    return Runner.run_sync(assistant, "Hello").final_output


def chat_of_chat_completions():
    config = RunConfig(model_provider=OpenAIProvider(use_responses=False))
    return Runner.run_sync(assistant, "Hello", run_config=config).final_output


def stream():
    async def pieces():
        events = Runner.run_streamed(assistant, "Count to 5").stream_events()
        data = [event.data async for event in events if event.type == "raw_response_event"]
        return [one.delta for one in data if one.type == "response.output_text.delta"]

    return loop.run_until_complete(pieces())


def structured_output():
    result = Runner.run_sync(assistant.clone(output_type=Person), "Return JSON for a person named Ana aged 30.")
    return result.final_output.model_dump()


def tools():
    result = Runner.run_sync(weather, PARIS)
    return [getattr(item, "output", None) for item in result.new_items], result.final_output


def a_session():
    async def answers():
        session = SQLiteSession("one")
        first = await Runner.run(assistant, "Hello", session=session)
        second = await Runner.run(assistant, "Count to 5", session=session)
        return first.final_output, second.final_output, len(await session.get_items())

    return loop.run_until_complete(answers())


def named_agent():
    """An agent that can do nothing but hand over to one of another name."""
    triage = Agent(name="Triage agent", model="gpt-4o-mini", model_settings=ONE_TOOL, handoffs=[weather])
    result = Runner.run_sync(triage, PARIS, max_turns=3)
    return result.last_agent.name, [item.type for item in result.new_items], result.final_output


def agent_as_a_tool():
    asks = weather.as_tool(tool_name="ask_about_weather", tool_description="Answers questions about the weather")
    boss = Agent(name="Boss", model="gpt-4o-mini", model_settings=ONE_TOOL, tools=[asks])
    result = Runner.run_sync(boss, PARIS, max_turns=3)
    return [item.type for item in result.new_items], result.final_output


if __name__ == "__main__":
    run_cells(chat, chat_of_chat_completions, stream, structured_output, tools, a_session, named_agent, agent_as_a_tool)
