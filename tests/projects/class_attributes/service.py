"""Clients as attributes, parameters, results and items."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Optional

from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

MESSAGES = [{"role": "user", "content": "Hi"}]


class Service:
    def __init__(self, llm: Optional["AsyncOpenAI"] = None):
        self.llm = llm or AsyncOpenAI()  # expect: client AsyncOpenAI

    async def ask(self) -> ChatCompletion:
        return await self.llm.chat.completions.create(model=self.model, messages=MESSAGES, service_tier="flex")  # expect: call chat.completions.create; ignored service_tier

    model = "gpt-4o-mini"  # expect: hard-coded-model gpt-4o-mini

    @cached_property
    def sync(self):
        return OpenAI()  # expect: client OpenAI

    def embed(self):
        return self.sync.embeddings.create(model="nomic-embed-text", input=["a"])  # expect: call embeddings.create; hard-coded-model nomic-embed-text


@dataclass
class Holder:
    client: OpenAI

    def models(self):
        return self.client.models.list()  # expect: call models.list


class Mine(OpenAI):  # expect: client OpenAI
    pass


def passed(client: OpenAI | None = None):
    client = client or Mine()
    return client.files.list()  # expect: call files.list; refused files.list


def untyped(one):
    return one.batches.list()  # expect: call batches.list; refused batches.list


def handed_on(client: AsyncOpenAI):
    untyped(OpenAI())  # expect: client OpenAI
    asyncio.to_thread(client.chat.completions.create, model="gpt-4o-mini", messages=HI, modalities=["audio"])  # expect: call chat.completions.create; hard-coded-model gpt-4o-mini; refused modalities
    ask = partial(client.chat.completions.create, user="me")  # expect: call chat.completions.create; ignored user
    map(client.chat.completions.create, [])  # expect: call chat.completions.create
    return ask


POOL = {"fast": OpenAI(), "slow": OpenAI(timeout=600)}  # expect: client OpenAI; client OpenAI


def pooled(name):
    for client in POOL:
        del client
    return POOL[name].moderations.create(input="x")  # expect: call moderations.create; refused moderations.create


@asynccontextmanager
async def opened():
    async with AsyncOpenAI() as session:  # expect: client AsyncOpenAI
        yield session


async def inside():
    async with opened() as session:
        await session.uploads.create()  # expect: call uploads.create; refused uploads.create
