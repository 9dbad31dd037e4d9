"""A script for the SDK before 1.0."""

import os

import openai
from openai.error import RateLimitError  # expect: openai-0x openai.error

openai.api_key = os.environ["OPENAI_API_KEY"]  # expect: openai-0x openai.api_key
openai.api_base = "http://localhost:11434/v1"  # expect: openai-0x openai.api_base; hard-coded-url http://localhost:11434/v1


def ask(question):
    try:
        reply = openai.ChatCompletion.create(model="gpt-3.5-turbo", messages=HI)  # expect: openai-0x openai.ChatCompletion.create; unmapped-model gpt-3.5-turbo
    except openai.error.InvalidRequestError:  # expect: openai-0x openai.error.InvalidRequestError
        return None
    except RateLimitError:
        return None
    return reply["choices"][0]["message"]["content"]


async def more():
    await openai.ChatCompletion.acreate(engine="gpt-4", messages=HI)  # expect: openai-0x openai.ChatCompletion.acreate; unmapped-model gpt-4
    openai.Completion.create(prompt="x")  # expect: openai-0x openai.Completion.create
    openai.Embedding.create(input="x")  # expect: openai-0x openai.Embedding.create
    openai.Image.create(prompt="x")  # expect: openai-0x openai.Image.create
