"""`config init`, the shell's completion, and what all commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import prepared
import pytest
from commands import Command, Ollama, command, server
from test_cli import REFUSED

from llm_adapter import Settings

__all__ = ["command", "server"]
PROFILES = ("local", "cloud", "embedded")


@pytest.fixture(autouse=True)
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", REFUSED)


def test_init(command: Command) -> None:
    """The file changes nothing until a profile is chosen, and each of its profiles can be used."""
    result = command("config", "init")
    assert (result.code, result.err) == (0, "")
    assert str(Path.cwd() / "llm_adapter.toml") in result.out
    assert not Settings.load({}).configured
    assert [Settings.load({}, profile=name).provider for name in PROFILES] == ["ollama", "openai", "embedded"]
    assert command("config", "--profile", "local", "--json").json["address"] == "http://localhost:11434/v1"


def test_init_chooses_a_profile(command: Command) -> None:
    assert "is not one of local, cloud, embedded" in " ".join(
        command.mistake("config", "init", "--profile", "x", code=2).split()
    )
    command("config", "init", "--profile", "embedded")
    assert Settings.load({}).provider == "embedded"


CODE = """MODELS = {"fast": "gpt-4o-mini", "search": "text-embedding-3-small"}
client.chat.completions.create(model="gpt-4o", messages=HI)
IMAGE_MODEL = "dall-e-3"
"""


def test_init_from_a_scan(command: Command) -> None:
    """What the code asks for works at once: each name is mapped, the profile is chosen, the rest is said."""
    Path("app.py").write_text(CODE, "utf-8")
    models = {"gpt-4o-mini": "qwen3:8b", "text-embedding-3-small": "nomic-embed-text", "gpt-4o": "qwen3:8b"}
    result = command("config", "init", "--from-scan", "--json")
    assert (result.json["profile"], result.json["models"]) == ("local", {**models, "*": "qwen3:8b"})
    settings = Settings.load({})
    assert (settings.provider, settings.models) == ("ollama", {**models, "*": "qwen3:8b"})
    lines = Path("llm_adapter.toml").read_text("utf-8").splitlines()
    assert '# "dall-e-3": no chat and no embeddings; app.py:3:15' in lines
    assert any(line.startswith('"gpt-4o" = "qwen3:8b" ') and line.endswith("# app.py:2:38") for line in lines)


def test_init_from_a_scan_of_named_files(command: Command) -> None:
    Path("app.py").write_text(CODE, "utf-8")
    Path("other.py").write_text("import openai\n", "utf-8")
    out = command("config", "init", "--from-scan", "other.py", "--profile", "cloud").out
    assert "The profile `cloud` is chosen; `local` maps 1 name" in out
    assert (Settings.load({}).provider, Settings.load({}, profile="local").models) == ("openai", {"*": "qwen3:8b"})
    assert "for --from-scan alone" in command.mistake("config", "init", "other.py", code=2)


def test_its_comments_can_be_taken_away(command: Command) -> None:
    """Every line that looks like a setting is one."""
    command("config", "init")
    path = Path("llm_adapter.toml")
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(line.removeprefix("# ") if _setting(line) else line for line in lines), "utf-8")
    local, cluster = (Settings.load({"LLM_ADAPTER_TRUST": "1"}, profile=name) for name in ("local", "cluster"))
    assert (local.num_ctx, local.models["gpt-4o-mini"]) == (8192, "qwen3:8b")
    assert cluster.base_url == "https://llm.internal/v1"
    assert Settings.load({}).provider == "ollama"


def _setting(line: str) -> bool:
    return line.startswith("# [") or line.partition(" = ")[0].removeprefix("# ").isidentifier()


def test_a_running_ollama_is_suggested(command: Command, server: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    """In comments only, whatever its models are called."""
    names = ("nomic-embed-text", "qwen3:8b", 'evil\nprovider = "openai"')
    server.answers["/api/tags"] = {"models": [{"name": name, "model": name} for name in names]}
    monkeypatch.delenv("LLM_ADAPTER_PROVIDER")
    monkeypatch.delenv("LLM_ADAPTER_HOST")
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    assert command("config", "init", "--json").json["ollama"] == server.url
    settings = Settings.load({}, profile="local")
    assert (settings.provider, settings.host, settings.models) == ("ollama", server.url, {})
    Path("app.py").write_text(CODE, "utf-8")
    mapped = command("config", "init", "--from-scan", "--yes", "--json").json["models"]
    assert mapped == {
        "gpt-4o-mini": "qwen3:8b",
        "text-embedding-3-small": "nomic-embed-text",
        "gpt-4o": "qwen3:8b",
        "*": "qwen3:8b",
    }
    assert "models pull" not in Path("llm_adapter.toml").read_text("utf-8")
    command("config", "init", "--yes")
    suggestion = '# models = { "gpt-4o-mini" = "qwen3:8b", "text-embedding-3-small" = "nomic-embed-text" }'
    assert suggestion in Path("llm_adapter.toml").read_text("utf-8").splitlines()


def test_a_file_is_not_overwritten(command: Command) -> None:
    path = Path("llm_adapter.toml")
    path.write_text("[profiles.mine]\n", "utf-8")
    assert "exists already: --yes overwrites it" in command.mistake("config", "init")
    assert path.read_text("utf-8") == "[profiles.mine]\n"
    assert command("config", "init", "--yes").code == 0
    assert "[profiles.local]" in path.read_text("utf-8")


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What bash is offered for the last of these words."""

    def run(words: str) -> list[str]:
        monkeypatch.setenv("_LLM_ADAPTER_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        result = prepared.run(prepared.LLM_ADAPTER)
        assert result.stderr == ""
        return result.stdout.split()

    return run


def test_completion(completed: Callable[[str], list[str]]) -> None:
    """Profiles come from the files; one that cannot be read offers nothing and says nothing."""
    Path("llm_adapter.toml").write_text("[profiles.local]\n[profiles.lab]\n[profiles.cloud]\n", "utf-8")
    assert completed("llm-adapter models ls --profile l") == ["local", "lab"]
    Path("llm_adapter.toml").write_text("[profiles", "utf-8")
    assert completed("llm-adapter chat --profile l") == []


COMMANDS = ("demo", "chat", "embed", "explain", "config", *(f"models {name}" for name in ("ls", "pull", "rm", "ps")))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_wrong_options(name: str, command: Command) -> None:
    assert command(*name.split(), "--help").out.count("--profile") == 1
    assert "No such option" in command.mistake(*name.split(), "--nonsense", code=2)
