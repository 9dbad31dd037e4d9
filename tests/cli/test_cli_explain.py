"""`explain`: the requests that would be sent, what becomes of each parameter, and nothing on the wire."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ollama, command, server

from llm_adapter import Settings
from llm_adapter.devtools.explain import Verdict, explanation
from llm_adapter.routing.connection import connect

__all__ = ["command", "server"]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def written(body: Any, name: str = "request.json") -> str:
    Path(name).write_text(body if isinstance(body, str) else json.dumps(body), "utf-8")
    return name


@pytest.fixture
def quiet(server: Ollama) -> Iterator[Ollama]:
    """A server that is not to be asked anything."""
    yield server
    assert server.asked == []


def test_a_message(command: Command, quiet: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_MODELS", '{"gpt-4o-mini": "qwen3:8b"}')
    out = command("explain", "--message", "hi").out
    assert "gpt-4o-mini is qwen3:8b there" in out
    assert f"POST {quiet.url}/api/chat\n" in out
    native = json.loads(out[out.index("{\n") :])
    assert native["messages"] == CHAT["messages"]
    assert native["model"] == "qwen3:8b"


def test_every_request_and_every_verdict(command: Command, quiet: Ollama) -> None:
    """The verdicts are the rows'; a parameter of `extra_body` is one of the call."""
    asked = {**CHAT, "n": 2, "seed": 7, "user": "me", "logit_bias": {}, "stop": None, "extra_body": {"num_ctx": 4096}}
    told = command("explain", written(asked), "--json").json
    assert {name: one["verdict"] for name, one in told["parameters"].items()} == {
        "model": "honoured",
        "messages": "honoured",
        "n": "emulated",
        "seed": "honoured",
        "user": "ignored",
        "logit_bias": "accepted",
        "stop": "left out",
        "num_ctx": "honoured",
    }
    assert [one["body"]["options"] for one in told["requests"]] == [
        {"num_ctx": 4096, "seed": 7},
        {"num_ctx": 4096, "seed": 8},
    ]
    assert told["refusal"] is None


def test_a_refusal(command: Command, quiet: Ollama) -> None:
    file = written({**CHAT, "logit_bias": {"1": 5}})
    result = command("explain", file)
    assert result.code == 1
    assert "The call is refused with status 400, and nothing is sent: `logit_bias` is not available" in result.out
    assert "POST http" not in result.out
    told = command("explain", file, "--json")
    assert (told.code, told.json["refusal"]["param"], told.json["requests"]) == (1, "logit_bias", [])


