"""`llm-adapter serve`: who may reach it, and what it is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import Command, command

from llm_adapter.serve import server
from llm_adapter.serve.gateway import Gateway

__all__ = ["command"]  # the fixture


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Gateway]:
    """The gateways that a command would have answered with."""
    apps: list[Gateway] = []
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    monkeypatch.setattr(server.Server, "run", lambda self: apps.append(self._app))
    monkeypatch.setattr(server, "tell", lambda: None)
    return apps


REFUSED = {
    ("--host", "0.0.0.0"): "0.0.0.0 can be reached by others",
    ("--host", "::"): ":: can be reached by others",
    ("--api-key-env", "NOT_SET"): "the variable NOT_SET has no key in it",
    ("--workers", "2"): "set `response_store`",
    ("--profile", "nosuch"): "nosuch",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refused(command: Command, started: list[Gateway], arguments: tuple[str, ...]) -> None:
    assert REFUSED[arguments] in command.mistake("serve", *arguments)
    assert not started


STARTED: dict[tuple[str, ...], tuple[str | None, tuple[str, ...]]] = {
    (): (None, ()),
    ("--host", "127.0.0.2"): (None, ()),
    ("--host", "0.0.0.0", "--api-key-env", "GATEWAY_KEY"): ("s3cret", ()),
    ("--host", "0.0.0.0", "--no-key"): (None, ("*",)),
    ("--allow-host", "Box"): (None, ("box",)),
}


@pytest.mark.parametrize("arguments", STARTED)
def test_started(
    command: Command, started: list[Gateway], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "s3cret\n")
    result = command("serve", *arguments)
    rules = started[0].rules
    assert (result.code, rules.key, rules.hosts) == (0, *STARTED[arguments])
    assert ("no key is asked for" in result.err) is ("--no-key" in arguments)
    assert "s3cret" not in result.out + result.err


def test_an_embedded_model_has_a_process_of_its_own(command: Command, started: list[Gateway]) -> None:
    command("serve")
    client: Any = started[0].client
    assert client._connection.resolved.embedded_process is True


def test_workers_are_told_without_a_key(
    command: Command, started: list[Gateway], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setenv("GATEWAY_KEY", "s3cret")
    monkeypatch.setenv("LLM_ADAPTER_RESPONSE_STORE", str(tmp_path / "responses.sqlite"))

    def run(app: str, **options: Any) -> None:
        told.append({**options, "environ": dict(server.os.environ), "rules": server.worker().rules})

    monkeypatch.setattr(server.uvicorn, "run", run)
    assert command("serve", "--workers", "2", "--api-key-env", "GATEWAY_KEY").code == 0
    assert (told[0]["workers"], told[0]["rules"].key) == (2, "s3cret")
    assert "s3cret" not in told[0]["environ"][server._VARIABLE]
    assert server._VARIABLE not in server.os.environ
