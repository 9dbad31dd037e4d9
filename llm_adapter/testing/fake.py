"""A fake server on loopback, for clients of any kind and language: HTTP/1.1, streams in chunks, a thread a connection.

with serving("ollama@0.32") as fake:
    fake.script(text("Hello"), tool_call("weather", {"city": "Paris"}))
    openai.OpenAI(base_url=fake.base_url, api_key="any")

From a shell: python -m llm_adapter.testing.fake --persona ollama@0.32
"""

from __future__ import annotations

import argparse
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_adapter.testing.personas import PERSONAS
from llm_adapter.testing.personas.wire import Answer
from llm_adapter.testing.scripted import Scripted
from llm_adapter.testing.turns import Turn, reply
from llm_adapter.traffic.current import marked_origins
from llm_adapter.traffic.made import when_imported

if TYPE_CHECKING:
    from llm_adapter import AsyncOpenAI, OpenAI, Settings


class Fake(Scripted):
    """A scripted server that listens. Its options are `Scripted`'s, and a port: 0 takes one that is free."""

    def __init__(self, *args: Any, port: int = 0, **options: Any) -> None:
        super().__init__(*args, **options)
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)
        self._thread.start()
        self._ends = ExitStack()
        self._watcher: Any = None
        self._origin = self.url.removeprefix("http://")
        marked_origins.add(self._origin)
        when_imported(self._watch)

    def _watch(self) -> None:
        """Know the calls that requests are sent for, of the SDK's clients in this process."""
        if self._origin in marked_origins:
            from llm_adapter.traffic.watch import Watcher, add_watcher

            self._watcher = Watcher()
            add_watcher(self._watcher)

    @property
    def url(self) -> str:
        """The server's root, as `OLLAMA_HOST` has it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        """Its OpenAI API, as the SDK's `base_url` has it."""
        return f"{self.url}/v1"

    def settings(self, **fields: Any) -> Settings:
        """Settings that send llm_adapter's clients here: natively to an Ollama, by /v1 to all others."""
        return self.settings_at(self.url, **fields)

    def client(self, **options: Any) -> OpenAI:
        """llm_adapter's client, on this server."""
        from llm_adapter import OpenAI

        return OpenAI(**{"settings": self.settings(), **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        """llm_adapter's asynchronous client, on this server."""
        from llm_adapter import AsyncOpenAI

        return AsyncOpenAI(**{"settings": self.settings(), **options})

    def use(self, *, takes_all: bool = False) -> ExitStack:
        """Switch `OpenAI()` itself, the SDK's and llm_adapter's: clients that are made from now on go here.

        It holds until the fake stops, or as a context manager until the end of its block. takes_all: also clients to
        which the code gives an address of its own. Clients that exist already stay where they are, and so do Azure's.
        """
        from llm_adapter.testing.switching import switched_to

        return self._ends.enter_context(switched_to(self.settings(), takes_all=takes_all))

    def stop(self) -> None:
        """Closes the server and every connection."""
        self._ends.close()
        marked_origins.discard(self._origin)
        if self._watcher is not None:
            from llm_adapter.traffic.watch import remove_watcher

            remove_watcher(self._watcher)
        self._server.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serving(*args: Any, **options: Any) -> Iterator[Fake]:
    """A fake server, for as long as the block runs. The options are `Scripted`'s."""
    fake = Fake(*args, **options)
    try:
        yield fake
    finally:
        fake.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, scripted: Scripted, port: int) -> None:
        self.scripted = scripted
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer looks up the host's name, which takes seconds where DNS is slow.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):  # idle ones would wait for a request for ever
            _cut(connection)

    def handle_error(self, *args: Any) -> None:
        """Clients go away when they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for 40 ms
    server: _Server

    def _serve(self) -> None:
        try:
            data = self._body()
        except ValueError:
            self.close_connection = True  # where the next request begins cannot be told
            self.send_error(400, "Bad Request", "the body is not framed as its headers say")
            return
        path = urlsplit(self.path).path
        answer = self.server.scripted.answer(self.command, path, self.headers.items(), data)
        try:
            self._send(answer)
        except OSError:  # the client has gone
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = do_PATCH = do_OPTIONS = _serve  # noqa: N815

    def _body(self) -> bytes:
        """The request's body. Raises `ValueError` for one that is not framed, or that ends too early."""
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self._read(int(self.headers.get("content-length") or 0))
        data = b"".join(iter(self._chunk, b""))
        while self.rfile.readline().strip():  # trailers
            pass
        return data

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self._read(size)
        if size:
            self.rfile.readline()
        return data

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size) if size >= 0 else b""
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes of {size}")
        return data

    def _send(self, answer: Answer) -> None:
        self._wait(answer.wait)
        if not answer.status:
            self._abort()
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.streamed:
            self.send_header("transfer-encoding", "chunked")
        elif not any(name == "content-length" for name, _ in answer.headers):
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer)

    def _send_body(self, answer: Answer) -> None:
        for piece in answer.pieces:
            self._wait(piece.wait)
            framed = b"%x\r\n%s\r\n" % (len(piece.data), piece.data) if answer.streamed else piece.data
            self.wfile.write(framed)
        if answer.aborted:
            self._abort()
        elif answer.streamed:
            self.wfile.write(b"0\r\n\r\n")

    def _wait(self, seconds: float) -> None:
        if seconds and self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the fake server has stopped")

    def _abort(self) -> None:
        self.close_connection = True
        _cut(self.connection)

    def version_string(self) -> str:
        return "fake_llm"

    def log_message(self, *args: Any) -> None:
        """Quiet: the log is `requests`."""


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        pass


def main(arguments: list[str] | None = None) -> None:
    """Runs a fake server until it is interrupted, and prints where it listens."""
    parser = argparse.ArgumentParser(prog="python -m llm_adapter.testing.fake", description="A fake LLM server.")
    parser.add_argument("--persona", default="openai", choices=list(PERSONAS), help="the server that it plays")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes one that is free")
    parser.add_argument("--models", nargs="*", help="the models that it has; without any, all that are asked for")
    parser.add_argument("--context", type=int, help="tokens that a prompt may have")
    parser.add_argument("--script", type=Path, help="a file of recorded OpenAI replies, one line of JSON each")
    given = parser.parse_args(arguments)
    try:
        fake = Fake(given.persona, models=given.models, context=given.context, port=given.port)
    except OSError as problem:
        parser.error(f"--port {given.port}: {problem.strerror}")
    if given.script:
        fake.script(*_recorded(given.script))
    print(f"{given.persona} listens at {fake.url} (OpenAI's API: {fake.base_url})", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        fake.stop()


def _recorded(file: Path) -> list[Turn]:
    return [reply(json.loads(line)) for line in file.read_text("utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    main()
