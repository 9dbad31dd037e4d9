"""`scan --fix` on files and notebooks: what is written, how, and what is asked first."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import prepared
import pytest
from commands import Command, command  # noqa: F401 - a fixture

from llm_adapter.devtools.migrate.swap_files import planned, uncommitted, write
from llm_adapter.devtools.migrate.swap_notebooks import notebook

APP = Path(__file__).parents[3] / "examples" / "openai_app.py"
CODE = "from openai import OpenAI\nclient = OpenAI()\n"
SWAPPED = "from llm_adapter import OpenAI\nclient = OpenAI()\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "app.py").write_text(CODE, encoding="utf-8")
    return folder


# --- the command -----------------------------------------------------------------------------------------------------


def test_yes(command: Command, project: Path) -> None:  # noqa: F811
    """The diff is shown, the file is written; a second run has nothing to do."""
    result = command("scan", str(project), "--fix", "--yes")
    assert result.code == 0
    assert "-from openai import OpenAI\n+from llm_adapter import OpenAI\n client = OpenAI()\n" in result.out
    assert "formatter" in result.out
    assert (project / "app.py").read_text(encoding="utf-8") == SWAPPED
    again = command("scan", str(project), "--fix", "--yes")
    assert (again.code, "nothing to swap" in again.out) == (0, True)


def test_nothing_is_written_without_a_word(command: Command, project: Path) -> None:  # noqa: F811
    """Where nobody can be asked the diff is shown, and the way to go on is told."""
    result = command("scan", str(project), "--fix")
    assert (result.code, "+from llm_adapter import OpenAI" in result.out) == (1, True)
    assert (
        result.err
        == "llm-adapter: nothing is written, as nobody can be asked: --yes changes the 1 file without a question\n"
    )
    assert (project / "app.py").read_text(encoding="utf-8") == CODE


@pytest.mark.parametrize(("answer", "code", "text"), [("y", 0, SWAPPED), ("n", 1, CODE), ("", 1, CODE)])
def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, project: Path, answer: str, code: int, text: str) -> None:
    """One question for all files: half a swap would leave two kinds of client. No is the default."""
    from llm_adapter.cli.fix import fix

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    (project / "other.py").write_text(CODE, encoding="utf-8")
    assert fix([project], yes=False) == code
    assert [(project / name).read_text(encoding="utf-8") for name in ("app.py", "other.py")] == [text, text]


@pytest.mark.parametrize("line", ["from langfuse.openai import OpenAI", "from langfuse.openai import openai"])
def test_langfuses_client_is_told(command: Command, project: Path, line: str) -> None:  # noqa: F811
    """It is the SDK's own, which no profile moves: `import langfuse.openai` traces ours too."""
    (project / "traced.py").write_text(f"import os\n{line}\n", encoding="utf-8")
    result = command("scan", str(project / "traced.py"), "--fix", "--yes")
    assert (result.code, f"{project / 'traced.py'}:2  Langfuse hands out" in result.out) == (1, True)
    assert "    import langfuse.openai\n    from llm_adapter import OpenAI\n" in result.out


OWN = CODE + "mine = OpenAI(base_url='https://api.groq.com/openai/v1')\n"


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--yes"], ["own.py", "variable.py"]),
        (["--yes", "--own-addresses"], []),
    ],
)
def test_a_client_with_an_address_of_its_own(
    command: Command,  # noqa: F811
    project: Path,
    options: list[str],
    left: list[str],
) -> None:
    """It goes somewhere else than the profile says, on purpose perhaps: its file is not swapped without a word."""
    (project / "own.py").write_text(OWN, encoding="utf-8")
    (project / "variable.py").write_text(CODE + "mine = OpenAI(base_url=url)\n", encoding="utf-8")
    for name, same in (("openais.py", "'https://api.openai.com/v1'"), ("nothing.py", "None")):
        (project / name).write_text(CODE + f"same = OpenAI(base_url={same})\n", encoding="utf-8")
    result = command("scan", str(project), "--fix", *options)
    assert result.code == bool(left)
    assert [path.name for path in sorted(project.iterdir()) if "from openai" in path.read_text("utf-8")] == left
    assert (f"{project / 'own.py'}:3  this client has an address of its own, base_url=" in result.out) == bool(left)
    assert ("--own-addresses swaps it too" in result.out) == bool(left)


