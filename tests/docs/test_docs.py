"""Every code block of the documents is run, loaded or checked, so that what a reader copies works.

python    run, in order, in one namespace a document. A comment before the block says otherwise:
          <!-- answered: {"json": "of every reply"} -->   its requests are answered with this
          <!-- shown: reason -->                          compiled alone
          <!-- framework: name -->                        compiled here, run by frameworks/ where that is installed
          <!-- tests: passed=2 skipped=1 -->              run by pytest, with this outcome
diff      both sides are compiled, and what it is afterwards is run like python
toml      loaded, every profile of it; after <!-- file: name -->, python blocks find it under that name
yaml      loaded
bash      every command by its row in `_command`
text      a drawing, or after <!-- printed: llm-adapter command --> lines that the command prints, with ... between
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import respx
import yaml

import llm_adapter
from llm_adapter import AdapterWarning, Settings
from llm_adapter.settings.sources import REPORT_VARIABLE, VERBOSE_VARIABLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
_BLOCK = re.compile(
    r"^(?:<!-- (?P<how>\w+): (?P<detail>[^\n]*) -->\n)?```(?P<kind>\w*)\n(?P<code>.*?)^```$", re.M | re.S
)
_CHECKED = {"python", "toml", "bash", "console", "diff", "yaml", "text"}


@dataclass(frozen=True)
class Block:
    path: Path
    line: int  # of the first line of the code
    kind: str
    code: str
    how: str | None
    detail: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


def _blocks() -> Iterator[Block]:
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code")) + 1
            yield Block(path, line, match["kind"], match["code"], match["how"], match["detail"] or "")


BLOCKS = list(_blocks())


def _of_kind(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind in kinds], ids=str)


def test_every_block_is_checked() -> None:
    assert [str(block) for block in BLOCKS if block.kind not in _CHECKED] == []
    fences = sum(len(re.findall(r"^ *```", path.read_text("utf-8"), re.M)) for path in DOCUMENTS)
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded llama.cpp, or with the answer that the block's comment gives."""
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    namespace: dict[str, Any] = {}
    for block in (block for block in BLOCKS if block.path == path and block.kind in ("python", "diff", "toml")):
        if block.kind == "toml":
            if block.how == "file":
                Path(block.detail).write_text(block.code, "utf-8")
            continue
        for side in "-+":
            # The empty lines make the tracebacks name the document's own lines.
            code = compile("\n" * (block.line - 1) + _side(block, side), str(path), "exec")
        if block.how in ("shown", "framework", "tests"):
            assert block.detail, f"{block} needs a reason, or the framework's name"
            continue
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", AdapterWarning)
            if block.how == "answered":
                router = stack.enter_context(respx.mock)
                router.route().respond(json=json.loads(block.detail))
            exec(code, namespace)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.how == "tests"], ids=str)
def test_tests(block: Block, tried: Callable[..., pytest.RunResult]) -> None:
    """Test modules that a reader copies, beside the document's own files."""
    for one in BLOCKS:
        if one.path == block.path and one.how == "file":
            Path(one.detail).write_text(one.code, "utf-8")
    outcome = dict(part.split("=") for part in block.detail.split())
    tried(block.code).assert_outcomes(**{name: int(count) for name, count in outcome.items()})


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.how == "printed"], ids=str)
def test_printed(block: Block) -> None:
    """Every line is printed by the command, in this order."""
    from typer.testing import CliRunner

    from llm_adapter.cli.app import app

    lines = iter(CliRunner().invoke(app, shlex.split(block.detail)[1:]).output.splitlines())
    assert [line for line in block.code.splitlines() if line != "..." and line not in lines] == []


@_of_kind("yaml")
def test_yaml(block: Block) -> None:
    assert yaml.safe_load(block.code)


def _side(block: Block, sign: str) -> str:
    """A diff as it was before (-) or is afterwards (+); other code as it is. Lines that are not there stay empty."""
    if block.kind != "diff":
        return block.code
    lines = block.code.splitlines()
    assert all(line[:2] in ("- ", "+ ", "  ", "", "-", "+") for line in lines), block
    return "\n".join(line[2:] if line[:1] in (sign, " ") else "" for line in lines)


