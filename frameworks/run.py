"""Frameworks on our clients, each in an environment of its own, for their pins conflict.

python frameworks/run.py [NAME ...], of the names of ROWS; without one it runs them all.
"""

from __future__ import annotations

from environment import Row, main

ROWS = {
    "instructor": Row("instructor", "test_instructor.py", ("instructor", "openai")),
    "langchain": Row("langchain-openai langchain", "test_langchain.py", ("langchain-openai", "openai")),
    "agents": Row("openai-agents", "test_agents.py", ("openai-agents", "openai")),
    "pydantic_ai": Row("pydantic-ai-slim[openai]", "test_pydantic_ai.py", ("pydantic-ai-slim", "openai")),
    "litellm": Row("litellm", "test_litellm.py", ("litellm", "openai")),
    "autogen": Row("autogen-agentchat autogen-ext[openai]", "test_autogen.py", ("autogen-ext", "openai")),
    "ag2": Row("ag2[openai]", "test_ag2.py", ("ag2", "openai")),
    "ag2_classic": Row("ag2[openai]<1 openai>=2.45", "test_ag2_classic.py", ("ag2", "openai")),
    "semantic_kernel": Row("semantic-kernel", "test_semantic_kernel.py", ("semantic-kernel", "openai")),
    "crewai": Row("crewai", "test_crewai.py", ("crewai", "openai")),
    "smolagents": Row("smolagents[openai]", "test_smolagents.py", ("smolagents", "openai")),
    "llamaindex": Row(
        "llama-index-core llama-index-llms-openai llama-index-embeddings-openai",
        "test_llamaindex.py",
        ("llama-index-llms-openai", "openai"),
    ),
    "haystack": Row("haystack-ai", "test_haystack.py", ("haystack-ai", "openai")),
    "dspy": Row("dspy numpy", "test_dspy.py", ("dspy", "openai")),
    "mem0": Row("mem0ai", "test_mem0.py", ("mem0ai", "openai")),
    # ragas 0.4.3 imports a module that has gone with langchain-community 0.4.2.
    "ragas": Row("ragas langchain-community<0.4.2", "test_ragas.py", ("ragas", "openai")),
    "tracing": Row(
        # opentelemetry-instrumentation-openai-v2 2.4b0 imports a module that has gone with 1.2b0 of its helper.
        "opentelemetry-instrumentation-openai-v2 opentelemetry-util-genai<1.2b0 opentelemetry-instrumentation-openai "
        "openinference-instrumentation-openai logfire langfuse langsmith opentelemetry-distro",
        "test_tracing.py",
        ("opentelemetry-instrumentation-openai-v2", "openai"),
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(ROWS, ["framework", "version", "openai"]))
