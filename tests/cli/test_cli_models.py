"""`models`: every verb on an Ollama that answers by a script; progress, tables, JSON lines, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import Command, Ollama, command, server
from rich.console import Console

from llm_adapter.cli.models import progress
from llm_adapter.cli.screen import console, print_table
from llm_adapter.providers.ollama.types import PullProgress

__all__ = ["command", "server"]
DETAILS = {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"}
QWEN = {"name": "qwen3:8b", "model": "qwen3:8b", "size": 5_200_000_000, "details": DETAILS}
NOW = datetime.now(timezone.utc)
LAYERS: list[Any] = [
    {"status": "pulling manifest"},
    {"status": "pulling aaaaaaaaaaaa", "digest": "sha256:a", "total": 1000},
    {"status": "pulling aaaaaaaaaaaa", "digest": "sha256:a", "total": 1000, "completed": 600},
    {"status": "pulling aaaaaaaaaaaa", "digest": "sha256:a", "total": 1000, "completed": 1000},
    {"status": "pulling bbbbbbbbbbbb", "digest": "sha256:b", "total": 3000, "completed": 10},
    {"status": "pulling bbbbbbbbbbbb", "digest": "sha256:b", "total": 3000, "completed": 3000},
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
]


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_ls(command: Command, server: Ollama) -> None:
    made = (NOW - timedelta(days=3, hours=1)).isoformat()
    server.answers["/api/tags"] = {"models": [{**QWEN, "modified_at": made}]}
    titles, row = words(command("models", "ls").out)
    assert titles == ["name", "size", "modified", "parameters", "quantization", "owner"]
    assert row == ["qwen3:8b", "5.2", "GB", "3", "days", "ago", "8.2B", "Q4_K_M", "library"]
    assert command("models", "ls", "--json").json[0]["ollama"]["details"] == DETAILS
    server.answers["/api/tags"] = {"models": []}
    assert "`llm-adapter models pull NAME`" in command("models", "ls").out


def test_ps(command: Command, server: Ollama) -> None:
    loaded = {**QWEN, "size": 6_000_000_000, "size_vram": 3_000_000_000, "context_length": 8192}
    moments = (
        (datetime.now(NOW.tzinfo) + timedelta(minutes=4, seconds=30)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
        "2318-01-01T00:00:00Z",
    )
    server.answers["/api/ps"] = {"models": [{**loaded, "expires_at": moment} for moment in moments]}
    rows = words(command("models", "ps").out)
    assert rows[1] == ["qwen3:8b", "6.0", "GB", "8192", "50%", "GPU", "4", "minutes", "from", "now"]
    assert rows[2][-2:] == ["for", "ever"]
    assert command("models", "ps", "--json").json[0]["context_length"] == 8192
    server.answers["/api/ps"] = {"models": []}
    assert command("models", "ps").out == "no model is loaded\n"


def test_show(command: Command, server: Ollama) -> None:
    info = {"general.architecture": "qwen3", "qwen3.context_length": 40960, "qwen3.embedding_length": 4096}
    shown = {
        "details": DETAILS,
        "model_info": info,
        "capabilities": ["completion", "tools"],
        "parameters": 'temperature                    0.6\nstop                           "<end>"',
        "license": "Apache License\nVersion 2.0",
        "template": "{{ .Prompt }}",
    }
    server.answers["/api/show"] = shown
    rows = words(command("models", "show", "qwen3:8b").out)
    assert ["context", "40960"] in rows
    assert ["capabilities", "completion,", "tools"] in rows
    assert ["options", "temperature", "0.6"] in rows
    assert ["licence", "Apache", "License", "Version", "2.0"] in rows
    assert command("models", "show", "qwen3:8b", "--json").json["template"] == "{{ .Prompt }}"


def test_pull(command: Command, server: Ollama) -> None:
    """Not at a terminal it is a line for each step, or JSON lines whose percentage never goes back."""
    server.answers["/api/pull"] = LAYERS
    lines = command("models", "pull", "qwen3:8b", "--insecure").out.splitlines()
    assert lines[0] == "pull qwen3:8b: pulling manifest"
    assert lines[-1] == "pull qwen3:8b: success"
    assert len(lines) == len({line["status"] for line in LAYERS})
    sent = server.bodies("/api/pull")[0]
    assert (sent["model"], sent["insecure"]) == ("qwen3:8b", True)
    steps = [json.loads(line) for line in command("models", "pull", "a", "b", "--json").out.splitlines()]
    percents = [step["percent"] for step in steps[: len(steps) // 2]]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert [body["model"] for body in server.bodies("/api/pull")[1:]] == ["a", "b"]


def test_an_error_inside_a_200(command: Command, server: Ollama) -> None:
    error = "pull model manifest: file does not exist"
    server.answers |= {"/api/pull": [*LAYERS[:3], {"error": error}], "/api/tags": {"models": [QWEN]}}
    result = command("models", "pull", "qwen3:80b")
    assert (result.code, result.out.splitlines()[0]) == (1, "pull qwen3:80b: pulling manifest")
    assert len(result.err.splitlines()) <= 1
    assert "qwen3:80b" in result.err or error in result.err


def test_push(command: Command, server: Ollama) -> None:
    server.answers["/api/push"] = [{"status": "retrieving manifest"}, {"status": "success"}]
    assert command("models", "push", "me/pirate").out.splitlines()[-1] == "push me/pirate: success"


def test_create(command: Command, server: Ollama) -> None:
    server.answers["/api/create"] = [{"status": "using existing layer"}, {"status": "success"}]
    given = ("--parameter", "num_ctx=8192", "-P", "stop=<a>", "-P", "stop=<b>", "--license", "MIT")
    result = command("models", "create", "pirate", "--from", "qwen3:8b", "--system", "Arr.", *given)
    assert result.out.splitlines()[-1] == "create pirate: success"
    sent = server.bodies("/api/create")[0]
    assert (sent["model"], sent["from"], sent["system"]) == ("pirate", "qwen3:8b", "Arr.")
    assert sent["parameters"] == {"num_ctx": 8192, "stop": ["<a>", "<b>"]}
    assert "template" not in sent
    said = " ".join(command.mistake("models", "create", "x", code=2).split())
    assert "give --from MODEL, --file PATH or -f MODELFILE" in said
    said = " ".join(command.mistake("models", "create", "x", "--from", "y", "-P", "z", code=2).split())
    assert "name=value" in said


def test_create_from_a_file(command: Command, server: Ollama) -> None:
    """The file's bytes go to the server, which names them by their digest."""
    Path("weights.gguf").write_bytes(b"GGUF")
    blob = f"/api/blobs/sha256:{hashlib.sha256(b'GGUF').hexdigest()}"
    server.answers |= {"/api/create": [{"status": "success"}], blob: {}}
    assert command("models", "create", "mine", "--file", "weights.gguf").code == 0
    assert server.bodies("/api/create")[0]["files"] == {"weights.gguf": blob.removeprefix("/api/blobs/")}
    assert command("models", "create", "mine", "--file", "nowhere.gguf").code == 2


