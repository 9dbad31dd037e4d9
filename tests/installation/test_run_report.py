"""`llm-adapter run --report -v`: a program, its forked child and clients of all kinds, in one table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, Ollama, command, server

__all__ = ["command", "server"]  # the fixtures
ROOT = Path(__file__).parents[2]
APP = """
import os, sys
import openai

client = openai.OpenAI()
azure = openai.AzureOpenAI(azure_endpoint="http://127.0.0.1:9", api_key="k", api_version="1", max_retries=0)

def ask(client):
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])

ask(client)
try:
    ask(azure)
except openai.APIConnectionError:
    pass
if os.fork() == 0:
    ask(client)
    os._exit(0)
os.wait()
sys.exit(3)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_program_with_a_report(server: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/api/chat"] = {"message": {"role": "assistant", "content": "Hi."}, "done": True}
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "mine.txt.jsonl").write_text("{}\n")  # of an earlier run: it is not this one's
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "LLM_ADAPTER_REPORT": "mine.txt"}
    command = [sys.executable, "-m", "llm_adapter", "run", "--report", "-v", "app.py"]
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8")
    assert done.returncode == 3, done.stderr
    there = server.url.removeprefix("http://")
    told, _, table = done.stderr.partition("\nclient ")
    assert f"llm-adapter: OpenAI made at app.py:5: goes to ollama at {there} (`host` from LLM_ADAPTER_HOST)" in told
    assert "openai.AzureOpenAI made at app.py:6: goes to a /v1 server at 127.0.0.1:9 (a client of the SDK's own" in told
    rows = [line.split() for line in table.splitlines()[1:]]
    assert rows[0][:6] == ["OpenAI", "app.py:5", "app.py:9", "ollama", "at", there]
    assert rows[0][6:] == ["gpt-4o", "gpt-4o", "2", "32", "4"]
    assert rows[1][:3] == ["openai.AzureOpenAI", "app.py:6", "app.py:9"]
    assert rows[1][-2:] == ["1", "APIConnectionError"]
    assert table.splitlines()[-2] == f"2 calls to ollama at {there}"
    assert f"2 calls to ollama at {there}" in (tmp_path / "mine.txt").read_text("utf-8")


def test_a_signal_is_the_programs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is handed on, and the exit code is a shell's for it; afterwards this process has its own handlers back."""
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    program = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    before = signal.getsignal(signal.SIGTERM)
    result = command("run", "--report", "--", sys.executable, "-c", program)
    assert result.code == 128 + signal.SIGTERM
    assert "No client of the openai SDK was made." in result.err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_program_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    assert "there is no program" in command.mistake("run", "--report", "no-such-program", code=127)
