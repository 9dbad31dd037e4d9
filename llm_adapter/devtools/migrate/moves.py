"""Other packages that reach models or count tokens, and the SDK as it was before 1.0: what to move, and where to."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.findings import Finding
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.trees import Node, Tree

_CHAT = "client.chat.completions.create(...)"
_EMBED = "client.embeddings.create(...)"
_NO_SUCH = "of OpenAI's old API: there is no such thing any more"
# Names of the SDK before 1.0, and what stands in their place. Source: openai-python v1.0.0, the migration guide #742.
_BEFORE_1 = {
    "ChatCompletion": _CHAT,
    "Completion": "client.completions.create(...)",
    "Embedding": _EMBED,
    "Edit": _NO_SUCH,
    "Image": "client.images.generate(...)",
    "Audio": "client.audio.transcriptions.create(...)",
    "Moderation": "client.moderations.create(...)",
    "File": "client.files.create(...)",
    "FineTune": "client.fine_tuning.jobs.create(...)",
    "FineTuningJob": "client.fine_tuning.jobs.create(...)",
    "Model": "client.models.list()",
    "Engine": "client.models.list()",
    "Deployment": _NO_SUCH,
    "Customer": _NO_SUCH,
    "error": "the classes are in `openai` itself: openai.RateLimitError, openai.APIError",
    "openai_object": "replies are objects with attributes",
    "api_base": "`base_url` of a profile",
    "api_requestor": _NO_SUCH,
    "embeddings_utils": "write the few lines yourself: the module is gone",
    "proxy": "`http_client=` of a client, or the environment's proxies",
    "aiosession": "AsyncOpenAI",
    "requestssession": "`http_client=` of a client",
}
_SETTINGS = frozenset(
    {*("api_key", "organization", "base_url", "api_type", "api_version", "azure_endpoint", "http_client", "timeout")}
    | {"max_retries", "default_headers", "default_query", "project"}
)
_OLLAMA = {
    "chat": _CHAT,
    "generate": "client.chat.completions.create(...) with one message; client.completions.create(...) for a raw prompt",
    "embed": _EMBED,
    "embeddings": _EMBED,
    "list": "client.models.list()",
    "Client": "OpenAI(profile=...)",
    "AsyncClient": "AsyncOpenAI(profile=...)",
    **{name: f"client.models.{name}(...)" for name in ("pull", "push", "create", "copy", "delete", "show", "ps")},
}
_LITELLM = {
    **dict.fromkeys(("completion", "acompletion"), _CHAT),
    **dict.fromkeys(("text_completion", "atext_completion"), "client.completions.create(...)"),
    **dict.fromkeys(("embedding", "aembedding"), _EMBED),
    **dict.fromkeys(("responses", "aresponses"), "client.responses.create(...)"),
    **dict.fromkeys(("completion_cost", "batch_completion", "Router"), "stays with litellm"),
}
_LANGCHAIN_OLLAMA = frozenset({"ChatOllama", "OllamaEmbeddings", "OllamaLLM", "Ollama"})
_TIKTOKEN = frozenset({"encoding_for_model", "get_encoding", "encoding_name_for_model"})
# What makes a client for itself, or takes one. The root of the package, the name, and how ours gets in.
_LANGCHAIN = "hand it the client: client=ours.chat.completions, root_client=ours (async_client=, root_async_client=)"
_FRAMEWORKS: dict[tuple[str, str], str] = {
    ("instructor", "from_openai"): "takes llm_adapter's client as it is",
    ("instructor", "patch"): "takes llm_adapter's client as it is",
    ("instructor", "apatch"): "takes llm_adapter's client as it is",
    ("instructor", "from_provider"): "makes a client of its own: from_openai(OpenAI()) takes ours",
    ("langchain", "ChatOpenAI"): _LANGCHAIN,
    ("langchain", "AzureChatOpenAI"): "makes a client of its own; ChatOpenAI takes ours",
    ("langchain", "OpenAIEmbeddings"): "client=ours.embeddings, and check_embedding_ctx_length=False",
    ("langchain", "OpenAI"): "client=ours.completions",
    ("llama_index", "OpenAI"): "openai_client=ours",
    ("llama_index", "OpenAIEmbedding"): "makes a client of its own; it takes http_client= alone",
    ("agents", "OpenAIChatCompletionsModel"): "openai_client=ours (AsyncOpenAI)",
    ("agents", "OpenAIResponsesModel"): "openai_client=ours (AsyncOpenAI)",
    ("agents", "OpenAIProvider"): "openai_client=ours (AsyncOpenAI)",
    ("agents", "set_default_openai_client"): "takes ours; set_tracing_disabled(True) keeps prompts from OpenAI",
    ("agents", "Runner"): "set_default_openai_client(AsyncOpenAI()), with ours, and set_tracing_disabled(True)",
    ("pydantic_ai", "OpenAIProvider"): "openai_client=ours (AsyncOpenAI)",
    ("pydantic_ai", "OpenAIModel"): "provider=OpenAIProvider(openai_client=ours)",
    ("pydantic_ai", "OpenAIChatModel"): "provider=OpenAIProvider(openai_client=ours)",
    ("pydantic_ai", "OpenAIResponsesModel"): "provider=OpenAIProvider(openai_client=ours)",
    ("autogen_ext", "OpenAIChatCompletionClient"): "makes a client of its own: name the address and the model there",
    ("dspy", "LM"): "goes through litellm: name the address and the model there",
}


def packages(tree: Tree, names: Names) -> Iterator[Finding]:
    """Calls of other packages that reach models, and of what counts tokens."""
    for one in tree.all(cst.Call):
        kind, subject, advice = _package(one.node.func, names)
        if kind:
            yield Finding(kind, tree.place(one.node.func), subject, advice)


def _package(function: cst.BaseExpression, names: Names) -> tuple[str, str, str]:
    """The rule of a call, what stands there, and what to do; empty where there is none."""
    name = names.qualified(function) or ""
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    held = names.held(function)
    if root == "tiktoken" and last in _TIKTOKEN:
        return "tiktoken", name, "count_tokens(model, messages) knows other models, too"
    # It may be handed on: `from app import litellm`.
    if "litellm" in (root, name.split(".")[-2:][0]) and last in _LITELLM:
        return "litellm", f"litellm.{last}", _LITELLM[last]
    if root.startswith("langchain") and last in _LANGCHAIN_OLLAMA:
        return "langchain-ollama", last, "or ChatOpenAI, OpenAIEmbeddings with llm_adapter's client"
    if name in ("ollama.Client", "ollama.AsyncClient"):
        return "ollama", name, _OLLAMA[last]
    if held is not None and held.package == "ollama" and len(held.path) == 1 and held.path[0] in _OLLAMA:
        return "ollama", f"ollama.{held.path[0]}", _OLLAMA[held.path[0]]
    advice = _advice(root, last) or _advice(root, (key(function) or ""), name)
    return ("framework", name, advice) if advice else ("", "", "")


def _advice(root: str, last: str, name: str = "") -> str | None:
    """What to do about a framework's name; `Runner.run` is found by what comes before its last part."""
    begin = "langchain" if root.startswith("langchain") else root
    middle = name.split(".")[-2] if name.count(".") else last
    return _FRAMEWORKS.get((begin, last)) or (_FRAMEWORKS.get((begin, middle)) if name else None)


