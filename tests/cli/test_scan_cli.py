"""`llm-adapter scan` from the outside: what it prints, how it ends, and which files it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commands import Command, command

from llm_adapter.devtools.migrate.findings import RULES
from llm_adapter.devtools.migrate.sources import as_python, files, sources

__all__ = ["command"]
CODE = """import openai
client = openai.OpenAI(api_key="sk-planted")
client.chat.completions.create(model="gpt-4o", messages=HI, logit_bias={"1": 5}, n=2, user="me")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a b.py").write_text(CODE, encoding="utf-8")
    return tmp_path


def test_text(command: Command, project: Path) -> None:
    """By file, what is not simply taken below its call, then the counts and what to do."""
    result = command("scan", "app")
    assert (result.code, result.err) == (0, "")
    for part in (
        "app/a b.py\n",
        "3:1  chat.completions.create(model, messages, logit_bias, n, user)\n",
        "refused  logit_bias: Ollama's sampler has no per-token bias\n",
        "1 call site in 1 file of 1\n",
        "on ollama, by argument: 1 refused, 1 ignored, 1 emulated, 2 honoured\n",
        'models = { "gpt-4o" = "..." }\n',
    ):
        assert part in result.out, result.out
    assert "sk-planted" not in result.out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_name_writes_nothing_of_its_own(command: Command, tmp_path: Path) -> None:
    """Neither a line, nor an escape sequence, nor text in another order."""
    (tmp_path / "a\nall is well\x1b[2J\u202e.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "b\nall is well\u2066.py").write_bytes(b"import openai \xff")
    result = command("scan", str(tmp_path))
    for text in (result.out, result.err):
        assert not {"\x1b", "\u202e", "\u2066"} & set(text)
        assert not any(line.startswith("all is well") for line in text.splitlines())
    assert "a all is well[2J.py" in result.out
    assert "\u202e" in command("scan", str(tmp_path), "--json").json["findings"][0]["path"]


def test_json(command: Command, project: Path) -> None:
    told = command("scan", "app", "--json").json
    assert (told["files"], told["calls"], told["verdicts"]["refused"]) == (1, 1, 1)
    call = next(one for one in told["findings"] if one["kind"] == "call")
    assert (call["path"], call["line"], call["column"], call["evidence"]) == ("app/a b.py", 3, 1, "certain")
    n = next(one for one in call["parameters"] if one["name"] == "n")
    assert (n["verdict"], n["value"], n["line"], n["column"]) == ("emulated", "2", 3, 82)


def test_the_profile_is_the_target(command: Command, project: Path) -> None:
    Path("llm_adapter.toml").write_text(
        '[profiles.here]\nprovider = "embedded"\n[profiles.back]\nprovider = "openai"\n', encoding="utf-8"
    )
    assert command("scan", "app", "--profile", "here", "--json").json["verdicts"] == {
        "ignored": 1,
        "emulated": 1,
        "honoured": 3,
    }
    assert command("scan", "app", "--profile", "back", "--json").json["verdicts"] == {"honoured": 5}
    assert "unknown profile" in command.mistake("scan", "app", "--profile", "nowhere")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--fail-on", "never"], 0),
        (["--fail-on", "refused"], 1),
        (["--fail-on", "emulated"], 1),
        (["--fail-on", "left-out"], 0),
        (["--fail-on", "left-out", "--fail-on", "ignored"], 1),
        (["--fail-on", "client"], 1),
        (["--fail-on", "module-client", "--fail-on", "hard-coded-url", "--fail-on", "unreadable"], 0),
        (["--fail-on", "nonsense"], 2),
        (["--json", "--sarif"], 2),
        (["--yes"], 2),
    ],
)
def test_exit_codes(command: Command, project: Path, options: list[str], code: int) -> None:
    assert command("scan", "app", *options).code == code


def test_a_client_of_ours_does_not_fail_the_scan(command: Command, project: Path) -> None:
    (project / "app" / "a b.py").write_text(CODE.replace("openai", "llm_adapter"), encoding="utf-8")
    assert command("scan", "app", "--fail-on", "client").code == 0


def test_a_path_that_is_not_there(command: Command, project: Path) -> None:
    assert command("scan", "nowhere").code == 2


# The parts of SARIF 2.1.0 that a scan uses, after OASIS sarif-schema-2.1.0: what is required, and of which kind.
TEXT: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {"type": "array", "items": {"type": "object", "required": ["executionSuccessful"]}},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "semanticVersion": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "help": TEXT,
                                                "defaultConfiguration": {"properties": {"level": LEVEL}},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"enum": list(RULES)},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": LEVEL,
                                "message": TEXT,
                                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {"type": "string", "pattern": "^[^/ ][^ ]*$"},
                                                            "uriBaseId": {"type": "string"},
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_what_is_alike_is_shown_once_a_file(command: Command, project: Path) -> None:
    """Tests name one model a hundred times; each call is told all the same, and machines get everything."""
    (project / "app" / "many.py").write_text(CODE + 'def f(model="gpt-4"): ...\n' * 3 + CODE, encoding="utf-8")
    shown = command("scan", "app/many.py").out
    assert shown.count('not mapped: models = { "gpt-4" = "..." }') == 1
    assert '"gpt-4" = "..." }  (and 2 more in this file)\n' in shown
    assert shown.count("chat.completions.create(") == 2
    assert command("scan", "app/many.py", "--json").json["kinds"]["unmapped-model"] == 5


