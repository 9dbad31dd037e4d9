"""`llm-adapter run`: what the program is started with, and one program in a process that shows that it is switched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ollama, command, server

from llm_adapter.cli import run as run_command
from llm_adapter.installation.bootstrap import sitecustomize
from llm_adapter.installation.process import BOOTSTRAP, NOWHERE, wait_for_sdk
from llm_adapter.settings.run_variable import VARIABLE

__all__ = ["command", "server"]  # the fixtures
ROOT = Path(__file__).parents[2]
PROFILES = """
[profiles.local]
provider = "ollama"
host = "127.0.0.1"
[profiles.cloud]
provider = "openai"
[profiles.safe]
provider = "ollama"
host = "127.0.0.1"
local_only = true
[profiles.other]
provider = "ollama"
host = "https://ollama.example"
local_only = true
"""


class Started:
    """What would be executed, and with which variables."""

    command: list[str]
    environ: dict[str, str]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    (tmp_path / "llm_adapter.toml").write_text(PROFILES)
    found = Started()

    def execute(file: str, arguments: list[str], environ: dict[str, str]) -> None:
        found.command, found.environ = arguments, environ
        sys.exit(0)

    monkeypatch.setattr(os, "execvpe", execute)
    return found


PYTHON = sys.executable
COMMANDS = {
    ("app.py", "--profile", "x"): [PYTHON, "app.py", "--profile", "x"],
    ("-m", "pkg.app", "-m", "--", "--help"): [PYTHON, "-m", "pkg.app", "-m", "--", "--help"],
    ("-c", "print()"): [PYTHON, "-c", "print()"],
    ("--", "app.py", "--all"): [PYTHON, "app.py", "--all"],
    ("--", "-m", "pkg"): [PYTHON, "-m", "pkg"],
    ("tool", "--help"): ["tool", "--help"],
    ("./tool", "app.py"): ["./tool", "app.py"],
}


@pytest.mark.parametrize("arguments", COMMANDS)
def test_the_program(command: Command, started: Started, arguments: tuple[str, ...]) -> None:
    assert command("run", "--profile", "local", *arguments).code == 0
    assert started.command == COMMANDS[arguments]


def test_what_child_processes_are_told(command: Command, started: Started, tmp_path: Path) -> None:
    command("run", "--profile", "local", "--all", "app.py")
    told = json.loads(started.environ[VARIABLE])
    assert told == {"profile": "local", "folder": str(tmp_path), "takes_all": True, "local_only": False}
    assert started.environ["PYTHONPATH"].split(os.pathsep)[0] == str(BOOTSTRAP)


def test_the_programs_own_path_is_kept(command: Command, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/mine", str(BOOTSTRAP)]))
    command("run", "--profile", "local", "app.py")
    assert started.environ["PYTHONPATH"].split(os.pathsep) == [str(BOOTSTRAP), "/mine"]


TRUSTED = {
    ("app.py",): True,
    ("-m", "package.module"): True,
    ("-m", "elsewhere"): False,
    ("tool",): False,
    ("-c", "print()"): False,
}


@pytest.mark.parametrize("program", TRUSTED)
def test_the_projects_own_programs_take_its_file_with_them(
    command: Command, started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: tuple[str, ...]
) -> None:
    """So that a child in another folder has the same profile. Any other program has to be trusted by the user."""
    monkeypatch.setenv("LLM_ADAPTER_TRUST", "/else.toml")
    (tmp_path / "package").mkdir()
    command("run", "--profile", "local", *program)
    expected = ["/else.toml", str(tmp_path / "llm_adapter.toml")] if TRUSTED[program] else ["/else.toml"]
    assert started.environ["LLM_ADAPTER_TRUST"].split(os.pathsep) == expected


def test_who_trusts_nothing_is_heeded(command: Command, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_TRUST", "0")
    command("run", "--profile", "local", "app.py")
    assert started.environ["LLM_ADAPTER_TRUST"] == "0"


def test_where_another_tool_hides_the_start_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's has the same name, and calls ours by an entry point."""
    name = "llm_adapter.installation.bootstrap.sitecustomize"
    monkeypatch.setenv(VARIABLE, "{}")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.delitem(sys.modules, name)
    wait_for_sdk()
    monkeypatch.delitem(sys.modules, name)
    wait_for_sdk()
    kinds = [type(one).__name__ for one in sys.meta_path]
    assert (kinds[0], kinds.count(kinds[0])) == ("SwitchedClientFinder", 1)


