"""instructor, as its documents show it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import instructor
from cells import run_cells
from openai import OpenAI
from pydantic import BaseModel

ANA = [{"role": "user", "content": "Return JSON for a person named Ana aged 30."}]
OPTIONS = {"messages": ANA, "temperature": 0, "max_retries": 1}


class Person(BaseModel):
    name: str
    age: int


def chat():
    client = instructor.from_openai(OpenAI())
    messages = [{"role": "user", "content": "Hello"}]
    reply = client.chat.completions.create(model="gpt-4o-mini", response_model=None, messages=messages, temperature=0)
    return reply.choices[0].message.content


def structured_output():
    """The default mode: `tool_choice` names the tool."""
    client = instructor.from_openai(OpenAI())
    return client.create(model="gpt-4o-mini", response_model=Person, **OPTIONS).model_dump()


def structured_output_by_name():
    client = instructor.from_provider("openai/gpt-4o-mini", mode=instructor.Mode.JSON_SCHEMA)
    person, reply = client.create_with_completion(response_model=Person, **OPTIONS)
    return person.model_dump(), reply.model


def structured_output_async():
    client = instructor.from_provider("openai/gpt-4o-mini", async_client=True, mode=instructor.Mode.JSON_SCHEMA)
    return asyncio.run(client.create(response_model=Person, **OPTIONS)).model_dump()


def stream():
    client = instructor.from_provider("openai/gpt-4o-mini", mode=instructor.Mode.JSON_SCHEMA)
    return [part.model_dump() for part in client.create_partial(response_model=Person, **OPTIONS)]


def stream_of_several():
    client = instructor.from_provider("openai/gpt-4o-mini", mode=instructor.Mode.JSON_SCHEMA)
    return [one.model_dump() for one in client.create_iterable(response_model=Person, **OPTIONS)]


def tools():
    class get_weather(BaseModel):  # noqa: N801 - instructor takes the tool's name from the class
        """Get the current weather for a city"""

        city: str

    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.PARALLEL_TOOLS)
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    calls = client.create(
        model="gpt-4o-mini", response_model=Iterable[get_weather], messages=messages, temperature=0, max_retries=1
    )
    return [[type(call).__name__, call.city] for call in calls]


if __name__ == "__main__":
    run_cells(
        *(chat, structured_output, structured_output_by_name, structured_output_async),
        *(stream, stream_of_several, tools),
    )
