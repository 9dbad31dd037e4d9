"""Everyday OpenAI calls: a chat, a streamed chat, a tool, a structured output, embeddings.

Written for the `openai` SDK; one import is all that changed. `python openai_app.py` runs it on what is configured.
"""

import json
import math
from typing import Any

from pydantic import BaseModel

from llm_adapter import OpenAI  # was: from openai import OpenAI

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"

GET_WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    return "18 degrees and sunny"


def main(client: OpenAI) -> None:
    chat(client)
    streamed_chat(client)
    tool_call(client)
    structured_output(client)
    embeddings(client)


def chat(client: OpenAI) -> None:
    title("Chat")
    question = user_message("What is the capital of France?")
    completion = client.chat.completions.create(model=CHAT_MODEL, messages=[question], temperature=0)
    print("model:", completion.choices[0].message.content)
    print(f"       ({completion.model}, {completion.usage.total_tokens if completion.usage else '?'} tokens)")


def streamed_chat(client: OpenAI) -> None:
    title("Streamed chat")
    question = user_message("Why is the sky blue?")
    print("model: ", end="")
    for chunk in client.chat.completions.create(model=CHAT_MODEL, messages=[question], temperature=0, stream=True):
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


def tool_call(client: OpenAI) -> None:
    title("Tool call")
    messages: list[Any] = [user_message("What is the weather in Paris?")]
    ask: Any = {"model": CHAT_MODEL, "tools": [GET_WEATHER], "temperature": 0}
    message = client.chat.completions.create(messages=messages, **ask).choices[0].message
    messages.append(message)
    for call in message.tool_calls or []:
        result = get_weather(**json.loads(call.function.arguments))
        print(f"tool:  {call.function.name}({call.function.arguments}) -> {result}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    if message.tool_calls:
        message = client.chat.completions.create(messages=messages, **ask).choices[0].message
    print("model:", message.content)


def structured_output(client: OpenAI) -> None:
    title("Structured output")
    question = user_message("Return JSON for a person named Ana aged 30.")
    completion = client.chat.completions.parse(
        model=CHAT_MODEL, messages=[question], temperature=0, response_format=Person
    )
    print("model:", repr(completion.choices[0].message.parsed))


def embeddings(client: OpenAI) -> None:
    title("Embeddings")
    texts = ["The cat is an animal", "A dog is an animal too", "Rayleigh scattering of light"]
    first, *others = (item.embedding for item in client.embeddings.create(model=EMBEDDING_MODEL, input=texts).data)
    print(f"{len(first)} dimensions; similarity to {texts[0]!r}:")
    for text, other in zip(texts[1:], others, strict=True):
        print(f"  {similarity(first, other):5.2f}  {text}")


def similarity(one: list[float], other: list[float]) -> float:
    """The cosine of the angle between two embeddings."""
    return sum(map(float.__mul__, one, other)) / (math.hypot(*one) * math.hypot(*other))


def user_message(question: str) -> Any:
    """The user's message, shown."""
    print("you:  ", question)
    return {"role": "user", "content": question}


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


if __name__ == "__main__":
    main(OpenAI())
