"""A server that cannot be reached: the error says what was tried, and the one line to change."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import SYNC_AND_ASYNC, Play, Script, mode

from llm_adapter import Settings
from llm_adapter.routing import unreachable
from llm_adapter.routing.unreachable import Surroundings, surroundings_of, unreachable_message

HERE, CONTAINER, WSL = Surroundings(), Surroundings(container=True), Surroundings(wsl=True)
REFUSED = "[Errno 111] Connection refused"
UNKNOWN = "[Errno -2] Name or service not known"


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def closed() -> str:
    """An address at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def connecting(action: Any) -> Script:
    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError) as caught:
            yield action(client)
        return caught.value

    return script


CALLS = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=HI),
    "embeddings": lambda client: client.embeddings.create(model="m", input="x"),
    "list": lambda client: client.models.list(),
    "pull": lambda client: client.models.pull("m"),
    "ps": lambda client: client.models.ps(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_refused(play: Play, closed: str, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Still the SDK's error, after the SDK's retries, with HTTP's own behind it."""
    monkeypatch.setattr(unreachable, "surroundings", lambda: CONTAINER)
    failure = play(connecting(call), settings=Settings(provider="ollama", host=closed))
    assert type(failure) is openai.APIConnectionError
    assert failure.message == str(failure)
    for words in (closed, "Connection error", "http://host.docker.internal:", "OLLAMA_HOST=0.0.0.0"):
        assert words in str(failure)
    assert type(failure.__cause__).__name__ == "ConnectError"
    assert str(failure.request.url).startswith(closed)


def test_retries(play: Play, closed: str) -> None:
    settings = Settings(provider="ollama", host=closed)
    failure = play(connecting(CALLS["chat"]), settings=settings, max_retries=1)
    assert "tried, 2 times" in str(failure)


def test_over_v1(play: Play, closed: str) -> None:
    settings = Settings(provider="openai", base_url=f"{closed}/v1", dialect="ollama")
    failure = str(play(connecting(CALLS["chat"]), settings=settings))
    assert "`ollama serve`" in failure or unreachable.surroundings().container


def test_other_servers_keep_the_sdks_words(play: Play, closed: str) -> None:
    settings = Settings(provider="openai", base_url=f"{closed}/v1", dialect="vllm")
    assert str(play(connecting(CALLS["chat"]), settings=settings)) == "Connection error."


def local(url: str = "http://127.0.0.1:11434", **more: Any) -> Settings:
    return Settings(provider="ollama", **more).model_copy(update={"base_url": f"{url}/v1"})


@pytest.mark.parametrize(
    ("settings", "cause", "around", "words"),
    [
        (local(), REFUSED, HERE, ["`ollama serve` starts it", "set OLLAMA_HOST=http://HOST:11434"]),
        (local(), REFUSED, CONTAINER, ["set OLLAMA_HOST=http://host.docker.internal:11434", "OLLAMA_HOST=0.0.0.0"]),
        (local(), REFUSED, WSL, ["WSL", "OLLAMA_HOST=0.0.0.0", "networkingMode=mirrored", "http://ADDRESS:11434"]),
        (local(host="127.0.0.1:1"), REFUSED, CONTAINER, ['change `host` to "http://host.docker.internal:11434"']),
        (
            local(host="x").with_origins({"host": "llm_adapter.toml [profiles.local]"}),
            REFUSED,
            HERE,
            ["change `host`, from llm_adapter.toml [profiles.local], to"],
        ),
        (local("http://10.0.0.7:11434"), REFUSED, HERE, ["listens to its own machine alone", "firewall", "11434"]),
        (local("http://gpu:11434"), UNKNOWN, HERE, ["The name 'gpu' is not known here"]),
        (
            local("http://host.docker.internal:11434"),
            UNKNOWN,
            CONTAINER,
            ["--add-host=host.docker.internal:host-gateway"],
        ),
        (local("http://host.docker.internal:11434"), UNKNOWN, HERE, ["http://127.0.0.1:11434"]),
        (local("https://ollama.com"), UNKNOWN, HERE, ["Is this machine online"]),
        (local("http://[::1]:11434"), REFUSED, HERE, ["`ollama serve`"]),
    ],
)
def test_explanations(settings: Settings, cause: str, around: Surroundings, words: list[str]) -> None:
    message = unreachable_message(settings, cause, 1, around)
    assert message is not None
    assert message.startswith("Connection error: no server answers at http")
    for one in (cause, *words):
        assert one in message


def test_over_v1_the_line_is_another() -> None:
    settings = Settings(provider="openai", base_url="http://127.0.0.1:11434", dialect="ollama")
    message = unreachable_message(settings, REFUSED, 3, CONTAINER)
    assert 'change `base_url` to "http://host.docker.internal:11434/v1"' in str(message)


@pytest.mark.parametrize(
    ("files", "environ", "around"),
    [
        ({}, {}, HERE),
        ({".dockerenv": ""}, {}, CONTAINER),
        ({"run/.containerenv": ""}, {}, CONTAINER),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, CONTAINER),
        ({"proc/version": "Linux version 6.6.87-microsoft-standard-WSL2"}, {}, WSL),
        ({"proc/version": "Linux version 6.8.0-generic"}, {}, HERE),
    ],
)
def test_surroundings(tmp_path: Path, files: dict[str, str], environ: dict[str, str], around: Surroundings) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert surroundings_of(tmp_path, environ) == around
