"""CrewAI, as its users write it: agents with roles, tasks, a crew; a tool, a typed result, a stream, embeddings."""

from __future__ import annotations

from cells import run_cells
from crewai import LLM, Agent, Crew, Task
from crewai.rag.embeddings.factory import build_embedder
from crewai.tools import tool
from pydantic import BaseModel

EMBEDDER = {"provider": "openai", "config": {"model_name": "text-embedding-3-small"}}


class Person(BaseModel):
    name: str
    age: int


@tool("get_weather")
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return f"18 degrees and sunny in {city}"


def agent(role: str, **options) -> Agent:
    llm = LLM(model="gpt-4o-mini", temperature=0, max_tokens=200)
    return Agent(role=role, goal="Answer", backstory="You help.", llm=llm, **options)


def crew(*tasks: Task, **options) -> Crew:
    return Crew(agents=[task.agent for task in tasks], tasks=list(tasks), **options)


def task(description: str, agent: Agent, **options) -> Task:
    return Task(description=description, expected_output="A short answer", agent=agent, **options)


def chat():
    return crew(task("Hello", agent("assistant"))).kickoff().raw


def stream():
    streaming = crew(task("Count to 5", agent("assistant")), stream=True).kickoff()
    return [chunk.content for chunk in streaming if chunk.content]


def structured_output():
    asked = task("Return JSON for a person named Ana aged 30.", agent("assistant"), output_pydantic=Person)
    return crew(asked).kickoff().pydantic.model_dump()


def tools():
    asked = crew(task("What is the weather in Paris?", agent("assistant", tools=[get_weather]))).kickoff()
    return [asked.raw, [message["role"] for message in asked.tasks_output[0].messages]]


def embeddings():
    return [len(vector) for vector in build_embedder(EMBEDDER)(["The sky is blue", "A dog is an animal"])]


def named_agent():
    """The critic's task has the writer's answer as its context."""
    done = crew(task("Hello", agent("writer")), task("Find fault with it.", agent("critic"))).kickoff()
    return [[one.agent, one.raw] for one in done.tasks_output]


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, tools, embeddings, named_agent)
