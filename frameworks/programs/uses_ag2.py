"""AG2 1.x, as its users write it: an agent that is asked and asked again, a tool, a typed answer, the Responses API."""

from __future__ import annotations

import asyncio

from ag2 import Agent, observer, tool
from ag2.config import OpenAIConfig, OpenAIResponsesConfig
from ag2.events import ModelMessageChunk
from cells import run_cells
from pydantic import BaseModel

MODEL = "gpt-4o-mini"


class Person(BaseModel):
    name: str
    age: int


@tool
async def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return f"18 degrees and sunny in {city}"


def agent(*, streaming: bool = False, **options) -> Agent:
    config = OpenAIConfig(model=MODEL, temperature=0, max_tokens=200, streaming=streaming)
    return Agent("assistant", config=config, **options)


def chat():
    async def main():
        reply = await agent().ask("Hello")
        return [reply.body, (await reply.ask("Count to 5")).body]

    return asyncio.run(main())


def stream():
    pieces = []
    heard = observer(ModelMessageChunk, lambda event: pieces.append(event.content))
    asyncio.run(agent(streaming=True, observers=[heard]).ask("Count to 5"))
    return pieces


def structured_output():
    async def main():
        reply = await agent(response_schema=Person).ask("Return JSON for a person named Ana aged 30.")
        return (await reply.content()).model_dump()

    return asyncio.run(main())


def tools():
    return asyncio.run(agent(tools=[get_weather]).ask("What is the weather in Paris?")).body


def responses():
    return asyncio.run(Agent("assistant", config=OpenAIResponsesConfig(model=MODEL, temperature=0)).ask("Hello")).body


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, tools, responses)
