"""One library's calls, in its own environment: `peers.py` runs this, names a work a line, and reads what it cost.

python peer_calls.py LIBRARY ROOT
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from work import LONG, SHORT, SIDE_BY_SIDE, messages, tools

_TWO, _FIFTY, _TWO_HUNDRED, _TEN, _TOOLS = messages(2), messages(50), messages(200), messages(10), tools(20)
_ONE, _SIXTEEN = ["The sea."], ["The sea is blue."] * 16
# Work to how it is called, and how often a sample does it.
WORKS: Mapping[str, tuple[str, tuple[Any, ...], int]] = {
    "2 messages": ("chat", (_TWO,), 5),
    "50 messages": ("chat", (_FIFTY,), 2),
    "200 messages": ("chat", (_TWO_HUNDRED,), 1),
    "20 tools": ("chat", (_TEN, _TOOLS), 2),
    "short stream": ("stream", (SHORT,), 5),
    "long stream": ("stream", (LONG,), 1),
    "1 input": ("embed", (_ONE,), 5),
    "16 inputs": ("embed", (_SIXTEEN,), 2),
    "streams": ("streams", (), 1),
}
# By how many pieces libraries may differ: the finish is a piece of its own, or goes with the last one, or with usage.
PIECES = {"short stream": 3, "long stream": 3, "streams": 3 * SIDE_BY_SIDE}


class Sdk:
    """The plain SDK on the stub's /v1."""

    def __init__(self, root: str) -> None:
        import openai

        self.client: Any = openai.OpenAI(base_url=f"{root}/v1", api_key="stub")
        self.asynchronous: Any = openai.AsyncOpenAI(base_url=f"{root}/v1", api_key="stub")

    def chat(self, messages: Any, tools: Any = None) -> str:
        more = {"tools": tools} if tools else {}
        reply = self.client.chat.completions.create(
            model="stub-64", messages=messages, temperature=0.2, max_tokens=100, **more
        )
        return str(reply.choices[0].message.content)

    def stream(self, count: int) -> int:
        create = self.client.chat.completions.create
        return sum(1 for _ in create(model=f"stub-{count}", messages=_TWO, stream=True))

    async def astream(self, count: int) -> int:
        create = self.asynchronous.chat.completions.create
        return sum([1 async for _ in await create(model=f"stub-{count}", messages=_TWO, stream=True)])

    def embed(self, texts: list[str]) -> int:
        return sum(len(one.embedding) for one in self.client.embeddings.create(model="stub", input=texts).data)


class Ours(Sdk):
    def __init__(self, root: str) -> None:
        from llm_adapter import AsyncOpenAI, OpenAI, Settings

        settings = Settings(provider="ollama", host=root)
        self.client, self.asynchronous = OpenAI(settings=settings), AsyncOpenAI(settings=settings)


class Ollama:
    """The `ollama` package: no types of OpenAI's, and the floor of what Python does."""

    def __init__(self, root: str) -> None:
        import ollama

        self.client, self.asynchronous = ollama.Client(root), ollama.AsyncClient(root)
        self.options = {"temperature": 0.2, "num_predict": 100}

    def chat(self, messages: Any, tools: Any = None) -> str:
        reply = self.client.chat(model="stub-64", messages=messages, tools=tools, options=self.options)
        return str(reply.message.content)

    def stream(self, count: int) -> int:
        return sum(1 for _ in self.client.chat(model=f"stub-{count}", messages=_TWO, stream=True))

    async def astream(self, count: int) -> int:
        stream = await self.asynchronous.chat(model=f"stub-{count}", messages=_TWO, stream=True)
        return sum([1 async for _ in stream])

    def embed(self, texts: list[str]) -> int:
        return sum(len(one) for one in self.client.embed(model="stub", input=texts).embeddings)


class AnyLlm:
    def __init__(self, root: str) -> None:
        from any_llm import AnyLLM

        # The sync calls run in a loop of their own, which connections do not leave.
        self.client, self.asynchronous = (AnyLLM.create("ollama", api_base=root) for _ in range(2))

    def chat(self, messages: Any, tools: Any = None) -> str:
        more = {"tools": tools} if tools else {}
        reply: Any = self.client.completion(model="stub-64", messages=messages, temperature=0.2, max_tokens=100, **more)
        return str(reply.choices[0].message.content)

    def stream(self, count: int) -> int:
        return sum(1 for _ in self.client.completion(model=f"stub-{count}", messages=_TWO, stream=True))

    async def astream(self, count: int) -> int:
        stream: Any = await self.asynchronous.acompletion(model=f"stub-{count}", messages=_TWO, stream=True)
        return sum([1 async for _ in stream])

    def embed(self, texts: list[str]) -> int:
        return sum(len(one.embedding) for one in self.client._embedding("stub", texts).data)


