"""What the names of a file stand for: imports, and what is known to hold a client anywhere in it.

Evidence counts for the whole file, whatever the order: a name that holds a client in one function is taken for one in
every other. That is right far more often than it is wrong, for a call is only counted with a method of OpenAI's on it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import Binding, bindings, key, result_keys
from llm_adapter.devtools.migrate.trees import Scope, Tree, value_of

# Source: openai-python src/openai/__init__.py and lib/, v3.52.0.
CLIENTS = frozenset({"OpenAI", "AsyncOpenAI", "Client", "AsyncClient"})
ELSEWHERE = frozenset({"AzureOpenAI", "AsyncAzureOpenAI", "BedrockOpenAI", "AsyncBedrockOpenAI"})
_OURS = ("openai", "llm_adapter")
# Packages that hand out the SDK's own module or classes, with something wrapped around.
_SAME = {"langfuse.openai.openai": "openai", "langfuse.openai": "openai", "posthog.ai.openai": "openai"}
# The providers that instructor makes a client of the SDK for: "openai/gpt-4o-mini".
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
_FRAMEWORKS = (
    *("langchain", "llama_index", "pydantic_ai", "agents", "crewai", "haystack", "dspy", "autogen", "ag2", "guidance"),
    *("semantic_kernel", "smolagents", "mem0", "ragas", "aisuite"),
)
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


def held_instance(name: str) -> Held | None:
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


_ROUNDS = 6  # a name given on more often than this is not followed
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_IMPORTING = ("importlib.import_module", "pytest.importorskip", "__import__")


class Names:
    """The names of one file; of a notebook, of all its cells."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.imports: dict[str, str] = {}  # a local name to the dotted one
        self.stars: set[str] = set()  # packages all of whose names are imported
        self.bound: dict[tuple[int, str], list[Binding]] = defaultdict(list)  # by a scope's id and a key
        self.scopes: dict[int, Scope] = {}
        self._held: dict[str, Held] = {}
        self._classes: dict[str, Held | None] = {}
        self._methods: set[str] = set()  # of the file's own classes
        for tree in trees:
            self.scopes |= tree.scopes
            for one in tree.all(cst.Import, cst.ImportFrom):
                self._import(one.node)
        found = [one for tree in trees for one in bindings(tree)]
        for binding in found:
            self.bound[(id(binding.scope), binding.key)].append(binding)
            self._import_by_call(binding)
        for tree in trees:
            self._own_classes(tree)
            self._annotations(tree)
        self._follow(found)

    @cached_property
    def packages(self) -> frozenset[str]:
        """The roots of all that the file imports."""
        return frozenset(name.partition(".")[0] for name in (*self.imports.values(), *self.stars))

    # -- what a name means -----------------------------------------------------------------------------------------

    def qualified(self, expression: Any) -> str | None:
        """The dotted name that an expression stands for, by the file's imports: "openai.OpenAI"."""
        match expression:
            case cst.Name(value=name):
                if name in self.imports:
                    return canonical(self.imports[name])
                return f"openai.{name}" if "openai" in self.stars and name in CLIENTS | ELSEWHERE else None
            case cst.Attribute(value=value, attr=cst.Name(value=name)):
                inner = self.qualified(value)
                return canonical(f"{inner}.{name}") if inner else None
        return None

    def is_own(self, name: str) -> bool:
        """Whether the file has a class of this name."""
        return name in self._classes

    def made(self, expression: Any) -> Held | None:
        """What calling this expression gives, if it is a class or a wrapper that is known."""
        name = self.qualified(expression)
        own = key(expression)
        if own in self._classes:
            return self._classes[own]
        return held_instance(name or (own or "").removeprefix(".")) if name or own else None

    def held(self, expression: Any) -> Held | None:
        """What an expression is known to hold."""
        match expression:
            case cst.Name(value=name):
                return self._held_by_name(name)
            case cst.Attribute(value=value, attr=cst.Name(value=name)):
                inner = self.held(value)
                if inner is None or inner == OWN:
                    return self._held.get(f".{name}") or (inner if name in self._methods else None)
                return OTHER if inner == OTHER else inner.attribute(name)
            case cst.Call():
                return self._held_by_call(expression)
            case cst.Subscript(value=value):
                whole = self.held(value)  # items of a resource come from a server, and are no clients
                return self._held.get(key(expression) or "") or (whole if whole and not whole.path else None)
            case cst.Await(expression=value) | cst.NamedExpr(value=value):
                return self.held(value)
            case cst.BooleanOperation(left=one, right=other) | cst.IfExp(body=one, orelse=other):
                return self._better(self.held(one), self.held(other))
        return None

    def _held_by_name(self, name: str) -> Held | None:
        known = self._held.get(name)
        if known is None and name in self.imports:
            return held_module(canonical(self.imports[name]))
        return known

    def _held_by_call(self, call: cst.Call) -> Held | None:
        name = self.qualified(call.func)
        if name == "instructor.from_provider" and call.args:
            value = call.args[0].value
            return of_provider(str(value_of(value)) if isinstance(value, cst.SimpleString) else None)
        if name not in WRAPPERS and (made := self.made(call.func)) is not None:
            return made
        last = (key(call.func) or "").removeprefix(".")
        if isinstance(call.func, cst.Attribute) and last in SAME_CLIENT:
            return self.held(call.func.value)
        if (last in WRAPPERS or name in WRAPPERS) and call.args:
            return self._held_in_wrapper(call)
        if given := self._held.get(f"{key(call.func)}()"):
            return given
        if last in GIVING:
            return Held("openai", certain=False)
        inside = self.held(call.func)
        if inside in NO_CLIENT or (inside is not None and not inside.path and not inside.module):
            return inside  # a parameter that is a function giving a client
        return None

    def _held_in_wrapper(self, call: cst.Call) -> Held | None:
        for argument in call.args:
            found = self.held(argument.value) or self._held.get(f"{key(argument.value)}()") or self.made(argument.value)
            if found is not None and not found.module:
                return found
        return None

    @staticmethod
    def _better(one: Held | None, other: Held | None) -> Held | None:
        known = [held for held in (one, other) if held is not None]
        return min(known, key=lambda held: (held in NO_CLIENT, not held.certain), default=None)

    # -- reading the file ------------------------------------------------------------------------------------------

    def _import(self, statement: cst.Import | cst.ImportFrom) -> None:
        module = ""
        if isinstance(statement, cst.ImportFrom):
            module = "." * len(statement.relative) + (_dotted_name(statement.module) if statement.module else "")
            if isinstance(statement.names, cst.ImportStar):
                self.stars.add(canonical(module))
                return
        for alias in statement.names:  # type: ignore[union-attr]
            name = _dotted_name(alias.name)
            local = alias.asname.name.value if alias.asname is not None else None  # type: ignore[union-attr]
            if module:
                self._add_import(local or name, f"{module}.{name}")
            else:
                self._add_import(local or name.partition(".")[0], name if local else name.partition(".")[0])

    def _add_import(self, local: Any, name: str) -> None:
        """The SDK's stays where two branches import one name."""
        if not canonical(self.imports.get(local, "")).startswith(("openai", "llm_adapter")):
            self.imports[local] = name

    def _import_by_call(self, one: Binding) -> None:
        match one.value:
            case cst.Call(func=function, args=[cst.Arg(value=cst.SimpleString() as name), *_]):
                if (self.qualified(function) or key(function)) in _IMPORTING and isinstance(value_of(name), str):
                    self._add_import(one.key, value_of(name))

    def _own_classes(self, tree: Tree) -> None:
        """A class of the file's own is no client, unless a base is one or may be one."""
        self._methods |= {
            one.node.name.value for one in tree.all(cst.FunctionDef) if isinstance(one.scope, cst.ClassDef)
        }
        for one in tree.all(cst.ClassDef):
            bases = [base.value for base in one.node.bases]
            known = [self.made(base) for base in bases]
            names = [self.qualified(base) or key(base) or "?" for base in bases]
            plain = all(made in NO_CLIENT or is_plain(name) for made, name in zip(known, names, strict=True))
            clients = [made for made in known if made is not None and made not in NO_CLIENT]
            self._classes[one.node.name.value] = clients[0] if clients else OWN if plain else None
            for method in ("self", "cls"):
                self._held.setdefault(method, OWN) if plain else self._held.pop(method, None)

    def _annotations(self, tree: Tree) -> None:
        for one in tree.all(cst.Param):
            self._annotate([one.node.name.value], one.node.annotation)
        for one in tree.all(cst.AnnAssign):
            if named := key(one.node.target):
                self._annotate([named, f".{named.removeprefix('.')}"], one.node.annotation)
        for one in tree.all(cst.FunctionDef):
            self._annotate(result_keys(one.node, tree), one.node.returns)

    def _annotate(self, keys: list[str], annotation: cst.Annotation | None) -> None:
        found = None
        for expression in _annotation_names(annotation.annotation if annotation is not None else None):
            found = self._better(found, self.made(expression))
        if found is not None:
            for one in keys:
                self._hold(one, found)

    def _follow(self, found: list[Binding]) -> None:
        for _ in range(_ROUNDS):
            before = dict(self._held)
            for one in found:
                held = self.held(one.value)
                if held is not None and not (held.module and not held.path and one.node is None):
                    self._hold(one.key, held)
            if self._held == before:
                return

    def _hold(self, name: str, held: Held) -> None:
        better = self._better(self._held.get(name), held)
        if better is not None and (name in self._held or name not in self.imports or better not in NO_CLIENT):
            self._held[name] = better


def _dotted_name(node: Any) -> str:
    match node:
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return f"{_dotted_name(value)}.{name}"
        case cst.Name(value=name):
            return str(name)
    return ""


def _annotation_names(annotation: Any) -> Iterator[Any]:
    """The names in an annotation, those in quotes too."""
    waiting: list[Any] = [annotation] if annotation is not None else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, (cst.Name, cst.Attribute)):
            yield node
        elif isinstance(node, cst.SimpleString):
            for word in _WORD.findall(str(value_of(node))):
                if all(map(str.isidentifier, word.split("."))):  # it may be prose: "claude-3.5", "the end..."
                    yield _expression(word)
        else:
            waiting += node.children


def _expression(dotted: str) -> Any:
    first, *rest = dotted.split(".")
    node: Any = cst.Name(first)
    for part in rest:
        node = cst.Attribute(node, cst.Name(part))
    return node
