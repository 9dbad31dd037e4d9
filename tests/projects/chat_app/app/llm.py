"""A modern program: every way to import the client, and every way to write its arguments."""

import argparse

import openai
import openai as oa
from openai import OpenAI as Client
from openai import AsyncOpenAI, NotFoundError
from pydantic import BaseModel

from .config import DEFAULTS

MODEL = "gpt-4o-mini"  # expect: hard-coded-model gpt-4o-mini

client = Client(base_url="http://localhost:11434/v1", api_key="sk-proj-planted-0123456789")  # expect: client OpenAI; hard-coded-url base_url=http://localhost:11434/v1; hard-coded-key api_key
slow = oa.OpenAI(  # expect: client OpenAI
    timeout=60,
    http_client=None,
)
azure = openai.AzureOpenAI(api_version="2024-06-01")  # expect: other-client AzureOpenAI


class Person(BaseModel):
    name: str


def answer(question: str, n: int, bias: dict, model: str = "gpt-4.1") -> str:  # expect: unmapped-model gpt-4.1
    """Calls such as client.chat.completions.create(logit_bias={}) in a docstring are no calls."""
    reply = client.chat.completions.create(  # expect: call chat.completions.create
        model=model,
        messages=[{"role": "user", "content": question}],
        n=n,  # expect: emulated n
        user="me",  # expect: ignored user
        logit_bias=bias,  # expect: refused logit_bias
        timeout=30,
        extra_headers={"x-trace": "1"},
        extra_body={
            "keep_alive": "1h",
            "num_ctx": 8192,
            "made_up": 1,  # expect: refused made_up
        },
    )
    # client.chat.completions.create(logit_bias={}) in a comment is no call.
    return reply.choices[0].message.content or "client.chat.completions.create(logit_bias={})"


def literals() -> None:
    """Values that change nothing are taken, those that do are not."""
    client.chat.completions.create(model=MODEL, messages=HI, logit_bias={}, n=1)  # expect: call chat.completions.create
    client.chat.completions.create(model=MODEL, messages=HI, n=0)  # expect: call chat.completions.create; refused n
    client.chat.completions.create(model=MODEL, messages=HI, modalities=["text"])  # expect: call chat.completions.create
    client.chat.completions.create(model=MODEL, messages=HI, modalities=["audio"])  # expect: call chat.completions.create; refused modalities


def spread(question: str, **rest: object) -> None:
    params = {"model": MODEL, "messages": HI, "verbosity": "low"}  # expect: refused verbosity
    if rest:
        params["store"] = True  # expect: ignored store
    client.chat.completions.create(**params)  # expect: call chat.completions.create
    client.chat.completions.create(model=MODEL, messages=HI, **DEFAULTS, **rest)  # expect: call chat.completions.create
    client.chat.completions.create(**{"model": MODEL, "messages": HI, "audio": {}})  # expect: call chat.completions.create; refused audio


def wrapped() -> None:
    client.beta.chat.completions.parse(model=MODEL, messages=HI, response_format=Person)  # expect: call chat.completions.parse
    client.with_options(timeout=3).chat.completions.with_raw_response.create(model=MODEL, messages=HI)  # expect: call chat.completions.create
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=HI) as response:  # expect: call chat.completions.create
        response.read()
    with client.chat.completions.stream(model=MODEL, messages=HI) as stream:  # expect: call chat.completions.stream
        stream.until_done()
    completions = client.chat.completions
    completions.create(model=MODEL, messages=HI)  # expect: call chat.completions.create
    create = client.chat.completions.create
    create(model=MODEL, messages=HI)  # expect: call chat.completions.create


def elsewhere() -> None:
    client.completions.create(model=MODEL, prompt="1, 2,", best_of=2)  # expect: call completions.create; emulated best_of
    client.embeddings.create(model=MODEL, input="x", user="me")  # expect: call embeddings.create; ignored user
    client.responses.create(model=MODEL, input="x", background=True)  # expect: call responses.create; refused background
    client.responses.parse(model=MODEL, input="x", text_format=Person)  # expect: call responses.parse
    client.responses.retrieve("resp_1")  # expect: call responses.retrieve
    client.models.list()  # expect: call models.list
    client.images.generate(model="gpt-image-1", prompt="x")  # expect: call images.generate; passed on images.generate; unmapped-model gpt-image-1
    client.audio.speech.create(model="tts-1", voice="x", input="x")  # expect: call audio.speech.create; refused audio.speech.create
    client.files.create(file=b"", purpose="batch")  # expect: call files.create; refused files.create
    client.batches.list()  # expect: call batches.list; refused batches.list
    client.moderations.create(input="x")  # expect: call moderations.create; refused moderations.create
    client.fine_tuning.jobs.create(model="m", training_file="f")  # expect: call fine_tuning.jobs.create; refused fine_tuning.jobs.create
    client.beta.assistants.create(model="m")  # expect: call beta.assistants.create; refused beta.assistants.create
    client.beta.threads.runs.create(thread_id="t", assistant_id="a")  # expect: call beta.threads.runs.create; refused beta.threads.runs.create
    client.vector_stores.create()  # expect: call vector_stores.create; refused vector_stores.create
    client.uploads.create(bytes=1, filename="f", mime_type="m", purpose="batch")  # expect: call uploads.create; refused uploads.create


def lazily(question: str) -> object:
    from openai import OpenAI

    return OpenAI().chat.completions.create(model=MODEL, messages=HI)  # expect: client OpenAI; call chat.completions.create


def on_the_module() -> None:
    openai.base_url = "http://127.0.0.1:11434/v1"  # expect: module-client openai.base_url; hard-coded-url http://127.0.0.1:11434/v1
    try:
        openai.chat.completions.create(model=MODEL, messages=HI)  # expect: call chat.completions.create; module-client openai
    except NotFoundError:
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--model", default="gpt-4o")  # expect: unmapped-model gpt-4o
