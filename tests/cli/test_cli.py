"""The command line as a process: what it prints, where, and its exit code."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prepared
import pytest

from llm_adapter.cli import app, demo
from llm_adapter.cli.config import config
from llm_adapter.providers.embedded.models import CHAT_MODEL

COMMAND = str(Path(sysconfig.get_path("scripts")) / "llm-adapter")
REFUSED = "http://127.0.0.1:9"  # nothing listens on the discard port


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command, in an environment without an Ollama unless a test says where one is."""
    environ = {**os.environ, "OLLAMA_HOST": REFUSED, **environ}
    return subprocess.run(
        [COMMAND, *arguments], env=environ, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL
    )


def here(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """The command in this process, for starting one takes most of a second: its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(err), redirect_stdout(out):
        for name, value in {"OLLAMA_HOST": REFUSED, **environ}.items():
            patch.setenv(name, value)
        patch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0)
        with pytest.raises(SystemExit) as ended:
            app.run(list(arguments))
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def mistake(*arguments: str, **environ: str) -> str:
    """The one line on stderr of a command that fails."""
    code, _, said = here(*arguments, **environ)
    return line(said, code)


def line(said: str, code: int) -> str:
    """The line, and nothing else."""
    lines = said.splitlines()
    assert (code, len(lines)) == (1, 1), said
    return lines[0].removeprefix("llm-adapter: ")


def configured(text: str) -> None:
    Path("llm_adapter.toml").write_text(text, "utf-8")


class Ollama(BaseHTTPRequestHandler):
    """An Ollama that has models, and answers no chat."""

    names = ("nomic-embed-text:latest", "qwen3:8b")

    def do_GET(self) -> None:
        self._answer(200, {"models": [{"name": name, "model": name} for name in self.names]})

    def do_POST(self) -> None:
        self._answer(404, {"error": "model 'gpt-4o-mini' not found"})

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def ollama() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as server:
        server.asked = []  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


DEMO = (
    "model: The capital of France is Paris.",
    "Rayleigh scattering.",
    'tool:  get_weather({"city": "Paris"}) -> 18 degrees and sunny',
    "model: It is 18 degrees and sunny in Paris.",
    "model: Person(name='Ana', age=30)",
    "0.69  A dog is an animal too",
)


def test_demo_runs_embedded_whatever_the_project_says() -> None:
    configured('profile = "local"\n[profiles.local]\nprovider = "ollama"\n')
    result = run("demo")
    assert (result.returncode, result.stderr) == (0, "")
    for line in DEMO:
        assert line in result.stdout


def test_demo_on_a_profile() -> None:
    models = 'models = { "gpt-4o-mini" = "tiny-chat", "text-embedding-3-small" = "tiny-embed" }'
    configured(f'[profiles.small]\nprovider = "embedded"\n{models}\n')
    code, said, wrong = here("demo", "--profile", "small")
    assert (code, wrong) == (0, "")
    assert all(line in said for line in DEMO)


def test_a_demo_on_a_real_model_says_whose_embeddings_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the model's: it chats, and the settings name no other that embeds."""
    monkeypatch.setattr(demo, "_module", lambda path: SimpleNamespace(main=lambda client: None))
    code, said, wrong = here("demo", "--model", str(CHAT_MODEL))
    assert (code, wrong) == (0, "")
    assert "The embeddings are tiny-embed's" in said


def test_a_running_ollama_is_offered_and_left_alone(ollama: Any) -> None:
    _, said, _ = here("demo", OLLAMA_HOST=ollama.url)
    assert DEMO[0] in said
    aliases = '{"*": "qwen3:8b", "text-embedding-3-small": "nomic-embed-text:latest"}'
    assert f"LLM_ADAPTER_HOST={ollama.url} LLM_ADAPTER_MODELS='{aliases}' llm-adapter demo" in said
    assert ollama.asked == ["/api/tags"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_at_a_terminal_the_offer_is_a_question(ollama: Any) -> None:
    import pty

    ours, its = pty.openpty()
    environ = {**os.environ, "OLLAMA_HOST": ollama.url}
    process = subprocess.Popen([COMMAND, "demo"], env=environ, stdin=its, stdout=its, stderr=its)
    os.close(its)
    os.write(ours, b"y\n")
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    assert b"Run the demo on its qwen3:8b, and not on the embedded llama.cpp? [y/N]" in shown
    # This Ollama has no model in truth, so a demo that runs on it ends with its error.
    assert (process.wait(), "/api/chat" in ollama.asked) == (1, True)


def test_unknown_profile() -> None:
    configured("[profiles.local]\n")
    assert mistake("demo", "--profile", "locl") == (
        "unknown profile 'locl' (from the argument `profile`); did you mean 'local'?; known profiles: local"
    )


def test_broken_toml() -> None:
    configured("profile = local\n")
    said = mistake("config")
    assert said.startswith(f"{Path.cwd() / 'llm_adapter.toml'} is not valid TOML: ")
    assert "line 1" in said


def test_missing_gguf() -> None:
    said = mistake("demo", LLM_ADAPTER_MODEL_PATH="/nowhere/model.gguf")
    assert said == (
        "no GGUF file at /nowhere/model.gguf (`model_path` from LLM_ADAPTER_MODEL_PATH): give an existing file"
    )


@pytest.mark.parametrize(("package", "extra"), [("typer", "cli"), ("xllamacpp", "embedded")])
def test_missing_extra(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", REFUSED)
    result = prepared.run(f"import sys; sys.modules[{package!r}] = None; {prepared.LLM_ADAPTER}", "demo")
    assert f"pip install 'llm_adapter[{extra}]'" in line(result.stderr, result.returncode)


def test_refused_connection() -> None:
    said = mistake("demo", LLM_ADAPTER_PROVIDER="ollama")
    assert said.startswith(f"no connection to {REFUSED} (Connection refused): is the server running?")


def test_missing_model(ollama: Any) -> None:
    said = mistake("demo", LLM_ADAPTER_PROVIDER="ollama", OLLAMA_HOST=ollama.url)
    assert said.startswith(f"{ollama.url} answered 404: model 'gpt-4o-mini' not found")
    assert "`models = {" in said


def test_missing_key() -> None:
    assert "OPENAI_API_KEY" in mistake("demo", LLM_ADAPTER_PROVIDER="openai")


def test_config_says_where_each_value_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured('[profiles.cluster]\nprovider = "openai"\nbase_url = "llm.internal"\napi_key = "secret"\n')
    monkeypatch.setenv("LLM_ADAPTER_NUM_CTX", "4096")
    config(profile="cluster", as_json=True)
    printed = capsys.readouterr().out
    assert "secret" not in printed
    shown, file = json.loads(printed), f"{Path.cwd() / 'llm_adapter.toml'} [profiles.cluster]"
    assert shown["address"] == "http://llm.internal/v1"
    assert shown["key"] == f"`api_key` from {file}"
    assert shown["settings"]["base_url"] == {"value": "http://llm.internal/v1", "from": file}
    assert shown["settings"]["api_key"] == {"value": "**********", "from": file}
    assert shown["settings"]["num_ctx"] == {"value": 4096, "from": "LLM_ADAPTER_NUM_CTX"}
    assert shown["settings"]["overflow"] == {"value": "error", "from": "default"}


def test_config_as_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    configured('profile = "local"\n[profiles.local]\nprovider = "ollama"\n')
    monkeypatch.setenv("COLUMNS", "200")
    provider = ["provider", "ollama", str(Path.cwd() / "llm_adapter.toml"), "[profiles.local]"]
    for everything in (False, True):
        config(everything=everything)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert provider in lines
        assert ["profile", "local"] in lines
        assert (["keep_alive", "-", "default"] in lines) == everything
        assert (lines[-1][-3:] == ["llm-adapter", "config", "--all"]) != everything


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({}, "OPENAI_API_KEY, which is not set"),
        ({"OPENAI_API_KEY": "secret"}, "OPENAI_API_KEY"),
        ({"LLM_ADAPTER_PROVIDER": "ollama", "OPENAI_API_KEY": "secret"}, "none is sent"),
        ({"LLM_ADAPTER_API_KEY_ENV": "MINE", "MINE": "secret"}, "MINE"),
        ({"LLM_ADAPTER_API_KEY_ENV": "MINE"}, "`api_key_env` names MINE, which is not set"),
        ({"LLM_ADAPTER_PROVIDER": "embedded"}, "none needed"),
    ],
)
def test_config_names_the_key_and_never_shows_it(
    environ: dict[str, str], key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    config()
    shown = capsys.readouterr().out
    assert key in shown
    assert "secret" not in shown
