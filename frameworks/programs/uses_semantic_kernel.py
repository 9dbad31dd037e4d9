"""Semantic Kernel, as its users write it: an agent with a name, a plugin, a typed answer, a stream, a chat of two."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cells import run_cells
from pydantic import BaseModel
from semantic_kernel.agents import AgentGroupChat, ChatCompletionAgent, ChatHistoryAgentThread
from semantic_kernel.connectors.ai.open_ai import (
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
    OpenAITextEmbedding,
)
from semantic_kernel.functions import KernelArguments, kernel_function


class Person(BaseModel):
    name: str
    age: int


class Weather:
    @kernel_function(description="Get the current weather for a city")
    def get_weather(self, city: Annotated[str, "the city"]) -> str:
        return f"18 degrees and sunny in {city}"


def agent(name: str | None = None, *, response_format: type[BaseModel] | None = None, **options) -> ChatCompletionAgent:
    settings = OpenAIChatPromptExecutionSettings(temperature=0, max_tokens=200, response_format=response_format)
    service = OpenAIChatCompletion(ai_model_id="gpt-4o-mini")
    return ChatCompletionAgent(service=service, name=name, arguments=KernelArguments(settings=settings), **options)


def chat():
    return str(asyncio.run(agent().get_response(messages="Hello")))


def stream():
    async def pieces():
        return [str(piece) async for piece in agent().invoke_stream(messages="Count to 5")]

    return [piece for piece in asyncio.run(pieces()) if piece]


def structured_output():
    asked = agent(response_format=Person).get_response(messages="Return JSON for a person named Ana aged 30.")
    return Person.model_validate_json(str(asyncio.run(asked))).model_dump()


def tools():
    """All that was said: the question, the call, its result and the answer."""

    async def main():
        thread = ChatHistoryAgentThread()
        weather = agent(plugins=[Weather()])
        await weather.get_response(messages="What is the weather in Paris?", thread=thread)
        return [message.to_dict() async for message in thread.get_messages()]

    return asyncio.run(main())


def embeddings():
    texts = ["The sky is blue", "A dog is an animal"]
    vectors = asyncio.run(OpenAITextEmbedding(ai_model_id="text-embedding-3-small").generate_embeddings(texts))
    return [len(vector) for vector in vectors]


def named_agent():
    """The critic is to answer what the writer said, as another assistant."""

    async def main():
        agents = [agent("writer", instructions="You write."), agent("critic", instructions="You find fault.")]
        group = AgentGroupChat(agents=agents)
        await group.add_chat_message("Hello")
        for one in agents:
            async for _ in group.invoke(one):
                pass
        return [[message.name, str(message)] async for message in group.get_chat_messages()][::-1]

    return asyncio.run(main())


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, tools, embeddings, named_agent)
