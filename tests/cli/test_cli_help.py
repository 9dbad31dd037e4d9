"""What every command line has: help that can be read anywhere, a version, and the profiles there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from commands import Command, command

from llm_adapter import Settings, __version__
from llm_adapter.cli.app import app

__all__ = ["command"]
PROFILES = """profile = "local"
[profiles.local]
provider = "ollama"
[profiles.cloud]
provider = "openai"
[profiles.broken]
provider = "openai"
api_key_env = "NOT_THERE"
"""


def commands(group: Any, *path: str) -> Any:
    """Every command and group, by the words that lead to it."""
    yield path, group
    for name, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, *path, name)


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_on_a_narrow_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]) -> None:
    """Every option and command is there by its whole name, and no line is longer than the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    shown = command(*path, "-h")
    assert (shown.code, shown.out) == (0, command(*path, "--help").out)
    lines = shown.out.splitlines()
    assert (max(map(len, lines)) <= 40, "…" in shown.out) == (True, False)
    words = {word.strip(",") for line in lines for word in line.split()}
    options = {name for one in COMMANDS[path].params if one.param_type_name == "option" for name in one.opts}
    assert options | {*getattr(COMMANDS[path], "commands", {})} <= words


def test_version(command: Command) -> None:
    assert command("--version").out.startswith(f"llm-adapter {__version__} (openai ")


def test_each_command_with_a_profile_takes_p() -> None:
    """And nothing else takes it."""
    for path, one in COMMANDS.items():
        for option in one.params:
            assert ("-p" in option.opts) == ("--profile" in option.opts), path


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_profiles(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which there are, from which file, and which is chosen by what; one that cannot be used stops nothing."""
    user = tmp_path / "config" / "llm_adapter" / "llm_adapter.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[profiles.mine]\nprovider = "embedded"\n[profiles.cloud]\nprovider = "ollama"\n', "utf-8")
    Path("llm_adapter.toml").write_text(PROFILES, "utf-8")
    file = str(Path.cwd() / "llm_adapter.toml")
    found = command("profiles", "--json").json
    assert (found["chosen"], found["chosen_by"]) == ("local", f"`profile` in {file}")
    rows = {one.pop("name"): one for one in found["profiles"]}
    assert list(rows) == ["mine", "cloud", "local", "broken"]
    assert rows["cloud"]["files"] == [str(user), file]
    assert rows["mine"] == {"provider": "embedded", "address": "in this process", "files": [str(user)], "chosen": False}
    assert rows["local"]["chosen"]
    assert rows["broken"]["provider"] == "openai"
    assert command("profiles").out.splitlines()[3].split()[:3] == ["*", "local", "ollama"]
    monkeypatch.setenv("LLM_ADAPTER_PROFILE", "cloud")
    assert "cloud is chosen, by LLM_ADAPTER_PROFILE" in command("profiles").out
    monkeypatch.setenv("LLM_ADAPTER_PROFILE", "clowd")
    assert "clowd, from LLM_ADAPTER_PROFILE, is none of these" in command("profiles").out


def test_no_profiles(command: Command) -> None:
    assert "there are no profiles: `llm-adapter config init`" in command("profiles").out
    Path("llm_adapter.toml").write_text('[profiles.local]\nprovider = "ollama"\n', "utf-8")
    assert "none is chosen: calls go where the openai SDK sends them" in command("profiles").out


# --- what is looked at where nothing is chosen ------------------------------------------------------------------------


def test_scan_and_doctor_look_at_the_same(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama, which they say; a server that OPENAI_BASE_URL names is what calls go to."""
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    Path("app.py").write_text("from openai import OpenAI\nOpenAI().embeddings.create(model='m', input='x')\n", "utf-8")
    assert command("scan", "--json").json["target"] == {"name": "ollama", "provider": "ollama"}
    found = command("doctor", "--json").json
    assert found["address"] == "http://127.0.0.1:9/v1"
    assert found["checks"][0]["line"].endswith("calls go to OpenAI, and what is looked at here is Ollama")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/other/v1")
    assert command("scan", "--json").json["target"]["provider"] == "openai"
    assert command("doctor", "--json").json["address"] == "http://127.0.0.1:9/other/v1"
    assert not Settings.load().configured
