"""A gateway before the embedded llama.cpp that does all that an OpenAI call site relies on - or all but one thing."""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, TypeAlias

import openai
from drivers import HTTPX

from llm_adapter import OpenAI, Settings

Json: TypeAlias = dict[str, Any]
MODELS = ("gpt-4o-mini", "text-embedding-3-small")
_numbers = count(1)


def same(path: str, value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Fault:
    """What is wrong with a gateway: with what it asks, its replies, its events, its errors, or all of an answer."""

    asked: Callable[[str, Json], Json] = same
    reply: Callable[[str, Json], Json] = same
    events: Callable[[str, list[Any]], list[Any]] = same  # the JSON of each, and "[DONE]"
    error: Callable[[str, tuple[int, Json]], tuple[int, Json]] = same
    headers: tuple[tuple[str, str], ...] = ()


HEALTHY = Fault()


def gateway(fault: Fault = HEALTHY) -> Callable[[Any], Any]:
    """A handler for HTTP's mock transports."""

    def handle(request: Any) -> Any:
        path = request.url.path.removeprefix("/v1")
        body = json.loads(request.content) if request.content else {}
        if (refused := _refused(path, body)) is not None:
            status, envelope = fault.error(path, refused)
            return HTTPX.Response(status, json=envelope) if status != 200 else _answer(path, body, fault)
        return _answer(path, body, fault)

    return handle


def client(fault: Fault = HEALTHY, kind: Any = openai.OpenAI) -> Any:
    """A plain client of the SDK's, sync or async, on a gateway."""
    http = HTTPX.Client if kind is openai.OpenAI else HTTPX.AsyncClient
    transport = HTTPX.MockTransport(gateway(fault))
    return kind(
        base_url="http://gateway.test/v1", api_key="k-3f9c", max_retries=0, http_client=http(transport=transport)
    )


def _refused(path: str, body: Json) -> tuple[int, Json] | None:
    """OpenAI's refusals that the embedded server does not have: it answers to any name."""
    name = path.removeprefix("/models/") if path.startswith("/models/") else body.get("model")
    if name not in (None, *MODELS):
        return 404, _envelope(f"The model `{name}` does not exist", "model_not_found")
    if "no_such_parameter" in body:
        return 400, _envelope("Unrecognized request argument supplied: no_such_parameter")
    if body.get("messages") == []:
        return 400, _envelope("[] is too short - 'messages'")
    return None


def _envelope(message: str, code: str | None = None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _answer(path: str, body: Json, fault: Fault) -> Any:
    if path == "/models":
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "us"} for name in MODELS]
        return HTTPX.Response(200, json=fault.reply(path, {"object": "list", "data": data}))
    if path.startswith("/models/"):
        return HTTPX.Response(200, json={"id": path[8:], "object": "model", "created": 1, "owned_by": "us"})
    body = {**body, "model": MODELS["embed" in path]}
    body.pop("no_such_parameter", None)  # what it does not refuse, it reads over: our client behind it would warn
    status, kind, content = _forwarded(path, json.dumps(fault.asked(path, body)))
    headers = {"content-type": kind, **dict(fault.headers)}
    if status != 200:
        status, envelope = fault.error(path, (status, json.loads(content)))
        return HTTPX.Response(status, json=envelope)
    if kind.startswith("text/event-stream"):
        return HTTPX.Response(200, headers=headers, content=_written(path, fault.events(path, _read(content))))
    reply = json.loads(content)
    if path == "/chat/completions":
        reply["id"] = f"chatcmpl-{next(_numbers)}"  # what is remembered has one id
    return HTTPX.Response(200, headers=headers, content=json.dumps(fault.reply(path, reply)))


@cache
def _upstream() -> OpenAI:
    client = OpenAI(settings=Settings(provider="embedded"), max_retries=0)
    atexit.register(client.close)
    return client


@cache
def _forwarded(path: str, body: str) -> tuple[int, str, bytes]:
    """What the embedded server says. It is asked each thing once."""
    try:
        response: Any = _upstream().post(path, cast_to=HTTPX.Response, body=json.loads(body))
    except openai.APIStatusError as error:
        response = error.response
    return response.status_code, response.headers["content-type"], response.read()


def _read(content: bytes) -> list[Any]:
    texts = [line[5:].strip() for line in content.decode().split("\n") if line.startswith("data:")]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


def _written(path: str, events: list[Any]) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if path == "/responses" and isinstance(event, dict) else ""
        lines.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(lines).encode()
