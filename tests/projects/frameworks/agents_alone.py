"""Nothing is called here by a known name: the imports tell."""

from agents import Agent, function_tool  # expect: framework agents
from litellm import drop_params  # expect: framework litellm


@function_tool
def own() -> str: ...


agent = Agent(name="a", tools=[own])
