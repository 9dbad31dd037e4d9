"""A backend of somebody else's, in one class: everything that an endpoint may do, through the public client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Body, Play, every, mode

from llm_adapter import Address, Call, Endpoint, Flow, NativeReply, NativeRequest, Provider, Rejected, Settings, Started

ROOT = "http://shout.test"


class Shout:
    """A service that repeats what it hears, louder: POST /shout {"hear"} → {"said"}, or pieces of text, one a line."""

    name = "shout"

    def base_url(self, settings: Settings) -> str:
        return f"{ROOT}/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        return {"/chat/completions": chat, "/completions": completions}.get(path)


def chat(call: Call) -> Flow:
    heard = call.body["messages"][-1]["content"]
    if not isinstance(heard, str):
        raise Rejected("only text can be shouted", param="messages", code="unsupported_value")
    request = NativeRequest("POST", "/shout", {"hear": heard}, stream=call.stream)
    reply: NativeReply = yield request
    if reply.status == 404:
        yield NativeRequest("POST", "/learn", {"word": heard})
        reply = yield request
    if reply.status >= 400:
        raise Rejected(reply.json()["reason"], status=reply.status)
    return Pieces(call) if call.stream else completion(call, reply.json()["said"])


def completion(call: Call, said: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": said}
    return {
        "id": call.id,
        "object": "chat.completion",
        "created": call.created,
        "model": call.body["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }


def completions(call: Call) -> Flow:
    """Each prompt is a request of its own, all side by side."""
    replies: list[NativeReply] = yield [NativeRequest("POST", "/shout", {"hear": one}) for one in call.body["prompt"]]
    for reply in replies:
        if reply.status >= 400:
            raise Rejected(reply.json()["reason"], status=reply.status)
    choices = [
        {"index": place, "finish_reason": "stop", "text": reply.json()["said"]} for place, reply in enumerate(replies)
    ]
    return {"id": call.id, "object": "text_completion", "created": call.created, "model": "m", "choices": choices}


class Pieces:
    """Lines of text as chunks."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(self._chunk({"content": line.decode()}) for line in lines)

    def finish(self) -> bytes:
        return self._chunk({}, "stop") + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        chunk = {
            "id": self._call.id,
            "object": "chat.completion.chunk",
            "created": self._call.created,
            "model": self._call.body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        return f"data: {json.dumps(chunk)}\n\n".encode()


class Service:
    """The service itself, and what it was asked."""

    def __init__(self, answer: Callable[[str], Any] | None = None) -> None:
        self.asked: list[str] = []
        self.knows = {"hello"}
        self.answer = answer or (lambda heard: HTTPX.Response(200, json={"said": heard.upper()}))

    def __call__(self, request: Any) -> Any:
        self.asked.append(request.url.path)
        native = json.loads(request.content)
        if request.url.path == "/learn":
            self.knows.add(native["word"])
            return HTTPX.Response(204)
        if native["hear"] not in self.knows:
            return HTTPX.Response(404, json={"reason": "never heard that"})
        return self.answer(native["hear"])


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def shouted(play: Play, service: Any, script: Any, **options: Any) -> Any:
    return play(script, **{"settings": Settings(provider=Shout()), "http_client": play.http(service), **options})


def said(heard: Any) -> list[Any]:
    return [{"role": "user", "content": heard}]


def test_is_a_provider() -> None:
    assert isinstance(Shout(), Provider)
    assert not isinstance(Shout(), Started)


def test_chat(play: Play) -> None:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="loud", messages=said("hello")))

    reply = shouted(play, Service(), script)
    assert (reply.model, reply.choices[0].message.content) == ("loud", "HELLO")


def test_stream(play: Play) -> None:
    service = Service(lambda heard: HTTPX.Response(200, stream=Body(b"HE", b"L\nLO", b"\n")))

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="loud", messages=said("hello"), stream=True)
        return (yield every(stream))

    chunks = shouted(play, service, script)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["HEL", "LO", None]


def test_a_second_try(play: Play) -> None:
    """A reply can lead to other requests before the answer; the caller sees one call."""
    service = Service()

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(model="loud", messages=said("new"))
        return raw.retries_taken, raw.parse().choices[0].message.content

    assert shouted(play, service, script) == (0, "NEW")
    assert service.asked == ["/shout", "/learn", "/shout"]


def test_a_second_try_of_a_stream(play: Play) -> None:
    service = Service(lambda heard: HTTPX.Response(200, stream=Body(b"NEW\n")))

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="loud", messages=said("new"), stream=True)
        return (yield every(stream))

    assert shouted(play, service, script)[0].choices[0].delta.content == "NEW"


def test_later_requests_carry_what_the_call_added(play: Play) -> None:
    """Headers, query and timeout of the call hold for each request of it."""
    seen = []

    def service(request: Any) -> Any:
        seen.append((request.headers["x-team"], request.url.params["zone"], request.extensions["timeout"]["read"]))
        return HTTPX.Response(404 if len(seen) == 1 else 200, json={"said": "NEW"})

    def script(client: Any) -> Any:
        yield client.chat.completions.create(
            model="loud", messages=said("new"), extra_headers={"x-team": "blue"}, extra_query={"zone": "eu"}, timeout=3
        )

    shouted(play, service, script)
    assert seen == [("blue", "eu", 3)] * 3


