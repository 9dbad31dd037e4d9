"""An Ollama without models: the native API and its own /v1 say the same words, so that both can be compared.

Stricter than Ollama in one thing: a native field that Ollama does not have is an error here, where Ollama ignores it.
Sources: ollama api/types.go and openai/openai.go, v0.24.0.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Self

Json: TypeAlias = "dict[str, Any]"

WORDS = ("Hello", " from", " a", " fake")
TEXT = "".join(WORDS)
MODEL = "fake:latest"
VECTOR = (0.25, -0.5, 0.125)
TIME = "2026-01-01T00:00:00.123456789Z"
COUNTS = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 7, "prompt_eval_duration": 1}
END: Json = {"done": True, "done_reason": "stop", **COUNTS, "eval_count": len(WORDS), "eval_duration": 3}

_ALL = {"model", "options", "keep_alive"}
_GENERATING = _ALL | {"stream", "format", "truncate", "shift", "think", "logprobs", "top_logprobs"}
FIELDS = {
    "/api/chat": _GENERATING | {"messages", "tools"},
    "/api/generate": _GENERATING | {"prompt", "suffix", "system", "template", "context", "raw", "images"},
    "/api/embed": _ALL | {"input", "truncate", "dimensions"},
    "/api/show": {"model", "system", "template", "options", "verbose"},
    "/api/delete": {"model"},
}


class FakeOllama(ThreadingHTTPServer):
    """Listens on a free port of this machine while the context is open; `paths` is every path it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.root = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: tests drop connections, and what is wrong here shows as a failed test."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: FakeOllama
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *arguments: object) -> None:
        """Nothing: the report is the client's."""

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = self.path.partition("?")[0]
        self.server.paths.append(f"{self.command} {path}")
        if unknown := set(body) - FIELDS.get(path, set(body)):
            self._send(400, {"error": f"unknown fields: {', '.join(sorted(unknown))}"})
        elif path in STREAMED and body.get("stream", path.startswith("/api/")):
            self._stream(*STREAMED[path](body))
        else:
            self._send(*_whole(self.command, path, body))

    def _send(self, status: int, reply: Json) -> None:
        content = json.dumps(reply).encode()
        self._head(status, "application/json", "content-length", str(len(content)))
        self.wfile.write(content)

    def _stream(self, kind: str, pieces: Iterator[bytes]) -> None:
        self._head(200, kind, "transfer-encoding", "chunked")
        for piece in (*pieces, b""):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _head(self, status: int, kind: str, *length: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header(length[0], length[1])
        self.end_headers()


def _whole(method: str, path: str, body: Json) -> tuple[int, Json]:
    """The status and the reply of a call that is not streamed."""
    if reply := WHOLE.get((method, path)):
        return 200, reply(body)
    identity = path.removeprefix("/v1/models/")
    if identity != path and method == "GET":
        return 200, _model(identity)
    if identity != path and method == "DELETE":
        return 200, {"id": identity, "object": "model", "deleted": True}
    return 404, {"error": {"message": f"{method} {path} is not here", "type": "api_error", "param": None, "code": None}}


def _lines(body: Json, chat: bool) -> tuple[str, Iterator[bytes]]:
    """The native stream: a line a word, then the counts."""
    head = _native(body)

    def said(text: str) -> Json:
        return {"message": {"role": "assistant", "content": text}} if chat else {"response": text}

    messages = [*({**head, **said(word), "done": False} for word in WORDS), {**head, **said(""), **END}]
    return "application/x-ndjson", (json.dumps(message).encode() + b"\n" for message in messages)


def _events(body: Json, chat: bool) -> tuple[str, Iterator[bytes]]:
    """The same as server-sent events."""
    kind = "chat.completion.chunk" if chat else "text_completion"

    def said(text: str) -> Json:
        return {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}

    chunks = [_openai(body.get("model", ""), kind, [said(word)], finished=False) for word in WORDS]
    chunks.append(_openai(body.get("model", ""), kind, [said("")], finished=True))
    data = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
    return "text/event-stream", (f"data: {one}\n\n".encode() for one in data)


def _native(body: Json) -> Json:
    return {"model": body.get("model", ""), "created_at": TIME}


def _openai(name: str, kind: str, choices: list[Json], *, finished: bool) -> Json:
    usage = {"prompt_tokens": 7, "completion_tokens": len(WORDS), "total_tokens": 7 + len(WORDS)}
    reason = "stop" if finished else None
    return {
        "id": "fake-1",
        "object": kind,
        "created": 1767225600,
        "model": name,
        "choices": [{"index": 0, "finish_reason": reason, **choice} for choice in choices],
        **({"usage": usage} if finished else {}),
    }


def _embeddings(body: Json) -> Json:
    vectors: list[Any] = _vectors(body)
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode() for one in vectors]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "model": body.get("model", ""), "data": data, "usage": usage}


def _vectors(body: Json) -> list[list[float]]:
    count = 1 if isinstance(body.get("input"), str) else len(body.get("input") or ())
    return [list(VECTOR[: body.get("dimensions")]) for _ in range(count)]


def _chat(body: Json) -> Json:
    message = {"role": "assistant", "content": TEXT}
    return _openai(body.get("model", ""), "chat.completion", [{"message": message}], finished=True)


def _completion(body: Json) -> Json:
    return _openai(body.get("model", ""), "text_completion", [{"text": TEXT}], finished=True)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "library"}


WHOLE: dict[tuple[str, str], Callable[[Json], Json]] = {
    ("POST", "/api/chat"): lambda body: {**_native(body), "message": {"role": "assistant", "content": TEXT}, **END},
    ("POST", "/api/generate"): lambda body: {**_native(body), "response": TEXT, **END},
    ("POST", "/api/embed"): lambda body: {**_native(body), "embeddings": _vectors(body), **COUNTS},
    ("GET", "/api/tags"): lambda _: {"models": [{"name": MODEL, "model": MODEL, "modified_at": TIME}]},
    ("POST", "/api/show"): lambda _: {"details": {"family": "fake"}, "modified_at": TIME},
    ("DELETE", "/api/delete"): lambda _: {},
    ("POST", "/v1/chat/completions"): _chat,
    ("POST", "/v1/completions"): _completion,
    ("POST", "/v1/embeddings"): _embeddings,
    ("GET", "/v1/models"): lambda _: {"object": "list", "data": [_model(MODEL)]},
}
STREAMED: dict[str, Callable[[Json], tuple[str, Iterator[bytes]]]] = {
    "/api/chat": lambda body: _lines(body, chat=True),
    "/api/generate": lambda body: _lines(body, chat=False),
    "/v1/chat/completions": lambda body: _events(body, chat=True),
    "/v1/completions": lambda body: _events(body, chat=False),
}
