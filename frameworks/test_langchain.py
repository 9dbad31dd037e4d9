"""langchain-openai takes the SDK's resources; what is not streamed goes through `with_raw_response`."""

from __future__ import annotations

import pytest
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from llm_adapter.testing import tool_call


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return SUNNY if city == "Paris" else "unknown"


@pytest.fixture
def model(client, async_client) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL,
        temperature=0,
        max_retries=0,
        root_client=client,
        root_async_client=async_client,
        client=client.chat.completions,
        async_client=async_client.chat.completions,
    )


def test_chat(model):
    reply = model.invoke(HELLO)
    assert reply.content == GREETING
    assert reply.usage_metadata["output_tokens"] > 0


def test_chat_async(run, model):
    assert run(model.ainvoke(HELLO)).content == GREETING


def test_stream(model):
    pieces = [chunk.content for chunk in model.stream(COUNT)]
    assert "".join(pieces) == COUNTED
    assert len([piece for piece in pieces if piece]) > 5


def test_stream_async(run, model):
    async def main():
        return "".join([chunk.content async for chunk in model.astream(COUNT)])

    assert run(main()) == COUNTED


def test_structured_output(model):
    """The default method, `json_schema`."""
    assert model.with_structured_output(Person).invoke(ANA) == Person(name="Ana", age=30)


def test_structured_output_async(run, model):
    assert run(model.with_structured_output(Person).ainvoke(ANA)) == Person(name="Ana", age=30)


def test_structured_output_stream(model):
    assert list(model.with_structured_output(Person).stream(ANA))[-1] == Person(name="Ana", age=30)


def test_structured_output_by_function_calling(model):
    """`tool_choice` names the tool, and `parallel_tool_calls` is False."""
    weather = {"title": "get_weather", "type": "object", "properties": {"city": {"type": "string"}}}
    extracted = model.with_structured_output(weather | {"required": ["city"]}, method="function_calling")
    assert extracted.invoke(PARIS) == {"city": "Paris"}


def test_tool_loop(model):
    bound = model.bind_tools([get_weather])
    asked = bound.invoke([HumanMessage(PARIS)])
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert bound.invoke([HumanMessage(PARIS), asked, result]).content == REPORT


def test_tool_call_stream(model):
    asked, *rest = model.bind_tools([get_weather]).stream(PARIS)
    for chunk in rest:
        asked += chunk
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})


def test_embeddings(client, async_client):
    """`check_embedding_ctx_length=False`: text is sent, and not OpenAI's tokens, which no other model understands."""
    embeddings = OpenAIEmbeddings(
        model="tiny-embed",
        client=client.embeddings,
        async_client=async_client.embeddings,
        check_embedding_ctx_length=False,
    )
    assert [len(vector) for vector in embeddings.embed_documents(["The sky is blue", "A dog is an animal"])] == [96, 96]


def test_guide(guide, capsys):
    made = guide("langchain")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"
    assert len(made["embeddings"].embed_query("The sky is blue")) > 10


WEATHER = tool_call("get_weather", {"city": "Paris"})
PROGRAM = "uses_langchain"
TURNS = (GREETING, GREETING, COUNTED, '{"name": "Ana", "age": 30}', *(WEATHER, REPORT) * 2, "Take a coat.", "I agree.")
TOLD = [["human", "Ana", PARIS], ["ai", "weather_agent", ""], ["tool", "get_weather", SUNNY]]


def test_an_unmodified_program(outcome):
    assert outcome.raised == {}
    assert outcome.cells["chat"] == GREETING
    assert outcome.cells["chat_by_name"][:2] == [GREETING, "stop"]
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert outcome.cells["tools"] == [SUNNY, REPORT]
    assert len(set(outcome.cells["embeddings"])) == 1


def test_a_named_agent(outcome):
    """The replies have the agent's name, which goes into the messages of the next call."""
    assert outcome.cells["named_agent"] == [*TOLD, ["ai", "weather_agent", REPORT]]
    speakers = [[kind, name] for kind, name, _ in outcome.cells["agents_that_hear_each_other"]]
    assert speakers == [["human", "Ana"], ["human", "Bob"], ["ai", "weather_agent"], ["ai", "critic"]]


def test_names_reach_the_model(outcome, destination):
    """Where they tell speakers apart they stand in the text; where not, the call's report says that they are left."""
    assert [call["adapted"] for call in outcome.calls if call.get("adapted")] == [
        *["ignored=messages.name"] * 2,
        *["emulated=messages.name"] * 2,
    ]
    if destination.fake is not None:
        assert destination.fake.calls[-1].body["messages"] == [
            {"role": "system", "content": "You are a critic."},
            {"role": "user", "content": f"Ana: {PARIS}"},
            {"role": "user", "content": f"Bob: {HELLO}"},
            {"role": "user", "content": "weather_agent: Take a coat."},
        ]
