"""What wrappers keep for themselves is no parameter of the call."""

import instructor

client = instructor.from_provider("openai/gpt-4o")  # expect: framework instructor.from_provider; unmapped-model gpt-4o
client.chat.completions.create(messages=HI, response_model=Person, context={"a": 1}, hooks=hooks)  # expect: call chat.completions.create
