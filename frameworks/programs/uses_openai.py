"""The SDK alone: what the programs of the frameworks are compared with."""

from __future__ import annotations

from cells import run_cells
from openai import OpenAI
from pydantic import BaseModel

MODEL, EMBEDDING_MODEL = "gpt-4o-mini", "text-embedding-3-small"


class Person(BaseModel):
    name: str
    age: int


def chat():
    messages = [{"role": "user", "content": "Hello"}]
    return OpenAI().chat.completions.create(model=MODEL, messages=messages).choices[0].message.content


def stream():
    messages = [{"role": "user", "content": "Count to 5"}]
    chunks = OpenAI().chat.completions.create(model=MODEL, messages=messages, stream=True)
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


def structured_output():
    messages = [{"role": "user", "content": "Return JSON for a person named Ana aged 30."}]
    reply = OpenAI().chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
    return reply.choices[0].message.parsed.model_dump()


def embeddings():
    reply = OpenAI().embeddings.create(model=EMBEDDING_MODEL, input=["The sky is blue", "A dog is an animal"])
    return [len(one.embedding) for one in reply.data]


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, embeddings)
