"""Langfuse's client, which other modules use."""

from langfuse.openai import OpenAI  # expect: framework langfuse.openai

client = OpenAI()  # expect: client OpenAI
