"""A provider of another package: installed, and chosen by a variable or a file; no program is changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from commands import Command, command
from conftest import HI

import llm_adapter
from llm_adapter import OpenAI, Settings, SettingsError
from llm_adapter.providers.others import other_provider

__all__ = ["command"]  # the fixture

SHOUT = '''
"""A service that repeats what it hears, louder, in this process."""

class Shout:
    name = "shout"
    def base_url(self, settings):
        return "http://shout.test/v1"
    def endpoint(self, method, path):
        return chat if path == "/chat/completions" else None

def chat(call):
    yield from ()
    message = {"role": "assistant", "content": call.body["messages"][-1]["content"].upper()}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    return {"id": call.id, "object": "chat.completion", "created": call.created, "model": "m", "choices": choices}

shout = Shout()
number = 7

class NeedsMore:
    def __init__(self, more): ...
'''
ENTRY_POINTS = "[llm_adapter.providers]\nshout = shouting:Shout\nollama = shouting:Shout\n"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package `shouting` as an installer lays it down."""
    folder = tmp_path / "installed"
    for name, text in {
        "shouting.py": SHOUT,
        "broken.py": "raise RuntimeError('no engine')",
        "shouting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n",
        "shouting-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    other_provider.cache_clear()
    yield folder
    other_provider.cache_clear()
    sys.modules.pop("shouting", None)


def said(**options: Any) -> tuple[Any, ...]:
    with OpenAI(**options) as client:
        reply: Any = client.chat.completions.create(model="m", messages=HI)
    return reply.choices[0].message.content, reply.adapter.provider


@pytest.mark.parametrize("name", ["shout", "shouting:Shout", "shouting:shout"])
def test_chosen_by_a_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", name)
    assert "shouting" not in sys.modules
    Settings.load()
    assert "shouting" not in sys.modules  # it is imported when a client is made, and not when settings are read
    assert said() == ("HELLO", "shout")


def test_chosen_for_a_program_that_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "shout")
    with llm_adapter.install():
        assert openai.OpenAI().chat.completions.create(model="m", messages=HI).choices[0].message.content == "HELLO"


def test_a_name_of_this_packages_own_stays_its_own() -> None:
    """Whatever else is installed."""
    assert OpenAI(settings=Settings(provider="ollama")).base_url.port == 11434


UNUSABLE = {
    "nosuch:Name": "provider 'nosuch:Name' cannot be loaded: ModuleNotFoundError",
    "shouting:Nosuch": "provider 'shouting:Nosuch' cannot be loaded: AttributeError",
    "broken:Provider": "provider 'broken:Provider' cannot be loaded: RuntimeError: no engine",
    "shouting:NeedsMore": "provider 'shouting:NeedsMore' cannot be made: TypeError",
    "shouting:number": "provider 'shouting:number' cannot be made: TypeError",
    "builtins:dict": "builtins:dict is no provider: `name`, `base_url` and `endpoint` are needed",
    "shuot": "expected one of openai, ollama, embedded, shout, or package.module:Name; did you mean 'shout'?",
    "a b:c": "unknown provider 'a b:c'",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        OpenAI(settings=Settings(provider=name))
    assert UNUSABLE[name] in str(raised.value)


def test_two_packages_with_one_name(package: Path) -> None:
    other = package / "rival-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[llm_adapter.providers]\nshout = rival:Shout\n")
    with pytest.raises(SettingsError, match=r"'shout' is brought by several packages: .*rival:Shout"):
        OpenAI(settings=Settings(provider="shout"))


@pytest.mark.parametrize("name", ["shout", "shouting:Shout"])
def test_an_untrusted_file_does_not_choose_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported, and no call goes to OpenAI instead."""
    (tmp_path / "llm_adapter.toml").write_text(f'provider = "{name}"')
    monkeypatch.setenv("LLM_ADAPTER_TRUST", "0")
    with pytest.warns(llm_adapter.AdapterWarning, match="does not decide `provider`"), pytest.raises(SettingsError):
        OpenAI(api_key="k")
    assert "shouting" not in sys.modules


def test_commands_show_it(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "shout")
    shown = command("config", "--json").json
    assert (shown["settings"]["provider"]["value"], shown["address"]) == ("shout", "http://shout.test/v1")
    assert "provider shout, at http://shout.test/v1" in command("explain", "--message", "Hi").out
    assert "provider shout" in command("doctor").out


def test_commands_name_what_there_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "shuot")
    assert "embedded, shout, or package.module:Name" in command.mistake("config")
