"""Haystack makes the SDK's clients itself, in `warm_up`: `llm-adapter run` and `install()` switch it."""

from __future__ import annotations

from conftest import COUNTED, GREETING, HELLO, REPORT, SUNNY, ollama_only
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

from llm_adapter.testing import tool_call

PROGRAM = "uses_haystack"
ENVIRONMENT = {"HAYSTACK_TELEMETRY_ENABLED": "False"}
ANA = '{"name": "Ana", "age": 30}'
TURNS = (GREETING, GREETING, COUNTED, ANA, GREETING, tool_call("get_weather", {"city": "Paris"}), REPORT, REPORT)


def test_it_answers(outcome):
    assert outcome.cells["chat"] == [GREETING, True]
    assert outcome.cells["chat_async"] == outcome.cells["responses"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4


def test_structured_output(outcome):
    assert outcome.cells["structured_output"] == ANA


def test_a_tool_loop(outcome):
    assert outcome.cells["tools"] == REPORT


def test_embeddings(outcome):
    assert outcome.cells["embeddings"] == [[96, 96], 96]


def test_names_of_messages(outcome):
    """Two users share a role: the model is told who speaks, and the report that it was done."""
    assert outcome.cells["named_agent"]
    told = [call["adapted"] for call in outcome.calls if call.get("adapted")]
    assert told == ["emulated=messages.name; ignored=messages.name"]


@ollama_only
def test_what_was_asked(outcome):
    asked = [call.body for call in outcome.backend.fake.calls if call.path == "/api/chat"]
    assert asked[3]["format"]["required"] == ["name", "age"]
    assert [tool["function"]["name"] for tool in asked[5]["tools"]] == ["get_weather"]
    assert asked[6]["messages"][-1]["content"] == SUNNY
    said = [message["content"] for message in asked[7]["messages"]]
    assert said == ["planner: We plan a trip.", "I take an umbrella.", "critic: What is the weather in Paris?"]


def test_our_client(destination):
    """It takes none in its constructor, and makes one when it has none."""
    destination.script(GREETING)
    made = OpenAIChatGenerator(model="gpt-4o-mini", api_key=Secret.from_token("unused"))
    with destination.client() as client:
        made.client = client
        assert made.run([ChatMessage.from_user(HELLO)])["replies"][0].text == GREETING
