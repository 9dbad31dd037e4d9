"""A stub of /v1 and of Ollama's native /api in a process of its own: both tell the same text in as many pieces.

`python benchmarks/stub.py` prints its port. Every reply is rendered once and sent whole, so that the client's CPU is
all that differs; each piece of a stream is an HTTP chunk of its own, as servers send them.
The call says what it wants: model "stub-264" answers in 264 pieces, "stub-1x5000" in one of 5,000 bytes; an embedding
of two inputs gives two vectors. Model "caller-64" calls get_weather_0 until a tool has answered. "paced-64" is as
"stub-64", with a pause after each piece, so that the client reads them one by one.
"""

from __future__ import annotations

import base64
import json
import random
import re
import socket
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

DIMENSIONS = 1024
PAUSE = 0.004  # seconds
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
_MESSAGE = "msg_0123456789abcdef0123456789abcdef"
_RESPONSE_USAGE = {
    "input_tokens": 21,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 64,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 85,
}
# The fields that OpenAI sends with every response: openai-python types/responses/response.py, v3.52.0.
_RESPONSE = {
    "id": "resp_0123456789abcdef0123456789abcdef",
    "object": "response",
    "created_at": _CREATED,
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "stub",
    "output": [],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": None,
    "user": None,
}


@dataclass(frozen=True)
class Text:
    """The text of a reply: so many pieces, each of so many bytes at least."""

    count: int
    width: int = 0

    @classmethod
    def of(cls, model: str) -> Text:
        """As the model's name says: `stub-COUNT` or `stub-COUNTxWIDTH`."""
        count, _, width = model.rpartition("-")[2].partition("x")
        return cls(int(count), int(width or 0))

    def pieces(self) -> list[str]:
        return [f" word{place:03d}".ljust(self.width, "x") for place in range(self.count)]

    def whole(self) -> str:
        return "".join(self.pieces())


@lru_cache
def vectors(count: int) -> list[list[float]]:
    """Embeddings with as many digits as Ollama writes: the shortest form of a float32."""
    dice = random.Random(count)
    return [[float(f"{dice.gauss(0, 0.03):.7g}") for _ in range(DIMENSIONS)] for _ in range(count)]


def v1_chat(text: Text) -> Any:
    message = {"role": "assistant", "content": text.whole(), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_head("chat.completion"), "choices": [choice], "usage": _USAGE}


def v1_stream(text: Text) -> list[bytes]:
    deltas: list[Any] = [{"content": piece} for piece in text.pieces()]
    deltas[0] = {"role": "assistant", **deltas[0]}
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    events = [_dumps({**_head("chat.completion.chunk"), "choices": [choice]}) for choice in choices]
    return [b"data: " + event + b"\n\n" for event in [*events, b"[DONE]"]]


def v1_response(text: Text) -> Any:
    return {**_RESPONSE, "status": "completed", "output": [_item([_part(text.whole())])], "usage": _RESPONSE_USAGE}


def v1_response_stream(text: Text) -> list[bytes]:
    """The events of one message, in OpenAI's order."""
    whole, part = text.whole(), {"output_index": 0, "content_index": 0, "item_id": _MESSAGE}
    events = [
        _event("created", response={**_RESPONSE, "status": "in_progress"}),
        _event("in_progress", response={**_RESPONSE, "status": "in_progress"}),
        _event("output_item.added", output_index=0, item={**_item([]), "status": "in_progress"}),
        _event("content_part.added", **part, part=_part("")),
        *(_event("output_text.delta", **part, delta=each, logprobs=[]) for each in text.pieces()),
        _event("output_text.done", **part, text=whole, logprobs=[]),
        _event("content_part.done", **part, part=_part(whole)),
        _event("output_item.done", output_index=0, item=_item([_part(whole)])),
        _event("completed", response=v1_response(text)),
    ]
    numbered = [{**event, "sequence_number": place} for place, event in enumerate(events)]
    return [f"event: {event['type']}\n".encode() + b"data: " + _dumps(event) + b"\n\n" for event in numbered]


