"""A stub of /v1 and of Ollama's native /api in a process of its own: both tell the same text in as many pieces.

`python benchmarks/stub.py` prints its port. Every reply is rendered once and sent whole, so that the client's CPU is
all that differs; each piece of a stream is an HTTP chunk of its own, as servers send them.
The call says what it wants: model "stub-264" answers in 264 pieces, an embedding of two inputs gives two vectors.
"""

from __future__ import annotations

import base64
import json
import random
import socket
import sys
import threading
from array import array
from functools import lru_cache
from typing import Any, BinaryIO

DIMENSIONS = 1024
_CREATED = 1_760_000_000
_COUNTS = {"prompt_eval_count": 21, "eval_count": 64}
_DURATIONS = {
    "total_duration": 181_000,
    "load_duration": 52_000,
    "prompt_eval_duration": 9_000,
    "eval_duration": 99_000,
}
_NATIVE_HEAD = {"model": "stub", "created_at": "2025-10-09T08:53:20.123456789Z"}
_NATIVE_END = {"done": True, "done_reason": "stop", **_DURATIONS, **_COUNTS}
_USAGE = {"prompt_tokens": 21, "completion_tokens": 64, "total_tokens": 85}


def pieces(count: int) -> list[str]:
    """The text of every chat reply, in `count` pieces."""
    return [f" word{place:03d}" for place in range(count)]


@lru_cache
def vectors(count: int) -> list[list[float]]:
    """Embeddings with as many digits as Ollama writes: the shortest form of a float32."""
    dice = random.Random(count)
    return [[float(f"{dice.gauss(0, 0.03):.7g}") for _ in range(DIMENSIONS)] for _ in range(count)]


def v1_chat(count: int) -> Any:
    message = {"role": "assistant", "content": "".join(pieces(count)), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_head("chat.completion"), "choices": [choice], "usage": _USAGE}


def v1_stream(count: int) -> list[bytes]:
    deltas: list[Any] = [{"content": piece} for piece in pieces(count)]
    deltas[0] = {"role": "assistant", **deltas[0]}
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    events = [_dumps({**_head("chat.completion.chunk"), "choices": [choice]}) for choice in choices]
    return [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]


def v1_embeddings(count: int, encoding: str) -> Any:
    given: list[Any] = vectors(count)
    if encoding == "base64":
        given = [base64.b64encode(array("f", vector).tobytes()).decode() for vector in given]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(given)]
    usage = {"prompt_tokens": 21, "total_tokens": 21}
    return {"object": "list", "data": data, "model": "stub", "usage": usage}


def native_chat(count: int) -> Any:
    return {**_NATIVE_HEAD, "message": {"role": "assistant", "content": "".join(pieces(count))}, **_NATIVE_END}


def native_stream(count: int) -> list[bytes]:
    messages = [{"role": "assistant", "content": piece} for piece in pieces(count)]
    lines = [{**_NATIVE_HEAD, "message": message, "done": False} for message in messages]
    lines.append({**_NATIVE_HEAD, "message": {"role": "assistant", "content": ""}, **_NATIVE_END})
    return [_dumps(line) + b"\n" for line in lines]


def native_embed(count: int) -> Any:
    return {"model": "stub", "embeddings": vectors(count), **_DURATIONS, "prompt_eval_count": 21}


@lru_cache
def rendered(path: str, stream: bool, count: int, encoding: str) -> bytes:
    """The whole HTTP response, headers included."""
    match path, stream:
        case "/v1/chat/completions", True:
            return _streamed("text/event-stream", v1_stream(count))
        case "/api/chat", True:
            return _streamed("application/x-ndjson", native_stream(count))
        case "/v1/chat/completions", False:
            return _whole("200 OK", v1_chat(count))
        case "/api/chat", False:
            return _whole("200 OK", native_chat(count))
        case "/v1/embeddings", _:
            return _whole("200 OK", v1_embeddings(count, encoding))
        case "/api/embed", _:
            return _whole("200 OK", native_embed(count))
        case _:
            return _whole("404 Not Found", {"error": f"the stub does not know {path}"})


def reply(path: str, body: Any) -> bytes:
    given = body.get("input")
    count = int(body["model"].rpartition("-")[2]) if given is None else len(given) if isinstance(given, list) else 1
    stream = body.get("stream") is True
    return rendered(path, stream, count, body.get("encoding_format", "float"))


def serve(connection: socket.socket) -> None:
    """Answer one connection's requests until the client hangs up."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            body = requests.read(_length(requests))
            connection.sendall(reply(line.split()[1].decode(), json.loads(body)))


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        # Whoever started the stub holds its standard input: when that closes, the stub ends too.
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        sys.stdin.read()


def _accept(server: socket.socket) -> None:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


def _length(requests: BinaryIO) -> int:
    length = 0
    while (line := requests.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return length


def _head(kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": kind,
        "created": _CREATED,
        "model": "stub",
        "system_fingerprint": "fp_stub",
    }


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _whole(status: str, value: Any) -> bytes:
    body = _dumps(value)
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _streamed(content_type: str, parts: list[bytes]) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


if __name__ == "__main__":
    main()
