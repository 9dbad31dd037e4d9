"""pydantic-ai, as its documents show it: a model by its name, tools, output types, an agent that asks another."""

from __future__ import annotations

import asyncio

from cells import run_cells
from pydantic import BaseModel
from pydantic_ai import Agent, Embedder, NativeOutput, PromptedOutput, RunContext
from pydantic_ai.models.openai import OpenAIResponsesModel

PARIS, ANA = "What is the weather in Paris?", "Return JSON for a person named Ana aged 30."
NAME, SETTINGS = "openai:gpt-4o-mini", {"temperature": 0}


class Person(BaseModel):
    name: str
    age: int


loop = asyncio.new_event_loop()  # that of `run_sync` as well
asyncio.set_event_loop(loop)

agent = Agent(NAME, name="assistant", model_settings=SETTINGS)
weather = Agent(NAME, name="weather_agent", model_settings=SETTINGS)


@weather.tool_plain
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def chat():
    result = agent.run_sync("Hello")
    return result.output, result.response.model_name, result.usage.output_tokens > 0


def chat_of_responses():
    return Agent(OpenAIResponsesModel("gpt-4o-mini"), model_settings=SETTINGS).run_sync("Hello").output


def stream():
    async def pieces():
        async with agent.run_stream("Count to 5") as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    return loop.run_until_complete(pieces())


def structured_output():
    return Agent(NAME, output_type=NativeOutput(Person), model_settings=SETTINGS).run_sync(ANA).output.model_dump()


def structured_output_by_prompt():
    return Agent(NAME, output_type=PromptedOutput(Person), model_settings=SETTINGS).run_sync(ANA).output.model_dump()


def structured_output_by_tool():
    """Its default way."""
    return Agent(NAME, output_type=Person, model_settings=SETTINGS).run_sync(ANA).output.model_dump()


def tools():
    return weather.run_sync(PARIS).output


def named_agent():
    """One agent asks another, of another name, as a tool."""
    boss = Agent(NAME, name="boss", model_settings={**SETTINGS, "parallel_tool_calls": False})

    @boss.tool
    async def ask_about_weather(context: RunContext[None]) -> str:
        """Ask about the weather"""
        return (await weather.run(PARIS, usage=context.usage)).output

    result = boss.run_sync(PARIS)
    return boss.name, result.output, result.usage.requests


def embeddings():
    made = Embedder("openai:text-embedding-3-small").embed_documents_sync(["The sky is blue", "A dog is an animal"])
    return [len(vector) for vector in made.embeddings]


if __name__ == "__main__":
    run_cells(
        *(chat, chat_of_responses, stream, structured_output, structured_output_by_prompt),
        *(structured_output_by_tool, tools, named_agent, embeddings),
    )
