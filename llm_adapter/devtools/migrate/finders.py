"""What a scan finds beside calls and models: clients, other packages, old code, mocks and addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.findings import ScanFinding
from llm_adapter.devtools.migrate.frameworks import finding, framework_name
from llm_adapter.devtools.migrate.literals import UNKNOWN, literal
from llm_adapter.devtools.migrate.names import ELSEWHERE, Names
from llm_adapter.devtools.migrate.trees import Node, Tree, value_of
from llm_adapter.settings.hosts import is_openai

_ADDRESSES = ("base_url", "azure_endpoint", "websocket_base_url")
_KEYS = ("api_key", "admin_api_key", "azure_ad_token")


def clients(tree: Tree, names: Names) -> Iterator[ScanFinding]:
    """Each construction, each subclass, and what their arguments fix."""
    for one in tree.all(cst.Call):
        made = names.made(one.node.func)
        if made is not None and made.package == "openai" and not _is_local(one.node.func, names):
            fixed = list(fixed_arguments(tree, names, one))
            summary = _argument_summary(one.node, bool(fixed))
            yield _client_finding(tree, names, one.node.func, made.certain, summary)
            yield from fixed
        elif isinstance(one.node.func, cst.Attribute) and one.node.func.attr.value in ("copy", "with_options"):
            held = names.held(one.node.func.value)
            if held is not None and held.package == "openai" and not held.path:
                yield from fixed_arguments(tree, names, one)
    for one in tree.all(cst.ClassDef):
        for base in one.node.bases:
            made = names.made(base.value)
            if made is not None and made.package == "openai" and not _is_local(base.value, names):
                yield _client_finding(tree, names, base.value, made.certain, f"of class {one.node.name.value}")


def _is_local(expression: Any, names: Names) -> bool:
    return names.qualified(expression) is None and isinstance(expression, cst.Name) and names.is_own(expression.value)


def _client_finding(tree: Tree, names: Names, named: Any, certain: bool, summary: str) -> ScanFinding:
    full = names.qualified(named) or (key(named) or "").removeprefix(".")
    last = full.rpartition(".")[2]
    notes = [summary] if summary else []
    ours = full.startswith("llm_adapter.")
    if ours:
        notes.append("is llm_adapter's already")
    elif not certain:
        notes.append("judged by its name alone: another module has imported it")
    kind = "other-client" if last in ELSEWHERE else "client"
    return ScanFinding(kind, tree.place(named), last, "; ".join(notes), certain, details={"ours": ours})


def _argument_summary(call: cst.Call, fixed: bool) -> str:
    """The arguments; and that an address from a variable wins, where no finding of its own says so."""
    names = [one.keyword.value if one.keyword is not None else "**" if one.star else "" for one in call.args]
    given = ", ".join(name for name in names if name)
    wins = "; a base_url that is not None wins over the profile's" if "base_url" in names and not fixed else ""
    return f"with {given}{wins}" if given else ""


def fixed_arguments(tree: Tree, names: Names, one: Node) -> Iterator[ScanFinding]:
    """The addresses and keys among the arguments of a client. A key's value is in no finding."""
    for argument in one.node.args:
        name = argument.keyword.value if argument.keyword is not None else ""
        if name in (*_ADDRESSES, *_KEYS):
            value = literal(argument.value, names, one.scope)
            if value is UNKNOWN or not isinstance(value, str) or not value:
                continue
            if name in _ADDRESSES:
                yield ScanFinding(
                    "hard-coded-url", tree.place(argument), f"{name}={value}", "wins over the profile's address"
                )
            else:
                yield ScanFinding(
                    "hard-coded-key", tree.place(argument), name, "a literal, not shown; wins over the profile's key"
                )


