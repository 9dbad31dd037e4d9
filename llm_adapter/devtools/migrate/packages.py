"""The names that tell a client: which packages have the SDK's classes, and which have others of the same shape."""

from __future__ import annotations

from dataclasses import dataclass

# Source: openai-python src/openai/__init__.py and lib/, v3.52.0.
CLIENTS = frozenset({"OpenAI", "AsyncOpenAI", "Client", "AsyncClient"})
ELSEWHERE = frozenset({"AzureOpenAI", "AsyncAzureOpenAI", "BedrockOpenAI", "AsyncBedrockOpenAI"})
_OURS = ("openai", "llm_adapter")
# Packages that hand out the SDK's own module or classes, with something wrapped around.
_SAME = {"langfuse.openai.openai": "openai", "langfuse.openai": "openai", "posthog.ai.openai": "openai"}
# What instructor makes of a provider that it is told: "openai/gpt-4o-mini".
_OF_PROVIDERS = ("openai/", "azure_openai/", "ollama/")
# Calls that give their first argument back, as a client: what is around it does not matter here.
WRAPPERS = frozenset(
    {
        *("instructor.from_openai", "instructor.patch", "instructor.apatch", "langsmith.wrappers.wrap_openai"),
        *("typing.cast", "weave.op", "wrap_openai", "braintrust.wrap_openai", "fastapi.Depends", "Depends"),
        *("enter_context", "enter_async_context"),
    }
)
# Methods of other packages that give a client of the SDK's. Source: azure-ai-projects, AIProjectClient.
GIVING = frozenset({"get_openai_client", "get_azure_openai_client"})
SAME_CLIENT = frozenset({"with_options", "copy", "__enter__", "__aenter__"})
# SDKs with a `chat.completions.create` of their own: their calls are not OpenAI's.
_OTHERS = frozenset(
    {
        *("groq", "together", "mistralai", "cerebras", "anthropic", "zhipuai", "zai", "huggingface_hub", "xai_sdk"),
        *("volcenginesdkarkruntime", "dashscope", "cohere", "ai21", "fireworks", "sambanova", "portkey_ai", "g4f"),
        *("perplexity", "qianfan", "sparkai", "azure", "google", "writerai", "cloudflare"),
    }
)
_MOCKS = frozenset({"Mock", "MagicMock", "AsyncMock", "NonCallableMock", "create_autospec", "SimpleNamespace"})
# Frameworks have classes that are called like the SDK's: theirs are not clients.
_FRAMEWORKS = ("langchain", "llama_index", "pydantic_ai", "agents", "crewai", "haystack", "dspy", "autogen", "guidance")
# Bases that make no client of a class.
_PLAIN = ("pydantic", "dataclasses", "enum", "collections", "object", "dict", "list", "unittest")


@dataclass(frozen=True, slots=True)
class Held:
    """What a name or an expression is known to hold."""

    package: str  # openai, ollama; "other" is known to be no client
    path: tuple[str, ...] = ()  # the attributes taken from the client: ("chat", "completions")
    certain: bool = True
    module: bool = False  # the package itself, which has a client of its own

    def attribute(self, name: str) -> Held:
        if name in ("with_raw_response", "with_streaming_response"):
            return self
        return Held(self.package, (*self.path, name), self.certain, self.module)


OPENAI = Held("openai")
OTHER = Held("other")
OWN = Held("own")  # an object of a class of the file's own: no client, but its attributes may hold one
NO_CLIENT = (OTHER, OWN)


def canonical(name: str) -> str:
    """A dotted name, by the package that its things are from."""
    for begin, instead in _SAME.items():
        if name == begin or name.startswith(f"{begin}."):
            return instead + name.removeprefix(begin)
    return name


def instance(name: str) -> Held | None:
    """What calling this dotted name gives, as far as the name alone tells."""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if root in _OURS and last in CLIENTS | ELSEWHERE:
        return OPENAI
    if root == "ollama" and last in ("Client", "AsyncClient"):
        return Held("ollama")
    if root in _OTHERS or last in _MOCKS or (root == "instructor" and last.startswith("from_")):
        return OTHER
    if last in (CLIENTS | ELSEWHERE) - {"Client", "AsyncClient"} and not name.startswith(_FRAMEWORKS):
        return Held("openai", certain=False)  # a module of the code base hands the class on
    return None


def of_provider(named: str | None) -> Held:
    """What `instructor.from_provider` gives, by its first argument; None: the text does not tell."""
    if named is None:
        return Held("openai", certain=False)
    return OPENAI if named.startswith(_OF_PROVIDERS) else OTHER


def held_module(name: str) -> Held | None:
    """What a dotted name holds that is a module, or something in it."""
    root, _, rest = name.partition(".")
    if root in _OTHERS:
        return OTHER  # also where a name is bound again: `together = together.Together()`
    if root not in ("openai", "ollama"):
        return None
    return Held(root, tuple(rest.split(".")) if rest else (), module=True)


def is_plain(base: str) -> bool:
    """Whether a class with this base is still no client."""
    return base.startswith(_PLAIN)