def test_sarif(command: Command, project: Path) -> None:
    """Rules and results agree, and a refusal is an error at its own argument."""
    (project / "app" / "old.py").write_text("import openai\nprint 'x'\n", encoding="utf-8")
    told = command("scan", "app", "--sarif").json
    jsonschema.validate(told, SARIF)
    run = told["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run["results"])
    refused = next(one for one in run["results"] if one["ruleId"] == "refused")
    place = refused["locations"][0]["physicalLocation"]
    assert refused["level"] == "error"
    assert place["artifactLocation"] == {"uri": "app/a%20b.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 3, "startColumn": 61}
    assert "old.py" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_fingerprints_stay_when_lines_move(command: Command, project: Path) -> None:
    def prints() -> list[str]:
        results = command("scan", "app", "--sarif").json["runs"][0]["results"]
        return [one["partialFingerprints"]["finding/v1"] for one in results]

    before = prints()
    (project / "app" / "a b.py").write_text("\n# moved\n" + CODE, encoding="utf-8")
    assert prints() == before
    assert len(set(before)) == len(before)


def test_what_cannot_be_read_is_told(command: Command, project: Path) -> None:
    """No file stops a scan, and none is passed over in silence."""
    app = project / "app"
    (app / "two.py").write_text("import openai\nprint 'x'\n", encoding="utf-8")
    (app / "latin.py").write_bytes(b"import openai\nx = '\xe9'\n")
    (app / "odd.py").write_bytes(b"# coding: nonsense\nimport openai\n")
    (app / "no.ipynb").write_text("{}", encoding="utf-8")
    (app / "none.ipynb").write_text("", encoding="utf-8")
    (app / "half.ipynb").write_text('{"cells": [', encoding="utf-8")
    (app / "bom.py").write_bytes(b"\xef\xbb\xbfimport openai\nopenai.OpenAI()\n")
    (app / "old.py").write_bytes("# coding: latin-1\nimport openai\nopenai.OpenAI()  # \xe9\n".encode("latin-1"))
    result = command("scan", "app", "--json")
    assert {name: reason.split(";")[0] for name, reason in result.json["unreadable"].items()} == {
        "app/two.py": "line 2: it is not Python",
        "app/latin.py": "it is not utf-8, and says nothing else",
        "app/odd.py": "unknown encoding: nonsense",
        "app/no.ipynb": "it is no notebook: there are no cells",
        "app/none.ipynb": "it is empty",
        "app/half.ipynb": "it is no JSON: Expecting value: line 1 column 12 (char 11)",
    }
    assert "llm-adapter: app/two.py is not scanned: line 2: it is not Python; is it Python 2?\n" in result.err
    clients = {one["path"] for one in result.json["findings"] if one["kind"] == "client"}
    assert clients == {"app/a b.py", "app/bom.py", "app/old.py"}


def test_without_the_extra(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_adapter.cli.scan.find_spec", lambda name: None)
    assert command.mistake("scan", "app") == "scan needs the extra `migrate`: pip install 'llm_adapter[migrate]'\n"


@pytest.mark.parametrize("known_to_git", [False, True])
def test_which_files(tmp_path: Path, known_to_git: bool) -> None:
    """Installed packages and build results never; what git ignores not, where git is there."""
    for name in ("a.py", "b/c.py", "d.ipynb", "e.txt", "node_modules/f.py", "build/g.py", "lib/site-packages/h.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "myenv").mkdir()
    (tmp_path / "myenv" / "pyvenv.cfg").write_text("", encoding="utf-8")
    (tmp_path / "myenv" / "i.py").write_text("", encoding="utf-8")
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "j.py").write_text("", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("left/\nmyenv/\n", encoding="utf-8")
    if known_to_git:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = {path.relative_to(tmp_path).as_posix() for path in files([tmp_path, tmp_path / "a.py"])}
    assert found == {"a.py", "b/c.py", "d.ipynb"} | (set() if known_to_git else {"left/j.py"})
    assert [path.name for path in files([tmp_path / "left"])] == ["j.py"]  # it was named on purpose


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("x = 1\n", "x = 1\n"),
        ("%pip install openai\nx = 1", "pass\nx = 1"),
        ("if a:\n    !ls \\\n  -l\nx", "if a:\n    pass\n\nx"),
        ("files = !ls\nx?", "files = None\npass"),
        ("%%bash\nls\nls", "\n\n"),
        ('pip install -U "openai"\nx = 1', "pass\nx = 1"),
        ("pip = env\nls - x\n!ls", "pip = env\nls - x\npass"),
        ("%%time\nx = 1", "\nx = 1"),
        ("s = '''\n%d''' % 1", "s = '''\n%d''' % 1"),
    ],
)
def test_cells(cell: str, expected: str) -> None:
    """What only IPython understands is blanked, and no line moves."""
    assert as_python(cell) == expected
    assert as_python(cell).count("\n") == cell.count("\n")


def test_a_notebook_of_any_age(tmp_path: Path) -> None:
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1\n", "y = 2"]}]}], "nbformat": 3}
    (tmp_path / "old.ipynb").write_text(json.dumps(old), encoding="utf-8")
    assert [(one.cell, one.code) for one in sources([tmp_path])] == [(1, "x = 1\ny = 2")]


def test_profiles_that_nobody_chose(command: Command, project: Path) -> None:
    """The file is there: to be told to write one would lead astray."""
    assert "`llm-adapter config init` writes a file" in command("scan", "app").out
    Path("llm_adapter.toml").write_text("[profiles.lab]\nnum_ctx = 1\n[profiles.home]\nnum_ctx = 1\n", "utf-8")
    assert "--profile NAME chooses one of these: home, lab" in command("scan", "app").out
