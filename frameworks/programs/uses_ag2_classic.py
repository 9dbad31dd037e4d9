"""AutoGen as it was before 0.4, which AG2 below 1 went on with: agents with names, who chat in turn or in a group."""

from __future__ import annotations

from autogen import ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent, register_function
from cells import run_cells
from pydantic import BaseModel

CONFIG = {"config_list": [{"model": "gpt-4o-mini"}], "temperature": 0, "max_tokens": 200, "cache_seed": None}


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    return f"18 degrees and sunny in {city}"


def agent(name: str, system_message: str = "", **config) -> ConversableAgent:
    return ConversableAgent(name, system_message=system_message, llm_config={**CONFIG, **config})


def user() -> UserProxyAgent:
    return UserProxyAgent("ana", human_input_mode="NEVER", code_execution_config=False)


def chat():
    return agent("assistant").generate_reply(messages=[{"role": "user", "content": "Hello"}])


def structured_output():
    asked = [{"role": "user", "content": "Return JSON for a person named Ana aged 30."}]
    reply = agent("assistant", response_format=Person).generate_reply(messages=asked)
    return Person.model_validate_json(reply if isinstance(reply, str) else reply["content"]).model_dump()


def tools():
    assistant, asking = agent("assistant"), user()
    register_function(get_weather, caller=assistant, executor=asking, description="Get the current weather for a city")
    said = asking.initiate_chat(assistant, message="What is the weather in Paris?", max_turns=2).chat_history
    return [message["role"] for message in said]


def named_agent():
    """The critic reads what Ana and the writer said: both are users to it."""
    asking = user()
    agents = [asking, agent("writer", "You write."), agent("critic", "You find fault.")]
    group = GroupChat(agents, max_round=3, speaker_selection_method="round_robin")
    said = asking.initiate_chat(GroupChatManager(group, llm_config=CONFIG), message="Hello").chat_history
    return [[message["name"], message["content"]] for message in said]


if __name__ == "__main__":
    run_cells(chat, structured_output, tools, named_agent)