def test_side_by_side(play: Play) -> None:
    """The requests of one step are under way together; the replies come in the order of the requests."""
    together = threading.Barrier(3, timeout=5)
    waiting: list[asyncio.Event] = []

    def louder(request: Any) -> Any:
        return HTTPX.Response(200, json={"said": json.loads(request.content)["hear"].upper()})

    def meet(request: Any) -> Any:
        together.wait()
        return louder(request)

    async def meet_async(request: Any) -> Any:
        waiting.append(asyncio.Event())
        if len(waiting) == 3:
            for event in waiting:
                event.set()
        await asyncio.wait_for(waiting[-1].wait(), 5)
        return louder(request)

    def script(client: Any) -> Any:
        return (yield client.completions.create(model="loud", prompt=["a", "b", "c"]))

    reply = shouted(play, meet if play.mode == "sync" else meet_async, script)
    assert [choice.text for choice in reply.choices] == ["A", "B", "C"]


def test_one_of_several_is_refused(play: Play) -> None:
    service = Service()

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError, match="never heard"):
            yield client.completions.create(model="loud", prompt=["hello", "unheard"])

    shouted(play, service, script)


def test_one_of_several_breaks(play: Play) -> None:
    """The SDK's error as for a single request, repeated as one; what did come is closed."""
    bodies = []

    def service(request: Any) -> Any:
        if json.loads(request.content)["hear"] == "b":
            raise HTTPX.ConnectError("refused")
        bodies.append(Body(b"{}"))
        return HTTPX.Response(200, stream=bodies[-1])

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError):
            yield client.completions.create(model="loud", prompt=["a", "b"])

    shouted(play, service, script, max_retries=1)
    assert [body.closed for body in bodies] == [True, True]


class Fussy(Shout):
    """Opens a stream, dislikes its header, and asks again."""

    def endpoint(self, method: str, path: str) -> Endpoint:
        def flow(call: Call) -> Flow:
            reply: NativeReply = yield NativeRequest("POST", "/shout", {}, stream=True)
            while reply.headers["x-mood"] == "bad":
                reply = yield NativeRequest("POST", "/shout", {}, stream=True)
            return Pieces(call)

        return flow


def test_a_stream_that_is_not_wanted_is_closed(play: Play) -> None:
    bodies = [Body(b"BAD\n"), Body(b"GOOD\n")]
    moods = iter([("bad", bodies[0]), ("good", bodies[1])])

    def service(request: Any) -> Any:
        mood, body = next(moods)
        return HTTPX.Response(200, headers={"x-mood": mood}, stream=body)

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="loud", messages=HI, stream=True)
        assert bodies[0].closed
        return (yield every(stream))

    chunks = shouted(play, service, script, settings=Settings(provider=Fussy()))
    assert chunks[0].choices[0].delta.content == "GOOD"


def test_a_refusal(play: Play) -> None:
    """An endpoint's `Rejected` is the SDK's error, and nothing is sent."""
    service = Service()

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match="only text") as caught:
            yield client.chat.completions.create(model="loud", messages=said([{"type": "text", "text": "x"}]))
        return caught.value.param, caught.value.code

    assert shouted(play, service, script) == ("messages", "unsupported_value")
    assert service.asked == []


def test_what_is_not_translated_passes(play: Play) -> None:
    """An endpoint that the provider does not know is the server's own /v1."""
    seen = []

    def service(request: Any) -> Any:
        seen.append((request.method, str(request.url)))
        return HTTPX.Response(200, json={"object": "list", "data": [{"id": "loud", "object": "model"}]})

    def script(client: Any) -> Any:
        return (yield client.models.list())

    assert shouted(play, service, script).data[0].id == "loud"
    assert seen == [("GET", f"{ROOT}/v1/models")]


class Own(Shout):
    """A provider whose service is started by the first request, at an address that nobody knew before."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, settings: Settings, path: str) -> Address:
        self.started.append(path)
        return Address("http://127.0.0.1:4321", "its-key")


def test_a_started_service_gets_every_request(play: Play) -> None:
    """All requests of a call, the later ones too, go to the address that was started, with its key and no other."""
    seen = []
    service = Service()

    def keyed(request: Any) -> Any:
        seen.append((request.url.host, request.url.port, request.headers["host"], request.headers["authorization"]))
        return service(request)

    def script(client: Any) -> Any:
        assert own.started == []
        yield client.chat.completions.create(model="loud", messages=said("new"))

    own = Own()
    assert isinstance(own, Started)
    shouted(play, keyed, script, settings=Settings(provider=own))
    assert own.started == ["/chat/completions"]
    assert seen == [("127.0.0.1", 4321, "127.0.0.1:4321", "Bearer its-key")] * 3
