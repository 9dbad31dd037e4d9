"""Instructor's verbs are calls of the chat, wherever they stand on its client."""

import instructor
from openai import OpenAI

client = instructor.from_openai(OpenAI())  # expect: framework instructor.from_openai; client OpenAI
client.create(model=model, messages=HI, response_model=Person)  # expect: call create
client.messages.create(model=model, messages=HI, response_model=Person)  # expect: call messages.create
client.create_partial(model=model, messages=HI, response_model=Person, n=2)  # expect: call create_partial; emulated n
client.chat.completions.create_iterable(model=model, messages=HI, response_model=Person)  # expect: call chat.completions.create_iterable
client.chat.completions.create_with_completion(model=model, messages=HI, response_model=Person)  # expect: call chat.completions.create_with_completion
