"""Where clients are made, and what is fixed there: addresses, keys, HTTP clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.findings import Finding
from llm_adapter.devtools.migrate.literals import UNKNOWN, literal
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.packages import ELSEWHERE
from llm_adapter.devtools.migrate.trees import Node, Tree

_ADDRESSES = ("base_url", "azure_endpoint", "websocket_base_url")
_KEYS = ("api_key", "admin_api_key", "azure_ad_token")
_OURS = "is llm_adapter's already"
_WINS = "wins over the profile's address"


def clients(tree: Tree, names: Names) -> Iterator[Finding]:
    """Each construction, each subclass, and what their arguments fix."""
    for one in tree.all(cst.Call):
        made = names.made(one.node.func)
        if made is not None and made.package == "openai" and not _is_local(one.node.func, names):
            told = list(fixed(tree, names, one))
            yield _client(tree, names, one, one.node.func, made.certain, _given(one.node, bool(told)))
            yield from told
        elif isinstance(one.node.func, cst.Attribute) and one.node.func.attr.value in ("copy", "with_options"):
            held = names.held(one.node.func.value)
            if held is not None and held.package == "openai" and not held.path:
                yield from fixed(tree, names, one)
    for one in tree.all(cst.ClassDef):
        for base in one.node.bases:
            made = names.made(base.value)
            if made is not None and made.package == "openai" and not _is_local(base.value, names):
                yield _client(tree, names, one, base.value, made.certain, f"of class {one.node.name.value}")


def _is_local(expression: Any, names: Names) -> bool:
    return names.qualified(expression) is None and isinstance(expression, cst.Name) and names.is_own(expression.value)


def _client(tree: Tree, names: Names, one: Node, named: Any, certain: bool, given: str) -> Finding:
    full = names.qualified(named) or (key(named) or "").removeprefix(".")
    last = full.rpartition(".")[2]
    said = [given] if given else []
    ours = full.startswith("llm_adapter.")
    if ours:
        said.append(_OURS)
    elif not certain:
        said.append("by its name, another module has imported it")
    kind = "other-client" if last in ELSEWHERE else "client"
    return Finding(kind, tree.place(named), last, "; ".join(said), certain, details={"ours": ours})


def _given(call: cst.Call, told: bool) -> str:
    """The arguments; and that an address from a variable wins, where no finding of its own says so."""
    names = [one.keyword.value if one.keyword is not None else "**" if one.star else "" for one in call.args]
    given = ", ".join(name for name in names if name)
    wins = "; a base_url that is not None wins over the profile's" if "base_url" in names and not told else ""
    return f"with {given}{wins}" if given else ""


def fixed(tree: Tree, names: Names, one: Node) -> Iterator[Finding]:
    """The addresses and keys among the arguments of a client. A key's value is in no finding."""
    for argument in one.node.args:
        name = argument.keyword.value if argument.keyword is not None else ""
        if name in (*_ADDRESSES, *_KEYS):
            value = literal(argument.value, names, one.scope)
            if value is UNKNOWN or not isinstance(value, str) or not value:
                continue
            if name in _ADDRESSES:
                yield Finding("hard-coded-url", tree.place(argument), f"{name}={value}", _WINS)
            else:
                yield Finding(
                    "hard-coded-key", tree.place(argument), name, "a literal, not shown; wins over the profile's key"
                )
