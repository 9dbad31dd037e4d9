"""mem0 with OpenAI's models, as its quickstart has it, and a vector store in the working directory."""

from __future__ import annotations

import asyncio

from cells import run_cells
from mem0 import AsyncMemory, Memory

CONVERSATION = [
    {"role": "user", "content": "Hi, I am Ana. I love basketball."},
    {"role": "assistant", "name": "coach", "content": "Good to know, Ana."},
]


def config(name):
    # The vectors of text-embedding-3-small would have 1536 numbers: another embedding model has to be told of.
    store = {"collection_name": name, "path": name, "embedding_model_dims": 96}
    return {
        "vector_store": {"provider": "qdrant", "config": store},
        "llm": {"provider": "openai", "config": {"model": "gpt-4o-mini"}},
        "embedder": {"provider": "openai", "config": {"model": "text-embedding-3-small"}},
        "history_db_path": f"{name}.db",
    }


memory = Memory.from_config(config("memories"))


def embeddings():
    """What is said is kept as it is, and found again."""
    memory.add(CONVERSATION, user_id="ana", infer=False)
    found = memory.search("Hi, I am Ana. I love basketball.", filters={"user_id": "ana"})["results"]
    return [one["memory"] for one in found]


def structured_output():
    """The model is asked for facts, as a JSON object."""
    return [one["memory"] for one in memory.add(CONVERSATION, user_id="eva")["results"]]


def chat():
    """The model writes down how an agent did its work."""
    how = {"memory_type": "procedural_memory", "prompt": "You write down what was done."}
    (kept,) = memory.add(CONVERSATION, agent_id="coach", **how)["results"]
    return kept["memory"]


def named_agent():
    """A message's `name` stays with the memory."""
    found = memory.get_all(filters={"user_id": "ana"})["results"]
    return sorted((one["memory"], one.get("actor_id")) for one in found)


def asynchronous():
    async def ask():
        memory = AsyncMemory.from_config(config("others"))
        added = await memory.add(CONVERSATION, user_id="ida")
        return [one["memory"] for one in added["results"]]

    return asyncio.run(ask())


if __name__ == "__main__":
    run_cells(embeddings, structured_output, chat, named_agent, asynchronous)
