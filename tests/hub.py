"""A Hugging Face hub on loopback: repositories of files, and what can go wrong with them."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

COMMIT = "a" * 40


@dataclass
class FakeHub:
    """What the hub has, and what it was asked. Repositories are "owner/name"."""

    repositories: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)  # whose files come with another last byte than is stated
    wrong_once: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # whose first download ends half-way
    gated: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    address: str = ""

    @property
    def downloads(self) -> list[str | None]:
        """The ranges of the downloads."""
        return [ranged for method, path, ranged in self.asked if method == "GET" and "/resolve/" in path]


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("range")))
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.hub.repositories.get(name)
        if files is None:
            return self._refuse(404, "RepoNotFound")
        if name in self.hub.gated:
            return self._refuse(403, "GatedRepo")
        if parts[4:5] == ["revision"] and parts[5] != "main":
            return self._refuse(404, "RevisionNotFound")
        if parts[0] == "api":
            return self._send(200, json.dumps(_listing(name, files)).encode(), body)
        return self._file(name, files["/".join(parts[4:])], body)

    def _file(self, name: str, data: bytes, body: bool) -> None:
        etag = hashlib.sha256(data).hexdigest()
        if name in self.hub.wrong or (body and name in self.hub.wrong_once):
            self.hub.wrong_once.discard(name)
            data = data[:-1] + bytes([data[-1] ^ 1])
        ranged = self.headers.get("range")
        start = int(ranged.split("=")[1].split("-")[0]) if ranged else 0
        headers = {
            "x-repo-commit": COMMIT,
            "etag": f'"{etag}"',
            "x-linked-etag": f'"{etag}"',
            "x-linked-size": str(len(data)),
            "accept-ranges": "bytes",
            **({"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if ranged else {}),
        }
        if body and name in self.hub.cut:
            self.hub.cut.discard(name)
            self._send(206 if ranged else 200, data[start:], body, headers, sent=len(data[start:]) // 2)
            self.close_connection = True
            return
        self._send(206 if ranged else 200, data[start:], body, headers)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b'{"error": "no"}', True, {"x-error-code": code, "x-error-message": "no"})

    def _send(
        self, status: int, data: bytes, body: bool, headers: Mapping[str, str] | None = None, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[:sent])

    def log_message(self, *given: Any) -> None:
        pass


def _listing(name: str, files: Mapping[str, bytes]) -> Any:
    siblings = [
        {
            "rfilename": file,
            "size": len(data),
            "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100},
        }
        for file, data in files.items()
    ]
    return {"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "downloads": 0, "likes": 0, "tags": []}
