"""What a call costs grows with what it carries, and no faster: counted in operations, for clocks prove nothing here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import openai
import pytest
from drivers import HTTPX
from loopback import serving

from llm_adapter import OpenAI, Settings
from llm_adapter.translation.process_cache import clear_caches

FEW, MANY = 100, 400
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
COMPLETION = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE], "usage": USAGE}
NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "eval_count": 1}


def answered(request: Any) -> Any:
    """What a server says to any of the calls, natively or not."""
    body = json.loads(request.content) if request.content else {}
    given = body.get("input")
    count = len(given) if isinstance(given, list) else 1
    match request.url.path:
        case "/api/chat":
            reply: Any = {**NATIVE, "prompt_eval_count": 1}
        case "/api/embed":
            reply = {"model": "m", "embeddings": [[0.5]] * count, "prompt_eval_count": 1}
        case "/v1/embeddings":
            data = [{"object": "embedding", "index": place, "embedding": "AAAAPw=="} for place in range(count)]
            reply = {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        case _:
            reply = COMPLETION
    return HTTPX.Response(200, json=reply)


PLACES: dict[str, Settings] = {
    "as it is": Settings(),
    "a dialect": Settings(provider="openai", base_url="http://a.test/v1", dialect="llamacpp"),
    "native": Settings(provider="ollama", host="http://a.test"),
}


def messages(count: int) -> list[Any]:
    return [{"role": ("user", "assistant")[place % 2], "content": f"message {place}"} for place in range(count)]


def tools(count: int) -> list[Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return [{"type": "function", "function": {"name": f"f{place}", "parameters": parameters}} for place in range(count)]


CALLS: dict[str, Callable[[Any, int], Any]] = {
    "messages": lambda client, count: client.chat.completions.create(model="m", messages=messages(count)),
    "tools": lambda client, count: client.chat.completions.create(model="m", messages=messages(1), tools=tools(count)),
    "inputs": lambda client, count: client.embeddings.create(model="m", input=["a"] * count),
    "items": lambda client, count: client.responses.create(model="m", input=messages(count), store=False),
}


def operations(act: Callable[[], Any]) -> int:
    """How many functions are called, of Python and of C."""
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def growth(client: Any, call: Callable[[Any, int], Any]) -> tuple[int, int]:
    """The operations that FEW and MANY of something add to a call that is not the first of its kind."""
    counts = []
    for many in (1, FEW, MANY):
        for _ in range(3):
            last = operations(lambda many=many: call(client, many))  # type: ignore[misc]
        counts.append(last)
    return counts[1] - counts[0], counts[2] - counts[0]


def client_of(settings: Settings, kind: Any = OpenAI) -> Any:
    clear_caches()
    http = HTTPX.Client(transport=HTTPX.MockTransport(answered), verify=False)
    more = {"settings": settings} if kind is OpenAI else {}
    return kind(api_key="k", http_client=http, **more)


# A completion is no response: a server's own /responses is not played here.
LINEAR = [(what, where) for what in CALLS for where in PLACES if (what, where) != ("items", "as it is")]


@pytest.mark.parametrize(("what", "where"), LINEAR, ids=[" ".join(one) for one in LINEAR])
def test_cost_is_linear(what: str, where: str) -> None:
    place = PLACES[where]
    few, many = growth(client_of(place), CALLS[what])
    assert many <= (MANY - 1) / (FEW - 1) * few * 1.1


def test_a_conversation_is_linear() -> None:
    """Each turn of a kept conversation reads what went before it once."""
    client, last, counts = client_of(PLACES["native"]), None, []
    for _ in range(81):

        def turn() -> None:
            nonlocal last
            last = client.responses.create(model="m", input="a", previous_response_id=last and last.id)

        counts.append(operations(turn))
    assert counts[80] - counts[5] <= (80 - 5) / (20 - 5) * (counts[20] - counts[5]) * 1.1


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("what", ["messages", "tools"])
def test_cost_is_a_small_part_of_the_sdks(what: str, place: Settings) -> None:
    """A message more costs the SDK more than five hundred operations."""
    assert growth(client_of(place), CALLS[what])[1] < growth_of_the_sdk(what) / 5


@cache
def growth_of_the_sdk(what: str) -> int:
    """The same for the SDK's own client, which knows no places."""
    return growth(client_of(Settings(), openai.OpenAI), CALLS[what])[1]


def streamed(path: str, count: int) -> bytes:
    """The response that says so many pieces, each an HTTP chunk of its own, as one write brings it."""
    if path == "/api/chat":
        said = {"model": "m", "created_at": "", "message": {"role": "assistant", "content": "a"}, "done": False}
        parts = [json.dumps(one).encode() + b"\n" for one in [said] * count + [{**NATIVE, "prompt_eval_count": 1}]]
    else:
        choices = [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}] * count
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        parts = [b"data: " + json.dumps({**head, "choices": [one]}).encode() + b"\n\n" for one in choices]
        parts.append(b"data: [DONE]\n\n")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunks


@pytest.mark.parametrize(
    ("provider", "dialect", "most"), [("openai", "openai", 15), ("openai", "llamacpp", 50), ("ollama", None, 35)]
)
def test_chunks_that_come_together_cost_few(provider: str, dialect: str | None, most: int) -> None:
    """The SDK and its HTTP library need more than six hundred for each."""
    with serving() as server:
        server.act = lambda handler: handler.wfile.write(streamed(handler.path, int(handler.body["model"])))
        where = {"host": server.root} if provider == "ollama" else {"base_url": f"{server.root}/v1", "dialect": dialect}
        settings: Any = Settings(provider=provider, **where)
        with OpenAI(settings=settings, api_key="k") as client:
            few, many = growth(client, lambda client, count: list(stream_of(client, count)))
    assert many - few <= most * (MANY - FEW)


def stream_of(client: Any, count: int) -> Any:
    return client.chat.completions.create(model=str(count), messages=messages(1), stream=True)
