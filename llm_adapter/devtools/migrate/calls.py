"""The call sites of a file: methods of the API, on what is or may be a client, and their arguments.

Source of the endpoints: openai-python src/openai/resources, v3.52.0; tests hold the table against the SDK's clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import libcst as cst

from llm_adapter.devtools.endpoints import RESOURCES
from llm_adapter.devtools.migrate.literals import UNKNOWN, entries, literal
from llm_adapter.devtools.migrate.names import NO_CLIENT, Held, Names
from llm_adapter.devtools.migrate.trees import Node, Scope, Tree

CREATING = ("create", "parse", "stream")
# What an instructor client has for `create`, on itself, on `messages` and on the chat's resource.
# Source: instructor/v2/core/client.py Instructor, 1.17.0.
INSTRUCTOR = ("create", "create_partial", "create_iterable", "create_with_completion")
_INSTRUCTOR_STREAMS = ("create_partial", "create_iterable")
MAIN = {resource: path for path, resource in RESOURCES.items()}  # the endpoints whose arguments have rows
# What is below a resource and is none of the four: its path begins so. The longest name counts.
_RESOURCES = {
    "chat.completions": "/chat/completions/{id}",
    "responses": "/responses/{id}",
    "models": "/models",
    "images.generate": "/images/generations",
    "images.edit": "/images/edits",
    "images.create_variation": "/images/variations",
    "audio.transcriptions": "/audio/transcriptions",
    "audio.translations": "/audio/translations",
    "audio.speech": "/audio/speech",
    "audio.voices": "/audio/voices",
    "audio.voice_consents": "/audio/voice_consents",
    "files": "/files",
    "uploads": "/uploads",
    "batches": "/batches",
    "moderations": "/moderations",
    "fine_tuning": "/fine_tuning",
    "vector_stores": "/vector_stores",
    "beta.vector_stores": "/vector_stores",
    "beta.assistants": "/assistants",
    "beta.threads": "/threads",
    "beta.chatkit": "/chatkit",
    "beta.realtime": "/realtime",
    "beta.responses": "/responses",
    "beta.agents": "/agents",
    "realtime": "/realtime",
    "conversations": "/conversations",
    "containers": "/containers",
    "content_provenance_checks": "/content_provenance_checks",
    "evals": "/evals",
    "skills": "/skills",
    "videos": "/videos",
    "admin": "/organization",
    "decisions": "/decisions",
    "live": "/live",
    "safety": "/safety",
}
# Ends of chains, beside the four endpoints', that hardly any other package's clients have, and their resources.
_TELLING_METHODS = frozenset(
    {
        *("images.generate", "images.edit", "images.create_variation", "audio.speech.create"),
        *("audio.transcriptions.create", "audio.translations.create", "moderations.create"),
        *("files.create", "batches.create", "fine_tuning.jobs.create"),
    }
)
_TELLING_RESOURCES = frozenset({("beta", "threads"), ("beta", "assistants")})
# Resources below resources: one that is handed on, `return client.beta.threads.runs`, is no call.
_GROUPS = frozenset(
    {
        *("messages", "runs", "steps", "files", "file_batches", "jobs", "checkpoints", "permissions", "alpha"),
        *("graders", "input_items", "input_tokens", "output_items", "items", "parts", "sessions", "versions"),
        *("transcription_sessions", "translations", "calls", "client_secrets", "forks", "sideband"),
        *("alerts", "cases", "threads"),
    }
)
# What the client has beside its resources, or a resource beside its calls: nothing is sent.
LOCAL = frozenset({"webhooks"})
# Our own verbs, which OpenAI's client lacks (llm_adapter/management/models.py).
_OF_MODELS = ("pull", "push", "create", "copy", "show", "ps", "load", "unload", "preload", "version")


class Method(NamedTuple):
    """One method of the API."""

    name: str  # "chat.completions.create"
    http: str
    path: str  # below /v1
    main: bool = False  # its arguments have rows

    @property
    def streams(self) -> bool:
        """Whether it makes a stream of itself, without `stream=True`."""
        return self.name.rpartition(".")[2] in ("stream", *_INSTRUCTOR_STREAMS)


def method_of(chain: tuple[str, ...]) -> Method | None:
    """The method that a chain of attributes is; None where it is none."""
    parts = chain[1:] if chain[:2] == ("beta", "chat") else chain
    resource, last = ".".join(parts[:-1]), parts[-1] if parts else ""
    if last in INSTRUCTOR[1:] and resource in ("chat.completions", "messages", "", "responses"):
        endpoint = MAIN["responses" if resource == "responses" else "chat.completions"]
        return Method(".".join(parts), "POST", endpoint, main=True)
    if last.startswith("_") or not resource or last in _GROUPS:
        return None
    name = ".".join(parts)
    if resource in MAIN and last in CREATING and not (resource in ("completions", "embeddings") and last != "create"):
        return Method(name, "POST", MAIN[resource], main=True)
    if resource == "models" and last in _OF_MODELS:
        return None
    for length in range(len(parts), 0, -1):
        path = _RESOURCES.get(".".join(parts[:length]))
        if path is not None and (length < len(parts) or path.startswith("/images")):
            return Method(name, _http(last), path)
    return None


def telling_end(chain: tuple[str, ...]) -> tuple[str, ...] | None:
    """The end of a chain that only OpenAI's clients have, whatever it is called on."""
    for start in range(len(chain) - 1):
        end = chain[start:]
        if end[-1] in (*CREATING, *INSTRUCTOR) and ".".join(end[:-1]) in MAIN and method_of(end) is not None:
            return end
        if (".".join(end) in _TELLING_METHODS or (len(end) > 2 and end[:2] in _TELLING_RESOURCES)) and method_of(
            end
        ) is not None:
            return end
    return None


