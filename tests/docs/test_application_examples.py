"""The examples of applications: a web service, a worker, a notebook."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from loopback import Loopback, serving

from llm_adapter import AsyncOpenAI, Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
LONG = 10  # seconds, which no test waits for


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with serving() as one:
        monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "ollama")
        monkeypatch.setenv("LLM_ADAPTER_HOST", one.root)
        yield one


class Waits:
    """An act that answers nothing more until its caller has gone; some words first, for a stream."""

    def __init__(self) -> None:
        self.began, self.gone = threading.Event(), threading.Event()

    def __call__(self, handler: Any) -> None:
        if handler.body.get("stream"):
            handler.send_response(200)
            handler.send_header("content-type", "application/x-ndjson")
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
            handler.line({"model": "m", "message": {"role": "assistant", "content": "Once "}, "done": False})
        self.began.set()
        if not handler.connection.recv(1):
            self.gone.set()


@pytest.fixture
def site(server: Loopback) -> Iterator[int]:
    """The port of the web service."""
    uvicorn_server = uvicorn.Server(uvicorn.Config(example("fastapi_app").app, port=0, log_config=None))
    thread = threading.Thread(target=uvicorn_server.run)
    thread.start()
    while not uvicorn_server.started:
        time.sleep(0.002)
    yield uvicorn_server.servers[0].sockets[0].getsockname()[1]
    uvicorn_server.should_exit = True
    thread.join()


def visited(port: int) -> socket.socket:
    visitor = socket.create_connection(("127.0.0.1", port))
    visitor.sendall(b"GET /ask?question=Hello HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return visitor


def test_a_visitor_who_leaves_stops_the_model(site: int, server: Loopback) -> None:
    server.act = waits = Waits()
    visitor = visited(site)
    got = b""
    while b"Once " not in got:  # before the reply is complete
        got += visitor.recv(1000)
    visitor.close()
    assert waits.gone.wait(LONG)


def test_a_worker_gives_back_what_it_could_not_finish(server: Loopback) -> None:
    waits = Waits()
    server.act = lambda handler: waits(handler) if handler.body["messages"][0]["content"] == "b" else handler.chat()

    async def work() -> Any:
        async with AsyncOpenAI() as client:
            worker = example("worker").Worker(client, deque("abc"), grace=0.01)
            running = asyncio.ensure_future(worker.run())
            await asyncio.get_running_loop().run_in_executor(None, waits.began.wait, LONG)
            worker.stop()
            await running
            return worker

    worker = asyncio.run(work())
    assert (worker.answers, list(worker.jobs)) == ([("a", "Hello")], ["b", "c"])
    assert waits.gone.wait(LONG)


def test_a_worker_does_all(server: Loopback) -> None:
    async def work() -> Any:
        async with AsyncOpenAI() as client:
            worker = example("worker").Worker(client, deque("abc"))
            await worker.run()
            return worker.answers

    assert asyncio.run(work()) == [("a", "Hello"), ("b", "Hello"), ("c", "Hello")]


def test_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    """Each cell is run as a notebook does it, with `await` at the top."""
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))
    names: dict[str, Any] = {}

    async def run() -> None:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                source = "".join(cell["source"])
                code = compile(source, "notebook", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                done = eval(code, names)
                if inspect.isawaitable(done):
                    await done

    asyncio.run(run())
    assert capsys.readouterr().out == names["words"] == names["reply"].choices[0].message.content
    names["client"].close()
    assert Settings(provider="embedded") == names["settings"]