def old(tree: Tree, names: Names) -> Iterator[Finding]:
    """The SDK before 1.0, and settings of the module itself (P38)."""
    for one in tree.all(cst.Attribute):
        if isinstance(one.parent, cst.Attribute) and one.parent.value is one.node:
            continue  # a part of a longer name
        parts = (names.qualified(one.node) or "").split(".")
        if parts[0] != "openai" or len(parts) < 2 or isinstance(one.parent, (cst.ImportFrom, cst.ImportAlias)):
            continue
        if parts[1] in _BEFORE_1:
            yield Finding("openai-0x", tree.place(one.node), ".".join(parts), _BEFORE_1[parts[1]])
        elif len(parts) == 2 and parts[1] in _SETTINGS and isinstance(one.parent, cst.AssignTarget):
            yield Finding(
                "module-client", tree.place(one.node), ".".join(parts), "an argument of OpenAI(), or a profile"
            )
    for one in tree.all(cst.ImportFrom):
        yield from _old_imports(tree, one)


def _old_imports(tree: Tree, one: Node) -> Iterator[Finding]:
    module = tree.code(one.node.module) if one.node.module is not None else ""
    if one.node.relative or module.partition(".")[0] != "openai":
        return
    below = module.split(".")[1:2]
    if below and below[0] in _BEFORE_1:
        yield Finding("openai-0x", tree.place(one.node), module, _BEFORE_1[below[0]])
    elif isinstance(one.node.names, cst.ImportStar):
        yield Finding(
            "star-import", tree.place(one.node), f"from {module} import *", "its names are taken for the SDK's"
        )
    else:
        for alias in one.node.names:
            name = alias.name.value if not below and isinstance(alias.name, cst.Name) else ""
            if name in ("api_base", "error", "api_requestor", "openai_object", "embeddings_utils"):
                yield Finding("openai-0x", tree.place(alias), f"openai.{name}", _BEFORE_1[name])
