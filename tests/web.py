"""A web server on this machine, for what is fetched from addresses in messages."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30


class Web:
    """A web server on this machine: `web.answers[path] = ...`; `seen` are the requests' headers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Callable[[Any], None]] = {}
        self.seen: list[Any] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.seen.append(self.headers)
                web.answers[self.path](self)

            def log_message(self, *args: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *args: None  # type: ignore[method-assign] # clients hang up on purpose
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "/a.png", host: str = "img.test", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The server's port has to be named; the tests' policy still judges its address."""
        return (f"127.0.0.1:{self.port}",)


def answer(status: int = 200, body: bytes = PNG, **headers: Any) -> Callable[[Any], None]:
    """A whole reply. A header that is None is left out."""
    given: dict[str, Any] = {"Content-Type": "image/png", "Content-Length": len(body)}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}

    def send(handler: Any) -> None:
        handler.send_response(status)
        for name, value in given.items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return send


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.server.shutdown()
    web.server.server_close()
