"""The values that a text gives away: literals, and names that are bound to one once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import Binding, key
from llm_adapter.devtools.migrate.names import Names
from llm_adapter.devtools.migrate.trees import Scope, value_of

_DEEP = 40


class _Unknown:
    """What the text does not tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()
_WORDS = {"True": True, "False": False, "None": None}


def literal(node: Any, names: Names, scope: Scope, depth: int = 0) -> Any:
    """The value, or UNKNOWN; in lists and dictionaries, UNKNOWN in the places that are."""
    if depth > _DEEP:
        return UNKNOWN
    match node:
        case cst.SimpleString() | cst.ConcatenatedString():
            value = value_of(node)
            return value if isinstance(value, str) else UNKNOWN
        case cst.Integer() | cst.Float():
            return UNKNOWN if value_of(node) is None else value_of(node)
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer() | cst.Float() as number):
            return UNKNOWN if value_of(number) is None else -value_of(number)
        case cst.Name(value=word) if word in _WORDS:
            return _WORDS[word]
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            if any(isinstance(one, cst.StarredElement) for one in elements):
                return UNKNOWN
            return [literal(one.value, names, scope, depth + 1) for one in elements]
        case cst.Dict() | cst.Call(func=cst.Name(value="dict")):
            found, more = entries(node, names, scope, depth + 1)
            return UNKNOWN if more else {name: value for name, (value, _) in found.items()}
        case cst.Name() | cst.Attribute():
            one = bound_once(node, names, scope)
            return UNKNOWN if one is None else literal(one.value, names, one.scope, depth + 1)
    return UNKNOWN


def is_known(value: Any) -> bool:
    """Whether a literal is known to its last part."""
    match value:
        case dict():
            return all(map(is_known, value.values()))
        case list():
            return all(map(is_known, value))
    return value is not UNKNOWN


def entries(node: Any, names: Names, scope: Scope, depth: int = 0) -> tuple[dict[str, tuple[Any, Any]], bool]:
    """The named entries of a dictionary, each as its value and its node, and whether there may be more.

    A name is followed to the one dictionary that it is bound to, with what is added to it there.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if depth > _DEEP:
        return found, True
    match node:
        case cst.Dict(elements=elements):
            return _dict_entries(elements, names, scope, depth)
        case cst.Call(func=cst.Name(value="dict"), args=args):
            more = False
            for argument in args:
                if argument.keyword is not None:
                    found[argument.keyword.value] = literal(argument.value, names, scope, depth + 1), argument
                else:
                    inner, inner_more = entries(argument.value, names, scope, depth + 1)
                    found, more = found | inner, more or inner_more
            return found, more
        case cst.Name() | cst.Attribute():
            one = bound_once(node, names, scope)
            if one is None:
                return found, True
            found, more = entries(one.value, names, one.scope, depth + 1)
            for added in _added_entries(node, names, one.scope):
                found.setdefault(*added)
            return found, more
    return found, True


def _dict_entries(elements: Any, names: Names, scope: Scope, depth: int) -> tuple[dict[str, tuple[Any, Any]], bool]:
    found: dict[str, tuple[Any, Any]] = {}
    more = False
    for one in elements:
        if isinstance(one, cst.StarredDictElement):
            inner, inner_more = entries(one.value, names, scope, depth + 1)
            found, more = found | inner, more or inner_more
            continue
        name = literal(one.key, names, scope, depth + 1)
        if isinstance(name, str):
            found[name] = literal(one.value, names, scope, depth + 1), one
        else:
            more = True
    return found, more


def _added_entries(node: Any, names: Names, scope: Scope) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What `params["n"] = 2` adds to a dictionary. It may be under a condition: the value is not relied on."""
    for one in names.bound.get((id(scope), f"{key(node)}[]"), ()):
        for target in getattr(one.node, "targets", ()):
            match target.target:
                case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as name))]):
                    yield str(value_of(name)), (UNKNOWN, target.target)


def bound_once(node: Any, names: Names, scope: Scope) -> Binding | None:
    """The one binding of a name in the nearest scope that has any; of an attribute, in the file."""
    named = key(node)
    if named is None:
        return None
    if named.startswith("."):
        found = [one for (_, name), all_ in names.bound.items() if name == named for one in all_]
    else:
        found = _nearest(named, names, scope)
    if len(found) != 1 or key(found[0].value) == named:
        return None
    return found[0]


def _nearest(name: str, names: Names, scope: Scope) -> list[Binding]:
    while True:
        found = names.bound.get((id(scope), name), [])
        if found or _is_parameter(name, scope):
            # A parameter's default is only what it may be.
            return [] if _is_parameter(name, scope) else found
        if scope is None:
            return []
        scope = names.scopes.get(id(scope))


def _is_parameter(name: str, scope: Scope) -> bool:
    if not isinstance(scope, (cst.FunctionDef, cst.Lambda)):
        return False
    params = scope.params
    given = (*params.posonly_params, *params.params, *params.kwonly_params, params.star_kwarg, params.star_arg)
    return any(isinstance(one, cst.Param) and one.name.value == name for one in given)