@pytest.mark.parametrize(("answers", "swapped"), [("y\ny\n", True), ("n\n", False), ("y\nn\n", False)])
def test_a_person_is_asked_about_its_file(
    monkeypatch: pytest.MonkeyPatch, project: Path, answers: str, swapped: bool
) -> None:
    from llm_adapter.cli.fix import fix

    monkeypatch.setattr(sys, "stdin", Terminal(*answers.split()))
    (project / "app.py").write_text(OWN, encoding="utf-8")
    assert fix([project], yes=False) == (not swapped)
    assert ("from llm_adapter" in (project / "app.py").read_text("utf-8")) == swapped


class Terminal:
    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    def isatty(self) -> bool:
        return True

    def readline(self, *size: int) -> str:
        return self._lines.pop(0) + "\n"


def test_fix_reports_nothing_else(command: Command, project: Path) -> None:  # noqa: F811
    assert "cannot be combined" in command.mistake("scan", str(project), "--fix", "--json", code=2)
    assert "--yes can only be given with --fix" in command.mistake("scan", str(project), "--yes", code=2)


def test_what_is_left_is_told(command: Command, project: Path) -> None:  # noqa: F811
    """A place that needs a person is shown with its lines, and the exit status says that something is left."""
    (project / "errors.py").write_text(
        "import openai\nc = openai.OpenAI()\nE = openai.RateLimitError\n", encoding="utf-8"
    )
    result = command("scan", str(project), "--fix", "--yes")
    assert result.code == 1
    assert f"{project / 'errors.py'}:1  `import openai` serves openai.RateLimitError (line 3) too" in result.out
    assert "\n    import llm_adapter\n    llm_adapter.OpenAI(...)\n" in result.out
    assert (project / "app.py").read_text(encoding="utf-8") == SWAPPED


