"""smolagents takes a client, or makes the SDK's itself, which `install()` switches."""

from __future__ import annotations

import json

import pytest
from conftest import COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS
from smolagents import OpenAIModel, tool

from llm_adapter import install
from llm_adapter.testing import tool_call


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city

    Args:
        city: the city
    """
    return city


@pytest.fixture(params=["given", "installed"])
def model(request, settings, client):
    if request.param == "given":
        yield OpenAIModel(model_id=MODEL, client=client, temperature=0)
        return
    with install(settings=settings):
        yield OpenAIModel(model_id=MODEL, api_key="unused", temperature=0)


def said(text):
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


def test_chat(model):
    reply = model.generate(said(HELLO))
    assert reply.content == GREETING
    assert reply.token_usage.output_tokens > 0


def test_stream(model):
    pieces = [delta.content or "" for delta in model.generate_stream(said(COUNT))]
    assert "".join(pieces) == COUNTED
    assert len([piece for piece in pieces if piece]) > 5


def test_tool_call(model):
    """It sends `tool_choice="required"`."""
    (call,) = model.generate(said(PARIS), tools_to_call_from=[get_weather]).tool_calls
    assert call.function.name == "get_weather"
    assert "Paris" in str(call.function.arguments)


CALL, SAID = tool_call("get_weather", {"city": "Paris"}), tool_call("final_answer", {"answer": "sunny"})
ASK = 'Thought: I ask.\n<code>\nprint(weather_agent("What is the weather in Paris?"))\n</code>'
TELL = 'Thought: I know.\n<code>\nfinal_answer("It is sunny.")\n</code>'
PROGRAM = "uses_smolagents"
TURNS = (GREETING, COUNTED, '{"name": "Ana", "age": 30}', CALL, CALL, SAID, ASK, CALL, SAID, TELL)


def test_an_unmodified_program(outcome):
    assert outcome.cells["chat"] == [GREETING, True]
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert json.loads(outcome.cells["structured_output"]) == {"name": "Ana", "age": 30}
    name, arguments = outcome.cells["tools"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})


def test_agents(outcome, destination):
    """Their own prompts have 2,000 tokens and more: what does not fit the tiny model is an error with the cure."""
    if destination.fake is None:
        assert list(outcome.raised) == ["tool_calling_agent", "named_agent"]
        assert all("context_length_exceeded" in words and "`num_ctx = " in words for words in outcome.raised.values())
        return
    assert outcome.raised == {}
    assert outcome.cells["tool_calling_agent"] == ["sunny", 3]
    assert outcome.cells["named_agent"] == ["It is sunny.", 3]
    asked = destination.fake.calls[7].body["messages"]
    assert "You're a helpful agent named 'weather_agent'." in str(asked)


def test_guide(guide, capsys):
    guide("smolagents")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"
