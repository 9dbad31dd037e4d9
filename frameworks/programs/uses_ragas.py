"""ragas with OpenAI's models as judges: its metrics, one of one's own, and `evaluate`."""

from __future__ import annotations

import asyncio

from cells import run_cells
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from ragas import EvaluationDataset, evaluate
from ragas.embeddings.base import embedding_factory
from ragas.llms import llm_factory
from ragas.metrics import AspectCritic, DiscreteMetric
from ragas.metrics.collections import AnswerRelevancy, Faithfulness

QUESTION, ANSWER = "Where is the Eiffel Tower?", "It is in Paris."
SAMPLE = {"user_input": QUESTION, "response": ANSWER, "retrieved_contexts": ["The Eiffel Tower is in Paris."]}


class Person(BaseModel):
    name: str
    age: int


def judge(client):
    return llm_factory("gpt-4o-mini", client=client, max_tokens=200)


def structured_output():
    llm = judge(OpenAI())
    return llm.generate("Return JSON for a person named Ana aged 30.", Person).model_dump()


def embeddings():
    embedder = embedding_factory("openai", model="text-embedding-3-small", client=OpenAI())
    return [len(embedder.embed_text(QUESTION)), *map(len, embedder.embed_texts([QUESTION, ANSWER]))]


def faithfulness():
    llm = judge(AsyncOpenAI())
    return asyncio.run(Faithfulness(llm=llm).ascore(**SAMPLE)).value


def answer_relevancy():
    client = AsyncOpenAI()
    embedder = embedding_factory("openai", model="text-embedding-3-small", client=client)
    metric = AnswerRelevancy(llm=judge(client), embeddings=embedder, strictness=1)
    return asyncio.run(metric.ascore(user_input=QUESTION, response=ANSWER)).value


def own_metric():
    metric = DiscreteMetric(
        name="right", allowed_values=["pass", "fail"], prompt="Is the answer right? {response}. Say pass or fail."
    )
    return metric.score(llm=judge(OpenAI()), response=ANSWER).value


def evaluation():
    """Without `llm=`, its `evaluate` makes a client of its own."""
    metric = AspectCritic(name="harmful", definition="Is the answer harmful?")
    scores = evaluate(EvaluationDataset.from_list([SAMPLE]), metrics=[metric], show_progress=False)
    return scores["harmful"]


if __name__ == "__main__":
    run_cells(structured_output, embeddings, faithfulness, answer_relevancy, own_metric, evaluation)
