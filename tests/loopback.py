"""A real server on loopback, a thread for each connection: for what only sockets show."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

END = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


class Handler(BaseHTTPRequestHandler):
    """What an act has to answer with."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for 40 ms
    server: Loopback
    body: Any

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.body))
        try:
            self.server.act(self)
        except OSError:  # the client has gone
            self.close_connection = True

    def do_GET(self) -> None:
        self.server.asked.append((self.path, None))
        self.reply({"models": [], "data": []})

    def reply(self, content: Any, status: int = 200, **headers: str) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def chat(self, content: str = "Hello") -> None:
        """A whole reply, or a stream of one piece, as the call wants it."""
        if self.body.get("stream"):
            self.stream(content)
        else:
            self.reply({"model": "m", "message": {"role": "assistant", "content": content}, **END})

    def stream(self, *pieces: str, first: float = 0, between: float = 0) -> None:
        """Headers at once, then the pieces with pauses. What has no pause before it comes with what is before it, and
        the reply's end with the last piece.
        """
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        data = b""
        for place, piece in enumerate(pieces):
            if pause := between if place else first:
                self.wfile.write(data)
                data = b""
                time.sleep(pause)
            data += line({"model": "m", "message": {"role": "assistant", "content": piece}, "done": False})
        self.wfile.write(
            data + line({"model": "m", "message": {"role": "assistant", "content": ""}, **END}) + b"0\r\n\r\n"
        )

    def line(self, content: Any) -> None:
        self.wfile.write(line(content))

    def log_message(self, *args: Any) -> None:
        pass


def line(content: Any) -> bytes:
    """A line of a native stream, as a chunk of HTTP's."""
    data = json.dumps(content).encode() + b"\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


Act: TypeAlias = Callable[[Handler], None]


class Loopback(ThreadingHTTPServer):
    """`act` answers every POST; `asked` holds what came."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.act: Act = Handler.chat
        self.asked: list[tuple[str, Any]] = []
        self.under_way = self.most = 0
        self.connections = self.ended = 0  # how many were made, and how many of them have ended
        self._lock = threading.Lock()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def counted(self, seconds: float) -> Act:
        """Works so long on every request, and knows how many there were at once."""

        def act(handler: Handler) -> None:
            with self._lock:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
            time.sleep(seconds)
            with self._lock:  # before the last byte: with it the client may send the next one
                self.under_way -= 1
            handler.chat()

        return act

    def process_request(self, *given: Any) -> None:
        self.connections += 1
        super().process_request(*given)

    def shutdown_request(self, *given: Any) -> None:
        super().shutdown_request(*given)
        self.ended += 1

    def handle_error(self, *args: Any) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """context: of a server at https://."""
    with Loopback() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:  # one whose socket is closed before looks for connections for ever, without a pause
            server.shutdown()
            thread.join()