class LiteLlm:
    def __init__(self, root: str) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a table when it is imported
        import litellm

        litellm.suppress_debug_info = True
        self.library, self.root = litellm, root

    def chat(self, messages: Any, tools: Any = None) -> str:
        more = {"tools": tools} if tools else {}
        reply: Any = self.library.completion(
            "ollama_chat/stub-64", messages, api_base=self.root, temperature=0.2, max_tokens=100, **more
        )
        return str(reply.choices[0].message.content)

    def stream(self, count: int) -> int:
        stream = self.library.completion(f"ollama_chat/stub-{count}", _TWO, api_base=self.root, stream=True)
        return sum(1 for _ in stream)

    async def astream(self, count: int) -> int:
        ask = self.library.acompletion
        stream: Any = await ask(f"ollama_chat/stub-{count}", _TWO, api_base=self.root, stream=True)
        return sum([1 async for _ in stream])

    def embed(self, texts: list[str]) -> int:
        reply = self.library.embedding("ollama/stub", texts, api_base=self.root)
        return sum(len(one["embedding"]) for one in reply.data)


class LangChain:
    def __init__(self, root: str) -> None:
        from langchain_ollama import ChatOllama, OllamaEmbeddings

        make = partial(ChatOllama, base_url=root, temperature=0.2, num_predict=100)
        self.models: Any = {count: make(model=f"stub-{count}") for count in (64, SHORT, LONG)}
        self.with_tools = self.models[64].bind_tools(_TOOLS)
        self.embeddings = OllamaEmbeddings(model="stub", base_url=root)

    def chat(self, messages: Any, tools: Any = None) -> str:
        return str((self.with_tools if tools else self.models[64]).invoke(messages).content)

    def stream(self, count: int) -> int:
        return sum(1 for _ in self.models[count].stream(_TWO))

    async def astream(self, count: int) -> int:
        return sum([1 async for _ in self.models[count].astream(_TWO)])

    def embed(self, texts: list[str]) -> int:
        return sum(len(one) for one in self.embeddings.embed_documents(texts))


class AiSuite:
    """Chat alone: it has no embeddings, and no streams from Ollama."""

    def __init__(self, root: str) -> None:
        import aisuite

        self.client: Any = aisuite.Client({"ollama": {"base_url": root}})

    def chat(self, messages: Any, tools: Any = None) -> str:
        more = {"tools": tools} if tools else {}
        reply = self.client.chat.completions.create(
            model="ollama:stub-64", messages=messages, temperature=0.2, max_tokens=100, **more
        )
        return str(reply.choices[0].message.content)


LIBRARIES: Mapping[str, Callable[[str], Any]] = {
    "openai": Sdk,
    "llm_adapter": Ours,
    "ollama": Ollama,
    "any-llm-sdk": AnyLlm,
    "litellm": LiteLlm,
    "langchain-ollama": LangChain,
    "aisuite": AiSuite,
}


def act(library: Any, loop: asyncio.AbstractEventLoop, work: str) -> Callable[[], Any]:
    method, arguments, _ = WORKS[work]
    if method != "streams":
        return partial(getattr(library, method), *arguments)

    async def side_by_side() -> int:
        return sum(await asyncio.gather(*(library.astream(LONG) for _ in range(SIDE_BY_SIDE))))

    return lambda: loop.run_until_complete(side_by_side())


def seconds(act: Callable[[], Any], times: int) -> float:
    gc.collect()
    gc.freeze()  # what is there already is not looked through during a sample
    begun = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - begun) / times


def memory() -> int:
    """Megabytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)


def answer(asked: str, name: str, library: Any, loop: asyncio.AbstractEventLoop) -> Any:
    if asked == "version":
        return {"version": importlib.metadata.version(name)}
    if asked == "memory":
        return {"memory": memory()}
    if asked.startswith("said "):
        said = act(library, loop, asked.removeprefix("said "))()
        return {"said": len(said) if isinstance(said, str) else said}
    try:
        return {"seconds": seconds(act(library, loop, asked), WORKS[asked][2])}
    except Exception as failure:
        return {"failed": f"{type(failure).__name__}: {failure}"[:200]}


def main() -> None:
    _, name, root = sys.argv
    library, loop = LIBRARIES[name](root), asyncio.new_event_loop()
    for line in sys.stdin:
        print(json.dumps(answer(line.strip(), name, library, loop)), flush=True)


if __name__ == "__main__":
    main()
