"""An agent with a name, of a framework that makes the client by itself."""

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

model = OpenAIChatCompletionClient(model="gpt-4o")  # expect: framework autogen_ext.models.openai.OpenAIChatCompletionClient; unmapped-model gpt-4o
AssistantAgent("writer", model_client=model)