@_of_kind("toml")
def test_toml(block: Block, tmp_path: Path) -> None:
    content = tomllib.loads(block.code)
    file = "pyproject.toml" if "tool" in content else "llm_adapter.toml"
    (tmp_path / file).write_text(block.code, "utf-8")
    profiles = content.get("tool", {}).get("llm_adapter", content).get("profiles", {})
    for profile in [None, *profiles]:
        Settings.load(os.environ, profile=profile)


@_of_kind("bash", "console")
def test_bash(block: Block) -> None:
    for line in block.code.splitlines():
        for command in line.removeprefix("$ ").split(" && "):
            if words := shlex.split(command, comments=True):
                _command(words)


def _command(words: list[str]) -> None:
    """Check one command: what it names exists. Those that make an environment and run in it are .ci/run's to run."""
    while re.match(r"[A-Z_]+=", words[0]):
        variable, *words = words
        _variable(variable.partition("=")[0])
    match [Path(words[0]).name, *words[1:]]:
        case ["python", "app.py"]:  # the reader's own
            pass
        case (
            ["python3", "-m", "venv", ".venv"]
            | ["python", "-m", "pytest", "-n", "auto"]
            | ["pip", "install", "-q", "-U", "pip"]
        ):
            pass
        case ["python", "-m", "pytest", path]:
            assert (ROOT / path).is_file(), path
        case ["pip", "install", *arguments]:
            _installed(" ".join(arguments))
        case ["llm-adapter", *arguments]:
            _parsed(arguments)
        case ["python", path, *_]:
            assert (ROOT / path).is_file(), path
        case ["mkdocs", "serve"]:
            assert (ROOT / "mkdocs.yml").is_file()
        case ["run"] | ["run", "--installed"]:
            assert os.access(ROOT / ".ci" / "run", os.X_OK)
        case _:
            pytest.fail(f"no check for {shlex.join(words)!r}: add a row to _command")


def _variable(name: str) -> None:
    if name.startswith("LLM_ADAPTER_"):
        known = {"profile", *Settings.model_fields}
        assert name.removeprefix("LLM_ADAPTER_").lower() in known or name in (REPORT_VARIABLE, VERBOSE_VARIABLE)


def _installed(arguments: str) -> None:
    for extras in re.findall(r"\[([\w,]+)\]", arguments):
        assert set(extras.split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])
    for group in re.findall(r"--group (\w+)", arguments):
        assert group in PYPROJECT["dependency-groups"]


def _parsed(arguments: list[str]) -> None:
    """The command and its options exist: with --help they are parsed and not run."""
    from typer.testing import CliRunner

    from llm_adapter.cli.app import app

    # What stands behind a program's name is the program's.
    asked = ["run", "--help", *arguments[1:]] if arguments[0] == "run" else [*arguments, "--help"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output


def test_tables() -> None:
    """`python tools/tables.py` changes nothing."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    shown: list[str] = []
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert tables.rendered(text) == text, f"{path.name} is not up to date: python tools/tables.py"
        shown += re.findall(r"^<!-- table: (\w+) -->$", text, re.M)
    assert sorted(shown) == sorted(tables.TABLES)  # each stands in one place


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links(path: Path) -> None:
    """Every link leads to a file, or to a heading of this document or another."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there), target


def _anchors(path: Path) -> set[str]:
    """Those of its headings; what a fence holds is code."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)}


def _anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_tables(path: Path) -> None:
    """Every row has as many cells as its head, and every table a line before it: GitHub shows them as text else."""
    lines = ["", *re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S).splitlines()]
    for before, line in pairwise(lines):
        if line.startswith("|"):
            assert line.endswith("|"), line
            assert not before or before.startswith(("|", "<!-- table: ")), line
            if before.startswith("|"):
                assert _cells(line) == _cells(before), line


def _cells(row: str) -> int:
    """A bar in code is a bar all the same, unless it is escaped."""
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def test_changelog_names_the_version() -> None:
    assert llm_adapter.__version__ == PYPROJECT["project"]["version"]
    assert llm_adapter.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")
