"""Frameworks on our clients, each in an environment of its own, for their pins conflict.

python frameworks/run.py [instructor] [langchain] [agents] [pydantic_ai] [litellm] [smolagents] [autogen]
"""

from __future__ import annotations

from environment import Row, main

ROWS = {
    "instructor": Row("instructor", "test_instructor.py", ("instructor", "openai")),
    "langchain": Row("langchain-openai", "test_langchain.py", ("langchain-openai", "openai")),
    "agents": Row("openai-agents", "test_agents.py", ("openai-agents", "openai")),
    "pydantic_ai": Row("pydantic-ai-slim[openai]", "test_pydantic_ai.py", ("pydantic-ai-slim", "openai")),
    "litellm": Row("litellm", "test_litellm.py", ("litellm", "openai")),
    "autogen": Row("autogen-agentchat autogen-ext[openai]", "test_autogen.py", ("autogen-ext", "openai")),
    "smolagents": Row("smolagents[openai]", "test_smolagents.py", ("smolagents", "openai")),
}

if __name__ == "__main__":
    raise SystemExit(main(ROWS, ["framework", "version", "openai"]))
