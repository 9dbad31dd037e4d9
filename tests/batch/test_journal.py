"""What is recorded of a batch survives the process: cut anywhere, each whole result is kept and no half one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_adapter.batch import journal as module
from llm_adapter.batch.journal import BusyError, Journal


def of(name: str, status: int = 200) -> dict[str, Any]:
    return {"id": name, "response": {"status_code": status, "body": "é\n" * 3}}


def recorded(path: Path, *names: str) -> None:
    journal = Journal(path)
    for name in names:
        journal.add(of(name))
    journal.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(0, 400))
def test_cut_anywhere(tmp_path: Path, cut: int) -> None:
    path = tmp_path / f"cut{cut}.part"
    recorded(path, "a", "b", "c")
    data = path.read_bytes()[:cut]
    path.write_bytes(data)
    whole = data.count(b"\n")
    journal = Journal(path)
    assert [name in journal for name in "abc"] == [place < whole for place in range(3)]
    for name in "abc"[whole:]:
        journal.add(of(name))
    lines = list(journal.results("cab"))
    journal.close()
    path.unlink()
    assert [json.loads(line)["id"] for line in lines] == ["c", "a", "b"]


def test_what_is_no_line_of_ours_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    path.write_bytes(json.dumps(of("a")).encode() + b"\n[]\n" + json.dumps(of("b")).encode() + b"\n")
    journal = Journal(path)
    assert (len(journal), "a" in journal) == (1, True)
    journal.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path / "a.part")
    with pytest.raises(BusyError, match="another process"):
        Journal(tmp_path / "a.part")
    first.close()
    Journal(tmp_path / "a.part").close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "a.part")
    journal.add(of("a"))
    write, left = os.write, [5]

    def full(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room, left[0] = left[0], 0
        return write(file, data[:room])

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            journal.add(of("b"))
    assert "b" not in journal
    journal.add(of("c"))
    assert [json.loads(line)["id"] for line in journal.results("ac")] == ["a", "c"]
    journal.close()
    assert (tmp_path / "a.part").read_bytes().count(b"\n") == 2


def test_the_end(tmp_path: Path) -> None:
    output, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"
    errors.write_text("of an earlier run")
    journal = Journal(tmp_path / "a.part")
    journal.add(of("a"))
    journal.add(of("b"))
    assert journal.finish(["b", "a"], output, errors) == (2, 0)
    journal.close()
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == ["b", "a"]
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_an_end_that_fails_leaves_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "a.part")
    journal.add(of("a", 400))

    def fails(*paths: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", fails)
        with pytest.raises(OSError, match="No space"):
            journal.finish(["a"], tmp_path / "out.jsonl", tmp_path / "errors.jsonl")
    journal.close()
    assert os.listdir(tmp_path) == ["a.part"]
