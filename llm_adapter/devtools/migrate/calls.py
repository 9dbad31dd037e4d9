"""The call sites of a file: methods of OpenAI's API, on what is known or likely to be a client, and their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate import endpoints
from llm_adapter.devtools.migrate.endpoints import Method
from llm_adapter.devtools.migrate.literals import UNKNOWN, entries, literal
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.packages import NO_CLIENT, Held
from llm_adapter.devtools.migrate.trees import Node, Scope, Tree

# Functions that call the function they are given, with the arguments that follow it.
_CALLERS = ("partial", "partialmethod", "to_thread", "run_sync", "run_in_threadpool")
# One of these tells a likely call from another package's method of the same name.
_TELLING = {
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
_READING = ("with_raw_response", "with_streaming_response")
_RESPONSES_ONLY = {"text_format": "text"}


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
    found = _certain(names, function, chain)
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
    return tuple(part for part in chain if part not in _READING)


def _without(function: Any, count: int) -> Any:
    """What the last so many attributes of a chain are taken from."""
    while count:
        count -= function.attr.value not in _READING
        function = function.value
    return function


def _certain(names: Names, function: Any, chain: tuple[str, ...]) -> tuple[Method, Held] | None:
    """The method, by what it is called on, or by its name alone."""
    held = names.held(function)
    if held is not None and held not in NO_CLIENT:
        method = endpoints.method(held.path) if held.package == "openai" else None
        return (method, held) if method is not None else None
    end = endpoints.telling(chain)
    if held is not None or end is None:
        return None
    method = endpoints.method(end)
    if method is None or names.held(_without(function, len(end))) in NO_CLIENT:
        return None
    return method, Held("openai", end, certain=False)


def _is_telling(method: Method, arguments: tuple[Argument, ...], more: bool) -> bool:
    given = {argument.name for argument in arguments}
    return more or bool(given & _TELLING.get(method.path, given)) or method.path not in _TELLING


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
    name = _RESPONSES_ONLY.get(argument.name)
    return Argument(name, UNKNOWN, argument.node) if name and method.path == "/responses" else argument
