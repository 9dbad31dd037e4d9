"""`chat` and `embed`: pipes, JSON, a conversation at a terminal, and what goes wrong."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ollama, command, server
from test_cli import COMMAND

from llm_adapter.cli.reply import WordWrap
from llm_adapter.testing import disconnect, serving

__all__ = ["command", "server"]
END = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}
TAGS = {"models": [{"name": name, "model": name} for name in ("nomic-embed-text", "qwen3:8b", "llama3")]}


def lines(*pieces: dict[str, str]) -> list[Any]:
    """A streamed reply."""
    said = [{"model": "m", "message": {"role": "assistant", **piece}, "done": False} for piece in pieces]
    return [*said, {"model": "m", "message": {"role": "assistant", "content": ""}, **END}]


def answer(body: Any) -> Any:
    """The last thing said, in capitals, streamed or whole."""
    text = body["messages"][-1]["content"].upper()
    if body["stream"]:
        return lines({"thinking": "Hmm."}, {"content": text[:3]}, {"content": text[3:]})
    return {"model": body["model"], "message": {"role": "assistant", "content": text}, **END}


@pytest.fixture(autouse=True)
def script(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").answers |= {"/api/chat": answer, "/api/tags": TAGS}


def test_one_message(command: Command, server: Ollama) -> None:
    """Plain text and nothing else: no thoughts, no escape codes. The model is the server's newest that chats."""
    assert command("chat", "good", "morning") == (0, "GOOD MORNING\n", "")
    sent = server.bodies("/api/chat")[0]
    assert (sent["model"], sent["stream"], "options" in sent) == ("qwen3:8b", True, False)


def test_what_is_piped_in_is_put_below_the_message(command: Command, server: Ollama) -> None:
    result = command(
        "chat", "summarise", "-m", "x", "--system", "be brief", "--temperature", "0.5", stdin=b"a\nb\xff\n"
    )
    assert result.out == "SUMMARISE\n\nA\nB�\n"
    sent = server.bodies("/api/chat")[0]
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}
    assert (sent["model"], sent["options"]) == ("x", {"temperature": 0.5})
    assert command("chat", stdin=b"alone").out == "ALONE\n"


def test_json(command: Command, server: Ollama) -> None:
    reply = command("chat", "hi", "--json").json
    assert (reply["object"], reply["choices"][0]["message"]["content"]) == ("chat.completion", "HI")


def test_a_mapped_model_is_the_profile_s(command: Command, server: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    for models, asked in (
        ('{"*": "a"}', "a"),
        ('{"gpt-4o-mini": "b", "*": "a"}', "b"),
        ('{"gpt-4": "c", "text-embedding-3-small": "nomic-embed-text"}', "c"),
    ):
        monkeypatch.setenv("LLM_ADAPTER_MODELS", models)
        assert command("chat", "hi").code == 0
        assert server.bodies("/api/chat")[-1]["model"] == asked
    assert server.bodies("/api/tags") == []


def test_mistakes(command: Command, server: Ollama) -> None:
    assert "give a message" in " ".join(command.mistake("chat", code=2).split())
    assert "unknown profile 'no'" in command.mistake("chat", "hi", "--profile", "no")
    server.answers["/api/tags"] = {"models": []}
    assert "has no model that chats: name one with --model" in command.mistake("chat", "hi")
    server.answers["/api/chat"] = 404, {"error": "model 'x' not found"}
    assert "model 'x' not found" in command.mistake("chat", "hi", "-m", "x")
    server.answers["/api/chat"] = [{"model": "m", "message": {"content": "a"}, "done": False}, {"error": "boom"}]
    result = command("chat", "hi", "-m", "x")
    assert (result.code, result.out) == (1, "a\n")
    assert "boom" in result.err


def test_embedded_as_a_process() -> None:
    """The whole way: no server, no key, a pipe on both sides."""
    environ = {**os.environ, "LLM_ADAPTER_PROVIDER": "embedded"}
    result = subprocess.run(
        [COMMAND, "chat", "--temperature", "0"],
        env=environ,
        capture_output=True,
        input=b"What is the capital of France?",
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"The capital of France is Paris.\n", b"")


class Terminal:
    """The command at a terminal."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        import pty

        self.screen = ""
        self._ours, its = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **environ}
        self.process = subprocess.Popen(
            [COMMAND, *arguments], env=environ, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)

    def wait_for(self, text: str) -> str:
        """What comes until this text, which is to come within some seconds."""
        assert self.shows(text, 20), self.screen
        before, found, self.screen = self.screen.partition(text)
        return before + found

    def shows(self, text: str, seconds: float) -> bool:
        """Whether this text comes in time."""
        until = time.monotonic() + seconds
        while text not in self.screen:
            if not select.select([self._ours], [], [], max(until - time.monotonic(), 0))[0]:
                return False
            try:
                self.screen += os.read(self._ours, 4096).decode()
            except OSError:  # Linux's way to say that the other end is closed
                raise AssertionError(self.screen) from None
        return True

    def interrupt(self, until: str) -> None:
        """Ctrl-C, as often as it takes: Python drops one that arrives while it cleans up."""
        for _ in range(5):
            os.killpg(self.process.pid, signal.SIGINT)
            if self.shows(until, 3):
                break
        self.wait_for(until)

    def type(self, line: str) -> None:
        os.write(self._ours, line.encode() + b"\n")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(server: Ollama) -> Iterator[Terminal]:
    if sys.platform == "win32":
        pytest.skip("Windows has no pty")
    terminal = Terminal("chat", "--system", "be brief")
    yield terminal
    terminal.close()


def test_a_conversation(terminal: Terminal, server: Ollama) -> None:
    assert "qwen3:8b at http://127.0.0.1" in terminal.wait_for("> ")
    for typed, shown in (
        ("hello", "HELLO"),
        ("/model llama3", "model: llama3"),
        ('"""', ". "),
        ("two", ". "),
        ('lines"""', "TWO"),
        ("/save talk.json", "saved 4 messages"),
        ("/clear", "forgotten"),
        ("/foo", "there is no command /foo"),
        ("/system", "no system message"),
        ("again", "AGAIN"),
        ("/help", "/save FILE"),
    ):
        terminal.type(typed)
        said = terminal.wait_for(shown)
        if shown == "HELLO":
            assert "\x1b[2mHmm." in said  # thoughts are dimmed
        if shown != ". ":
            terminal.wait_for("> ")
    terminal.type("/exit")
    assert terminal.process.wait(10) == 0
    first, second, third = server.bodies("/api/chat")
    assert [turn["role"] for turn in first["messages"]] == ["system", "user"]
    assert second["model"] == "llama3"
    assert [turn["content"] for turn in second["messages"]] == ["be brief", "hello", "HELLO", "two\nlines"]
    assert third["messages"] == [{"role": "user", "content": "again"}]
    saved = json.loads(Path("talk.json").read_text("utf-8"))
    assert (saved["model"], len(saved["messages"])) == ("llama3", 5)


