"""Frameworks that call models themselves: which there are, how a client of ours gets into each, and their hosted tools.

A name of a framework that is called is one finding. A file that imports a framework without such a name is one, too:
what it makes of the framework may stand in any of its classes.
Source of the names: the packages' own modules, in the versions of November 2026 (llama-index-llms-openai 0.8.3,
haystack-ai 3.4.1, crewai 1.15.30, autogen-ext 0.7.5, ag2 1.2.1, semantic-kernel 1.45.0, smolagents 1.26.0, dspy 3.4.1,
mem0ai 2.2.1, ragas 0.4.3, langfuse 5.0.4, openai-agents 0.24.0, pydantic-ai 2.68.0, instructor 1.17.0,
langchain-openai 1.7.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import libcst as cst

from llm_adapter.devtools.migrate.findings import ScanFinding
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.trees import Node, Tree

_OWN = "makes a client of its own, which `llm-adapter run` switches"
_ASYNC = "openai_client=ours (AsyncOpenAI)"
_INSTRUCTOR = "takes llm_adapter's client as it is"
_LANGCHAIN = "hand it the client: client=ours.chat.completions, root_client=ours (async_client=, root_async_client=)"
_SOCKET = "opens a WebSocket to api.openai.com by itself: no profile moves it"
_AGENTS = "set_default_openai_client(AsyncOpenAI()), with ours, and set_tracing_disabled(True)"
_SEMANTIC_KERNEL = "async_client=ours (AsyncOpenAI)"
_LLAMA_INDEX = "openai_client=ours, async_openai_client=ours"
_LLAMA_INDEX_DEFAULT = "without `Settings.llm` and `Settings.embed_model` it makes OpenAI's own"
_AUTOGEN_CONFIG = "its `llm_config` makes a client, which `llm-adapter run` switches"
_AUTOGEN_CLIENT = "BaseOpenAIChatCompletionClient(ours, create_args={'model': name}), or `llm-adapter run`"
_MEM0 = "its clients are made of its configuration, and `llm-adapter run` switches them; MEM0_TELEMETRY=false"
_MEM0_SERVICE = "calls mem0's own service, which no profile moves"
_RAGAS = "llm=llm_factory(model, client=ours), embeddings=embedding_factory('openai', client=ours)"
_DSPY = "sends by itself: api_base= names the server, or engine='litellm' and `llm-adapter run`"
_LITELLM = "its `openai/` models use the SDK's client, which `llm-adapter run` switches"
_ELSEWHERE = "calls another service than OpenAI's API; it stays where it is"


@dataclass(frozen=True)
class Framework:
    """One framework."""

    title: str
    advice: str  # where it is imported, and nothing of `names` is called
    names: Mapping[str, str] = field(default_factory=dict)  # what makes or takes a client, and how ours gets in
    by_import: bool = True  # False: its package is imported for other things, or others have one of that name
    marks: frozenset[str] = frozenset()  # where others do: names that are imported from this one alone


def _each(advice: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, advice)


_LANGCHAIN_NAMES = {
    "ChatOpenAI": _LANGCHAIN,
    "AzureChatOpenAI": "makes a client of its own; ChatOpenAI takes ours",
    "OpenAIEmbeddings": "client=ours.embeddings, and check_embedding_ctx_length=False",
    "OpenAI": "client=ours.completions",
    "init_chat_model": _OWN,
    "init_embeddings": _OWN,
}
_AUTOGEN = Framework(
    "autogen",
    _AUTOGEN_CONFIG,
    {
        **_each(_AUTOGEN_CLIENT, "OpenAIChatCompletionClient", "BaseOpenAIChatCompletionClient"),
        **_each(_OWN, "OpenAIConfig", "OpenAIResponsesConfig"),
        "OpenAIAssistantAgent": "client=ours (AsyncOpenAI); the Assistants API is OpenAI's alone",
        **_each(_AUTOGEN_CONFIG, "OpenAIWrapper"),
        "OpenAIAgent": "client=ours (AsyncOpenAI)",
    },
)
_LANGCHAIN_OPENAI = Framework("langchain", _LANGCHAIN, _LANGCHAIN_NAMES)
# By the root of the package. `langchain*` and `ag2` stand for more roots than one.
FRAMEWORKS: dict[str, Framework] = {
    "instructor": Framework(
        "instructor",
        _INSTRUCTOR,
        {
            **_each(_INSTRUCTOR, "from_openai", "patch", "apatch"),
            "from_provider": "makes a client of its own: from_openai(OpenAI()) takes ours",
        },
    ),
    "langchain": Framework("langchain", _LANGCHAIN, _LANGCHAIN_NAMES, by_import=False),
    "langchain_openai": _LANGCHAIN_OPENAI,
    "langchain_community": Framework("langchain", _LANGCHAIN, _LANGCHAIN_NAMES, by_import=False),
    "llama_index": Framework(
        "llama-index",
        _LLAMA_INDEX_DEFAULT,
        {
            **_each(_LLAMA_INDEX, "OpenAI", "OpenAIResponses", "OpenAILike"),
            **_each(_OWN, "OpenAIEmbedding", "OpenAILikeEmbedding", "OpenAIMultiModal", "OpenAIAgent"),
        },
    ),
    "haystack": Framework(
        "haystack",
        "its OpenAI components make clients of their own, which `llm-adapter run` switches",
        _each(
            _OWN,
            *("OpenAIGenerator", "OpenAIChatGenerator", "OpenAIResponsesChatGenerator", "OpenAIImageGenerator"),
            *("OpenAITextEmbedder", "OpenAIDocumentEmbedder", "RemoteWhisperTranscriber", "DALLEImageGenerator"),
        ),
    ),
    "crewai": Framework("crewai", _OWN, _each(_OWN, "LLM", "Agent", "Crew")),
    "autogen_ext": _AUTOGEN,
    "autogen_agentchat": Framework("autogen", "model_client= makes the client, which `llm-adapter run` switches"),
    "autogen": _AUTOGEN,
    "ag2": _AUTOGEN,
    "semantic_kernel": Framework(
        "semantic-kernel",
        _SEMANTIC_KERNEL,
        {
            **_each(_SEMANTIC_KERNEL, "OpenAIChatCompletion", "OpenAITextCompletion", "OpenAITextEmbedding"),
            **_each(_SEMANTIC_KERNEL, "OpenAITextToImage", "OpenAITextToAudio", "OpenAIAudioToText"),
            **_each("client=ours (AsyncOpenAI)", "OpenAIResponsesAgent", "OpenAIAssistantAgent"),
        },
    ),
    "smolagents": Framework(
        "smolagents",
        "its model makes the client: OpenAIModel's is one that `llm-adapter run` switches",
        {
            **_each("client=ours, or `llm-adapter run`", "OpenAIModel", "OpenAIServerModel"),
            **_each(_LITELLM, "LiteLLMModel", "LiteLLMRouterModel"),
            **_each(_ELSEWHERE, "InferenceClientModel", "HfApiModel", "AmazonBedrockServerModel"),
        },
    ),
    "dspy": Framework("dspy", _DSPY, _each(_DSPY, "LM", "Embedder")),
    "mem0": Framework(
        "mem0",
        _MEM0,
        {**_each(_MEM0, "Memory", "AsyncMemory"), **_each(_MEM0_SERVICE, "MemoryClient", "AsyncMemoryClient")},
    ),
    "ragas": Framework(
        "ragas",
        _RAGAS,
        {
            **_each(_RAGAS, "evaluate", "aevaluate"),
            **_each("client=ours", "llm_factory", "embedding_factory", "OpenAIEmbeddings"),
            **_each("wraps a model of LangChain's or LlamaIndex's: that one takes ours", "LangchainLLMWrapper"),
        },
    ),
    "litellm": Framework("litellm", _LITELLM),
    "langfuse": Framework(
        "langfuse",
        "wraps the SDK's methods, and so ours: keep `import langfuse.openai`, and take OpenAI from llm_adapter; "
        "it sends prompts to LANGFUSE_BASE_URL",
    ),
    "agents": Framework(
        "agents",
        _AGENTS,
        {
            **_each(_ASYNC, "OpenAIChatCompletionsModel", "OpenAIResponsesModel", "OpenAIProvider"),
            "set_default_openai_client": "takes ours; set_tracing_disabled(True) keeps prompts from OpenAI",
            "Runner": _AGENTS,
            **_each(_SOCKET, "RealtimeRunner", "RealtimeAgent"),
        },
        by_import=False,  # many a code base has a package `agents` of its own
        marks=frozenset(
            {"Runner", "function_tool", "ModelSettings", "RunConfig", "RunContextWrapper", "SQLiteSession"}
        ),
    ),
    "pydantic_ai": Framework(
        "pydantic-ai",
        "makes a client of a model's name, which `llm-adapter run` switches; OpenAIProvider(openai_client=) takes ours",
        {
            "OpenAIProvider": _ASYNC,
            **_each("provider=OpenAIProvider(openai_client=ours)", "OpenAIModel", "OpenAIChatModel"),
            **_each("provider=OpenAIProvider(openai_client=ours)", "OpenAIResponsesModel", "OpenAIEmbeddingModel"),
        },
    ),
    "aisuite": Framework("aisuite", _OWN, _each(_OWN, "Client")),
}
# Tools that run at OpenAI, or that its models alone were trained for, by their types in the Responses API.
# Source: agents/tool.py, openai-agents 0.24.0; pydantic_ai/native_tools, 2.68.0.
_AGENTS_TOOLS = {
    "WebSearchTool": "web_search",
    "FileSearchTool": "file_search",
    "CodeInterpreterTool": "code_interpreter",
    "ImageGenerationTool": "image_generation",
    "HostedMCPTool": "mcp",
    "ComputerTool": "computer_use_preview",
    "LocalShellTool": "local_shell",
    "ShellTool": "shell",
    "ApplyPatchTool": "apply_patch",
    "CustomTool": "custom",
    "ToolSearchTool": "tool_search",
    "ProgrammaticToolCallingTool": "programmatic_tool_calling",
}
_PYDANTIC_AI_TOOLS = {
    "WebSearchTool": "web_search",
    "CodeExecutionTool": "code_interpreter",
    "ImageGenerationTool": "image_generation",
    "MCPServerTool": "mcp",
    "FileSearchTool": "file_search",
}
_HOSTED_TOOLS = {"agents": _AGENTS_TOOLS, "pydantic_ai": _PYDANTIC_AI_TOOLS}


class FrameworkName(NamedTuple):
    """A name of a framework that is called."""

    framework: Framework
    name: str  # "agents.Runner.run_sync"
    advice: str


def framework_of(module: str) -> Framework | None:
    """The framework that a dotted name is of."""
    return FRAMEWORKS.get(module.partition(".")[0])


def framework_name(dotted: str) -> FrameworkName | None:
    """What a dotted name is of a framework: one of its `names`, or a method of one; None where it is nothing known."""
    framework = framework_of(dotted)
    if framework is None:
        return None
    for part in dotted.split(".")[:0:-1]:
        if part in framework.names:
            return FrameworkName(framework, dotted, framework.names[part])
    return None


def finding(tree: Tree, node: Any, known: FrameworkName) -> ScanFinding:
    return ScanFinding(
        "framework", tree.place(node), known.name, known.advice, details={"framework": known.framework.title}
    )


def imported(tree: Tree, told: set[str]) -> Iterator[ScanFinding]:
    """Each framework that is imported and of which nothing else is told, once.

    told: the titles of the frameworks that the file's other findings are about.
    """
    for one in tree.all(cst.Import, cst.ImportFrom):
        for module in _modules(tree, one):
            framework = framework_of(module)
            if framework is None or framework.title in told:
                continue
            if framework.by_import or _imports_any(one.node, framework.marks):
                told.add(framework.title)
                yield finding(tree, one.node, FrameworkName(framework, module, framework.advice))


def _modules(tree: Tree, one: Node) -> list[str]:
    """The modules that a statement imports, those of the code base itself left out."""
    if isinstance(one.node, cst.Import):
        return [tree.code(alias.name) for alias in one.node.names]
    return [tree.code(one.node.module)] if one.node.module is not None and not one.node.relative else []


def _imports_any(statement: Any, marks: frozenset[str]) -> bool:
    aliases = getattr(statement, "names", ())
    return not isinstance(aliases, cst.ImportStar) and any(alias.evaluated_name in marks for alias in aliases)


def hosted_tools(tree: Tree, names: Names) -> Iterator[tuple[Any, str, str]]:
    """Where an agent gets a tool that OpenAI runs: the place, its dotted name, its type in the Responses API."""
    for one in tree.all(cst.Call):
        dotted = names.qualified(one.node.func) or ""
        kind = _HOSTED_TOOLS.get(dotted.partition(".")[0], {}).get(dotted.rpartition(".")[2])
        if kind is not None:
            yield one.node.func, dotted, kind
