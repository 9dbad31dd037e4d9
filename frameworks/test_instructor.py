"""instructor takes the client itself: `from_openai` asks whether it is an `openai.OpenAI` or `openai.AsyncOpenAI`."""

from __future__ import annotations

from collections.abc import Iterable

import instructor
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, Person
from instructor import Mode
from pydantic import BaseModel

from llm_adapter.testing import tool_call


class get_weather(BaseModel):  # noqa: N801 - instructor takes the tool's name from the class
    """Get the current weather for a city"""

    city: str


def ask(text):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0}


def test_chat(client):
    patched = instructor.from_openai(client)
    reply = patched.chat.completions.create(response_model=None, **ask(HELLO))
    assert reply.choices[0].message.content == GREETING


def test_chat_stream(client):
    patched = instructor.from_openai(client)
    chunks = patched.chat.completions.create(response_model=None, stream=True, **ask(COUNT))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == COUNTED


def test_structured_output(client):
    patched = instructor.from_openai(client, mode=Mode.JSON_SCHEMA)
    person = patched.create(response_model=Person, max_retries=1, **ask(ANA))
    assert (person.name, person.age) == ("Ana", 30)


def test_structured_output_stream(client):
    patched = instructor.from_openai(client, mode=Mode.JSON_SCHEMA)
    partials = list(patched.create_partial(response_model=Person, max_retries=1, **ask(ANA)))
    assert (partials[0].name, partials[0].age) == (None, None)
    assert (partials[-1].name, partials[-1].age) == ("Ana", 30)


def test_structured_output_async(run, async_client):
    async def main():
        patched = instructor.from_openai(async_client, mode=Mode.JSON_SCHEMA)
        return await patched.create(response_model=Person, max_retries=1, **ask(ANA))

    person = run(main())
    assert isinstance(person, Person)
    assert (person.name, person.age) == ("Ana", 30)


def test_tool_call(client):
    """`tool_choice="auto"`."""
    patched = instructor.from_openai(client, mode=Mode.PARALLEL_TOOLS)
    calls = patched.create(response_model=Iterable[get_weather], max_retries=1, **ask(PARIS))
    assert [(type(call).__name__, call.city) for call in calls] == [("get_weather", "Paris")]


def test_tool_call_named(client):
    """The default mode: `tool_choice` names the tool."""
    patched = instructor.from_openai(client)
    assert patched.create(response_model=get_weather, max_retries=1, **ask(PARIS)).city == "Paris"


def test_tool_call_named_async(run, async_client):
    async def main():
        patched = instructor.from_openai(async_client)
        return await patched.create(response_model=get_weather, max_retries=1, **ask(PARIS))

    assert run(main()).city == "Paris"


def test_guide(guide):
    made = guide("instructor")
    assert (made["person"].name, made["person"].age) == ("Ana", 30)


ANA_JSON, ANA_AGED = '{"name": "Ana", "age": 30}', {"name": "Ana", "age": 30}
PROGRAM = "uses_instructor"
TURNS = (
    *(GREETING, tool_call("Person", ANA_AGED), ANA_JSON, ANA_JSON, ANA_JSON),
    *(f'{{"tasks": [{ANA_JSON}, {{"name": "Bob", "age": 40}}]}}', tool_call("get_weather", {"city": "Paris"})),
)


def test_an_unmodified_program(outcome, destination):
    """An embedded reply has the name that was asked for.

    The tiny model invents a name where it is made to call a tool, and lists nobody.
    """
    cells = outcome.cells
    assert outcome.raised == {}
    assert cells["chat"] == GREETING
    assert cells["structured_output"]["age"] == 30
    assert cells["structured_output_by_name"] == [ANA_AGED, "tiny" if destination.fake else "gpt-4o-mini"]
    assert cells["structured_output_async"] == ANA_AGED
    assert (cells["stream"][0], cells["stream"][-1]) == ({"name": None, "age": None}, ANA_AGED)
    assert cells["tools"] == [["get_weather", "Paris"]]
    if destination.fake is not None:
        assert cells["structured_output"] == ANA_AGED
        assert cells["stream_of_several"] == [ANA_AGED, {"name": "Bob", "age": 40}]
        assert [call.streamed for call in destination.fake.calls] == [False] * 4 + [True, True, False]
