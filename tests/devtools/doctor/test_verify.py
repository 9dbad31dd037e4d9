"""`llm-adapter verify`: what works on a profile, and what is lost on the way to another."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ollama, command
from rich.console import Console

from llm_adapter.cli.verify import _show
from llm_adapter.devtools.doctor.probes import Row
from llm_adapter.devtools.doctor.verify import PROBES, Verified, regressions, verified

__all__ = ["command"]
SECRET = "hunter2-token"
NAMES = ["list", "chat", "stream", "usage", "tools", "tool_choice", "structured output", "embeddings", "overflow"]


@pytest.fixture
def prose() -> Iterator[Ollama]:
    """A /v1 server that says the same whatever is asked, and counts no tokens."""
    message = {"role": "assistant", "content": f"I am a server, and my key is {SECRET}."}
    chat = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    with Ollama() as server:
        server.answers = {
            "/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "vllm", "max_model_len": 64}]},
            "/version": {"version": "0.11.0"},
            "/v1/chat/completions": chat,
        }
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def profiles(prose: Ollama) -> None:
    Path("llm_adapter.toml").write_text(
        '[profiles.small]\nprovider = "embedded"\n'
        f'[profiles.prose]\nprovider = "openai"\nbase_url = "{prose.url}/v1"\napi_key = "{SECRET}"\n'
        'models = { "*" = "m" }\ncorrections = 0\n'
        '[profiles.nobody]\nprovider = "ollama"\nhost = "127.0.0.1:9"\n',
        encoding="utf-8",
    )


def outcomes(found: Any) -> dict[str, str]:
    return {row["name"]: row["outcome"] for row in found["rows"]}


def test_everything_works_embedded(command: Command, profiles: None) -> None:
    result = command("verify", "--profile", "small", "--json")
    assert result.json.keys() == {"profile", "address", "model", "embedding_model", "rows"}
    assert outcomes(result.json) == dict.fromkeys(NAMES, "pass")
    assert result.code == 0
    assert list(PROBES) == NAMES


def test_what_is_lost(command: Command, profiles: None) -> None:
    result = command("verify", "--against", "small", "--to", "prose", "--json")
    assert result.json.keys() == {"against", "to", "regressions"}
    assert (result.json["against"]["profile"], result.json["to"]["profile"]) == ("small", "prose")
    there = outcomes(result.json["to"])
    assert [there[name] for name in ("list", "chat", "tools", "overflow")] == ["pass", "pass", "ignored", "ignored"]
    assert (there["structured output"], there["embeddings"]) == ("fail", "skipped")
    assert result.json["regressions"] == [name for name in NAMES if there[name] != "pass"]
    assert result.code == 1
    assert SECRET not in result.out


def test_the_way_back_loses_nothing(command: Command, profiles: None) -> None:
    result = command("verify", "--against", "prose", "--profile", "small")
    assert (result.code, "nothing that works there is lost" in result.out) == (0, True)
    assert "ignored -> pass    tools" in result.out


def test_a_server_that_is_not_there(command: Command, profiles: None) -> None:
    result = command("verify", "--profile", "nobody")
    assert (result.code, result.out.count("not tried: no connection to 127.0.0.1:9")) == (1, len(NAMES))


def test_mistakes(command: Command, profiles: None) -> None:
    assert "unknown profile 'nope'" in command.mistake("verify", "--profile", "nope")
    assert "--to goes with --against" in command.mistake("verify", "--to", "small", code=2)


def test_models_are_chosen(profiles: None, prose: Ollama) -> None:
    """The map's own; without one, what the server has."""
    chosen = verified(environ={"LLM_ADAPTER_PROFILE": "prose"})
    assert (chosen.profile, chosen.model, chosen.embedding_model) == ("prose", "m", None)
    bare = verified(environ={"LLM_ADAPTER_BASE_URL": f"{prose.url}/v1"})
    assert (bare.model, bare.embedding_model) == ("m", None)
    assert {row.name: row.outcome for row in bare.rows}["embeddings"] == "skipped"


@pytest.mark.parametrize(
    ("there", "here", "lost"),
    [
        ("pass", "pass", False),
        ("pass", "fail", True),
        ("pass", "ignored", True),
        ("pass", "skipped", True),
        ("ignored", "fail", False),
        ("fail", "pass", False),
        ("skipped", "fail", False),
    ],
)
def test_regressions(there: Any, here: Any, lost: bool) -> None:
    assert regressions([Row("a", there, "")], [Row("a", here, "")]) == (["a"] if lost else [])
    # A prompt that was not tried, for want of a number, is not lost.
    assert regressions([Row("overflow", "pass", "")], [Row("overflow", "skipped", "")]) == []


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_of_any_width(columns: int) -> None:
    there = Verified(
        "cloud", "https://api.openai.com/v1", "gpt-4o", None, [Row("chat", "pass", "Hi"), Row("b", "pass", "")]
    )
    here = Verified("local", "http://h/v1", "m", "e", [Row("chat", "pass", "Hi"), Row("b", "fail", "no " * 60)])
    screen = Console(width=columns, force_terminal=True, color_system=None, file=io.StringIO(), record=True)
    _show(screen, there, here, ["b"])
    lines = screen.export_text().splitlines()
    assert any(line.startswith("pass -> fail       b") for line in lines)
    assert lines[-1] == "works there and not here: b"
    assert max(map(len, lines[3:])) <= columns
