"""The Agents SDK with tools that OpenAI runs."""

from agents import Agent, FileSearchTool, Runner, WebSearchTool, function_tool
from agents.realtime import RealtimeRunner

agent = Agent(
    name="a",
    tools=[
        WebSearchTool(),  # expect: hosted-tool agents.WebSearchTool; refused agents.WebSearchTool
        FileSearchTool(vector_store_ids=["v"]),  # expect: hosted-tool agents.FileSearchTool; refused agents.FileSearchTool
        function_tool(own),
    ],
)
Runner.run_sync(agent, "Hi")  # expect: framework agents.Runner.run_sync
RealtimeRunner(agent)  # expect: framework agents.realtime.RealtimeRunner