def test_what_the_settings_leave_out(command: Command, quiet: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_UNSUPPORTED", "warn")
    told = command("explain", written({**CHAT, "verbosity": "low", "tmperature": 1}), "--json").json
    assert [told["parameters"][name]["verdict"] for name in ("verbosity", "tmperature")] == ["left out", "left out"]
    assert any("did you mean `temperature`" in warning for warning in told["warnings"])


@pytest.mark.parametrize(
    ("body", "path", "native"),
    [
        ({"prompt": "x"}, "/completions", "/api/generate"),
        ({"input": "x"}, "/embeddings", "/api/embed"),
        ({"input": "x", "dimensions": 3}, "/embeddings", "/api/embed"),
        ({"input": "x", "instructions": "y"}, "/responses", "/api/chat"),
        ({"input": [{"role": "user", "content": "x"}]}, "/responses", "/api/chat"),
        (
            {"url": "/v1/embeddings", "method": "POST", "body": {"model": "m", "input": "x"}},
            "/embeddings",
            "/api/embed",
        ),
    ],
    ids=str,
)
def test_the_endpoint_is_told_by_the_arguments(
    body: Any, path: str, native: str, command: Command, quiet: Ollama
) -> None:
    told = command("explain", "-", "--json", stdin=json.dumps({"model": "m", **body}).encode()).json
    assert told["path"] == path
    assert told["requests"][0]["url"] == quiet.url + native
    assert all(one["verdict"] == "honoured" for one in told["parameters"].values())


def test_what_is_asked_before(command: Command, quiet: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image's address is fetched and the model's abilities are asked for: told, and not done."""
    image = {"type": "image_url", "image_url": {"url": "http://img.test/a.png"}}
    asked = {**CHAT, "messages": [{"role": "user", "content": [image]}]}
    told = command("explain", written(asked), "--json").json
    assert told["asked_before"] == [f"POST {quiet.url}/api/show", "GET http://img.test/a.png"]
    assert len(told["requests"][0]["body"]["messages"][0]["images"]) == 1
    monkeypatch.setenv("LLM_ADAPTER_NUM_CTX", "auto")
    told = command("explain", "--message", "hi", "--json").json
    assert f"GET {quiet.url}/api/ps" in told["asked_before"]
    assert told["requests"][0]["body"]["options"] == {"num_ctx": 8192}


def test_v1_servers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the dialect's rows, and OpenAI's own calls as they are."""
    told = command("explain", "--message", "hi", "--json").json
    assert told["requests"][0]["url"] == "https://api.openai.com/v1/chat/completions"
    assert told["parameters"]["messages"]["verdict"] == "passed on"
    monkeypatch.setenv("LLM_ADAPTER_BASE_URL", "http://127.0.0.1:11434/v1")
    told = command("explain", written({**CHAT, "max_completion_tokens": 5, "logit_bias": {"1": 1}}), "--json").json
    assert told["refusal"]["param"] == "logit_bias"
    told = command("explain", written({**CHAT, "max_completion_tokens": 5}), "--json").json
    assert told["requests"][0]["body"]["max_tokens"] == 5
    assert told["parameters"]["max_completion_tokens"] == {"verdict": "honoured", "note": "`max_tokens`"}
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    monkeypatch.delenv("LLM_ADAPTER_BASE_URL")
    assert "in this process" in command("explain", "--message", "hi").out


def test_what_precedes_a_call_over_v1(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keep_alive` is told by a load of its own: both requests are shown."""
    for name, value in (("BASE_URL", "http://ollama.test/v1"), ("DIALECT", "ollama"), ("KEEP_ALIVE", "1h")):
        monkeypatch.setenv(f"LLM_ADAPTER_{name}", value)
    first, second = command("explain", "--message", "hi", "--json").json["requests"]
    assert (first["url"], first["body"]["keep_alive"]) == ("http://ollama.test/api/generate", "1h")
    assert second["url"] == "http://ollama.test/v1/chat/completions"


def test_local_only(command: Command, quiet: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_LOCAL_ONLY", "true")
    assert command("explain", "--message", "hi").code == 0
    assert command("explain", "--message", "hi", "-m", "x:cloud", "--json").json["refusal"]["code"] == "local_only"


def test_a_prefix_chooses_the_provider(command: Command) -> None:
    told = command("explain", "--model", "ollama/qwen3:8b", "--message", "hi", "--json").json
    assert (told["provider"], told["model"]) == ("ollama", "qwen3:8b")


def test_long_texts_are_cut_for_people_alone(command: Command, quiet: Ollama) -> None:
    file = written({"model": "m", "prompt": "x" * 1000})
    assert "(1000 characters)" in command("explain", file).out
    assert command("explain", file, "--json").json["requests"][0]["body"]["prompt"] == "x" * 1000


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        ((), "", "either a file or --message"),
        (("request.json", "--message", "x"), "", "either a file or --message"),
        (("nowhere.json",), "", "nowhere.json: No such file"),
        (("request.json",), "{", "request.json is not JSON"),
        (("request.json",), "[]", "does not hold a JSON object"),
        (("request.json", "--path", "/images"), "{}", "is not one of /chat/completions"),
    ],
)
def test_wrong_options(arguments: tuple[str, ...], text: str, says: str, command: Command) -> None:
    written(text)
    said = " ".join(command.mistake("explain", *arguments, code=2).replace("│", " ").split())
    assert says in said


def test_an_explanation_leaves_nothing_behind() -> None:
    """A call that was only explained is not remembered: the real one is loaded for, and warned of, all the same."""
    settings = Settings(base_url="http://ollama.test:11434/v1", dialect="ollama", keep_alive="1h", num_ctx=4096)
    connection = connect(settings, {})
    body: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "extra_body": {"top_k": 3}}
    first, second = (explanation(connection, "/chat/completions", body) for _ in range(2))
    assert [one.path for one in second.requests] == [one.path for one in first.requests]
    assert first.requests[0].path == "/api/generate"
    assert second.warnings == first.warnings != []


@pytest.mark.parametrize(("name", "plain", "other"), [("n", 1, 2), ("tool_choice", "auto", "none")])
def test_what_happens_anyway_is_not_emulated(name: str, plain: Any, other: Any) -> None:
    connection = connect(Settings(provider="ollama"), {})
    body: Any = {**CHAT, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    verdicts = []
    for value in (plain, other):
        told = explanation(connection, "/chat/completions", {**body, name: value}).verdicts()
        verdicts += [one.verdict for one in told if one.name == name]
    assert verdicts == ["accepted", "emulated"]


def test_a_key_that_the_server_is_not_known_to_read() -> None:
    connection = connect(Settings(base_url="http://llama.test/v1", dialect="llamacpp"), {})
    told = explanation(connection, "/chat/completions", {**CHAT, "extra_body": {"cache_promt": True}})
    assert told.verdicts()[-1] == Verdict("cache_promt", "passed on", "the server is not known to read it")
    assert "did you mean `cache_prompt`?" in told.warnings[0]


WORDS = "café → 日本 😀"


class Stdout(io.TextIOWrapper):
    """A stream of a machine whose own encoding is not UTF-8, as Windows' often is not."""

    def __init__(self, *, terminal: bool) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, encoding="cp1252")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "asked", "encoding", "shown"),
    [
        (False, None, "utf-8", WORDS),
        (False, "cp1252", "cp1252", r"café \u2192 \u65e5\u672c \U0001f600"),
        (True, None, "cp1252", r"café \u2192 \u65e5\u672c \U0001f600"),
    ],
    ids=["a pipe", "a pipe with an encoding of its own", "a terminal"],
)
def test_any_script_can_be_written(
    command: Command,
    quiet: Ollama,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    asked: str | None,
    encoding: str,
    shown: str,
) -> None:
    """Nothing raises, nothing becomes a question mark, and JSON stays JSON."""
    if asked:
        monkeypatch.setenv("PYTHONIOENCODING", asked)
    file = written({**CHAT, "model": WORDS})
    for options in ([], ["--json"]):
        out = Stdout(terminal=terminal)
        monkeypatch.setattr(sys, "stdout", out)
        command("explain", file, *options)
        out.flush()
        text = out.written.getvalue().decode(encoding)
        assert (json.loads(text)["requests"][0]["body"]["model"] == WORDS) if options else shown in text