def test_the_swapped_program_runs(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The example, turned back to the SDK's import and swapped by the command, speaks to an embedded llama.cpp."""
    program = tmp_path / "app.py"
    theirs = APP.read_text(encoding="utf-8").replace(
        "from llm_adapter import OpenAI  # was: from openai import OpenAI", CODE[:25]
    )
    program.write_text(theirs, encoding="utf-8")
    assert "llm_adapter" not in theirs
    assert command("scan", str(program), "--fix", "--yes").code == 0
    assert program.read_text(encoding="utf-8") == theirs.replace("from openai import", "from llm_adapter import")
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    done = prepared.run(program.read_text(encoding="utf-8"))
    assert (done.returncode, "dimensions; similarity" in done.stdout) == (0, True)


# --- files -----------------------------------------------------------------------------------------------------------


def fixed(*paths: Path) -> Any:
    plan = planned(paths)
    for change in plan.changes:
        write(change)
    return plan


ENCODED = {
    "BOM": b"\xef\xbb\xbffrom openai import OpenAI\n",
    "latin-1": b"# coding: latin-1\nfrom openai import OpenAI  # \xe9\n",
    "CRLF": b"import os\r\nfrom openai import OpenAI\r\n",
    "no end": "x = '€'\nfrom openai import OpenAI".encode(),
}


@pytest.mark.parametrize("data", ENCODED.values(), ids=ENCODED)
def test_bytes(tmp_path: Path, data: bytes) -> None:
    """Encoding, byte order mark and line ends stay."""
    file = tmp_path / "a.py"
    file.write_bytes(data)
    fixed(tmp_path)
    assert file.read_bytes() == data.replace(b"from openai", b"from llm_adapter")


def test_mode_and_link(project: Path, tmp_path: Path) -> None:
    """An executable stays one; through a link the file is changed, and the link stays. Nothing else is left behind."""
    file, link = project / "app.py", tmp_path / "link.py"
    file.chmod(0o751)
    link.symlink_to(file)
    fixed(link)
    assert (link.is_symlink(), file.read_text(encoding="utf-8"), stat.S_IMODE(file.stat().st_mode)) == (
        True,
        SWAPPED,
        0o751,
    )
    assert [path.name for path in project.iterdir()] == ["app.py"]


def test_a_file_that_changed_meanwhile(project: Path) -> None:
    """Between the diff and the answer an editor may have saved."""
    change = planned([project]).changes[0]
    (project / "app.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(OSError, match="changed in the meantime"):
        write(change)
    assert (project / "app.py").read_text(encoding="utf-8") == "x = 1\n"


def test_a_write_that_fails(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is as it was, and no half of another one is beside it."""

    def full(*paths: Any) -> None:
        raise OSError(28, "no space left")

    change = planned([project]).changes[0]
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write(change)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in project.iterdir()] == [("app.py", CODE)]


def test_what_cannot_be_read(project: Path) -> None:
    (project / "bad.py").write_bytes(b"from openai import OpenAI  # \xff\n")
    (project / "bad.ipynb").write_text("from openai import OpenAI", encoding="utf-8")
    plan = planned([project])
    assert sorted(path.name for path, _ in plan.failed) == ["bad.ipynb", "bad.py"]
    assert [change.path.name for change in plan.changes] == ["app.py"]


MODULE = "import openai\nclient = openai.OpenAI()\n"


@pytest.mark.parametrize(
    "other",
    [
        "from clients import openai\nE = openai.APIError\n",
        "import clients\nE = clients.openai.APIError\n",
        "patch('app.clients.openai.APIError')\n",
        "from app.clients import (\n    x,\n    openai,\n)\n",
        "from .clients import *\nE = openai.APIError\n",
    ],
)
def test_a_module_that_others_reach_through(project: Path, other: str) -> None:
    """Its `openai` has to keep the SDK's other names."""
    (project / "clients.py").write_text(MODULE, encoding="utf-8")
    assert "clients.py" in {change.path.name for change in planned([project]).changes}
    (project / "other.py").write_text(other, encoding="utf-8")
    plan = planned([project])
    assert "clients.py" not in {change.path.name for change in plan.changes}
    assert "other modules" in plan.by_hand[0][1].reason


def test_a_module_called_openai(project: Path) -> None:
    """A script's neighbour hides the SDK; inside a package it does not."""
    (project / "openai.py").write_text("class OpenAI: ...\n", encoding="utf-8")
    plan = planned([project])
    assert (plan.changes, "module of your own" in plan.by_hand[0][1].reason) == ([], True)
    package = project / "below"
    package.mkdir()
    for name, text in {"__init__.py": "", "openai.py": CODE, "app.py": CODE}.items():
        (package / name).write_text(text, encoding="utf-8")
    assert {change.path.name for change in planned([package / "openai.py", package / "app.py"]).changes} == {
        "app.py",
        "openai.py",
    }


def test_uncommitted(project: Path) -> None:
    """Files that git does not have yet are named; without git none is."""
    changes = planned([project]).changes
    assert uncommitted(changes) == []
    git = ["git", "-C", str(project), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert [path.name for path in uncommitted(changes)] == ["app.py"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    assert uncommitted(changes) == []


# --- notebooks -------------------------------------------------------------------------------------------------------


def cell(*lines: str, kind: str = "code", **more: Any) -> dict[str, Any]:
    output = [{"output_type": "stream", "name": "stdout", "text": ["from openai import OpenAI\n", "é"]}]
    return {"outputs": output, "cell_type": kind, "metadata": {"z": 1, "a": 2}, "source": list(lines), **more}


def book(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


BOOK = book(
    cell("# Use `from openai import OpenAI`\n", kind="markdown"),
    cell(
        "%pip install openai\n", "!ls é\n", "\n", "from openai import OpenAI, APIError  # é 😀\n", "client = OpenAI()"
    ),
    cell("%%bash\n", "from openai import OpenAI\n"),
    cell("%%time\n", "from openai import AsyncOpenAI\n", "x = !ls\n", "await AsyncOpenAI().models.list()\n"),
)
AFTER = (
    (
        "from openai import OpenAI, APIError  # é 😀\n",
        "from llm_adapter import OpenAI\n",
        "from openai import APIError  # é 😀\n",
    ),
    ("from openai import AsyncOpenAI\n", "from llm_adapter import AsyncOpenAI\n"),
)


@pytest.mark.parametrize("indent", [1, 2, "\t", None])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("end", ["\n", ""])
def test_notebook(indent: Any, ascii_only: bool, end: str) -> None:
    """The file is as if its own writer had written the new lines: indent, escapes, order, outputs and the end stay."""
    expected = json.loads(json.dumps(BOOK))
    for place, (before, *after) in zip((1, 3), AFTER, strict=True):
        source = expected["cells"][place]["source"]
        source[source.index(before) : source.index(before) + 1] = after
    style: Any = {"indent": indent, "ensure_ascii": ascii_only}
    swapped = notebook(json.dumps(BOOK, **style) + end)
    assert swapped.text == json.dumps(expected, **style) + end
    assert [number for number, _, _ in swapped.cells] == [2, 4]
    assert notebook(swapped.text).text == swapped.text


def test_notebook_with_one_string_a_cell() -> None:
    """nbformat allows it; what is escaped in an unusual way elsewhere in the string stays so."""
    source = r'"x = \"\u00e9\/\ud83d\ude00\"\nfrom openai import OpenAI, E"'
    text = f'{{"cells": [{{"cell_type": "code", "source": {source}}}]}}'
    assert notebook(text).text == text.replace(
        "from openai import OpenAI, E", "from llm_adapter import OpenAI\\nfrom openai import E"
    )


def test_cells_share_their_names() -> None:
    """A cell that asks the module for more keeps it the SDK's, wherever it stands; the place is told by its cell."""
    both = book(cell("import openai\n", "c = openai.OpenAI()"), cell("E = openai.APIError"))
    swapped = notebook(json.dumps(both))
    assert (swapped.cells, len(swapped.swap.by_hand)) == ((), 1)
    said = "`import openai` serves openai.APIError (cell 2:line 1) too: write ours at cell 1:line 2"
    assert swapped.swap.by_hand[0].reason == said
    earlier = notebook(json.dumps(book(*reversed(both["cells"]))))
    assert (earlier.cells, earlier.places[earlier.swap.by_hand[0].line - 1]) == ((), (2, 1))
    assert len(notebook(json.dumps(book(both["cells"][0]))).cells) == 1


def test_another_language() -> None:
    other = {**book(cell("from openai import OpenAI\n")), "metadata": {"kernelspec": {"language": "R"}}}
    assert notebook(json.dumps(other)).cells == ()


@pytest.mark.parametrize(
    "metadata", [{"dotnet_interactive": {"language": "csharp"}}, {"vscode": {"languageId": "sql"}}]
)
def test_a_cell_in_another_language(metadata: dict[str, Any]) -> None:
    swapped = notebook(json.dumps(book(cell("from openai import OpenAI\n", metadata=metadata), cell("x = 1\n"))))
    assert (swapped.cells, swapped.swap.by_hand) == ((), ())


def test_random_notebooks() -> None:
    """Whatever the magics around it, only the import's characters change."""
    dice = random.Random(1)
    lines = [
        "%matplotlib inline\n",
        "!pip install openai\n",
        "x = 1\n",
        "y = %env HOME\n",
        "df?\n",
        "# é\n",
        "\n",
        "s = '😀'\n",
    ]
    for _ in range(50):
        chosen = [dice.choice(lines) for _ in range(dice.randrange(6))]
        chosen.insert(dice.randrange(len(chosen) + 1), "from openai import OpenAI\n")
        text = json.dumps(book(cell(*chosen)), indent=1, ensure_ascii=dice.random() < 0.5)
        place = text.index('"source"')
        expected = text[:place] + text[place:].replace("from openai", "from llm_adapter", 1)
        assert notebook(text).text == expected
