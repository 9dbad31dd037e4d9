"""LlamaIndex with OpenAI's models: questions, an index over documents, and an agent."""

from __future__ import annotations

import asyncio

from cells import run_cells
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI, OpenAIResponses
from pydantic import BaseModel

Settings.llm = OpenAI(model="gpt-4o-mini", temperature=0)
Settings.embed_model = OpenAIEmbedding(model="text-embedding-3-small")


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def chat():
    return Settings.llm.complete("Hello").text


def new_llm():
    """Each event loop has one of its own: an asynchronous client keeps connections of the loop that it was used in."""
    return OpenAI(model="gpt-4o-mini", temperature=0)


def chat_async():
    return asyncio.run(new_llm().achat([ChatMessage("Hello")])).message.content


def stream():
    return [piece.delta for piece in Settings.llm.stream_chat([ChatMessage("Count to 5")])]


def structured_output():
    asked = [ChatMessage("Return JSON for a person named Ana aged 30.")]
    return Settings.llm.as_structured_llm(Person).chat(asked).raw.model_dump()


def responses():
    return OpenAIResponses(model="gpt-4o-mini", temperature=0).complete("Hello").text


def tools():
    """An agent's loop, streamed."""

    async def ask():
        agent = FunctionAgent(tools=[get_weather], llm=new_llm())
        return str(await agent.run("What is the weather in Paris?"))

    return asyncio.run(ask())


def named_agent():
    """Two agents, of which one hands over to the other."""

    async def ask():
        about = {"llm": new_llm(), "description": "knows the weather"}
        planner = FunctionAgent(name="planner", can_handoff_to=["weather"], tools=[], **about)
        weather = FunctionAgent(name="weather", tools=[get_weather], **about)
        answer = await AgentWorkflow(agents=[planner, weather], root_agent="planner").run(
            "What is the weather in Paris?"
        )
        return [answer.current_agent_name, str(answer)]

    return asyncio.run(ask())


def embeddings():
    """The document that is nearest to a question, which a model then answers."""
    index = VectorStoreIndex.from_documents([Document(text="The sky is blue."), Document(text="A dog is an animal.")])
    answer = index.as_query_engine(similarity_top_k=1).query("The sky is blue.")
    return [[one.text for one in answer.source_nodes], answer.response]


if __name__ == "__main__":
    run_cells(chat, chat_async, stream, structured_output, responses, tools, named_agent, embeddings)
