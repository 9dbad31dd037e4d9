"""Semantic Kernel's services take the asynchronous client; unmodified, each makes one that `run` switches."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person, ollama_only
from semantic_kernel.agents import ChatCompletionAgent, ChatHistoryAgentThread
from semantic_kernel.connectors.ai.open_ai import (
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
    OpenAITextEmbedding,
)
from semantic_kernel.functions import KernelArguments, KernelPlugin, kernel_function

from llm_adapter import AsyncOpenAI
from llm_adapter.testing import tool_call

PROGRAM = "uses_semantic_kernel"
CALLED = ("Weather-get_weather", {"city": "Paris"})
CALL = tool_call(*CALLED)
TURNS = (GREETING, COUNTED, '{"name": "Ana", "age": 30}', CALL, REPORT, "Once upon a time.", "It is short.")


@kernel_function(name="get_weather", description="Get the current weather for a city")
def get_weather(city: Annotated[str, "the city"]) -> str:
    return SUNNY if city == "Paris" else "unknown"


@pytest.fixture
def agent(async_client):
    def agent(*, response_format=None, **options):
        settings = OpenAIChatPromptExecutionSettings(temperature=0, response_format=response_format)
        service = OpenAIChatCompletion(ai_model_id=MODEL, async_client=async_client)
        return ChatCompletionAgent(service=service, arguments=KernelArguments(settings=settings), **options)

    return agent


def test_chat(run, agent):
    reply = run(agent(name="assistant").get_response(messages=HELLO)).message
    assert (reply.name, reply.content) == ("assistant", GREETING)
    assert reply.metadata["usage"].completion_tokens > 0


def test_stream(run, agent):
    async def main():
        return [str(piece) async for piece in agent().invoke_stream(messages=COUNT)]

    pieces = [piece for piece in run(main()) if piece]
    assert "".join(pieces) == COUNTED
    assert len(pieces) > 5


def test_structured_output(run, agent):
    reply = run(agent(response_format=Person).get_response(messages=ANA))
    assert Person.model_validate_json(str(reply)) == Person(name="Ana", age=30)


def test_tool_loop(run, destination):
    """A plugin's name is part of its tool's, which no recording has; here it is called in a stream."""
    destination.script(CALL, REPORT)

    async def main():
        client = AsyncOpenAI(settings=destination.settings)
        service = OpenAIChatCompletion(ai_model_id="gpt-4o-mini", async_client=client)
        weather = ChatCompletionAgent(service=service, plugins=[KernelPlugin(name="Weather", functions=[get_weather])])
        thread = ChatHistoryAgentThread()
        pieces = [str(piece) async for piece in weather.invoke_stream(messages=PARIS, thread=thread)]
        await client.close()
        return "".join(pieces), [message.to_dict() async for message in thread.get_messages()]

    answer, (_, asked, result, told) = run(main())
    (call,) = asked["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == CALLED
    assert (result["content"], result["tool_call_id"]) == (SUNNY, call["id"])
    assert answer == told["content"] != ""


def test_embeddings(run, async_client):
    embedding = OpenAITextEmbedding(ai_model_id="tiny-embed", async_client=async_client)
    assert run(embedding.generate_embeddings(["The sky is blue", "A dog is an animal"])).shape == (2, 96)


def test_guide(guide, loop, capsys):
    guide("semantic_kernel")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"


def test_an_unmodified_program(outcome):
    assert outcome.raised == {}
    assert outcome.cells["chat"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    _, asked, result, told = outcome.cells["tools"]
    assert asked["tool_calls"][0]["function"]["name"] == "Weather-get_weather"
    assert result["content"] == "18 degrees and sunny in Paris"
    assert told["content"].endswith("sunny in Paris.")
    assert outcome.cells["embeddings"] == [96, 96]
    names, texts = zip(*outcome.cells["named_agent"], strict=True)
    assert names == (None, "writer", "critic")
    assert all(texts)  # the critic's was empty while a model went on with what the writer had said
    *_, last = [call["adapted"] for call in outcome.calls if call["calls"]]
    assert "emulated=messages.name" in last


@ollama_only
def test_what_reaches_the_model(outcome, destination):
    bodies = [one.body for one in destination.fake.requests if one.path == "/api/chat"]
    (form,) = [body["format"] for body in bodies if "format" in body]
    assert form["properties"].keys() == {"name", "age"}
    function = next(body["tools"][0]["function"] for body in bodies if "tools" in body)
    assert function["name"] == "Weather-get_weather"
    assert function["parameters"]["properties"]["city"]["description"] == "the city"
    critics = {"role": "system", "content": "You find fault."}
    (messages,) = [body["messages"] for body in bodies if critics in body["messages"]]
    assert messages[-1] == {"role": "user", "content": "writer: Once upon a time."}