def own_addresses(tree: Tree, names: Names) -> Iterator[tuple[int, str]]:
    """The clients of the SDK with an address that is not OpenAI's: the line, and the argument as the text has it.

    An address from a variable is one as well: nobody can tell that it is OpenAI's.
    """
    for one in tree.all(cst.Call):
        made, name = names.made(one.node.func), names.qualified(one.node.func) or ""
        if (
            made is None
            or made.package != "openai"
            or name.startswith("llm_adapter.")
            or name.endswith(tuple(ELSEWHERE))
        ):
            continue
        for argument in one.node.args:
            if argument.keyword is not None and argument.keyword.value == "base_url":
                value = literal(argument.value, names, one.scope)
                if value is UNKNOWN or (isinstance(value, str) and value and not is_openai(value)):
                    yield tree.place(argument).line, f"base_url={tree.code(argument.value)}"


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
_PAST_RUN = "litellm sends it without the SDK, past `llm-adapter run`"
_LITELLM = {
    **dict.fromkeys(("completion", "acompletion"), _CHAT),
    **dict.fromkeys(("text_completion", "atext_completion"), "client.completions.create(...)"),
    **dict.fromkeys(("embedding", "aembedding"), _EMBED),
    # litellm's own HTTP client, v1.110.2: litellm/llms/custom_httpx/llm_http_handler.py.
    **dict.fromkeys(("responses", "aresponses"), f"client.responses.create(...); {_PAST_RUN}"),
    **dict.fromkeys(("image_edit", "aimage_edit"), f"client.images.edit(...); {_PAST_RUN}"),
    **dict.fromkeys(("completion_cost", "batch_completion", "Router"), "stays with litellm"),
}
_LANGCHAIN_OLLAMA = frozenset({"ChatOllama", "OllamaEmbeddings", "OllamaLLM", "Ollama"})
_TIKTOKEN = frozenset({"encoding_for_model", "get_encoding", "encoding_name_for_model"})


def other_packages(tree: Tree, names: Names) -> Iterator[ScanFinding]:
    """Calls of other packages that reach models, and of what counts tokens."""
    for one in tree.all(cst.Call):
        kind, subject, advice = _package_rule(one.node.func, names)
        if kind:
            details = {"framework": kind} if kind == "litellm" else {}
            yield ScanFinding(kind, tree.place(one.node.func), subject, advice, details=details)
        elif known := framework_name(names.qualified(one.node.func) or ""):
            yield finding(tree, one.node.func, known)


def _package_rule(function: cst.BaseExpression, names: Names) -> tuple[str, str, str]:
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
    return "", "", ""


def old_api(tree: Tree, names: Names) -> Iterator[ScanFinding]:
    """The API of the SDK before 1.0, and settings of the module itself."""
    for one in tree.all(cst.Attribute):
        if isinstance(one.parent, cst.Attribute) and one.parent.value is one.node:
            continue  # a part of a longer name
        parts = (names.qualified(one.node) or "").split(".")
        if parts[0] != "openai" or len(parts) < 2 or isinstance(one.parent, (cst.ImportFrom, cst.ImportAlias)):
            continue
        if parts[1] in _BEFORE_1:
            yield ScanFinding("openai-0x", tree.place(one.node), ".".join(parts), _BEFORE_1[parts[1]])
        elif len(parts) == 2 and parts[1] in _SETTINGS and isinstance(one.parent, cst.AssignTarget):
            yield ScanFinding(
                "module-client", tree.place(one.node), ".".join(parts), "an argument of OpenAI(), or a profile"
            )
    for one in tree.all(cst.ImportFrom):
        yield from _old_imports(tree, one)


def _old_imports(tree: Tree, one: Node) -> Iterator[ScanFinding]:
    module = tree.code(one.node.module) if one.node.module is not None else ""
    if one.node.relative or module.partition(".")[0] != "openai":
        return
    below = module.split(".")[1:2]
    if below and below[0] in _BEFORE_1:
        yield ScanFinding("openai-0x", tree.place(one.node), module, _BEFORE_1[below[0]])
    elif isinstance(one.node.names, cst.ImportStar):
        yield ScanFinding(
            "star-import", tree.place(one.node), f"from {module} import *", "its names are taken for the SDK's"
        )
    else:
        for alias in one.node.names:
            name = alias.name.value if not below and isinstance(alias.name, cst.Name) else ""
            if name in ("api_base", "error", "api_requestor", "openai_object", "embeddings_utils"):
                yield ScanFinding("openai-0x", tree.place(alias), f"openai.{name}", _BEFORE_1[name])


