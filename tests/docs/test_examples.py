"""The examples do what they say, on the embedded llama.cpp; the one that the demo runs is in test_cli.py."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_adapter import OpenAI, Settings
from llm_adapter.cli.app import run

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def talk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *lines: str, **settings: Any
) -> list[str]:
    """What the chat application prints for what a user types."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    with OpenAI(settings=Settings(**{"provider": "embedded", **settings}), max_retries=0) as client:
        loaded("chat_app").main(client)
    return capsys.readouterr().out.splitlines()


def test_chat_app(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A reply, a tool that is called and answered, a new conversation."""
    said = talk(monkeypatch, capsys, "Hello", "/new", "What is the weather in Paris?", "/new", "Count to 5")
    assert said == [
        "Hello! How can I help you today?",
        "It is 18 degrees and sunny in Paris.",
        "1, 2, 3, 4, 5",
    ]


def test_chat_app_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The turn that failed is taken back, and the next one is asked."""
    server = {"provider": "openai", "base_url": "http://127.0.0.1:9/v1", "dialect": "vllm"}
    said = talk(monkeypatch, capsys, "Hello", "Count to 5", **server)
    assert [line.partition(":")[0] for line in said] == ["[APIConnectionError", "[APIConnectionError"]


PROFILES = """
[profiles.a]
provider = "embedded"
[profiles.b]
provider = "embedded"
"""


@pytest.mark.parametrize(
    ("to", "status", "last"), [("b", 0, "READY: a -> b"), ("c", 1, "NOT READY: scan, doctor, verify: a -> c")]
)
def test_verify_migration(
    to: str, status: int, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step is run, whatever the one before it found, and one exit code says it all."""
    Path("llm_adapter.toml").write_text(PROFILES, "utf-8")
    script = loaded("verify_migration")
    monkeypatch.setattr(sys, "argv", ["verify_migration.py", str(EXAMPLES), "--against", "a", "--to", to])
    monkeypatch.setattr(script, "subprocess", SimpleNamespace(run=in_this_process))
    assert script.main() == status
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("== ")] == ["== scan", "== doctor", "== verify"]
    assert lines[-1] == last


def in_this_process(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What the example starts: three processes for each migration took as long as hundreds of tests."""
    assert command[:3] == [sys.executable, "-m", "llm_adapter"]
    with pytest.raises(SystemExit) as ended:
        run(command[3:])
    return subprocess.CompletedProcess(command, int(ended.value.code or 0))


ELSEWHERE = {
    "client": "from openai import OpenAI\nclient = OpenAI()\n",
    "module-client": "import openai\nopenai.embeddings.create(model='m', input='x')\n",
    "other-client": "import openai\nclient = openai.AzureOpenAI()\n",
    "hard-coded-url": "from llm_adapter import OpenAI\nclient = OpenAI(base_url='https://llm.example.com/v1')\n",
    "framework": "from langchain_openai import ChatOpenAI\nllm = ChatOpenAI(model='m')\n",
    "openai-0x": "import openai\nopenai.ChatCompletion.create(model='m', messages=[])\n",
    "unreadable": "import openai\nopenai.OpenAI(\n",
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_no_migration_is_ready_while_a_client_goes_elsewhere(
    kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Unless that is allowed. The other steps are not run here: they are the same for any code."""
    Path("llm_adapter.toml").write_text(PROFILES, "utf-8")
    Path("app.py").write_text(ELSEWHERE[kind], "utf-8")
    script = loaded("verify_migration")

    def status(*options: str) -> bool:
        monkeypatch.setattr(sys, "argv", ["verify_migration.py", "app.py", "--against", "a", "--to", "b", *options])
        ((_, command), *_) = script._steps(script._arguments())
        with pytest.raises(SystemExit) as ended:
            run(command)
        return bool(ended.value.code)

    assert status()
    assert status("--allow", "refused")
    allowed = {"module-client": ("--allow=client",), "openai-0x": ("--allow=module-client",)}.get(kind, ())
    assert not status("--allow", kind, *allowed), capfd.readouterr().out
