"""Haystack with OpenAI's models: generators, embedders, an agent, and messages with names."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cells import run_cells
from haystack import Document
from haystack.components.agents import Agent
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from pydantic import BaseModel

SETTINGS = {"temperature": 0}
EMBEDDING_MODEL = "text-embedding-3-small"


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: Annotated[str, "the city"]) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def generator(**options):
    return OpenAIChatGenerator(model="gpt-4o-mini", generation_kwargs={**SETTINGS, **options})


def chat():
    (reply,) = generator().run([ChatMessage.from_user("Hello")])["replies"]
    return [reply.text, reply.meta["usage"]["completion_tokens"] > 0]


def chat_async():
    return asyncio.run(generator().run_async([ChatMessage.from_user("Hello")]))["replies"][0].text


def stream():
    pieces = []
    generator().run(
        [ChatMessage.from_user("Count to 5")], streaming_callback=lambda piece: pieces.append(piece.content)
    )
    return pieces


def structured_output():
    asked = ChatMessage.from_user("Return JSON for a person named Ana aged 30.")
    return generator(response_format=Person).run([asked])["replies"][0].text


def responses():
    made = OpenAIResponsesChatGenerator(model="gpt-4o-mini", generation_kwargs=SETTINGS)
    return made.run([ChatMessage.from_user("Hello")])["replies"][0].text


def tools():
    """An agent's loop."""
    agent = Agent(chat_generator=generator(), tools=[get_weather])
    return agent.run([ChatMessage.from_user("What is the weather in Paris?")])["last_message"].text


def named_agent():
    """Several speak, each with a name."""
    said = [
        ChatMessage.from_user("We plan a trip.", name="planner"),
        ChatMessage.from_assistant("I take an umbrella.", name="coder"),
        ChatMessage.from_user("What is the weather in Paris?", name="critic"),
    ]
    return generator().run(said)["replies"][0].text


def embeddings():
    documents = [Document(content="The sky is blue"), Document(content="A dog is an animal")]
    embedded = OpenAIDocumentEmbedder(model=EMBEDDING_MODEL, progress_bar=False).run(documents)["documents"]
    asked = OpenAITextEmbedder(model=EMBEDDING_MODEL).run("The sky is blue")["embedding"]
    return [[len(one.embedding) for one in embedded], len(asked)]


if __name__ == "__main__":
    run_cells(chat, chat_async, stream, structured_output, responses, tools, named_agent, embeddings)
