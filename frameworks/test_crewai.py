"""CrewAI makes its clients itself, with no place for ours: `install()` and `llm-adapter run` switch them."""

from __future__ import annotations

import os

import pytest
from conftest import (
    ANA,
    COUNT,
    COUNTED,
    GREETING,
    HELLO,
    MODEL,
    PARIS,
    REPORT,
    SUNNY,
    Person,
    embedded_only,
    ollama_only,
)

from llm_adapter import install
from llm_adapter.testing import tool_call

ENVIRONMENT = {"CREWAI_DISABLE_TELEMETRY": "true"}
os.environ.update(ENVIRONMENT)  # else its import opens the way to telemetry.crewai.com

from crewai import LLM  # noqa: E402
from crewai.events import LLMStreamChunkEvent, crewai_event_bus  # noqa: E402

PROGRAM = "uses_crewai"
TURNS = (GREETING, COUNTED, '{"name": "Ana", "age": 30}', tool_call("get_weather", {"city": "Paris"}), REPORT)
TURNS += ("Once upon a time.", "It is short.")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def llm(settings):
    """The provider is said because CrewAI would ask litellm for a model whose name it does not know."""
    with install(settings=settings):
        yield lambda **options: LLM(model=MODEL, provider="openai", api_key="unused", temperature=0, **options)


def test_chat(llm):
    assert llm().call(HELLO) == GREETING


def test_chat_async(run, llm):
    assert run(llm().acall(HELLO)) == GREETING


def test_stream(llm):
    pieces = []
    with crewai_event_bus.scoped_handlers():
        crewai_event_bus.on(LLMStreamChunkEvent)(lambda _, event: pieces.append(event.chunk))
        assert llm(stream=True).call(COUNT) == COUNTED
        crewai_event_bus.flush()
    assert len([piece for piece in pieces if piece]) > 5


@pytest.mark.parametrize("stream", [False, True])
def test_structured_output(llm, stream):
    assert llm(stream=stream).call(ANA, response_model=Person) == Person(name="Ana", age=30)


def test_tool_call(llm):
    """It calls the function itself, and returns what that gives."""
    called = llm().call(PARIS, tools=[WEATHER], available_functions={"get_weather": lambda city: f"{SUNNY} in {city}"})
    assert called == f"{SUNNY} in Paris"


@embedded_only
def test_the_responses_api(llm):
    """The second call goes on where the first ended, by its id."""
    chained = llm(api="responses", auto_chain=True)
    assert chained.call(HELLO) == GREETING
    first = chained.last_response_id
    assert chained.call(COUNT) != ""
    assert chained.last_response_id not in (None, first)


def test_guide(guide, capsys):
    guide("crewai")
    assert "The capital of France is Paris.\n" in capsys.readouterr().out


def test_an_unmodified_program(outcome):
    """CrewAI wraps a task in words of its own, which the tiny model answers with whatever comes to it."""
    assert outcome.raised == {}
    assert outcome.cells["chat"]
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"].keys() == {"name", "age"}
    answer, roles = outcome.cells["tools"]
    assert answer
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert outcome.cells["embeddings"] == [96, 96]
    assert [agent for agent, _ in outcome.cells["named_agent"]] == ["writer", "critic"]


@ollama_only
def test_what_reaches_the_model(outcome, destination):
    assert outcome.cells["chat"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert outcome.cells["tools"][0] == REPORT
    bodies = [one.body for one in destination.fake.requests if one.path == "/api/chat"]
    assert bodies[2]["format"]["properties"].keys() == {"name", "age"}
    assert [body["tools"][0]["function"]["name"] for body in bodies[3:5]] == ["get_weather", "get_weather"]
    assert bodies[4]["messages"][-1]["content"] == "18 degrees and sunny in Paris"
    (system, task) = bodies[-1]["messages"]
    assert system["content"].startswith("You are critic.")
    assert "Once upon a time." in task["content"]  # what the writer said