def test_create_by_a_modelfile(command: Command, server: Ollama) -> None:
    server.answers["/api/create"] = [{"status": "success"}]
    Path("Modelfile").write_text('FROM qwen3:8b\nSYSTEM """Arr.\nArr."""\nPARAMETER stop <a>\n', encoding="utf-8")
    assert command("models", "create", "pirate", "-f", "Modelfile").out.splitlines()[-1] == "create pirate: success"
    assert server.bodies("/api/create") == [
        {
            "model": "pirate",
            "from": "qwen3:8b",
            "system": "Arr.\nArr.",
            "parameters": {"stop": ["<a>"]},
            "stream": True,
        }
    ]
    said = " ".join(command.mistake("models", "create", "x", "-f", "Modelfile", "--system", "Oh", code=2).split())
    assert "`system`: given, and in the Modelfile, too" in said


def test_cp_rm_load_unload(command: Command, server: Ollama) -> None:
    server.answers |= {path: {} for path in ("/api/copy", "/api/delete", "/api/tags")}
    server.answers["/api/generate"] = {"model": "a", "done": True, "done_reason": "load"}
    assert command("models", "cp", "a", "b").out == "a is b too\n"
    assert server.bodies("/api/copy") == [{"source": "a", "destination": "b"}]
    assert command("models", "rm", "a", "b").out == "deleted a\ndeleted b\n"
    assert [body["model"] for body in server.bodies("/api/delete")] == ["a", "b"]
    assert command("models", "rm", "a", "--json").json[0]["deleted"] is True
    assert command("models", "load", "a", "--keep-alive", "1h").out == "loaded a\n"
    assert server.bodies("/api/generate")[-1]["keep_alive"] == "1h"
    assert command("models", "unload", "a", "--json").json == {"unloaded": ["a"]}
    assert server.bodies("/api/generate")[-1]["keep_alive"] == 0


