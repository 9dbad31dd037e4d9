"""What is bound to what in a tree: assignments, defaults, arguments of local functions, what functions return.

A key is a name as it is used: "client", ".client" for an attribute of anything, "client()" for what a call gives,
"clients[]" for what a container holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import libcst as cst

from llm_adapter.devtools.migrate.trees import Node, Scope, Tree

_ANY = [cst.SubscriptElement(cst.Index(cst.Name("any")))]
_PROPERTIES = ("property", "cached_property", "fixture")


class Binding(NamedTuple):
    key: str
    value: Any  # an expression
    scope: Scope
    node: Any = None  # the statement, for those that assign


def key(expression: Any) -> str | None:
    """The key of a name, an attribute, a call or an item; None for any other expression."""
    match expression:
        case cst.Name(value=name):
            return str(name)
        case cst.Attribute(attr=cst.Name(value=name)):
            return f".{name}"
        case cst.Call(func=function):
            inner = key(function)
            return inner and f"{inner}()"
        case cst.Subscript(value=value):
            inner = key(value)
            return inner and f"{inner}[]"
        case cst.Await(expression=value):
            return key(value)
    return None


def bindings(tree: Tree) -> Iterator[Binding]:
    """All of a tree's."""
    yield from assignments(tree)
    for one in tree.all(cst.Param):
        if one.node.default is not None:
            yield Binding(one.node.name.value, one.node.default, one.scope)
    for one in tree.all(cst.Return, cst.Yield):
        function = _function(one.scope, tree)
        if function is not None and one.node.value is not None and isinstance(one.node.value, cst.BaseExpression):
            for given in result_keys(function, tree):
                yield Binding(given, one.node.value, one.scope)
    yield from _arguments(tree)


def assignments(tree: Tree) -> Iterator[Binding]:
    """What statements bind, with containers' items and tuples taken apart."""
    for one in tree.all(cst.Assign):
        for target in one.node.targets:
            yield from _assigned_bindings(target.target, one.node.value, one)
    for one in tree.all(cst.AnnAssign, cst.NamedExpr):
        if one.node.value is not None:
            yield from _assigned_bindings(one.node.target, one.node.value, one)
    for one in tree.all(cst.WithItem):
        if one.node.asname is not None:
            yield from _assigned_bindings(one.node.asname.name, one.node.item, one)
    yield from _loops(tree)


def _loops(tree: Tree) -> Iterator[Binding]:
    for one in tree.all(cst.For, cst.CompFor):
        items = one.node.iter
        if isinstance(items, (cst.List, cst.Tuple)):
            for element in items.elements:
                yield from _assigned_bindings(one.node.target, element.value, one)
        elif key(items):
            yield from _assigned_bindings(one.node.target, cst.Subscript(items, _ANY), one)


def _assigned_bindings(target: Any, value: Any, one: Node) -> Iterator[Binding]:
    if isinstance(target, (cst.Tuple, cst.List)):
        if isinstance(value, (cst.Tuple, cst.List)) and len(value.elements) == len(target.elements):
            for part, item in zip(target.elements, value.elements, strict=True):
                yield from _assigned_bindings(part.value, item.value, one)
        return
    named = key(target)
    if named is None:
        return
    for name in _keys_in_scope(named, one.scope):
        yield Binding(name, value, one.scope, one.node)
        for item in _items(value):
            yield Binding(f"{name}[]", item, one.scope)


def _keys_in_scope(name: str, scope: Scope) -> list[str]:
    """A name of a class is an attribute, too; and so is one of a module for who imports it."""
    return [name, f".{name}"] if isinstance(scope, cst.ClassDef) and not name.startswith(".") else [name]


def _items(value: Any) -> list[Any]:
    match value:
        case cst.Dict(elements=elements) | cst.List(elements=elements) | cst.Tuple(elements=elements):
            return [one.value for one in elements]
        case cst.DictComp(value=item) | cst.ListComp(elt=item):
            return [item]
    return []


def result_keys(function: cst.FunctionDef, tree: Tree) -> list[str]:
    """The keys under which others find what a function returns."""
    name = function.name.value
    keys = [f"{name}()", f".{name}()"]
    marks = [
        key(one.decorator.func if isinstance(one.decorator, cst.Call) else one.decorator) for one in function.decorators
    ]
    if any(mark and mark.endswith(_PROPERTIES) for mark in marks):
        keys += [name, f".{name}"]
    return keys


def _function(scope: Scope, tree: Tree) -> cst.FunctionDef | None:
    while isinstance(scope, cst.Lambda):
        scope = tree.scopes.get(id(scope))
    return scope if isinstance(scope, cst.FunctionDef) else None


def _arguments(tree: Tree) -> Iterator[Binding]:
    """What calls of the tree's own functions and classes give to their parameters."""
    functions = _parameters(tree)
    for one in tree.all(cst.Call):
        named = key(one.node.func)
        names = functions.get((named or "").removeprefix("."))
        if names is None:
            continue
        for name, argument in zip(names, one.node.args, strict=False):
            if argument.keyword is None and not argument.star:
                yield Binding(name, argument.value, one.scope)
        for argument in one.node.args:
            if argument.keyword is not None and argument.keyword.value in names:
                yield Binding(argument.keyword.value, argument.value, one.scope)


def _parameters(tree: Tree) -> Mapping[str, list[str]]:
    """The parameters of each function, and of each class with a constructor or fields."""
    found: dict[str, list[str]] = {}
    for one in tree.all(cst.FunctionDef):
        names = [part.name.value for part in (*one.node.params.posonly_params, *one.node.params.params)]
        names += [part.name.value for part in one.node.params.kwonly_params]
        owner = one.scope
        inside = isinstance(owner, cst.ClassDef)
        names = names[1:] if inside and names and names[0] in ("self", "cls") else names
        found[owner.name.value if inside and one.node.name.value == "__init__" else one.node.name.value] = names  # type: ignore[union-attr]
    for one in tree.all(cst.AnnAssign):
        if isinstance(one.scope, cst.ClassDef) and isinstance(one.node.target, cst.Name):
            found.setdefault(one.scope.name.value, []).append(one.node.target.value)
    return found
