"""AutoGen, as its users write it: agents with names, a tool, a typed answer, a stream, and two agents in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, ModelClientStreamingChunkEvent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from cells import run_cells
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


async def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return f"18 degrees and sunny in {city}"


@asynccontextmanager
async def model() -> AsyncIterator[OpenAIChatCompletionClient]:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", temperature=0, max_tokens=200)
    yield client
    await client.close()


def messages_of(messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> list[list[str]]:
    return [[type(message).__name__, message.source, message.to_text()] for message in messages]


async def ask(task: str, **options) -> list[BaseAgentEvent | BaseChatMessage]:
    async with model() as client:
        agent = AssistantAgent("assistant", model_client=client, system_message=None, **options)
        return list((await agent.run(task=task)).messages)


async def discuss(task: str) -> list[BaseAgentEvent | BaseChatMessage]:
    """The second agent reads what the user and the first one said: both are users to it, told apart by their names."""
    async with model() as client:
        agents: list[ChatAgent | RoundRobinGroupChat] = [
            AssistantAgent("writer", model_client=client, system_message="You write."),
            AssistantAgent("critic", model_client=client, system_message="You find fault."),
        ]
        team = RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(3))
        return list((await team.run(task=task)).messages)


async def pieces(task: str) -> list[str]:
    async with model() as client:
        agent = AssistantAgent("assistant", model_client=client, system_message=None, model_client_stream=True)
        events = agent.run_stream(task=task)
        return [event.content async for event in events if isinstance(event, ModelClientStreamingChunkEvent)]


def chat():
    return asyncio.run(ask("Hello"))[-1].content


def stream():
    return asyncio.run(pieces("Count to 5"))


def structured_output():
    asked = ask("Return JSON for a person named Ana aged 30.", output_content_type=Person)
    return asyncio.run(asked)[-1].content.model_dump()


def tools():
    asked = ask("What is the weather in Paris?", tools=[get_weather], reflect_on_tool_use=True)
    return messages_of(asyncio.run(asked))


def named_agent():
    return messages_of(asyncio.run(discuss("Hello")))


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, tools, named_agent)
