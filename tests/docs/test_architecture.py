"""The documents name files and symbols: each of them is there, so that a reader who follows them arrives.

A path below one of the repository's folders stands in backquotes; `tests/x.py::test_y` names a function of it. In
docs/architecture.md a name in backquotes is also looked for in the files of its paragraph, list item or row.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from test_layers import LAYERS

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob(".github/**/*.md"))]
_FOLDERS = "llm_adapter|tests|tools|frameworks|conformance|benchmarks|docs|examples|.github|.ci"
_PATH = re.compile(rf"(?<![\w/.-])((?:{_FOLDERS})/[\w./-]*[\w/])(?:::(\w+))?")
_OF_THE_READER = "llm_adapter/llm_adapter.toml"  # a folder and a file of whoever uses the package
_CODE = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r'"?[A-Za-z_][\w.]*"?')


def paths(text: str) -> Iterator[tuple[str, str]]:
    """The paths in backquotes or in a drawing, each with the name behind `::`."""
    drawings = re.findall(r"^```text\n(.*?)^```$", text, re.M | re.S)
    for code in [*_CODE.findall(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)), *drawings]:
        yield from _PATH.findall(code.replace(_OF_THE_READER, ""))


@lru_cache
def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_is_there(document: Path) -> None:
    missing = [
        f"{path}::{name}" if name else path
        for path, name in paths(document.read_text("utf-8"))
        if not (ROOT / path).exists() or (name and name not in defined(ROOT / path))
    ]
    assert missing == []


def passages() -> Iterator[str]:
    """The list items, table rows and paragraphs of the architecture, without its drawings and headings."""
    text = re.sub(r"^```.*?^```$", "", ARCHITECTURE.read_text("utf-8"), flags=re.M | re.S)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line


@lru_cache
def words(paths: tuple[str, ...]) -> set[str]:
    """The words of these files; of folders, those of all their modules."""
    places = [ROOT / path for path in paths]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return {word for file in files for word in re.findall(r"\w+", file.read_text("utf-8"))}


@pytest.mark.parametrize("passage", list(passages()), ids=lambda text: text[:40])
def test_every_name_of_the_architecture_is_in_its_files(passage: str) -> None:
    files = tuple(path for path, _ in paths(passage)) or ("llm_adapter",)
    codes = [code for code in _CODE.findall(passage) if _NAME.fullmatch(code)]
    names = {word for code in codes for word in re.findall(r"\w+", code)}
    assert sorted(names - words(files)) == [], f"looked for in {', '.join(files)}"


def test_the_walk_ends_at_the_line() -> None:
    """What the page promises: its last step leads to the function that writes the native parameter."""
    walk = ARCHITECTURE.read_text("utf-8").partition("## From `max_completion_tokens`")[2].partition("\n## ")[0]
    steps = [line for line in walk.splitlines() if re.match(r"\d\. ", line)]
    [(last, _)] = set(paths(steps[-1]))
    source = (ROOT / last).read_text("utf-8")
    row = re.search(r'"max_completion_tokens": \w+\("`options.num_predict`", (\w+)', source)
    assert row is not None
    function = re.search(rf"def {row[1]}\(.*?\n\n\n", source, re.S)
    assert function is not None
    assert '["num_predict"] = value' in function[0]


def test_the_table_of_folders_is_the_order_of_the_layers() -> None:
    section = ARCHITECTURE.read_text("utf-8").partition("## The folders")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `llm_adapter/(\w+)", section, re.M)) == LAYERS
