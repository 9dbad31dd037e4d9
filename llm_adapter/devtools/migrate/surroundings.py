"""What stands around the calls: mocks in tests, addresses in strings, variables of the environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.findings import Finding
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.trees import Node, Tree, value_of

_MOCKS = {"respx": "respx", "pytest_httpx": "pytest-httpx", "vcr": "vcrpy", "requests_mock": "requests-mock"}
_MOCKS |= {"responses": "responses"}
_FIXTURES = {"respx_mock": "respx", "httpx_mock": "pytest-httpx", "requests_mock": "requests-mock"}
_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST")
_SETTERS = ("setdefault", "putenv", "setenv")
_PATCHERS = ("patch", "setattr", "object", "dict")
_SERVER = re.compile(r"11434|api\.openai\.com")
_URL = re.compile(r"https?://(\S*:11434|api\.openai\.com)(/\S*)?$")


def mocks(tree: Tree, names: Names) -> Iterator[Finding]:
    """Each library of mocks once (P7), and what a test patches by its name."""
    seen: set[str] = set()
    for place, library in sorted(_mocks(tree, names), key=lambda one: (tree.place(one[0]).line, one[1])):
        if library not in seen:
            seen.add(library)
            yield Finding("http-mock", tree.place(place), library, "patches another HTTP library than the SDK's newest")
    for one in tree.all(cst.Call):
        match one.node.args:
            case [cst.Arg(value=cst.SimpleString() as name), *_] if _last(one.node) in _PATCHERS:
                target = str(value_of(name))
                if target.startswith("openai."):
                    yield Finding("patched-name", tree.place(name), target, "patch the name where it is used")


def _mocks(tree: Tree, names: Names) -> Iterator[tuple[Any, str]]:
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


def addresses(tree: Tree, names: Names) -> Iterator[Finding]:
    """Addresses of servers in strings, and variables of the environment that the program sets itself."""
    told: set[int] = set()
    for node, name in _set_variables(tree):
        told.add(tree.place(node).line)
        yield Finding("hard-coded-url", tree.place(node), name, "set by the program; a profile names the address")
    for one in tree.all(cst.SimpleString, cst.FormattedString):
        raw = one.node.value if isinstance(one.node, cst.SimpleString) else tree.code(one.node)
        text = _text(one.node) if _SERVER.search(raw) else ""
        if (
            _URL.match(text)
            and not isinstance(one.parent, cst.Expr)
            and tree.place(one.node).line not in told
            and not (isinstance(one.parent, cst.Arg) and _is_client(one, tree, names))
        ):
            yield Finding("hard-coded-url", tree.place(one.node), text, "a profile names the address")


def _is_client(one: Node, tree: Tree, names: Names) -> bool:
    """Whether a string is an argument of a client, which tells of it itself."""
    call = tree.call(one.parent)
    made = names.made(call.func) if call is not None else None
    return made is not None and made.package == "openai"


def _text(node: Any) -> str:
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
            case [cst.Arg(value=cst.SimpleString() as name), _, *_] if _last(one.node) in _SETTERS:
                if value_of(name) in _VARIABLES:
                    yield one.node, str(value_of(name))


def _last(call: cst.Call) -> str:
    return (key(call.func) or "").removeprefix(".")
