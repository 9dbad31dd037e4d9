"""What a client says of itself: its repr, and the log's line with its first call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from conftest import HI, HOST, Run, Server

from llm_adapter import AsyncOpenAI, OpenAI, Settings

KEY = "sk-secret"
ANSWER = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
REPRS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing configured": ({}, "<OpenAI: openai at api.openai.com>"),
    "an address of the program's": (
        {"base_url": "https://me:pw@llm.test:8000/v1"},
        "<OpenAI: openai at llm.test:8000>",
    ),
    "Ollama": ({"settings": Settings(provider="ollama", host=HOST)}, "<OpenAI: ollama at ollama.test:11434>"),
    "a key of the configuration's": (
        {"settings": Settings(provider="openai", base_url="https://llm.test/v1", api_key=KEY)},
        "<OpenAI: openai at llm.test>",
    ),
    "embedded": ({"settings": Settings(provider="embedded")}, "<OpenAI: embedded in this process>"),
    "a profile": ({"profile": "local"}, "<OpenAI: ollama at gpu.test:11434, profile 'local'>"),
}


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path) -> None:
    text = '[profiles.local]\nprovider = "ollama"\nhost = "gpu.test"\n'
    (tmp_path / "llm_adapter.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", REPRS)
def test_repr(case: str) -> None:
    options, shown = REPRS[case]
    client = OpenAI(**{"api_key": KEY, **options})
    assert repr(client) == repr(client.with_options(timeout=5)) == shown
    assert repr(AsyncOpenAI(**{"api_key": KEY, **options})) == shown.replace("OpenAI", "AsyncOpenAI", 1)


def test_repr_follows_the_address() -> None:
    client = OpenAI(api_key=KEY)
    client.base_url = "https://llm.test/v1"
    assert repr(client) == "<OpenAI: openai at llm.test>"
    other = OpenAI(api_key=KEY).with_options(profile="local")
    assert repr(other) == "<OpenAI: ollama at gpu.test:11434, profile 'local'>"


def test_repr_of_a_client_that_could_not_be_made() -> None:
    assert repr(OpenAI.__new__(OpenAI)) == "<OpenAI>"


def test_the_first_call_is_logged_once(run: Run, ollama: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Where the client was made, where it goes, and by which setting."""
    ollama.answer("/api/chat", body=ANSWER)
    with caplog.at_level(logging.INFO, "llm_adapter"):
        run(lambda client: client.chat.completions.create(model="m", messages=HI))
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    kind = "OpenAI" if run.mode == "sync" else "AsyncOpenAI"
    assert told.startswith(f"first call of {kind} made at ")
    assert told.endswith("goes to ollama at ollama.test:11434 (`host` from argument)")


def test_copies_with_other_options_are_the_same_client(ollama: Server, caplog: pytest.LogCaptureFixture) -> None:
    ollama.answer("/api/chat", body=ANSWER)
    with (
        caplog.at_level(logging.INFO, "llm_adapter"),
        OpenAI(settings=Settings(provider="ollama", host=HOST)) as client,
    ):
        for timeout in (5, 6):
            client.with_options(timeout=timeout).chat.completions.create(model="m", messages=HI)
    (told,) = [record.getMessage() for record in caplog.records if "first call" in record.getMessage()]
    assert f"{Path(__file__).name}:" in told