def _http(verb: str) -> str:
    if verb in ("list", "retrieve", "content", "retrieve_content", "search"):
        return "GET"
    return "DELETE" if verb == "delete" else "POST"


# Functions that call the function they are given, with the arguments that follow it.
_CALLERS = ("partial", "partialmethod", "to_thread", "run_sync", "run_in_threadpool")
# One of these tells a likely call from another package's method of the same name.
_TELLING_ARGUMENTS = {
    "/chat/completions": {"messages", "model"},
    "/completions": {"prompt", "model"},
    "/embeddings": {"input", "model"},
    "/responses": {"input", "model", "prompt"},
    "/images/generations": {"prompt"},
    "/images/edits": {"image", "prompt"},
    "/images/variations": {"image"},
    "/audio/transcriptions": {"file"},
    "/audio/translations": {"file"},
    "/audio/speech": {"voice"},
    "/moderations": {"input"},
    "/files": {"purpose"},
    "/batches": {"completion_window"},
}
_REPLY_READERS = ("with_raw_response", "with_streaming_response")
_SENT_AS = {"text_format": "text"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call."""

    name: str
    value: Any  # UNKNOWN where the text does not tell
    node: Any  # where it stands


@dataclass(frozen=True, slots=True)
class Site:
    """One call site."""

    method: Method
    tree: Tree
    node: Any  # the call, or the method where it is handed on
    scope: Scope
    certain: bool
    module: bool  # called on the module `openai` itself
    arguments: tuple[Argument, ...]
    more: bool  # it has arguments that the text does not tell
    wrappers: frozenset[str] = frozenset()  # packages that the file imports

    def argument(self, name: str) -> Argument | None:
        return next((one for one in self.arguments if one.name == name), None)


def sites(tree: Tree, names: Names) -> Iterator[Site]:
    """The call sites, in the order of the text."""
    called = set()
    for one in tree.all(cst.Call):
        called.add(id(one.node.func))
        yield from _site(tree, names, one, one.node.func, one.node.args)
    for one in tree.all(cst.Attribute):
        if id(one.node) not in called and isinstance(one.parent, (cst.Arg, cst.Assign, cst.Return)):
            yield from _handed_on(tree, names, one)


def _handed_on(tree: Tree, names: Names, one: Node) -> Iterator[Site]:
    """A method that is given to something else: `partial(client.chat.completions.create, n=2)`."""
    if isinstance(one.parent, cst.Assign):
        return  # its name is called, and known to hold it
    call = tree.call(one.parent)
    called = call.func if call is not None else None
    last = called.attr.value if isinstance(called, cst.Attribute) else getattr(called, "value", "")
    yield from _site(tree, names, one, one.node, call.args if call is not None and last in _CALLERS else None)


def _site(tree: Tree, names: Names, one: Node, function: Any, given: Any) -> Iterator[Site]:
    """given: None where the arguments are somewhere else."""
    chain = _chain(function)
    found = _method_and_client(names, function, chain) or _with_response_model(names, function, chain, given)
    if found is None:
        return
    method, held = found
    arguments, more = _arguments(names, given, one.scope) if given is not None else ((), True)
    if not held.certain and not _is_telling(method, arguments, more):
        return
    if method.name == "responses.stream" and any(one.name == "response_id" for one in arguments):
        method = Method(method.name, "GET", "/responses/{id}")  # it goes on with one that was made before
    arguments = tuple(_translated(method, argument) for argument in arguments)
    yield Site(method, tree, one.node, one.scope, held.certain, held.module, arguments, more, names.packages)


def _chain(function: Any) -> tuple[str, ...]:
    """The attributes of an expression, but for those that only say how a reply is read."""
    chain: list[str] = []
    while isinstance(function, cst.Attribute):
        chain.insert(0, function.attr.value)
        function = function.value
    return tuple(part for part in chain if part not in _REPLY_READERS)


def _without(function: Any, count: int) -> Any:
    """What the last so many attributes of a chain are taken from."""
    while count:
        count -= function.attr.value not in _REPLY_READERS
        function = function.value
    return function


def _method_and_client(names: Names, function: Any, chain: tuple[str, ...]) -> tuple[Method, Held] | None:
    """The method, by what it is called on, or by its name alone."""
    held = names.held(function)
    if held is not None and held not in NO_CLIENT:
        method = _method_on_client(held.path, names) if held.package == "openai" else None
        return (method, held) if method is not None else None
    end = telling_end(chain)
    if held is not None or end is None:
        return None
    method = method_of(end)
    if method is None or names.held(_without(function, len(end))) in NO_CLIENT:
        return None
    return method, Held("openai", end, certain=False)


def _method_on_client(path: tuple[str, ...], names: Names) -> Method | None:
    """The method at this path of a client; a file that imports instructor has its clients."""
    if path in (("create",), ("messages", "create")) and "instructor" in names.packages:
        return Method(".".join(path), "POST", MAIN["chat.completions"], main=True)
    return method_of(path)


def _with_response_model(names: Names, function: Any, chain: tuple[str, ...], given: Any) -> tuple[Method, Held] | None:
    """A call on an instructor client of another module: nobody else has `create` with a `response_model`."""
    if given is None or chain[-1:] == () or chain[-1] not in INSTRUCTOR or names.held(function.value) in NO_CLIENT:
        return None
    if not any(one.keyword is not None and one.keyword.value == "response_model" for one in given):
        return None
    return Method(chain[-1], "POST", MAIN["chat.completions"], main=True), Held("openai", chain[-1:], certain=False)


def _is_telling(method: Method, arguments: tuple[Argument, ...], more: bool) -> bool:
    given = {argument.name for argument in arguments}
    return more or bool(given & _TELLING_ARGUMENTS.get(method.path, given)) or method.path not in _TELLING_ARGUMENTS


def _arguments(names: Names, given: Any, scope: Scope) -> tuple[tuple[Argument, ...], bool]:
    """The arguments by name, with `extra_body` merged in as the SDK merges it, and whether there are more."""
    found: dict[str, Argument] = {}
    more = False
    for argument in given:
        if argument.keyword is not None:
            name = argument.keyword.value
            found[name] = Argument(name, literal(argument.value, names, scope), argument)
        elif argument.star == "**":
            inner, inner_more = entries(argument.value, names, scope)
            found |= {name: Argument(name, *entry) for name, entry in inner.items()}
            more = more or inner_more
        elif argument.star == "*":
            more = True
    extra = found.pop("extra_body", None)
    if extra is not None:
        node = extra.node.value if isinstance(extra.node, (cst.Arg, cst.DictElement)) else extra.node
        inner, inner_more = entries(node, names, scope)
        found |= {name: Argument(name, *entry) for name, entry in inner.items()}
        more = more or (inner_more and extra.value is not None)
    return tuple(found.values()), more


def _translated(method: Method, argument: Argument) -> Argument:
    """`.parse()` of the Responses API has a word of its own for what it sends as `text`."""
    name = _SENT_AS.get(argument.name)
    return Argument(name, UNKNOWN, argument.node) if name and method.path == "/responses" else argument