@pytest.mark.parametrize("verb", [("show",), ("rm",), ("load",), ("cp", "b")], ids=str)
def test_a_missing_model(verb: tuple[str, ...], command: Command, server: Ollama) -> None:
    missing = 404, {"error": "model 'qwen3:80b' not found"}
    server.answers = {f"/api/{path}": missing for path in ("show", "delete", "generate", "copy", "embed")}
    server.answers["/api/tags"] = {"models": [QWEN]}
    said = command.mistake("models", verb[0], "qwen3:80b", *verb[1:])
    assert "'qwen3:80b' not found" in said
    assert len(said.splitlines()) == 1


def test_a_provider_without_management(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    assert "embedded" in command.mistake("models", "ps")


def step(percent: float, **more: Any) -> PullProgress:
    return PullProgress.construct(None, **{"status": "pulling aaaaaaaaaaaa", "percent": percent, **more})


@pytest.mark.parametrize(
    ("width", "facts"),
    [(40, " 46%  1:04"), (60, " 46%  1:04  52 MB/s"), (80, " 46%  1:04  52 MB/s  2.2 GB of 4.7 GB")],
)
def test_a_bar_fits_its_terminal(
    width: int, facts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = step(46.9, phase="transferring", rate=52e6, eta=64.0, completed=2_200_000_000, total=4_700_000_000)
    steps = (one for one in (step(0, phase="waiting"), half))
    monkeypatch.setattr(progress, "console", lambda **_: Console(width=width, force_terminal=True, color_system=None))
    progress.follow("pull m", steps, as_json=False)  # type: ignore[arg-type]
    last = [line for line in capsys.readouterr().out.splitlines() if "━" in line][-1]
    assert last.endswith(facts)
    columns = len(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last.rpartition("\r")[2]))
    assert columns == width - len("^C") - 1  # which a terminal writes there, and not on a line of its own


def test_ctrl_c_cancels(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    def steps() -> Any:
        try:
            yield step(1)
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    with pytest.raises(typer.Exit) as ended:
        progress.follow("pull m", steps(), as_json=False, resumable=True)
    assert (ended.value.exit_code, closed) == (130, [True])
    assert capsys.readouterr().err == "stopped; the same command goes on from there\n"


def test_no_color_is_plain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for value, plain in (("", False), ("1", True)):
        monkeypatch.setenv("NO_COLOR", value)
        print_table(console(), ("name",), [("a",)])
        assert ("\x1b" not in capsys.readouterr().out) is plain


def test_tables_drop_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """The first columns stay; what is piped on is whole. Wide characters take two columns."""
    titles, rows = ("name", "size", "made"), [("模型", "1 kB", "now"), ("b\x1b[2J", "2 kB", "then")]
    print_table(Console(width=11, force_terminal=True, color_system=None, soft_wrap=True), titles, rows)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "name  size",
        "模型  1 kB",
        "b[2J  2 kB",
    ]
    print_table(Console(width=11, force_terminal=False, soft_wrap=True), titles, rows)
    assert words(capsys.readouterr().out)[0] == list(titles)
