"""`llm-adapter batch`: exit codes, what is said, and a process that is killed."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import prepared
import pytest
from commands import Command, command
from loopback import serving

__all__ = ["command"]  # the fixture


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    monkeypatch.setenv("LLM_ADAPTER_EMBEDDED_PROCESS", "false")


def written(path: Path, count: int = 2, **body: Any) -> Path:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **body}
    lines = [
        {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": asked}
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_all_are_answered(command: Command, tmp_path: Path) -> None:
    result = command("batch", str(written(tmp_path / "in.jsonl")), str(tmp_path / "out.jsonl"))
    assert (result.code, "2 answers" in result.err) == (0, True)
    again = command("batch", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"))
    assert (again.code, "--force" in again.err) == (2, True)
    assert command("batch", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), "--force").code == 0


def test_requests_at_once_are_not_chosen_on_a_cluster(command: Command, tmp_path: Path) -> None:
    files = str(written(tmp_path / "in.jsonl")), str(tmp_path / "out.jsonl")
    refused = command("batch", *files, "--engine", "ray", "--concurrency", "4")
    assert (refused.code, "--actors" in refused.err) == (2, True)


def test_errors_are_apart(command: Command, tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", modalities=["audio"])
    result = command("batch", str(source), str(tmp_path / "out.jsonl"), "--errors", str(tmp_path / "bad.jsonl"))
    assert (result.code, "most often, 2 times: `modalities`" in result.err) == (1, True)
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 2


def test_an_input_that_is_none(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("{\n" * 12)
    result = command("batch", str(source), str(tmp_path / "out.jsonl"))
    assert result.code == 2
    assert "line 1: invalid_json_line" in result.err
    assert "and 2 more" in result.err
    assert command("batch", str(tmp_path / "nosuch.jsonl"), str(tmp_path / "out.jsonl")).code == 2
    assert command("batch", str(source)).code == 2


def test_a_dry_run_sends_nothing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "ollama")  # nobody is there
    refused = command("batch", "--dry-run", str(written(tmp_path / "in.jsonl", modalities=["audio"])))
    assert (refused.code, "2 requests, of which 2 would be refused" in refused.out) == (1, True)
    fine = command("batch", "--dry-run", str(written(tmp_path / "in.jsonl")))
    assert (fine.code, "of which 0 would be refused" in fine.out) == (0, True)


def test_nobody_answers(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "ollama")
    monkeypatch.setenv("LLM_ADAPTER_HOST", "127.0.0.1:9")
    monkeypatch.setattr("llm_adapter.batch.running._FIRST_WAIT", 0.001)
    monkeypatch.setattr("openai._base_client.SyncAPIClient._calculate_retry_timeout", lambda *_, **__: 0.0)
    monkeypatch.setattr("openai._base_client.BaseClient._calculate_retry_timeout", lambda *_, **__: 0.0)
    source = str(written(tmp_path / "in.jsonl"))
    result = command("batch", source, str(tmp_path / "out.jsonl"), "--patience", "0")
    assert (result.code, "the same command goes on" in result.err) == (3, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_process_that_is_killed_and_one_that_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request whose result is recorded is made again, and of the others as many as were under way."""
    source, count = written(tmp_path / "in.jsonl", 30), 0
    command = [prepared.LLM_ADAPTER, "batch", str(source), "out.jsonl", "--concurrency", "2"]
    with serving() as server, (tmp_path / "said").open("w+", encoding="utf-8") as said:
        monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "ollama")
        monkeypatch.setenv("LLM_ADAPTER_HOST", server.root)
        for end, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (None, 0)):
            process = prepared.Program(*command, files=(said.fileno(),) * 3)
            began, due = len(server.asked), iter([] if end is None else [end])

            def act(handler: Any, began: int = began, due: Any = due, process: Any = process) -> None:
                handler.chat()
                if len(server.asked) >= began + 8:  # two threads count: one number may be seen by neither
                    for signum in due:
                        process.send_signal(signum)

            server.act = act
            assert process.wait() == code, (tmp_path / "said").read_text("utf-8")
            count += end is not None
    asked = [path for path, _ in server.asked if path == "/api/chat"]
    results = [json.loads(line)["custom_id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert results == [f"c{number}" for number in range(30)]
    assert 30 <= len(asked) <= 30 + 2
