"""The syntax tree of one source: lists of its nodes by kind, each with its scope and its place."""

from __future__ import annotations

import gc
import re
import threading
import warnings
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import libcst as cst
from libcst._nodes.internal import CodegenState

from llm_adapter.devtools.migrate.findings import SourcePlace
from llm_adapter.devtools.migrate.sources import LONG, Source

Scope: TypeAlias = "cst.FunctionDef | cst.Lambda | cst.ClassDef | None"

# A file without any of these words has nothing to find, and is not parsed.
_WORDS = re.compile(
    r"openai|OpenAI|ollama|litellm|tiktoken|langchain|instructor|\bllm_adapter\b|11434"
    r"|\.completions\b|\.embeddings\b|\.responses\b|\.beta\.(threads|assistants)\b|\.fine_tuning\.jobs\b"
    r"|\.(images\.(generate|edit|create_variation)|(speech|transcriptions|translations|moderations)\.create)\b"
    r"|[\"'](openai[/:.])?(gpt-\d|chatgpt-|o[134]-mini|text-embedding-|dall-e-|whisper-1)|(from|import)[ \t]+"
    r"(agents|dspy|llama_index|haystack|crewai|autogen|ag2|semantic_kernel|smolagents|mem0|ragas|langfuse|pydantic_ai|aisuite)"
)
# The types of the SDK are no clients and no calls: half of a framework's files have to do with them alone.
_TYPES = re.compile(r"^[ \t]*from[ \t]+openai\.types[\w.]*[ \t]+import[ \t]+(\([^)]*\)|[^\n(]*)", re.MULTILINE)
# Spaces, commas and brackets: most of a tree, and nothing to find in them.
_LAYOUT = re.compile(
    r"whitespace|comma|equal|dot|[lr]par|[lr]bracket|[lr]brace|semicolon|colon|leading_lines|lines_after|header|footer"
    r"|indent|newline|encoding|default_|has_trailing|asname_|star$|operator$|operators"
)
_PYTHON_2 = re.compile(r"^\s*print\s+[^(=\s]|^\s*except \w+, ", re.MULTILINE)
_BRACKET = re.compile(r"[(\[{)\]}]")
_DEEP = 500  # brackets; Python itself takes 200, and LibCST takes minutes for thousands
# Parts of an expression, each in the next: LibCST takes seconds for these, and four times that for twice as many.
_LONG_CHAIN = 1_000
_STRINGS = r"""[rRbBuUfF]{0,2}(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
_LINKS = r"[-+*/%@&|^~.]|\b(?:not|lambda|else|await)\b"
_PARTS = re.compile(rf"(?P<string>{_STRINGS})|#[^\n]*|(?P<link>{_LINKS})|[()\[\]{{}},;\n]")
_LINK = re.compile(_LINKS)
_REPLACED = re.compile(r"\{([^{}]*)\}")  # of an f-string
_ROOM = 512 << 20  # bytes of stack, for expressions of tens of thousands of parts; what is not used costs nothing
_SCOPES = (cst.FunctionDef, cst.Lambda, cst.ClassDef)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A source that has no tree: it is no Python."""

    reason: str


@dataclass(slots=True)
class Node:
    """One node of a tree."""

    node: Any
    scope: Scope  # the function or class that it stands in
    parent: Any


@dataclass(slots=True)
class Tree:
    """One parsed source."""

    path: str  # as places show it
    cell: int
    module: cst.Module
    nodes: dict[type[cst.CSTNode], list[Node]] = field(default_factory=lambda: defaultdict(list))
    scopes: dict[int, Scope] = field(default_factory=dict)  # by the id of a scope's node: the one around it
    _positions: Positions | None = None
    _own: set[int] | None = None  # the ids of its nodes
    _calls: dict[int, cst.Call] | None = None  # by the ids of their arguments
    _parents: dict[int, Any] | None = None  # by the ids of their children

    def all(self, *kinds: type[cst.CSTNode]) -> Iterator[Node]:
        """The nodes of these kinds, in the order of the text for each kind."""
        for kind in kinds:
            yield from self.nodes.get(kind, ())

    def has(self, node: cst.CSTNode) -> bool:
        """Whether a node is of this tree: in a notebook, a name may come from another cell."""
        if self._own is None:
            self._own = {id(one.node) for ones in self.nodes.values() for one in ones}
        return id(node) in self._own

    def call(self, argument: Any) -> cst.Call | None:
        """The call that an argument is of; None for what is no argument of one."""
        if self._calls is None:
            self._calls = {id(one.node): one.parent for one in self.all(cst.Arg) if isinstance(one.parent, cst.Call)}
        return self._calls.get(id(argument))

    def above(self, one: Node) -> Iterator[Any]:
        """What a node stands in, from its parent up to the module."""
        if self._parents is None:
            self._parents = {id(each.node): each.parent for ones in self.nodes.values() for each in ones}
        parent = one.parent
        while parent is not None:
            yield parent
            parent = self._parents.get(id(parent))

    def place(self, node: cst.CSTNode) -> SourcePlace:
        """Where a node begins. The positions of a tree take long, and are worked out when the first is asked for."""
        if self._positions is None:
            self._positions = Positions(self.module)
        return SourcePlace(self.path, self.cell, *self._positions[node])

    def code(self, node: cst.CSTNode) -> str:
        return self.module.code_for_node(node)


def may_concern_openai(code: str) -> bool:
    """Whether a text may have something for a scan to find."""
    of_instructor = "response_model" in code and ".create" in code  # on a client that another module has made
    return of_instructor or bool(_WORDS.search(without_types(code)))


