"""smolagents makes the SDK's client itself: `install()` switches it."""

from __future__ import annotations

import pytest
from conftest import COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS
from smolagents import OpenAIModel, tool

from llm_adapter import install


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city

    Args:
        city: the city
    """
    return city


@pytest.fixture
def model(settings):
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
