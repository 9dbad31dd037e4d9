"""DSPy with OpenAI's models: predictions, streams, an agent with a tool, embeddings."""

from __future__ import annotations

import asyncio

import dspy
from cells import run_cells

lm = dspy.LM("openai/gpt-4o-mini", temperature=0, cache=False)
dspy.configure(lm=lm)


class Person(dspy.Signature):
    """Return JSON for a person named Ana aged 30."""

    text: str = dspy.InputField()
    name: str = dspy.OutputField()
    age: int = dspy.OutputField()


def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def chat():
    return lm("Hello")


def predicted():
    """DSPy's own form of a reply, which it reads out of the text."""
    return dspy.Predict("question -> answer")(question="What is the weather in Paris?").answer


def chat_async():
    return asyncio.run(dspy.Predict("question -> answer").acall(question="Hello")).answer


def structured_output():
    with dspy.context(adapter=dspy.JSONAdapter()):
        found = dspy.Predict(Person)(text="Ana is 30.")
    return [found.name, found.age]


def stream():
    async def pieces():
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
        return [one.chunk async for one in program(question="Count to 5") if hasattr(one, "chunk")]

    return asyncio.run(pieces())


def tools():
    return dspy.ReAct("question -> answer", tools=[get_weather])(question="What is the weather in Paris?").answer


def embeddings():
    embed = dspy.Embedder("openai/text-embedding-3-small", caching=False)
    return [len(one) for one in embed(["The sky is blue", "A dog is an animal"])]


if __name__ == "__main__":
    run_cells(chat, predicted, chat_async, structured_output, stream, tools, embeddings)