def test_ctrl_c_stops_the_reply_and_an_error_the_turn(terminal: Terminal, server: Ollama) -> None:
    terminal.wait_for("> ")
    server.answers["/api/chat"] = 500, {"error": "out of memory"}
    terminal.type("first")
    terminal.wait_for("out of memory")
    terminal.wait_for("> ")
    held = threading.Event()
    server.answers["/api/chat"] = lambda body: held.wait(20) and {}
    terminal.type("second")
    until = time.monotonic() + 20
    while len(server.bodies("/api/chat")) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    terminal.interrupt("(stopped)")
    held.set()
    terminal.wait_for("> ")
    server.answers["/api/chat"] = lines({"content": "\x1b[2Jfine"})
    terminal.type("third")
    assert "\x1b[2J" not in terminal.wait_for("fine")  # a model does not clear the screen
    terminal.wait_for("> ")
    assert server.bodies("/api/chat")[-1]["messages"][1:] == [{"role": "user", "content": "third"}]
    terminal.interrupt("Ctrl-D or /exit ends.")
    terminal.wait_for("> ")
    terminal.type("\x04")
    assert terminal.process.wait(10) == 0


@pytest.mark.parametrize("size", [1, 3, 100])
def test_words_stay_whole(size: int) -> None:
    """However the text is cut into pieces; spaces at a line's end are dropped, lines of its own kept."""
    text = "a bc def  ghij kl\n  mno pqrstuvwxyz \u4f60\u597d\u4f60\u597d."
    wrap = WordWrap(8)
    shown = "".join(wrap.feed(text[at : at + size]) for at in range(0, len(text), size)) + wrap.finish()
    lines = ["a bc def", "ghij kl", "  mno ", "pqrstuvw", "xyz 你好", "你好."]
    assert [line.rstrip() for line in shown.split("\n")] == [line.rstrip() for line in lines]


def test_embeddings(command: Command, server: Ollama) -> None:
    vectors = {"a": [1.0, 0.0, 0.0, 0.0], "b": [0.6, 0.8, 0.0, 0.0]}
    server.answers["/api/embed"] = lambda body: {
        "model": body["model"],
        "embeddings": [vectors[text] for text in body["input"]],
        "prompt_eval_count": 2,
    }
    result = command("embed", "a", "b")
    assert [line.split() for line in result.out.splitlines()] == [
        ["#", "text", "dimensions", "values"],
        ["1", "a", "4", "+1.000", "+0.000", "+0.000", "…"],
        ["2", "b", "4", "+0.600", "+0.800", "+0.000", "…"],
        [],
        ["~", "1", "2"],
        ["1", "+1.00", "+0.60"],
        ["2", "+0.60", "+1.00"],
    ]
    assert server.bodies("/api/embed")[0]["model"] == "nomic-embed-text"
    piped = command("embed", "--json", "-m", "x", stdin=b"a\n\nb\n").json
    assert [one["embedding"] for one in piped["data"]] == [vectors["a"], vectors["b"]]
    assert "give a text" in " ".join(command.mistake("embed", code=2).split())


def test_a_connection_that_breaks(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ran: to ask whether it does would lead astray."""
    with serving("llamacpp") as fake:
        fake.script(disconnect(), repeat=True)  # for the retries, too
        monkeypatch.setenv("LLM_ADAPTER_BASE_URL", fake.base_url)
        said = command.mistake("chat", "hi", "--model", "m")
    assert said.startswith(f"the connection to {fake.url} broke before the reply was complete (")
