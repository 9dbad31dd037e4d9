"""AutoGen's client takes the asynchronous client by its base class; unmodified, it makes one that `run` switches."""

from __future__ import annotations

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_core.models import UserMessage
from autogen_ext.agents.openai import OpenAIAgent
from autogen_ext.models.openai import BaseOpenAIChatCompletionClient
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

from llm_adapter import AsyncOpenAI
from llm_adapter.testing import tool_call

PROGRAM = "uses_autogen"
TURNS = (GREETING, COUNTED, '{"name": "Ana", "age": 30}', tool_call("get_weather", {"city": "Paris"}), REPORT)
TURNS += ("Once upon a time.", "It is short.")
INFO = {
    **dict.fromkeys(("function_calling", "json_output", "structured_output"), True),
    **{"vision": False, "family": "unknown"},
}


async def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return SUNNY if city == "Paris" else "unknown"


@pytest.fixture
def model(run, settings):
    """`reasoning_content` of a stream would become pieces of its text, between <think> and </think>."""
    client = AsyncOpenAI(settings=settings.model_copy(update={"reasoning_fields": "reasoning"}), max_retries=0)
    made = BaseOpenAIChatCompletionClient(client, create_args={"model": MODEL, "temperature": 0}, model_info=INFO)
    yield made
    run(made.close())


@pytest.fixture
def ask(run, model):
    def ask(task, **options):
        agent = AssistantAgent("assistant", model_client=model, system_message=None, **options)
        return run(agent.run(task=task)).messages

    return ask


def test_chat(ask):
    assert ask(HELLO)[-1].content == GREETING


def test_stream(run, model):
    async def main():
        agent = AssistantAgent("assistant", model_client=model, system_message=None, model_client_stream=True)
        events = [event async for event in agent.run_stream(task=COUNT)]
        return [event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)]

    pieces = run(main())
    assert "".join(pieces) == COUNTED
    assert len(pieces) > 5


def test_structured_output(ask):
    assert ask(ANA, output_content_type=Person)[-1].content == Person(name="Ana", age=30)


def test_structured_output_stream(run, model):
    """With counts, for which it asks by `include_usage`."""

    async def main():
        asked = model.create_stream([UserMessage(content=ANA, source="user")], json_output=Person, include_usage=True)
        return [piece async for piece in asked]

    *pieces, result = run(main())
    assert Person.model_validate_json("".join(pieces)) == Person(name="Ana", age=30)
    assert result.usage.completion_tokens > 0


def test_tool_loop(ask):
    messages = ask(PARIS, tools=[get_weather], max_tool_iterations=2)
    (call,) = next(one.content for one in messages if type(one).__name__ == "ToolCallRequestEvent")
    assert (call.name, call.arguments.replace(" ", "")) == ("get_weather", '{"city":"Paris"}')
    assert messages[-1].content == REPORT


@embedded_only
def test_the_responses_api(run, async_client):
    """Its OpenAIAgent answers with the text of an error where there is one; the second turn names the first reply."""
    agent = OpenAIAgent("assistant", "", async_client, MODEL, "", temperature=0)
    assert run(agent.run(task=HELLO)).messages[-1].content == GREETING
    assert "rror" not in run(agent.run(task=COUNT)).messages[-1].content


def test_guide(guide, loop, capsys):
    guide("autogen")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"


def test_an_unmodified_program(outcome):
    assert outcome.raised == {}
    assert outcome.cells["chat"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    kinds = ["TextMessage", "ToolCallRequestEvent", "ToolCallExecutionEvent", "TextMessage"]
    assert [kind for kind, _, _ in outcome.cells["tools"]] == kinds
    assert "18 degrees and sunny in Paris" in outcome.cells["tools"][2][2]
    assert [source for _, source, _ in outcome.cells["named_agent"]] == ["user", "writer", "critic"]
    *_, first, second = [call for call in outcome.calls if call["calls"]]
    # One speaker needs no name; of two the names reach the model, and the report says that they stand in the text.
    assert (first["adapted"], second["adapted"]) == ("ignored=messages.name", "emulated=messages.name")


@ollama_only
def test_what_reaches_the_model(outcome, destination):
    bodies = [request.body for request in destination.fake.requests]
    assert [bool(body.get("tools")) for body in bodies] == [False, False, False, True, False, False, False]
    assert bodies[2]["format"]["properties"].keys() == {"name", "age"}
    assert bodies[-1]["messages"] == [
        {"role": "system", "content": "You find fault."},
        {"role": "user", "content": "user: Hello"},
        {"role": "user", "content": "writer: Once upon a time."},
    ]
