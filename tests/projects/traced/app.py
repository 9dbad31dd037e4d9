"""Langfuse's words are not sent, and are not refused."""

from clients import client

client.chat.completions.create(model=model, messages=HI, name="greeting", metadata={"session": 1})  # expect: call chat.completions.create likely
client.chat.completions.create(model=model, messages=HI, made_up=1)  # expect: call chat.completions.create likely; refused made_up
