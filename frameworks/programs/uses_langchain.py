"""LangChain, langchain-openai and LangGraph, as their documents show them."""

from __future__ import annotations

import asyncio

from cells import run_cells
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

PARIS = "What is the weather in Paris?"


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


model = ChatOpenAI(model="gpt-4o-mini", temperature=0)


def chat():
    return model.invoke("Hello").content


def chat_by_name():
    reply = asyncio.run(init_chat_model("openai:gpt-4o-mini", temperature=0).ainvoke("Hello"))
    return reply.content, reply.response_metadata["finish_reason"], reply.usage_metadata["output_tokens"]


def stream():
    return [chunk.content for chunk in model.stream("Count to 5") if chunk.content]


def structured_output():
    return model.with_structured_output(Person).invoke("Return JSON for a person named Ana aged 30.").model_dump()


def tools():
    bound, said = model.bind_tools([get_weather]), [HumanMessage(PARIS)]
    said.append(bound.invoke(said))
    said += [get_weather.invoke(call) for call in said[-1].tool_calls]
    return said[-1].content, bound.invoke(said).content


def embeddings():
    # Without `check_embedding_ctx_length=False` it sends the numbers of OpenAI's tokens, of tables that it downloads.
    embedder = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
    return [len(vector) for vector in embedder.embed_documents(["The sky is blue", "A dog is an animal"])]


def named_agent():
    agent = create_agent(model, tools=[get_weather], name="weather_agent")
    said = agent.invoke({"messages": [{"role": "user", "content": PARIS, "name": "Ana"}]})["messages"]
    return [[message.type, message.name, message.content] for message in said]


def agents_that_hear_each_other():
    """Two named agents in a graph of LangGraph's: the second hears what the first one said."""
    graph = StateGraph(MessagesState)
    graph.add_node("weather_agent", create_agent(model, tools=[get_weather], name="weather_agent"))
    graph.add_node("critic", create_agent(model, system_prompt="You are a critic.", name="critic"))
    graph.add_edge(START, "weather_agent")
    graph.add_edge("weather_agent", "critic")
    graph.add_edge("critic", END)
    said = graph.compile().invoke({"messages": [HumanMessage(PARIS, name="Ana"), HumanMessage("Hello", name="Bob")]})
    return [[message.type, message.name, message.content] for message in said["messages"]]


if __name__ == "__main__":
    run_cells(
        chat, chat_by_name, stream, structured_output, tools, embeddings, named_agent, agents_that_hear_each_other
    )
