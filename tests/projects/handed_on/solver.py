"""A client from another module, with methods that only OpenAI's has; and resources that are handed on."""

from app.registry import client

thread = client.beta.threads.create()  # expect: call beta.threads.create likely; refused beta.threads.create
client.beta.threads.messages.list(thread.id)  # expect: call beta.threads.messages.list likely; refused beta.threads.messages.list
client.images.generate(prompt="a cat", n=1)  # expect: call images.generate likely; passed on images.generate
client.files.create(file=f, purpose="batch")  # expect: call files.create likely; refused files.create
client.files.create(name="not a call of OpenAI's")
project.agents.threads.create()
project.get_openai_client().responses.create(model="gpt-4o", input="Hi")  # expect: call responses.create likely; unmapped-model gpt-4o
