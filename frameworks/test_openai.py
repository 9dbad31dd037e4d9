"""The SDK itself: the calls that every version of it has to carry. `versions.py` runs this."""

from __future__ import annotations

import json

import openai
import pytest
from conftest import ANA, CITIES, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, REPORT, SUNNY, Person, embedded_only

from llm_adapter import AsyncOpenAI, OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather for a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def ask(text):
    return [{"role": "user", "content": text}]


def test_isinstance(client, async_client):
    assert isinstance(client, openai.OpenAI)
    assert isinstance(async_client, openai.AsyncOpenAI)


def test_chat(client: OpenAI):
    reply = client.chat.completions.create(model=MODEL, messages=ask(HELLO), temperature=0)
    assert reply.choices[0].message.content == GREETING
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_stream(client: OpenAI):
    with client.chat.completions.create(model=MODEL, messages=ask(COUNT), temperature=0, stream=True) as chunks:
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == COUNTED
    assert len([piece for piece in pieces if piece]) > 5


def test_structured_output(client: OpenAI):
    reply = client.chat.completions.parse(model=MODEL, messages=ask(ANA), temperature=0, response_format=Person)
    assert reply.choices[0].message.parsed == Person(name="Ana", age=30)


def test_tool_loop(client: OpenAI):
    messages = ask(PARIS)
    asked = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, temperature=0)
    (call,) = asked.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert asked.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": call.id, "content": SUNNY}
    messages += [asked.choices[0].message, result]
    told = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, temperature=0)
    assert told.choices[0].message.content == REPORT


def test_embeddings(client: OpenAI):
    reply = client.embeddings.create(model="tiny-embed", input=["The sky is blue", "A dog is an animal"])
    assert [len(item.embedding) for item in reply.data] == [96, 96]
    assert reply.data[0].embedding != reply.data[1].embedding


def test_raw_response(client: OpenAI):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ask(HELLO), temperature=0)
    assert raw.status_code == 200
    assert raw.parse().choices[0].message.content == GREETING


def test_async(run, async_client: AsyncOpenAI):
    async def main():
        completions = async_client.chat.completions
        reply = await completions.create(model=MODEL, messages=ask(HELLO), temperature=0)
        chunks = await completions.create(model=MODEL, messages=ask(COUNT), temperature=0, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
        return reply.choices[0].message.content, "".join(pieces)

    assert run(main()) == (GREETING, COUNTED)


PERSON = {
    "type": "function",
    "function": {"name": "Person", "description": "A person", "parameters": Person.model_json_schema()},
}


@embedded_only
def test_named_tool(client: OpenAI):
    """The model would rather ask for the weather: it is the choice that counts, and it is one call."""
    asked = client.chat.completions.create(
        model=MODEL,
        messages=ask(PARIS),
        tools=[*TOOLS, PERSON],
        tool_choice={"type": "function", "function": {"name": "Person"}},
        temperature=0,
        max_tokens=200,
    )
    (call,) = asked.choices[0].message.tool_calls
    assert call.function.name == "Person"
    assert Person.model_validate_json(call.function.arguments, strict=True)


@pytest.mark.parametrize(("parallel", "count"), [(True, 2), (False, 1)])
def test_parallel_tool_calls(client: OpenAI, parallel, count):
    asked = client.chat.completions.create(
        model=MODEL, messages=ask(CITIES), tools=TOOLS, temperature=0, parallel_tool_calls=parallel
    )
    assert len(asked.choices[0].message.tool_calls) == count


@pytest.mark.parametrize(("parallel", "cities"), [(True, {0: "Paris", 1: "Rome"}), (False, {0: "Paris"})])
def test_parallel_tool_calls_stream(client: OpenAI, parallel, cities):
    chunks = client.chat.completions.create(
        model=MODEL, messages=ask(CITIES), tools=TOOLS, temperature=0, parallel_tool_calls=parallel, stream=True
    )
    arguments: dict[int, str] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert {place: json.loads(text) for place, text in arguments.items()} == {
        place: {"city": city} for place, city in cities.items()
    }


PROGRAM, TURNS = "uses_openai", (GREETING, COUNTED, '{"name": "Ana", "age": 30}')


def test_an_unmodified_program(outcome):
    """Under `llm-adapter run`, as a process."""
    assert outcome.raised == {}
    assert outcome.cells["chat"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert len(outcome.cells["embeddings"]) == 2
    asked = [call["model_asked"] for call in outcome.calls if call["calls"]]
    assert asked == ["gpt-4o-mini"] * 3 + ["text-embedding-3-small"]
