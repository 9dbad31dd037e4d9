"""Hard-coded models: what calls name, where that comes from, and what the profile makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.calls import Site
from llm_adapter.devtools.migrate.findings import ScanFinding
from llm_adapter.devtools.migrate.literals import bound_once
from llm_adapter.devtools.migrate.names import NO_CLIENT, Names
from llm_adapter.devtools.migrate.trees import Scope, Tree, value_of
from llm_adapter.devtools.migrate.verdicts import Target
from llm_adapter.providers import PROVIDERS

# OpenAI's own models: a name that looks like one and is bound to something called a model is one.
_OPENAI = re.compile(
    r"((openai[./])?(ft:)?gpt-|chatgpt-|o[134](-|$)|text-(embedding|davinci|moderation)-|(davinci|babbage|curie|ada)(-|$)|whisper-|tts-"
    r"|dall-e|sora-|omni-moderation|code-davinci|codex-|computer-use)"
)
_MODEL_WORD = re.compile(r"(?i)model|engine|deployment")
_GETTERS = re.compile(r"(?i)get|env|setdefault|config")  # with a name and a default
_SETTINGS = ("Field", "Option", "Argument", "field", "add_argument", "option", "Unicode")


def models(
    tree: Tree, names: Names, sites: list[Site], target: Target, refused: list[Site] | None = None
) -> Iterator[ScanFinding]:
    """Each place that names a model once, whoever uses it.

    refused: calls that the target has no endpoint for; no model would make them work.
    """
    seen = {id(node) for _, node in _models_of_calls(refused or [], names)}
    for value, node in [*_models_of_calls(sites, names), *_models_by_name(tree, names)]:
        if id(node) not in seen:
            seen.add(id(node))
            kind, message = _kind_and_message(value, target)
            yield ScanFinding(kind, tree.place(node), value, message)


def _models_of_calls(sites: list[Site], names: Names) -> Iterator[tuple[str, Any]]:
    for site in sites:
        for name in ("model", "engine"):
            argument = site.argument(name)
            if argument is not None:
                value = argument.node.value if hasattr(argument.node, "value") else argument.node
                yield from model_names(value, names, site.scope, site.tree)


def model_names(node: Any, names: Names, scope: Scope, tree: Tree, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The names of models that an expression may be, each with the place of its text, if that is in this tree."""
    match node:
        case cst.SimpleString():
            if isinstance(value_of(node), str) and value_of(node) and tree.has(node):
                yield value_of(node), node
        case cst.BooleanOperation(left=one, right=other) | cst.IfExp(body=one, orelse=other):
            for part in (one, other):
                yield from model_names(part, names, scope, tree, depth + 1)
        case cst.Call(args=[_, cst.Arg(value=value), *_]) if _GETTERS.search(key(node.func) or ""):
            yield from model_names(value, names, scope, tree, depth + 1)
        case cst.Name() | cst.Attribute() if depth < 5:
            bound = bound_once(node, names, scope)
            if bound is not None:
                yield from model_names(bound.value, names, bound.scope, tree, depth + 1)
            elif isinstance(node, cst.Name):
                yield from _parameter_default(node.value, names, scope, tree, depth)


def _parameter_default(name: str, names: Names, scope: Scope, tree: Tree, depth: int) -> Iterator[tuple[str, Any]]:
    """The default of the parameter that a name is."""
    while scope is not None:
        if isinstance(scope, cst.FunctionDef):
            params = scope.params
            for one in (*params.posonly_params, *params.params, *params.kwonly_params):
                if one.name.value == name:
                    if one.default is not None:
                        yield from model_names(one.default, names, names.scopes.get(id(scope)), tree, depth + 1)
                    return
        scope = names.scopes.get(id(scope))


def _models_by_name(tree: Tree, names: Names) -> Iterator[tuple[str, Any]]:
    """What is called a model and looks like one of OpenAI's: constants, defaults, options of the command line."""
    given: list[tuple[str, Any, Scope]] = []
    for one in tree.all(cst.Assign):
        given += [(key(target.target) or "", one.node.value, one.scope) for target in one.node.targets]
    given += [(key(one.node.target) or "", one.node.value, one.scope) for one in tree.all(cst.AnnAssign)]
    given += [(one.node.name.value, one.node.default, one.scope) for one in tree.all(cst.Param)]
    for one in tree.all(cst.Arg):
        called = one.parent.func if isinstance(one.parent, cst.Call) else None
        named_so = one.node.keyword is not None and _MODEL_WORD.search(one.node.keyword.value)
        if named_so and names.held(called) not in NO_CLIENT:
            given.append((one.node.keyword.value, one.node.value, one.scope))
    for one in tree.all(cst.DictElement):
        if isinstance(one.node.key, cst.SimpleString) and _is_request(one.parent):
            given.append((str(value_of(one.node.key)), one.node.value, one.scope))
    given += [part for one in tree.all(cst.Call) for part in _option(one.node, one.scope)]
    for name, value, scope in given:
        if _MODEL_WORD.search(name) and value is not None:
            for text, node in model_names(_setting(value), names, scope, tree, depth=5):
                if _OPENAI.match(text):
                    yield text, node


def _is_request(dictionary: Any) -> bool:
    """Whether a dictionary is a call's body; tests are full of those of replies."""
    keys = {
        str(value_of(one.key)) for one in dictionary.elements if isinstance(getattr(one, "key", None), cst.SimpleString)
    }
    return bool(keys & {"messages", "input", "prompt"})


def _option(call: cst.Call, scope: Scope) -> Iterator[tuple[str, Any, Scope]]:
    """`add_argument("--model", default="gpt-4o")`."""
    match call.args:
        case [cst.Arg(value=cst.SimpleString() as name), *rest] if str(value_of(name)).startswith("-"):
            for argument in rest:
                if argument.keyword is not None and argument.keyword.value == "default":
                    yield str(value_of(name)), argument.value, scope


def _setting(value: Any) -> Any:
    """The default that a field or an option is made with."""
    if isinstance(value, cst.Call) and (key(value.func) or "").removeprefix(".") in _SETTINGS:
        for argument in value.args:
            if argument.keyword is None or argument.keyword.value == "default":
                return argument.value
    return value


def _kind_and_message(name: str, target: Target) -> tuple[str, str]:
    """The kind of finding, and what the target makes of the name."""
    real = target.model(name)
    prefix = real.partition("/")[0]
    if prefix in PROVIDERS and prefix != real and prefix != target.connection.provider.name:
        return "hard-coded-model", f"goes to provider {prefix!r}"
    if real != name:
        return "hard-coded-model", f"is {real} on {target.name}"
    if name in target.connection.configured.models.values():
        return "hard-coded-model", f"is the name that {target.name} knows"
    if target.connection.starter is not None:
        return "hard-coded-model", f"is whatever model {target.name} runs"
    if bool(_OPENAI.match(name)) == target.strict:
        return "hard-coded-model", f"is asked for by this name on {target.name}"
    return "unmapped-model", f'not mapped: models = {{ "{name}" = "..." }}'