_MOCKS = {"respx": "respx", "pytest_httpx": "pytest-httpx", "vcr": "vcrpy", "requests_mock": "requests-mock"}
_MOCKS |= {"responses": "responses"}
_FIXTURES = {"respx_mock": "respx", "httpx_mock": "pytest-httpx", "requests_mock": "requests-mock"}
_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST")
_SETTERS = ("setdefault", "putenv", "setenv")
_PATCHERS = ("patch", "setattr", "object", "dict")
_SERVER = re.compile(r"11434|api\.openai\.com")
_URL = re.compile(r"https?://(\S*:11434|api\.openai\.com)(/\S*)?$")


MOCK_MESSAGE = "patches another HTTP library than the SDK's newest"


def mocks(tree: Tree, names: Names) -> Iterator[ScanFinding]:
    """Each library of HTTP mocks once, and what a test patches by its name."""
    seen: set[str] = set()
    for place, library in sorted(_mock_libraries(tree, names), key=lambda one: (tree.place(one[0]).line, one[1])):
        if library not in seen:
            seen.add(library)
            yield ScanFinding("http-mock", tree.place(place), library, MOCK_MESSAGE)
    for one in tree.all(cst.Call):
        match one.node.args:
            case [cst.Arg(value=cst.SimpleString() as name), *_] if _called_name(one.node) in _PATCHERS:
                target = str(value_of(name))
                if target.startswith("openai."):
                    yield ScanFinding("patched-name", tree.place(name), target, "patch the name where it is used")


def _mock_libraries(tree: Tree, names: Names) -> Iterator[tuple[Any, str]]:
    for one in tree.all(cst.Import, cst.ImportFrom):
        module = getattr(one.node, "module", None)
        named = [module] if module is not None else [] if isinstance(one.node, cst.ImportFrom) else one.node.names
        for part in named:
            root = tree.code(part).partition(".")[0].partition(" ")[0].strip(" ,")
            if root in _MOCKS and not getattr(one.node, "relative", ()):
                yield one.node, _MOCKS[root]
    for one in tree.all(cst.Param):
        if one.node.name.value in _FIXTURES:
            yield one.node, _FIXTURES[one.node.name.value]
    for one in tree.all(cst.Attribute):
        if one.node.attr.value == "vcr" and names.qualified(one.node) == "pytest.mark.vcr":
            yield one.node, "vcrpy"


def addresses(tree: Tree, names: Names) -> Iterator[ScanFinding]:
    """Addresses of servers in strings, and variables of the environment that the program sets itself."""
    fixed: set[int] = set()
    for node, name in _set_variables(tree):
        fixed.add(tree.place(node).line)
        yield ScanFinding("hard-coded-url", tree.place(node), name, "set by the program; a profile names the address")
    for one in tree.all(cst.SimpleString, cst.FormattedString):
        raw = one.node.value if isinstance(one.node, cst.SimpleString) else tree.code(one.node)
        text = _literal_text(one.node) if _SERVER.search(raw) else ""
        if (
            _URL.match(text)
            and not isinstance(one.parent, cst.Expr)
            and tree.place(one.node).line not in fixed
            and not (isinstance(one.parent, cst.Arg) and _is_client(one, tree, names))
        ):
            yield ScanFinding("hard-coded-url", tree.place(one.node), text, "a profile names the address")


def _is_client(one: Node, tree: Tree, names: Names) -> bool:
    """Whether a string is an argument of a client, which tells of it itself."""
    call = tree.call(one.parent)
    made = names.made(call.func) if call is not None else None
    return made is not None and made.package == "openai"


def _literal_text(node: Any) -> str:
    if isinstance(node, cst.SimpleString):
        return str(value_of(node)) if isinstance(value_of(node), str) else ""
    return "".join(part.value if isinstance(part, cst.FormattedStringText) else "{}" for part in node.parts)


def _set_variables(tree: Tree) -> Iterator[tuple[Any, str]]:
    for one in tree.all(cst.Assign):
        for target in one.node.targets:
            match target.target:
                case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as name))]):
                    if value_of(name) in _VARIABLES:
                        yield target.target, str(value_of(name))
    for one in tree.all(cst.Call):
        match one.node.args:
            case [cst.Arg(value=cst.SimpleString() as name), _, *_] if _called_name(one.node) in _SETTERS:
                if value_of(name) in _VARIABLES:
                    yield one.node, str(value_of(name))


def _called_name(call: cst.Call) -> str:
    return (key(call.func) or "").removeprefix(".")
