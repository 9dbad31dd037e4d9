"""Langfuse's client; null is the same as not given."""

from langfuse.openai import openai  # expect: framework langfuse.openai

client = openai.OpenAI()  # expect: client OpenAI
client.embeddings.create(name="n", metadata=m, model=model, input="Hi")  # expect: call embeddings.create
client.chat.completions.create(model=model, messages=HI, tools=None, stop=None, name=name)  # expect: call chat.completions.create