def v1_embeddings(count: int, encoding: str) -> Any:
    given: list[Any] = vectors(count)
    if encoding == "base64":
        given = [base64.b64encode(array("f", vector).tobytes()).decode() for vector in given]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(given)]
    usage = {"prompt_tokens": 21, "total_tokens": 21}
    return {"object": "list", "data": data, "model": "stub", "usage": usage}


def native_chat(text: Text) -> Any:
    return {**_NATIVE_HEAD, "message": {"role": "assistant", "content": text.whole()}, **_NATIVE_END}


def native_stream(text: Text) -> list[bytes]:
    messages = [{"role": "assistant", "content": piece} for piece in text.pieces()]
    lines = [{**_NATIVE_HEAD, "message": message, "done": False} for message in messages]
    lines.append({**_NATIVE_HEAD, "message": {"role": "assistant", "content": ""}, **_NATIVE_END})
    return [_dumps(line) + b"\n" for line in lines]


def native_embed(count: int) -> Any:
    return {"model": "stub", "embeddings": vectors(count), **_DURATIONS, "prompt_eval_count": 21}


_STREAMS = {
    "/v1/chat/completions": ("text/event-stream", v1_stream),
    "/v1/responses": ("text/event-stream", v1_response_stream),
    "/api/chat": ("application/x-ndjson", native_stream),
}
_WHOLE = {"/v1/chat/completions": v1_chat, "/v1/responses": v1_response, "/api/chat": native_chat}


@lru_cache
def said(path: str, stream: bool, text: Text) -> bytes:
    """The whole HTTP response that says a text, headers included."""
    if stream:
        content_type, render = _STREAMS[path]
        return _streamed(content_type, render(text))
    return _whole("200 OK", _WHOLE[path](text))


@lru_cache
def called(path: str) -> bytes:
    """The whole HTTP response that calls a tool."""
    function: dict[str, Any] = {"name": "get_weather_0", "arguments": {"city": "Paris"}}
    if path == "/api/chat":
        message: Any = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
        return _whole("200 OK", {**_NATIVE_HEAD, "message": message, **_NATIVE_END})
    call = {"id": "call_0123", "type": "function", "function": {**function, "arguments": '{"city":"Paris"}'}}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    return _whole("200 OK", {**_head("chat.completion"), "choices": [choice], "usage": _USAGE})


@lru_cache
def embedded(path: str, count: int, encoding: str) -> bytes:
    """The whole HTTP response with so many vectors."""
    return _whole("200 OK", native_embed(count) if path == "/api/embed" else v1_embeddings(count, encoding))


def reply(path: str, body: Any) -> bytes:
    if body.get("model", "").startswith("caller") and body["messages"][-1]["role"] != "tool":
        return called(path)
    if path in _WHOLE:
        return said(path, body.get("stream") is True, Text.of(body["model"]))
    if path in ("/v1/embeddings", "/api/embed"):
        count = len(body["input"]) if isinstance(body["input"], list) else 1
        return embedded(path, count, body.get("encoding_format", "float"))
    if path == "/api/show":
        return _whole("200 OK", {"capabilities": ["completion", "tools", "embedding"], "model_info": {}, "details": {}})
    return _whole("404 Not Found", {"error": f"the stub does not know {path}"})


def paced(response: bytes) -> Iterator[bytes]:
    """The head and the pieces of a stream, with a pause after each."""
    for piece in re.split(rb"(?<=\n\r\n)", response):
        yield piece
        time.sleep(PAUSE)


def serve(connection: socket.socket) -> None:
    """Answer one connection's requests until the client hangs up."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(ConnectionError), connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            body = json.loads(requests.read(_length(requests)) or b"{}")
            response = reply(line.split()[1].decode(), body)
            for part in paced(response) if body.get("model", "").startswith("paced") else [response]:
                connection.sendall(part)


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


def _event(kind: str, **about: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **about}


def _item(content: list[Any]) -> Any:
    return {"id": _MESSAGE, "type": "message", "status": "completed", "role": "assistant", "content": content}


def _part(text: str) -> Any:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


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
