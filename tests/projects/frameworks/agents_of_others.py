"""Agents; a provider before a model's name is the framework's word, not ours."""

import dspy
import semantic_kernel as sk
from autogen import AssistantAgent  # expect: framework autogen
from crewai import LLM, Agent
from pydantic_ai import Agent as Typed  # expect: framework pydantic_ai
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from smolagents import OpenAIServerModel

dspy.configure(lm=dspy.LM("openai/gpt-4o-mini"))  # expect: framework dspy.LM; hard-coded-model gpt-4o-mini
sk.Kernel().add_service(OpenAIChatCompletion(ai_model_id="gpt-4o"))  # expect: framework semantic_kernel.connectors.ai.open_ai.OpenAIChatCompletion; unmapped-model gpt-4o
AssistantAgent("a", llm_config={"config_list": [{"model": "gpt-4o"}]})  # expect: unmapped-model gpt-4o
Agent(role="r", goal="g", llm=LLM(model="openai/gpt-4o"))  # expect: framework crewai.Agent; framework crewai.LLM; unmapped-model gpt-4o
Typed("openai:gpt-4o")  # expect: unmapped-model gpt-4o
OpenAIServerModel(model_id="gpt-4o")  # expect: framework smolagents.OpenAIServerModel; unmapped-model gpt-4o
