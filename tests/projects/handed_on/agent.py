"""A client's resources as properties: they are no calls, and what they give is no client."""

import openai


class Agent:
    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self.client = client

    @property
    def messages(self):
        return self.client.beta.threads.messages

    @property
    def speech(self):
        return self.client.audio.speech

    def told(self, messages):
        for message in messages:
            message.to_model_message()

    async def prose(self) -> "the reply of claude-3.5 or openai.OpenAI... whoever":
        return await self.messages.create(thread_id="t")  # expect: call beta.threads.messages.create; refused beta.threads.messages.create
