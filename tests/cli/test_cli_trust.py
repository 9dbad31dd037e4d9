"""`llm-adapter trust`, and where `config` and `doctor` show what the project's file may not decide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command, command

from llm_adapter.settings import trust

__all__ = ["command"]
pytestmark = pytest.mark.filterwarnings("default::llm_adapter.AdapterWarning")
FILE = """
provider = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "GITHUB_TOKEN"
[profiles.p]
shadow = "x"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a checkout, whose working directory is below it; nothing is trusted."""
    monkeypatch.delenv("LLM_ADAPTER_TRUST")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    trust._warned.clear()
    (tmp_path / "repo/src").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo/src")
    path = tmp_path / "repo/llm_adapter.toml"
    path.write_text(FILE, "utf-8")
    return path


def test_config_shows_what_is_left_out(file: Path, command: Command) -> None:
    shown = command("config")
    assert f"left out {file} does not decide `api_key_env` here" in shown.out
    assert f"llm-adapter: warning: {file} does not decide" in shown.err
    found = command("config", "--json").json
    assert (found["left_out"]["file"], found["left_out"]["fields"]) == (str(file), ["api_key_env"])
    assert found["settings"]["api_key_env"] == {"value": None, "from": "default"}


def test_doctor_says_it(file: Path, command: Command) -> None:
    checks = command("doctor", "--json").json["checks"]
    assert (checks[0]["status"], checks[0]["fix"]) == ("WARN", f"llm-adapter trust {file}")
    assert "`api_key_env`" in checks[0]["line"]


def test_trust_and_forget(file: Path, command: Command) -> None:
    said = command("trust")
    assert said.out.splitlines()[:3] == [
        f"{file} is trusted as it is now. It decides:",
        "  provider = 'openai'",
        "  base_url = 'http://127.0.0.1:9/v1'",
    ]
    assert "  [profiles.p] shadow = 'x'" in said.out
    assert command("config", "--json").json["left_out"] is None
    assert command("trust", "--list").out == f"{file}\n"
    assert command("trust", "--forget", "--json").json == {"path": str(file), "trusted": False}
    assert command("config", "--json").json["left_out"] is not None
    assert command("trust", "--list").out == "no file is trusted\n"


@pytest.mark.parametrize("place", ["../llm_adapter.toml", "..", "."])
def test_a_file_by_its_path(place: str, file: Path, command: Command) -> None:
    assert command("trust", place, "--json").json == {"path": str(file), "trusted": True}
    assert command("config", "--json").json["left_out"] is None


def test_a_key_is_not_shown(file: Path, command: Command) -> None:
    file.write_text('api_key = "sk-theirs"\n', "utf-8")
    assert "sk-theirs" not in command("trust").out


def test_there_is_no_file(file: Path, command: Command) -> None:
    file.unlink()
    assert command.mistake("trust").startswith("there is no llm_adapter.toml at ")
    assert command.mistake("trust", "../llm_adapter.toml").startswith("there is no llm_adapter.toml at ../llm_adapter")


def test_a_file_with_a_mistake_is_not_trusted(file: Path, command: Command) -> None:
    file.write_text("nonsense = 1\n", "utf-8")
    assert "unknown setting 'nonsense'" in command.mistake("trust")
    assert json.loads(command("trust", "--list", "--json").out) == []
