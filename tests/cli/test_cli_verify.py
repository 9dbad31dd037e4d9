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

from llm_adapter.cli.verify import _show_compared
from llm_adapter.testing.contract import CHECKS, EVERYDAY, Result, Results
from llm_adapter.testing.contract.profiles import Verified

__all__ = ["command"]
SECRET = "hunter2-token"
NAMES = [check.name for check in EVERYDAY]


@pytest.fixture
def prose() -> Iterator[Ollama]:
    """A /v1 server that says the same whatever is asked, and counts no tokens."""
    message = {"role": "assistant", "content": f"I am a server, and my key is {SECRET}."}
    chat = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    with Ollama() as server:
        server.answers = {
            "/v1/models": {
                "object": "list",
                "data": [{"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 64}],
            },
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
    assert result.json["rows"][0].keys() == {"name", "outcome", "line", "seconds", "asks", "cure"}
    assert outcomes(result.json) == dict.fromkeys(NAMES, "passed")
    assert (result.code, len(NAMES)) == (0, 10)


def test_each_check_has_its_time(command: Command, profiles: None) -> None:
    first, *_, last = command("verify", "--profile", "prose").out.splitlines()
    assert first.startswith("prose: http://127.0.0.1:")
    assert last.endswith(" s")


def test_what_is_lost(command: Command, profiles: None) -> None:
    result = command("verify", "--against", "small", "--to", "prose", "--json")
    assert result.json.keys() == {"against", "to", "regressions"}
    assert (result.json["against"]["profile"], result.json["to"]["profile"]) == ("small", "prose")
    assert outcomes(result.json["to"]) == {
        **{"models": "passed", "reply_text": "passed", "tool_call": "inconclusive", "embedding_order": "skipped"},
        **dict.fromkeys(("stream_finish", "usage", "stream_usage", "tool_choice_named"), "failed"),
        **dict.fromkeys(("json_schema", "overlong_prompt"), "failed"),
    }
    assert result.json["regressions"] == NAMES[2:]
    assert result.code == 1
    assert SECRET not in result.out


def test_the_way_back_loses_nothing(command: Command, profiles: None) -> None:
    result = command("verify", "--against", "prose", "--profile", "small")
    assert (result.code, "nothing that works there is lost" in result.out) == (0, True)
    assert "inconclusive -> passed tool_call" in result.out


@pytest.mark.parametrize(("options", "count"), [((), len(NAMES)), (("--all",), len(CHECKS))])
def test_a_server_that_is_not_there(command: Command, profiles: None, options: tuple[str, ...], count: int) -> None:
    result = command("verify", "--profile", "nobody", *options)
    assert (result.code, result.out.count("not tried: no connection to 127.0.0.1:9")) == (1, count)


def test_mistakes(command: Command, profiles: None) -> None:
    assert "unknown profile 'nope'" in command.mistake("verify", "--profile", "nope")
    assert "--to goes with --against" in command.mistake("verify", "--to", "small", code=2)


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_of_any_width(columns: int) -> None:
    def found(profile: str, *results: Result) -> Verified:
        return Verified(profile, "http://h/v1", "m", None, Results(results))

    there = found("cloud", Result("reply", "passed", asks="A reply has fields."), Result("n", "passed"))
    here = found("local", Result("reply", "passed", asks="A reply has fields."), Result("n", "failed", "no " * 60))
    screen = Console(width=columns, force_terminal=True, color_system=None, file=io.StringIO(), record=True)
    _show_compared(screen, there, here, ["n"])
    lines = screen.export_text().splitlines()
    assert any(line.startswith("passed -> failed n") for line in lines)
    assert lines[-1] == "works there and not here: n"
    assert max(map(len, lines[3:])) <= columns
