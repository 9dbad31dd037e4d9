"""smolagents, as its documents show it."""

from __future__ import annotations

from cells import run_cells
from smolagents import ChatMessage, CodeAgent, OpenAIModel, ToolCallingAgent, tool

model = OpenAIModel(model_id="gpt-4o-mini", temperature=0)


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city

    Args:
        city: the city
    """
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def said(text):
    return [ChatMessage(role="user", content=text)]


def chat():
    reply = model.generate(said("Hello"))
    return reply.content, reply.token_usage.output_tokens > 0


def stream():
    return [delta.content for delta in model.generate_stream(said("Count to 5")) if delta.content]


def structured_output():
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    schema |= {"required": ["name", "age"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    return model.generate(said("Return JSON for a person named Ana aged 30."), response_format=form).content


def tools():
    (call,) = model.generate(said("What is the weather in Paris?"), tools_to_call_from=[get_weather]).tool_calls
    return call.function.name, call.function.arguments


def tool_calling_agent():
    agent = ToolCallingAgent(tools=[get_weather], model=model, max_steps=2, verbosity_level=0)
    return agent.run("What is the weather in Paris?"), len(agent.memory.steps)


def named_agent():
    """A manager that has an agent with a name as one of its tools; it writes Python."""
    weather = ToolCallingAgent(
        tools=[get_weather], model=model, max_steps=2, name="weather_agent", description="Knows the weather."
    )
    manager = CodeAgent(tools=[], model=model, managed_agents=[weather], max_steps=2, verbosity_level=0)
    return manager.run("What is the weather in Paris?"), len(manager.memory.steps)


if __name__ == "__main__":
    run_cells(chat, stream, structured_output, tools, tool_calling_agent, named_agent)