NAMES = ("OPENAI_API_KEY", "OPENAI_AGENTS_DISABLE_TRACING", "OPENAI_BASE_URL")
PLACEHOLDER = "llm-adapter-no-key"
ENVIRONMENTS: list[tuple[str, dict[str, str], tuple[str | None, ...]]] = [
    ("local", {}, (PLACEHOLDER, "1", None)),
    ("local", {"OPENAI_API_KEY": "sk-x", "OPENAI_AGENTS_DISABLE_TRACING": "0"}, ("sk-x", "0", None)),
    ("local", {"AZURE_OPENAI_API_KEY": "k"}, (None, "1", None)),  # the SDK would not know which service is meant
    ("cloud", {"OPENAI_API_KEY": "sk-x"}, ("sk-x", None, None)),
    ("cloud", {}, (None, None, None)),
    ("safe", {}, (PLACEHOLDER, "1", NOWHERE)),
    ("safe", {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, (PLACEHOLDER, "1", "http://127.0.0.1:9/v1")),
    ("safe", {"OPENAI_BASE_URL": "https://public.example/v1"}, (PLACEHOLDER, "1", NOWHERE)),
]


@pytest.mark.parametrize(("profile", "given", "expected"), ENVIRONMENTS)
def test_variables_for_frameworks(
    command: Command,
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    given: dict[str, str],
    expected: tuple[str | None, ...],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    command("run", "--profile", profile, "app.py")
    assert tuple(started.environ.get(name) for name in NAMES) == expected


REFUSED = {
    ("app.py",): (2, "nothing is configured"),
    ("--profile", "nosuch", "app.py"): (2, "unknown profile 'nosuch'"),
    ("--profile", "other", "app.py"): (2, "`local_only` is set"),
    ("--profile", "local"): (2, "name a program"),
    ("--proflie", "local", "app.py"): (2, "there is no option --proflie"),
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refused(command: Command, started: Started, arguments: tuple[str, ...]) -> None:
    code, text = REFUSED[arguments]
    result = command("run", *arguments)
    assert (result.code, text in " ".join(result.err.replace("│", "").split())) == (code, True), result.err
    assert not hasattr(started, "command")


@pytest.mark.parametrize(
    ("error", "code"), [(FileNotFoundError(), 127), (PermissionError(13, "Permission denied"), 126)]
)
def test_a_program_that_cannot_be_started(
    command: Command, started: Started, monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    def execute(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(os, "execvpe", execute)
    assert command("run", "--profile", "local", "tool").code == code


def test_where_a_process_cannot_become_another(
    command: Command, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: the child's exit code is the command's."""
    monkeypatch.setattr(run_command, "can_become_another", False)
    assert command("run", "--profile", "local", "--", PYTHON, "-c", "import sys; sys.exit(7)").code == 7


APP = """
import json, os, subprocess, sys
import openai
from openai import OpenAI

def asked(client=None):
    client = client or OpenAI()
    said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    return said.choices[0].message.content

if sys.argv[1:] == ["child"]:
    print(asked())
    sys.exit()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, asked().encode())
    os._exit(0)
os.wait()
child = [sys.executable, os.path.abspath(__file__), "child"]
isolated = [sys.executable, "-I", "-c", "import openai; print(openai.OpenAI().base_url)"]
print(json.dumps({
    "program": asked(),
    "module": asked(openai),
    "fork": os.read(read, 99).decode(),
    "elsewhere": subprocess.run(child, cwd="/", capture_output=True, text=True).stdout.strip(),
    "isolated": subprocess.run(isolated, capture_output=True, text=True).stdout.strip(),
    "sitecustomize": getattr(sys, "users_own_ran", False),
    "path": [place for place in sys.path if "bootstrap" in place],
}))
sys.exit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_program_and_its_children(server: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched are: the program, `openai.chat`, a fork, a child in another folder; one that ignores us is kept back."""
    server.answers["/api/chat"] = {"message": {"role": "assistant", "content": "Hi."}, "done": True}
    server.answers["/api/show"] = {"capabilities": ["completion"]}
    for name in ("LLM_ADAPTER_PROVIDER", "LLM_ADAPTER_HOST"):
        monkeypatch.delenv(name)
    profile = f'[profiles.local]\nprovider = "ollama"\nhost = "{server.url}"\nlocal_only = true\n'
    (tmp_path / "llm_adapter.toml").write_text(profile)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys; sys.users_own_ran = True")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    command = [sys.executable, "-m", "llm_adapter", "run", "--profile", "local", "app.py"]
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout) == {
        **dict.fromkeys(("program", "module", "fork", "elsewhere"), "Hi."),
        "isolated": f"{NOWHERE}/",
        "sitecustomize": True,
        "path": [],
    }


@pytest.mark.parametrize("local_only", [False, True])
def test_a_python_without_this_package(
    local_only: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"local_only": local_only}))
    monkeypatch.setitem(sys.modules, "llm_adapter.installation.process", None)
    if local_only:
        with pytest.raises(ImportError, match="has no llm_adapter"):
            sitecustomize._switch(None)
    else:
        sitecustomize._switch(None)
        assert "they go where the program sends them" in capsys.readouterr().err
