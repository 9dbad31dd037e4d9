"""Hard-coded models: what calls name, where that comes from, and what the profile makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import libcst as cst

from llm_adapter.devtools.migrate.bindings import key
from llm_adapter.devtools.migrate.calls import Site
from llm_adapter.devtools.migrate.findings import ScanFinding
from llm_adapter.devtools.migrate.frameworks import framework_of
from llm_adapter.devtools.migrate.literals import bound_once
from llm_adapter.devtools.migrate.names import NO_CLIENT, Names
from llm_adapter.devtools.migrate.trees import Node, Scope, Tree, value_of
from llm_adapter.devtools.migrate.verdicts import Target
from llm_adapter.providers import PROVIDERS
from llm_adapter.providers.embedded import models as embedded_models

# OpenAI's own models: a name that looks like one and is bound to something called a model is one.
_OPENAI = re.compile(
    r"((openai[./])?(ft:)?gpt-(?!oss)|chatgpt-|o[134](-|$)|text-(embedding|davinci|moderation)-|(davinci|babbage|curie|ada)(-|$)|whisper-|tts-"
    r"|dall-e|sora-|omni-moderation|code-davinci|codex-|computer-use)"
)
_PREFIX = re.compile(r"^openai[./:]")
_MODEL_WORD = re.compile(r"(?i)model|engine|deployment")
_GETTERS = re.compile(r"(?i)get|env|setdefault|config")  # with a name and a default
# A whole text that is one of their names, whatever it is bound to.
_WHOLE = re.compile(
    r"(openai[./:])?(ft:)?(gpt-\d[\w.:-]*|chatgpt-[\w.-]+|gpt-(image|audio|realtime)[\w.:-]*|o[134](-(mini|pro|preview)[\w.-]*)?"
    r"|text-embedding-[\w-]+|omni-moderation-[\w-]+|dall-e-\d|whisper-1|tts-1(-hd)?|computer-use-preview|codex-mini[\w-]*)"
)
# A dictionary with one of these is a reply, as tests have them.
_OF_REPLIES = frozenset({"choices", "object", "id", "created", "usage", "output", "data", "index", "finish_reason"})
_SETTINGS = ("Field", "Option", "Argument", "field", "add_argument", "option", "Unicode")


def is_openais(name: str) -> bool:
    """Whether a model's name is one of OpenAI's."""
    return _OPENAI.match(name) is not None


def models(
    tree: Tree, names: Names, sites: list[Site], target: Target, refused: list[Site] | None = None
) -> Iterator[ScanFinding]:
    """Each place that names a model once, whoever uses it.

    refused: calls that the target has no endpoint for; no model would make them work.
    """
    seen = {id(node) for _, node in _models_of_calls(refused or [], names)}
    found = [*_models_of_calls(sites, names), *_models_of_frameworks(tree, names)]
    for value, node in [*found, *_models_by_name(tree, names), *_default_models(tree, names)]:
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


def _models_of_frameworks(tree: Tree, names: Names) -> Iterator[tuple[str, Any]]:
    """What a framework's names are called with. A provider before a model, "openai/gpt-4o", is the framework's word."""
    for one in tree.all(cst.Call):
        dotted = names.qualified(one.node.func) or ""
        if framework_of(dotted) is None:
            continue
        for argument in one.node.args:
            for text, node in model_names(argument.value, names, one.scope, tree):
                if _WHOLE.fullmatch(text):
                    yield _PREFIX.sub("", text), node


def _default_models(tree: Tree, names: Names) -> Iterator[tuple[str, Any]]:
    """Whole names of models where defaults stand: fields of classes, tables, variables' and options' defaults."""
    for one in tree.all(cst.SimpleString):
        text = value_of(one.node) if _WHOLE.search(one.node.value) else None
        if isinstance(text, str) and _WHOLE.fullmatch(text) and _is_default(tree, one, names):
            yield _PREFIX.sub("", text) if ":" in text else text, one.node


def _is_default(tree: Tree, one: Node, names: Names) -> bool:
    """Whether a text is what a setting has if nobody says otherwise."""
    node, fallback = one.node, False
    for parent in tree.above(one):
        if isinstance(parent, cst.BooleanOperation):
            fallback = fallback or parent.right is node
        elif isinstance(parent, cst.Arg):
            call = tree.call(parent)
            if call is None or _is_fallback(call, parent):
                return call is not None
        elif isinstance(parent, cst.Call):
            if framework_of(names.qualified(parent.func) or ""):
                return True
            if (key(parent.func) or "").removeprefix(".") not in (*_SETTINGS, "dict"):
                return fallback
        elif isinstance(parent, (cst.Assign, cst.AnnAssign)):
            return fallback or _is_table(one.scope, tree)
        elif not _holds(parent, node):
            return fallback or (isinstance(parent, cst.Param) and parent.default is node)
        node = parent
    return False


def _holds(parent: Any, node: Any) -> bool:
    """Whether a container of a default is one: a table, a choice, a function. A list of names is a catalogue."""
    match parent:
        case cst.DictElement(value=value):
            return value is node
        case cst.Dict():
            # A table of models, such as one of their prices or their newest versions, chooses none of them.
            keys = _keys(parent)
            return not keys & _OF_REPLIES and not any(map(_WHOLE.fullmatch, keys))
        case cst.Element(value=value):
            return not isinstance(value, cst.SimpleString)
    return isinstance(parent, (cst.IfExp, cst.Lambda, cst.List))


def _is_fallback(call: cst.Call, argument: cst.Arg) -> bool:
    """`os.environ.get("CHAT", "gpt-4o")`, `Field("gpt-4o")`, `add_argument("--llm", default="gpt-4o")`."""
    name, place = key(call.func) or "", next(i for i, one in enumerate(call.args) if one is argument)
    if argument.keyword is not None:
        return argument.keyword.value == "default"
    return (place == 1 and bool(_GETTERS.search(name))) or (place == 0 and name.removeprefix(".") in _SETTINGS)


def _is_table(scope: Scope, tree: Tree) -> bool:
    """Whether constants and fields stand here; those of an Enum are a list of what there is."""
    while isinstance(scope, cst.Lambda):
        scope = tree.scopes.get(id(scope))
    if isinstance(scope, cst.ClassDef):
        return not any((key(base.value) or "").endswith("Enum") for base in scope.bases)
    return scope is None


def _keys(dictionary: Any) -> set[str]:
    """The keys of a dictionary that are plain texts."""
    keys = (getattr(one, "key", None) for one in dictionary.elements)
    return {str(value_of(one)) for one in keys if isinstance(one, cst.SimpleString)}


def _is_request(dictionary: Any) -> bool:
    """Whether a dictionary is a call's body; tests are full of those of replies."""
    return bool(_keys(dictionary) & {"messages", "input", "prompt"})


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
    settings = target.connection.configured
    has_table = target.connection.provider.name == "embedded" and embedded_models.has_table(settings)
    if name in settings.models.values() or (has_table and name in embedded_models.names(settings)):
        return "hard-coded-model", f"is the name that {target.name} knows"
    if target.connection.starter is not None and not has_table:
        return "hard-coded-model", f"is whatever model {target.name} runs"
    if not has_table and bool(_OPENAI.match(name)) == target.strict:
        return "hard-coded-model", f"is asked for by this name on {target.name}"
    return "unmapped-model", f'not mapped: models = {{ "{name}" = "..." }}'
