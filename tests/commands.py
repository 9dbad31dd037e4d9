"""The command line in this process, for what needs no process of its own; and an Ollama that answers by a script."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
import typer.main

from llm_adapter.cli.app import run

# Typer makes all commands and options anew each time that the command line is run: most of what a test of it takes.
typer.main.get_command = cache(typer.main.get_command)


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """`command("models", "ls")`; `stdin` is what is piped in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as ended:
            run(list(arguments))
        out, err = self._capsys.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    def mistake(self, *arguments: str, stdin: bytes = b"", code: int = 1) -> str:
        """What a command that fails says on stderr: no traceback, and nothing half done on stdout."""
        result = self(*arguments, stdin=stdin)
        assert (result.code, "Traceback" in result.err) == (code, False), result
        return result.err.removeprefix("llm-adapter: ")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


class Ollama(ThreadingHTTPServer):
    """`answers[path]`: an object, a list of lines, a pair of status and object, or what makes one of a body."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def bodies(self, path: str) -> list[Any]:
        return [body for _, asked, body in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    server: Ollama

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"null") if length else None
        self.server.asked.append((self.command, self.path, body))
        answer = self.server.answers.get(self.path, (404, "404 page not found"))
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(body)
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(content, list):
            text = "".join(json.dumps(line) + "\n" for line in content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - the standard library's names

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    """The Ollama that the commands speak to."""
    with Ollama() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "ollama")
        monkeypatch.setenv("LLM_ADAPTER_HOST", server.url)
        yield server
        server.shutdown()
