"""What `config`, `explain` and `doctor` say of routes and fallback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command, command

__all__ = ["command"]
WAYS = 'routes = { embeddings = "cloud", "model:gpt-4*" = "cloud" }\nfallback = ["cloud", "lan"]'
PRIVATE = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "extra_body": {"privacy": "local"}}


@pytest.fixture(autouse=True)
def file() -> None:
    write(WAYS)


def write(ways: str) -> None:
    Path("llm_adapter.toml").write_text(
        f'profile = "local"\n[profiles.local]\nprovider = "ollama"\nhost = "http://127.0.0.1:9"\n{ways}\n'
        '[profiles.cloud]\nprovider = "openai"\nbase_url = "https://cloud.example/v1"\ndialect = "openai"\n'
        '[profiles.lan]\nprovider = "embedded"\n',
        encoding="utf-8",
    )


def test_config_shows_where_calls_may_go(command: Command) -> None:
    shown = command("config", "--json").json
    assert shown["fallback"] == ["cloud at https://cloud.example/v1", "lan in this process"]
    assert shown["routes"] == [f"{key} to cloud at https://cloud.example/v1" for key in ("model:gpt-4*", "embeddings")]
    assert "fallback cloud at https://cloud.example/v1" in command("config").out


def test_config_shows_why_no_client_can_be_made(command: Command) -> None:
    write('fallback = ["clod"]')
    assert "did you mean 'cloud'?" in command("config", "--json").json["fallback"]


def test_explain_follows_a_route(command: Command) -> None:
    shown = command("explain", "--message", "Hi", "--model", "gpt-4o", "--json").json
    assert shown["route"] == {"to": "cloud", "by": "model:gpt-4*"}
    assert shown["requests"][0]["url"] == "https://cloud.example/v1/chat/completions"
    assert shown["fallback"] == []
    assert "The route 'model:gpt-4*' leads it to" in command("explain", "--message", "Hi", "--model", "gpt-4o").out


def test_explain_names_who_comes_next(command: Command) -> None:
    shown = command("explain", "--message", "Hi", "--model", "m", "--json").json
    assert shown["route"] is None
    assert [one["to"] for one in shown["fallback"]] == ["cloud", "lan"]
    assert "If that server cannot take it: profile 'cloud', at" in command("explain", "--message", "Hi", "-m", "m").out


@pytest.mark.parametrize(("model", "code"), [("m", 0), ("gpt-4o", 1)])
def test_explain_of_a_private_call(command: Command, model: str, code: int) -> None:
    Path("call.json").write_text(json.dumps({**PRIVATE, "model": model}), encoding="utf-8")
    result = command("explain", "call.json", "--json")
    assert result.code == code
    assert result.json["fallback"] == []
    assert "privacy" not in result.json["parameters"]
    assert (result.json["refusal"] is not None) == bool(code)


def test_doctor_names_them(command: Command) -> None:
    checks = {one["check"]: one for one in command("doctor", "--json").json["checks"]}
    assert "falls back to cloud, lan" in checks["configuration"]["line"]
    assert "routes embeddings to cloud, model:gpt-4* to cloud" in checks["configuration"]["line"]


def test_doctor_fails_where_no_client_can_be_made(command: Command) -> None:
    write('fallback = ["local"]')
    result = command("doctor", "--json")
    assert result.code == 2
    assert "goes round in a circle" in result.json["checks"][0]["line"]
