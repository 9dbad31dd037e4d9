"""litellm, as its documents show it: its `openai/` models, and names of OpenAI's without a prefix."""

from __future__ import annotations

import asyncio

import litellm
from cells import run_cells
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


def user(text):
    return [{"role": "user", "content": text}]


def chat():
    reply = litellm.completion(model="gpt-4o-mini", messages=user("Hello"), temperature=0)
    return reply.choices[0].message.content, reply.usage.completion_tokens > 0


def chat_async():
    reply = asyncio.run(litellm.acompletion(model="openai/gpt-4o-mini", messages=user("Hello"), temperature=0))
    return reply.choices[0].message.content


def stream():
    chunks = litellm.completion(model="gpt-4o-mini", messages=user("Count to 5"), temperature=0, stream=True)
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]


def structured_output():
    messages = user("Return JSON for a person named Ana aged 30.")
    reply = litellm.completion(model="gpt-4o-mini", messages=messages, temperature=0, response_format=Person)
    return Person.model_validate_json(reply.choices[0].message.content).model_dump()


def tools():
    messages = user("What is the weather in Paris?")
    options = {"model": "gpt-4o-mini", "temperature": 0, "tools": [WEATHER]}
    asked = litellm.completion(messages=messages, **options).choices[0].message
    (call,) = asked.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}
    told = litellm.completion(messages=[*messages, asked, result], **options)
    return call.function.name, told.choices[0].message.content


def named_agent():
    messages = [
        {"role": "user", "name": "Ana", "content": "I am Ana."},
        {"role": "user", "name": "Bob", "content": "Hello"},
    ]
    return litellm.completion(model="gpt-4o-mini", messages=messages, max_tokens=20).choices[0].message.role


def embeddings():
    reply = litellm.embedding(model="text-embedding-3-small", input=["The sky is blue", "A dog is an animal"])
    return [len(one["embedding"]) for one in reply.data]


def router():
    models = [{"model_name": "small", "litellm_params": {"model": "openai/gpt-4o-mini"}}]
    reply = litellm.Router(model_list=models).completion(model="small", messages=user("Hello"), temperature=0)
    return reply.choices[0].message.content


if __name__ == "__main__":
    run_cells(chat, chat_async, stream, structured_output, tools, named_agent, embeddings, router)