def without_types(code: str) -> str:
    """The text but for its imports of the SDK's types."""
    return _TYPES.sub("", code) if "openai.types" in code else code


def tree(source: Source) -> Tree | Unreadable:
    """The tree of a source, or why it has none."""
    if len(source.code) > LONG:
        return Unreadable(f"{len(source.code)} characters are too many to parse; is it generated?")
    if is_too_deep(source.code):
        return Unreadable("it is nested too deeply")
    try:
        module = parsed_module(source.code)
    except cst.ParserSyntaxError as error:
        hint = "; is it Python 2?" if _PYTHON_2.search(source.code) else ""
        return Unreadable(f"line {error.raw_line}: it is not Python{hint}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of the parser's own: it is written in another language, and has its own errors
        return Unreadable(f"it cannot be parsed: {error}")
    found = Tree(display_path(source.path), source.cell or 0, module)
    waiting: list[tuple[Any, Scope, Any]] = [(module, None, None)]
    while waiting:  # not by recursion: an expression may be nested deeper than Python's stack
        node, scope, parent = waiting.pop()
        found.nodes[type(node)].append(Node(node, scope, parent))
        inner = scope
        if isinstance(node, _SCOPES):
            found.scopes[id(node)] = scope
            inner = node
        waiting += [(child, inner, node) for child in reversed(_children(node))]
    return found


def is_too_deep(code: str) -> bool:
    """Whether LibCST would take minutes, or more memory than a stack has."""
    return _depth(code) > _DEEP or _longest_chain(code) > _LONG_CHAIN


def _longest_chain(code: str) -> int:
    """How many operators, attributes and calls follow one another in one expression, the ones around it included."""
    chain, around, longest = 0, [0], 0  # of this bracket, of those around it, of all
    for found in _PARTS.finditer(code):
        text = found[0]
        if found["string"]:
            longest = max(longest, *(len(_LINK.findall(part)) for part in _REPLACED.findall(text)), 0)
        elif found["link"] or text in "([{":
            chain += 1
        if text in "([{":
            around.append(around[-1] + chain)
            chain = 0
        elif text in ")]}" and len(around) > 1:
            outer = around.pop()
            chain = outer - around[-1]
        elif text in ",;" or (text == "\n" and len(around) == 1):
            chain = 0
        longest = max(longest, around[-1] + chain)
    return longest


def _depth(code: str) -> int:
    """How deep brackets are nested, those in strings taken for brackets."""
    depths = accumulate(1 if bracket in "([{" else -1 for bracket in _BRACKET.findall(code))
    return max(depths, default=0)


def parsed_module(code: str) -> cst.Module:
    """The module, parsed where there is room: LibCST's parser recurses, and a full stack ends the process."""
    found: Future[cst.Module] = Future()

    def parse() -> None:
        try:
            found.set_result(cst.parse_module(code))
        except BaseException as error:  # a panic of the parser's is not an Exception
            found.set_exception(error)

    usual = threading.stack_size(_ROOM)
    try:
        thread = threading.Thread(target=parse)
        thread.start()
    finally:
        threading.stack_size(usual)
    thread.join()
    return found.result()


def value_of(literal: Any) -> Any:
    """What a literal of the text stands for; None for one that Python would not take, such as a NUL in a string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the text's own escapes
        try:
            return literal.evaluated_value
        except (SyntaxError, ValueError, MemoryError):
            return None


def _children(node: cst.CSTNode) -> list[cst.CSTNode]:
    found: list[cst.CSTNode] = []
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [one for one in value if isinstance(one, cst.CSTNode)]
    return found


@cache
def _child_fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if not _LAYOUT.search(one.name))


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Look for cycles of objects rarely, as trees are many objects and no cycles: that saves a fourth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(max(usual[0], 100_000) if usual[0] else 0, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def display_path(path: Path) -> str:
    """A path as it is shown: relative to the working directory where it is below it."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


_LINE_END = re.compile(r"\r\n?|\n")


class Positions:
    """The lines and columns where a module's nodes begin, both from 1.

    LibCST's own PositionProvider looks for line ends in each word and visits the whole tree once more, and so takes
    most of a scan's time. Offsets and one search for line ends give the same places in a sixth of it; a test compares
    the two. Source: libcst/metadata/position_provider.py PositionProvidingCodegenState, 1.9.0.
    """

    def __init__(self, module: cst.Module) -> None:
        state = _Offsets(module.default_indent, module.default_newline)
        module._codegen(state)
        self._starts = state.starts
        self._lines = [0, *(end.end() for end in _LINE_END.finditer("".join(state.tokens)))]

    def __contains__(self, node: cst.CSTNode) -> bool:
        return id(node) in self._starts

    def __getitem__(self, node: cst.CSTNode) -> tuple[int, int]:
        offset = self._starts[id(node)]
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


class _Offsets(CodegenState):
    """Writes a module's text and remembers where each node began, its brackets and spaces left out."""

    def __init__(self, default_indent: str, default_newline: str) -> None:
        super().__init__(default_indent, default_newline)
        self.starts: dict[int, int] = {}  # by the node's id
        self._offset = 0

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self.add_token(token)

    def add_token(self, value: str) -> None:
        self.tokens.append(value)
        self._offset += len(value)

    def before_codegen(self, node: cst.CSTNode) -> None:
        self.starts[id(node)] = self._offset

    @contextmanager
    def record_syntactic_position(self, node: cst.CSTNode, **around: Any) -> Iterator[None]:
        self.starts[id(node)] = self._offset
        yield
        if around.get("start_node") is not None:
            self.starts[id(node)] = self.starts[id(around["start_node"])]
