"""A native Ollama that answers from recordings: one request is one that was recorded, or 404.

Requests are matched by what they ask - the conversation, the tools, the schema, plain or streamed - and not by how a
framework words it: descriptions, titles and sampling options differ from one framework to the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

RECORDINGS = Path(__file__).parent.parent / "tests" / "recordings" / "ollama-0.32.15"
INTENTS = (
    "chat",
    "chat_stream",
    "json_schema",
    "json_schema_stream",
    "tools",
    "tools_stream",
    "tools_result",
    "tools_two",
    "tools_two_stream",
    "embed",
)


def wish(path: str, request: dict[str, Any]) -> str:
    """What a native request asks for, as a text to compare and to show."""
    schema = request.get("format")
    asked = {
        "path": path,
        "model": request.get("model"),
        "stream": request.get("stream", False),
        "messages": [_message(message) for message in request.get("messages", ())],
        "input": request.get("input"),
        "tools": [_tool(tool["function"]) for tool in request.get("tools", ())],
        "format": _types(schema) if isinstance(schema, dict) else schema,
        "dimensions": request.get("dimensions"),
    }
    return json.dumps({name: value for name, value in asked.items() if value}, sort_keys=True)


def _message(message: dict[str, Any]) -> list[Any]:
    calls = [[call["function"]["name"], call["function"]["arguments"]] for call in message.get("tool_calls") or ()]
    return [message["role"], message.get("content", ""), message.get("tool_name"), calls]


def _tool(function: dict[str, Any]) -> list[Any]:
    return [function["name"], _types(function["parameters"])]


def _types(schema: dict[str, Any]) -> dict[str, str]:
    return {name: field["type"] for name, field in schema["properties"].items()}


def exchanges() -> dict[str, dict[str, Any]]:
    """The recorded exchanges by what they ask for."""
    recordings = [json.loads((RECORDINGS / f"{intent}.json").read_text("utf-8")) for intent in INTENTS]
    natives = [exchange for recording in recordings for exchange in recording["native"]]
    natives += [_forced(exchange) for exchange in natives if exchange["request"].get("tools")]
    return {wish(exchange["path"], exchange["request"]): exchange for exchange in natives}


def _forced(exchange: dict[str, Any]) -> dict[str, Any]:
    """The one reply that is made up: a call of the tool as text, which is how a reply is forced on Ollama."""
    call = {"name": "get_weather", "arguments": {"city": "Paris"}}
    form = {"type": "object", "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}}}
    message = {"role": "assistant", "content": json.dumps(call)}
    reply = {"model": "tiny", "message": message, "done": True, "done_reason": "stop"}
    request = {**exchange["request"], "format": form, "stream": False}
    return {**exchange, "request": request, "body": json.dumps(reply), "content_type": "application/json"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorded = exchanges()

    def do_POST(self) -> None:
        asked = wish(self.path, json.loads(self.rfile.read(int(self.headers["content-length"]))))
        found = self.recorded.get(asked)
        body = found["body"] if found else json.dumps({"error": f"no recording of {asked}"})
        self.send_response(found["status"] if found else 404)
        self.send_header("content-type", found["content_type"] if found else "application/json")
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        for line in body.splitlines(keepends=True):
            self.wfile.write(line.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def replaying() -> Iterator[str]:
    """The address of a server that replays."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
