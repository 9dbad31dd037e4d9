"""What a file imports from `openai`, and everything it does with it: LibCST's view of a text, as plain values."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import libcst as cst
from libcst.metadata import (
    Access,
    Assignment,
    ByteSpanPositionProvider,
    ClassScope,
    MetadataWrapper,
    ParentNodeProvider,
    Scope,
    ScopeProvider,
)

from llm_adapter.devtools.migrate.trees import parsed_module

ROOT = "openai"
_CHECKS = frozenset({"isinstance", "issubclass"})
_TYPED = frozenset({"cast", "TypeVar", "NewType"})
# Where a class between brackets is part of a type.
_GENERIC = frozenset(typing.__all__) | {"list", "dict", "tuple", "set", "frozenset", "type", "deque", "defaultdict"}
_PATCHES = re.compile(r"patch|setattr|delattr")

Statement: TypeAlias = "cst.Import | cst.ImportFrom"
Role: TypeAlias = Literal["value", "type", "check", "assigned"]


class Span(NamedTuple):
    """Characters of the text, the end not included."""

    start: int
    end: int

    def back(self, start: int) -> Span:
        """The same characters, counted from this one."""
        return Span(self.start - start, self.end - start)


@dataclass(frozen=True, slots=True)
class Use:
    """One place where an imported name is used."""

    line: int
    names: tuple[str, ...]  # the attributes that are asked of it, `openai.error.APIError` has two
    role: Role


@dataclass(slots=True)
class ImportedName:
    """One name of an import statement."""

    asked: str  # "OpenAI" of `from openai import OpenAI as Client`; "openai", "openai.types" of `import`
    name: str  # "Client"
    span: Span  # of `OpenAI as Client`
    word: Span  # of `OpenAI`
    uses: tuple[Use, ...] = ()
    alone: bool = True  # nothing else in the file gives this name another value


@dataclass(slots=True)
class ImportStatement:
    """An import statement that has to do with `openai`."""

    line: int
    span: Span
    module: str | None  # "openai" or "openai.types" of `from ... import`; None for `import`
    word: Span  # of the module
    names: tuple[ImportedName, ...]  # none for `from openai import *`
    for_types: bool  # it is below `if TYPE_CHECKING:`
    in_class: bool


@dataclass(slots=True)
class OpenAIUses:
    """All that a swap has to know of a file."""

    imports: list[ImportStatement] = field(default_factory=list)
    stand_ins: list[tuple[int, str]] = field(default_factory=list)  # line and name: patch("openai.OpenAI")


def openai_uses(code: str, clients: frozenset[str]) -> OpenAIUses:
    """What the text does with `openai`; `clients` are what a swap is about. Raises `libcst.ParserSyntaxError`."""
    reader = _Reader(code)
    imports = [found for node in reader.all(cst.Import, cst.ImportFrom) if (found := reader.statement(node))]
    return OpenAIUses(imports, list(reader.stand_ins(clients)))


class _Reader:
    def __init__(self, code: str) -> None:
        self._wrapper = MetadataWrapper(parsed_module(code), unsafe_skip_copy=True)
        self._data = code.encode()
        # All at once: each walk through the tree takes longer than reading the text did.
        metadata = self._wrapper.resolve_many([ByteSpanPositionProvider, ParentNodeProvider, ScopeProvider])
        self._spans: Mapping[cst.CSTNode, Any] = metadata[ByteSpanPositionProvider]
        self._parents: Mapping[cst.CSTNode, Any] = metadata[ParentNodeProvider]
        self._scope_of: Mapping[cst.CSTNode, Any] = metadata[ScopeProvider]
        self._nodes = list(self._parents)
        self._scopes: set[Any] = {scope for scope in self._scope_of.values() if scope is not None}

    def all(self, *kinds: type[cst.CSTNode]) -> list[Any]:
        """The nodes of these kinds, in the text's order."""
        return sorted(
            (node for node in self._nodes if isinstance(node, kinds)), key=lambda node: self._spans[node].start
        )

    def statement(self, node: Statement) -> ImportStatement | None:
        module = _module(node)
        names = (
            [] if isinstance(node.names, cst.ImportStar) else [self._imported_name(node, alias) for alias in node.names]
        )
        names = [one for one in names if module or one.asked.partition(".")[0] == ROOT]
        if not module and (isinstance(node, cst.ImportFrom) or not names):
            return None
        word = node.module if isinstance(node, cst.ImportFrom) and node.module else node
        return ImportStatement(
            *(self._line(node), self._span(node), module, self._span(word), tuple(names)),
            for_types=self._for_types(node),
            in_class=isinstance(self._scope_of.get(node), ClassScope),
        )

    def _imported_name(self, node: Statement, alias: cst.ImportAlias) -> ImportedName:
        asked = alias.evaluated_name
        name = alias.evaluated_alias or (asked if isinstance(node, cst.ImportFrom) else asked.partition(".")[0])
        bound = ImportedName(asked, name, self._span(alias), self._span(alias.name))
        scope = self._scope_of.get(node)
        if scope is not None:
            bound.uses = tuple(sorted(self._uses(scope, name), key=lambda use: (use.line, use.names)))
            bound.alone = all(isinstance(one, Assignment) and self._is_same_import(one, node) for one in scope[name])
        return bound

    def _is_same_import(self, assignment: Assignment, node: Statement) -> bool:
        """Whether the name gets its value from such a statement there too."""
        other = assignment.node
        if isinstance(other, cst.Import) and isinstance(node, cst.Import):
            asked = {alias.evaluated_name for alias in other.names if _local_name(alias) == assignment.name}
            return asked == {ROOT}
        return isinstance(other, cst.ImportFrom) and _module(other) == _module(node) is not None

    def _uses(self, scope: Scope, name: str) -> Iterator[Use]:
        """Every place that may mean this scope's name: a notebook's cells run in any order, a loop's lines too."""
        meant = set(scope[name])
        for other in self._scopes:
            for access in other.accesses[name]:
                if not access.referents or meant & set(access.referents):
                    yield from self._uses_at(access, name)

    def _uses_at(self, access: Access, name: str) -> Iterator[Use]:
        node: cst.CSTNode = access.node
        if isinstance(node, cst.BaseString):  # an annotation between quotes
            for match in re.finditer(rf"\b{re.escape(name)}\b((?:\.\w+)*)", str(node.evaluated_value)):  # type: ignore[attr-defined]
                yield Use(self._line(node), tuple(match[1].split(".")[1:]), "type")
            return
        while isinstance(node, cst.Attribute):
            node = node.value
        names = []
        while isinstance(parent := self._parents.get(node), cst.Attribute) and parent.value is node:
            node = parent
            names.append(parent.attr.value)
        typed = access.is_annotation or access.is_type_hint
        yield Use(self._line(node), tuple(names), "type" if typed else self._role(node))

    def _role(self, node: cst.CSTNode) -> Role:
        """What a place asks of a class: a type and a check take the SDK's class as well as a subclass of it."""
        child = node
        for parent in self._above(node):
            match parent:
                case cst.AssignTarget() | cst.Del() | cst.AugAssign():
                    return "assigned"
                case cst.MatchClass() if parent.cls is child:
                    return "check"
                case cst.Call() if parent.func is not child:
                    called = _last_name(parent.func)
                    return "check" if called in _CHECKS else "type" if called in _TYPED else "value"
                case cst.Subscript() if parent.value is not child:
                    return "type" if _last_name(parent.value) in _GENERIC else "value"
                case cst.Arg() | cst.Tuple() | cst.Element() | cst.Index() | cst.SubscriptElement():
                    child = parent
                case cst.BinaryOperation(operator=cst.BitOr()):
                    child = parent
                case _:
                    return "value"
        return "value"

    def stand_ins(self, clients: frozenset[str]) -> Iterator[tuple[int, str]]:
        """Where a client's class is replaced by its name: patch("openai.OpenAI"), setattr(openai, "OpenAI", ...)."""
        for call in self.all(cst.Call):
            if _PATCHES.search(self._wrapper.module.code_for_node(call.func)):
                first, *others = [_string_value(argument.value) for argument in call.args] or [""]
                module, _, name = first.rpartition(".")
                if module == ROOT and name in clients:
                    yield self._line(call), name
                elif not first and clients.intersection(others[:1]) and self._is_sdk(call.args[0].value):
                    yield self._line(call), others[0]

    def _is_sdk(self, node: cst.CSTNode) -> bool:
        scope = self._scope_of.get(node)
        if not isinstance(node, cst.Name) or scope is None:
            return False
        return any(one.name == ROOT for one in scope.get_qualified_names_for(node))

    def _above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        while node in self._parents:
            yield (node := self._parents[node])

    def _for_types(self, node: cst.CSTNode) -> bool:
        child = node
        for parent in self._above(node):
            if isinstance(parent, cst.If) and parent.body is child and _last_name(parent.test) == "TYPE_CHECKING":
                return True
            child = parent
        return False

    def _span(self, node: cst.CSTNode) -> Span:
        # LibCST counts bytes of UTF-8 here. Its lines and columns go wrong after a lone carriage return.
        span = self._spans[node]
        return Span(*(len(self._data[:end].decode()) for end in (span.start, span.start + span.length)))

    def _line(self, node: cst.CSTNode) -> int:
        return self._data.count(b"\n", 0, self._spans[node].start) + 1


def _module(node: Statement) -> str | None:
    """`openai` or what is below it, of a `from ... import`."""
    if not isinstance(node, cst.ImportFrom) or node.relative or node.module is None:
        return None
    name = _dotted_name(node.module)
    return name if name.partition(".")[0] == ROOT else None


def _dotted_name(node: cst.BaseExpression) -> str:
    return f"{_dotted_name(node.value)}.{node.attr.value}" if isinstance(node, cst.Attribute) else _last_name(node)


def _last_name(node: cst.BaseExpression) -> str:
    match node:
        case cst.Attribute(attr=cst.Name(value=name)) | cst.Name(value=name):
            return name
        case _:
            return ""


def _local_name(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or alias.evaluated_name.partition(".")[0]


def _string_value(node: cst.CSTNode) -> str:
    """A string's value; nothing for any other expression."""
    value: Any = node.evaluated_value if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)) else None
    return value if isinstance(value, str) else ""
