"""The public client behaves as the SDK's own, sync and async: what a call site sees, what leaves on the wire."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from conftest import HI, Run, Server
from drivers import CUT, HOST, HTTPX, SYNC_AND_ASYNC, Body, Play, entered, every, first, left, mode
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from llm_adapter import AsyncOpenAI, OpenAI, Settings

CHAT = "/api/chat"
ASK = {"model": "tiny", "messages": HI}
OLLAMA = Settings(provider="ollama", host=HOST)
# ollama-0.32.15/chat.json, native[0]
HELLO = {
    "model": "tiny",
    "created_at": "2026-11-21T02:48:21.37101618Z",
    "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
    "done": True,
    "done_reason": "stop",
    "total_duration": 19836588,
    "prompt_eval_count": 15,
    "eval_count": 32,
}


def line(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "message": {"role": "assistant", "content": content}, "done": False, **more}


END = line("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)
COUNT = [line("1, "), line("2, "), line("3"), END]


def ndjson(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Person(BaseModel):
    name: str
    age: int


# --- calls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [(OpenAI, openai.OpenAI), (AsyncOpenAI, openai.AsyncOpenAI)])
def test_is_the_sdks_client(ours: Any, theirs: Any) -> None:
    assert isinstance(ours(settings=OLLAMA), theirs)


def test_create(play: Play, ollama: Server) -> None:
    ollama.answer(CHAT, body=HELLO)

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    completion = play(script)
    assert type(completion) is ChatCompletion
    assert completion.choices[0].message.content == "Hello! How can I help you today?"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (15, 32)


def test_stream(play: Play, ollama: Server) -> None:
    ollama.answer(CHAT, body=COUNT)

    def script(client: Any) -> Any:
        return (yield every((yield client.chat.completions.create(**ASK, stream=True))))

    chunks = play(script)
    assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
    assert text(chunks) == "1, 2, 3"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_parse(play: Play, ollama: Server) -> None:
    """The class goes out as a schema and comes back as an instance."""
    ollama.answer(CHAT, body={**HELLO, "message": {"role": "assistant", "content": '{"name":"Ana","age":30}'}})

    def script(client: Any) -> Any:
        return (yield client.chat.completions.parse(**ASK, response_format=Person))

    assert play(script).choices[0].message.parsed == Person(name="Ana", age=30)
    assert ollama.sent["format"]["properties"].keys() == {"name", "age"}


def test_stream_helper(play: Play, ollama: Server) -> None:
    """`.stream()` yields its typed events and a parsed final completion."""
    ollama.answer(CHAT, body=[line('{"name":"Ana",'), line('"age":30}'), END])

    def script(client: Any) -> Any:
        manager = client.chat.completions.stream(**ASK, response_format=Person)
        stream = yield entered(manager)
        events = yield every(stream)
        final = yield stream.get_final_completion()
        yield left(manager)
        return [event.type for event in events], final

    kinds, final = play(script)
    assert kinds.count("content.delta") == 2
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.parsed == Person(name="Ana", age=30)


def test_models_are_paged(play: Play, ollama: Server) -> None:
    """`models.list()` is a page to read and to iterate, with nothing after it."""
    names = [{"name": f"{name}:latest", "model": f"{name}:latest"} for name in ("a", "b")]
    ollama.answer("/api/tags", body={"models": names}, method="GET")

    def script(client: Any) -> Any:
        page = yield client.models.list()
        return page, (yield every(client.models.list()))

    page, listed = play(script)
    assert [type(model) for model in page.data] == [Model, Model]
    assert [model.id for model in listed] == ["a:latest", "b:latest"]
    assert not page.has_next_page()


def test_post(play: Play, ollama: Server) -> None:
    """The SDK's own generic call is translated too, to any `cast_to`."""
    ollama.answer(CHAT, body=HELLO)

    def script(client: Any) -> Any:
        typed = yield client.post("/chat/completions", cast_to=ChatCompletion, body=ASK)
        native = yield client.post("/chat/completions", cast_to=HTTPX.Response, body=ASK)
        return typed, native.json()

    typed, plain = play(script)
    assert typed.choices[0].message.content == plain["choices"][0]["message"]["content"] == HELLO["message"]["content"]


def test_sixteen_at_a_time(play: Play, ollama: Server) -> None:
    """Calls on one client do not mix."""

    def echo(request: Any) -> httpx.Response:
        said = json.loads(request.content)["messages"][0]["content"]
        return httpx.Response(200, json={**HELLO, "message": {"role": "assistant", "content": said}})

    ollama.answer(CHAT).mock(side_effect=echo)
    asked = [str(number) for number in range(16)]

    def ask(client: Any, said: str) -> Any:
        return client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": said}])

    def script(client: Any) -> Any:
        if play.mode == "async":
            return (yield asyncio.gather(*(ask(client, said) for said in asked)))
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda said: ask(client, said), asked))

    replies = play(script)
    assert [reply.choices[0].message.content for reply in replies] == asked
    assert len({reply.id for reply in replies}) == 16


# --- raw responses: the main path of LangChain and litellm ------------------------------------------------------------


def test_raw_response(play: Play, ollama: Server) -> None:
    ollama.answer(CHAT, body=HELLO, **{"x-served-by": "box-1"})

    def script(client: Any) -> Any:
        return (yield client.chat.completions.with_raw_response.create(**ASK))

    raw = play(script)
    assert raw.status_code == 200
    assert raw.headers["x-served-by"] == "box-1"
    assert raw.headers["content-type"] == "application/json"
    assert int(raw.headers["content-length"]) == len(raw.content)
    assert raw.parse().choices[0].message.content == HELLO["message"]["content"]
    assert raw.http_response.json()["object"] == "chat.completion"
    assert raw.elapsed.total_seconds() >= 0
    assert raw.retries_taken == 0


def test_raw_stream(play: Play, ollama: Server) -> None:
    ollama.answer(CHAT, body=COUNT)

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(**ASK, stream=True)
        return raw.headers["content-type"], (yield every(raw.parse()))

    kind, chunks = play(script)
    assert kind == "text/event-stream"
    assert text(chunks) == "1, 2, 3"


def test_streaming_response_is_read_late_and_closed(play: Play) -> None:
    """Nothing of the native body is read before the caller reads, and it is closed at the end of the block."""
    body = Body(ndjson(*COUNT[:2]), ndjson(*COUNT[2:]))
    http = play.http(lambda request: HTTPX.Response(200, stream=body))

    def script(client: Any) -> Any:
        manager = client.chat.completions.with_streaming_response.create(**ASK, stream=True)
        response = yield entered(manager)
        before = (response.is_closed, response.http_response.is_stream_consumed, body.closed)
        lines = yield every(response.iter_lines())
        yield left(manager)
        return before, lines, response.is_closed

    before, lines, closed = play(script, http_client=http)
    assert before == (False, False, False)
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert closed
    assert body.closed


def test_streaming_response_of_a_whole_reply(play: Play, ollama: Server) -> None:
    ollama.answer(CHAT, body=HELLO)

    def script(client: Any) -> Any:
        manager = client.chat.completions.with_streaming_response.create(**ASK)
        response = yield entered(manager)
        assert not response.is_closed
        content = b"".join((yield every(response.iter_bytes())))
        yield left(manager)
        assert response.is_closed
        return json.loads(content)

    assert play(script)["choices"][0]["message"]["content"] == HELLO["message"]["content"]


# --- clients made of clients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["with_options", "copy"])
def test_a_copy_keeps_class_settings_and_pool(play: Play, ollama: Server, method: str) -> None:
    ollama.answer(CHAT, body=HELLO)

    def script(client: Any) -> Any:
        copy = getattr(client, method)(timeout=7, max_retries=5)
        yield copy.chat.completions.create(**ASK)
        return (type(copy) is type(client), copy.settings == client.settings, copy._client is client._client), copy

    same, copy = play(script)
    assert same == (True, True, True)
    assert (copy.timeout, copy.max_retries) == (7, 5)
    assert ollama.request.extensions["timeout"]["read"] == 7


@pytest.mark.parametrize("chosen", [{"profile": "other"}, {"settings": Settings(base_url="http://other.test/v1")}])
def test_a_copy_can_go_elsewhere(play: Play, tmp_path: Any, chosen: dict[str, Any]) -> None:
    """Another destination, the same timeout and retries; the client that it was made of stays where it is."""
    (tmp_path / "llm_adapter.toml").write_text(
        '[profiles.other]\nprovider = "openai"\nbase_url = "http://other.test/v1"\n', encoding="utf-8"
    )

    def script(client: Any) -> Any:
        yield None
        return str(client.copy(**chosen, timeout=7).base_url), client.copy(**chosen).max_retries, str(client.base_url)

    assert play(script, max_retries=4) == ("http://other.test/v1/", 4, f"{HOST}/v1/")


def test_a_context_closes_its_client(play: Play, ollama: Server) -> None:
    def script(client: Any) -> Any:
        yield None
        return client, client.is_closed()

    client, before = play(script)
    assert not before
    assert client.is_closed()


# --- retries, timeouts, broken connections ---------------------------------------------------------------------------


def then(*statuses: int) -> list[httpx.Response]:
    """Replies in turn; a 200 streams or not as the call wants, for both read the same here."""
    now = {"retry-after-ms": "1"}
    busy = {"error": "server busy, please try again.  maximum pending requests exceeded"}
    return [
        httpx.Response(200, content=ndjson(HELLO)) if status == 200 else httpx.Response(status, json=busy, headers=now)
        for status in statuses
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_busy_twice_then_served(play: Play, ollama: Server, stream: bool) -> None:
    """A 503 is repeated, also in front of a stream, by the server's `retry-after-ms`."""
    route = ollama.answer(CHAT).mock(side_effect=then(503, 503, 200))

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(**ASK, stream=stream)
        reply = raw.parse()
        return raw.retries_taken, (text((yield every(reply))) if stream else reply.choices[0].message.content)

    assert play(script, max_retries=2) == (2, HELLO["message"]["content"])
    assert [call.request.headers["x-stainless-retry-count"] for call in route.calls] == ["0", "1", "2"]


def test_retries_end(play: Play, ollama: Server) -> None:
    route = ollama.answer(CHAT).mock(side_effect=then(503, 503, 503))

    def script(client: Any) -> Any:
        with pytest.raises(openai.InternalServerError, match="server busy"):
            yield client.chat.completions.create(**ASK)

    play(script, max_retries=1)
    assert route.call_count == 2


@pytest.fixture
def silent() -> Iterator[str]:
    """The root of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_calls_timeout(play: Play, silent: str, stream: bool) -> None:
    """A timeout for one call holds, on the real transport."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError):
            yield client.chat.completions.create(**ASK, stream=stream, timeout=0.05)

    play(script, settings=Settings(provider="ollama", host=silent))


def test_no_server(play: Play, silent: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError) as caught:
            yield client.chat.completions.create(**ASK)
        assert not isinstance(caught.value, openai.APITimeoutError)

    play(script, settings=Settings(provider="ollama", host=closed))


BROKEN = {
    "cut": ([HTTPX.ReadError("reset by peer")], CUT, "Connection error|reset by peer"),
    "timed out": ([HTTPX.ReadTimeout("silence")], CUT, "timed out|silence"),
    "ended early": ([], openai.APIError, "ended before the reply was complete"),
    "half a line": ([b'{"message":{"con'], openai.APIError, "not JSON"),
    "error line": (
        [b'{"error":"an error was encountered while running the model"}\n'],
        openai.APIError,
        "an error was",
    ),
    "not JSON": ([b"<html>\n"], openai.APIError, "not JSON"),
}


@pytest.mark.parametrize(("rest", "error", "message"), BROKEN.values(), ids=BROKEN)
def test_a_stream_that_breaks_raises(play: Play, rest: list[Any], error: Any, message: str) -> None:
    """What came before is delivered, then the iteration raises; the native response is closed."""
    body = Body(ndjson(line("Hel")), *rest)
    http = play.http(lambda request: HTTPX.Response(200, stream=body))
    seen = []

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(**ASK, stream=True)
        seen.append((yield first(stream)).choices[0].delta.content)
        with pytest.raises(error, match=message):
            yield first(stream)

    play(script, http_client=http)
    assert seen == ["Hel"]
    assert body.closed


def test_a_reply_that_breaks_raises(play: Play) -> None:
    """A reply of one piece that is cut is a connection error, and is repeated as one."""
    bodies = [Body(b'{"mod', HTTPX.ReadError("reset by peer")) for _ in range(2)]
    left_over = iter(bodies)
    http = play.http(lambda request: HTTPX.Response(200, stream=next(left_over)))

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError):
            yield client.chat.completions.create(**ASK)

    play(script, http_client=http, max_retries=1)
    assert [body.closed for body in bodies] == [True, True]


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_closed_early(play: Play, read: int) -> None:
    """Closing a stream, half read or unread, closes the native response: the server stops generating."""
    body = Body(*(ndjson(one) for one in COUNT))
    http = play.http(lambda request: HTTPX.Response(200, stream=body))

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(**ASK, stream=True)
        for _ in range(read):
            yield first(stream)
        assert not body.closed
        yield stream.close()
        return body.closed

    assert play(script, http_client=http)


def test_a_stream_dropped_half_read(play: Play) -> None:
    """A stream that nobody holds any more closes the native response."""
    body = Body(*(ndjson(one) for one in COUNT))
    http = play.http(lambda request: HTTPX.Response(200, stream=body))

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(**ASK, stream=True)
        yield first(stream)
        del stream
        gc.collect()
        for _ in range(3 if play.mode == "async" else 0):
            yield asyncio.sleep(0)
        return body.closed

    assert play(script, http_client=http)


# --- errors ----------------------------------------------------------------------------------------------------------

STATUSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_a_status_is_the_sdks_error(play: Play, ollama: Server, status: int, error: Any, stream: bool) -> None:
    ollama.answer(CHAT, status, {"error": "the reason"}, **{"x-request-id": "req_1"})

    def script(client: Any) -> Any:
        with pytest.raises(error, match="the reason") as caught:
            yield client.chat.completions.create(**ASK, stream=stream)
        return caught.value

    failure = play(script)
    assert type(failure) is error
    assert failure.status_code == failure.response.status_code == status
    assert failure.request_id == "req_1"


def test_an_errors_details(play: Play, ollama: Server) -> None:
    """A call site's `error.code` reads the same as OpenAI's."""
    ollama.answer(CHAT, 404, {"error": "model 'nope' not found"})

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError) as caught:
            yield client.chat.completions.create(model="nope", messages=HI)
        return caught.value

    failure = play(script)
    assert (failure.code, failure.param, failure.type) == ("model_not_found", "model", "not_found_error")
    assert failure.body["message"].startswith("model 'nope' not found; ")


def test_a_refusal_leaves_no_request(play: Play, ollama: Server) -> None:
    """What cannot be done is refused without asking the server, as the SDK's own error."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match="logit_bias") as caught:
            yield client.chat.completions.create(**ASK, logit_bias={"1": 2})
        return caught.value

    assert play(script, max_retries=2).param == "logit_bias"
    assert ollama.count == 0


def test_strict_response_validation(play: Play, ollama: Server) -> None:
    """The SDK's own strict mode still judges the replies."""
    ollama.answer(CHAT, body={**HELLO, "model": 5})

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIResponseValidationError):
            yield client.chat.completions.create(**ASK)

    play(script, _strict_response_validation=True)


def pickled(error: Exception) -> Any:
    """What becomes of an error that is sent to another process: its parts, or what goes wrong."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception as failure:
        return type(failure), str(failure)
    return type(copy), copy.args


FAILURES = {
    "status": lambda request: HTTPX.Response(404, json={"error": {"message": "gone"}}),
    "connection": lambda request: (_ for _ in ()).throw(HTTPX.ConnectError("refused")),
    "timeout": lambda request: (_ for _ in ()).throw(HTTPX.ReadTimeout("silence")),
}


@pytest.mark.parametrize("handler", FAILURES.values(), ids=FAILURES)
def test_errors_are_pickled_as_the_sdks_own(handler: Any) -> None:
    """Ours are the SDK's classes, and go to another process as its own do: the text of a lost connection is ours."""
    caught = []
    http = HTTPX.Client(transport=HTTPX.MockTransport(handler))
    for client in (
        OpenAI(settings=OLLAMA, http_client=http, max_retries=0),
        openai.OpenAI(base_url=f"{HOST}/v1", api_key="k", http_client=http, max_retries=0),
    ):
        with pytest.raises(openai.APIError) as failure:
            client.chat.completions.create(**ASK)
        caught.append((failure.value, pickled(failure.value)))
    (ours, _), (theirs, _) = caught
    assert type(ours) is type(theirs)
    assert all(copy == (type(error), error.args) for error, copy in caught)


# --- the caller's own HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", dict.fromkeys((HTTPX, httpx)), ids=lambda family: family.__name__)
def test_own_http_client(play: Play, family: Any) -> None:
    """An HTTP client of either family carries the native request and gives responses of its family."""

    def handler(request: Any) -> Any:
        return family.Response(200, content=ndjson(HELLO if request.url.path == CHAT else {}))

    def script(client: Any) -> Any:
        raw = yield client.chat.completions.with_raw_response.create(**ASK)
        assert isinstance(raw.http_response, family.Response)
        chunks = yield every((yield client.chat.completions.create(**ASK, stream=True)))
        return raw.parse().choices[0].message.content, text(chunks)

    said = HELLO["message"]["content"]
    assert play(script, http_client=play.http(handler, family)) == (said, said)


def test_legacy_httpx_error_is_the_sdks(play: Play) -> None:
    def handler(request: Any) -> Any:
        raise httpx.ConnectError("refused")

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError):
            yield client.chat.completions.create(**ASK)

    play(script, http_client=play.http(handler, httpx))


def test_event_hooks_see_the_native_exchange(play: Play) -> None:
    """Logging and tracing hooks see what leaves and what comes."""
    seen = []

    def on_request(request: Any) -> None:
        seen.append((request.method, request.url.path, json.loads(request.content)["stream"]))

    def on_response(response: Any) -> None:
        seen.append((response.status_code, response.headers["content-type"]))

    async def on_request_async(request: Any) -> None:
        on_request(request)

    async def on_response_async(response: Any) -> None:
        on_response(response)

    hooks: Any = {"request": [on_request], "response": [on_response]}
    if play.mode == "async":
        hooks = {"request": [on_request_async], "response": [on_response_async]}

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    play(script, http_client=play.http(lambda request: HTTPX.Response(200, json=HELLO), event_hooks=hooks))
    assert seen == [("POST", CHAT, False), (200, "application/json")]


def test_a_calls_own_headers_query_and_timeout(play: Play, ollama: Server) -> None:
    """What a call adds to its request leaves with the native one."""
    ollama.answer(CHAT, body=HELLO)

    def script(client: Any) -> Any:
        yield client.chat.completions.create(
            **ASK, extra_headers={"x-team": "blue"}, extra_query={"route": "b"}, timeout=3
        )

    play(script, default_headers={"x-app": "shop"}, default_query={"zone": "eu"})
    assert (ollama.request.headers["x-team"], ollama.request.headers["x-app"]) == ("blue", "shop")
    assert dict(ollama.request.url.params) == {"zone": "eu", "route": "b"}
    assert ollama.request.extensions["timeout"]["read"] == 3


def test_redirects_are_followed(play: Play) -> None:
    """A moved server is found, with the native body sent again (307)."""

    def handler(request: Any) -> Any:
        if request.url.host == "ollama.test":
            return HTTPX.Response(307, headers={"location": f"http://moved.test{CHAT}"})
        return HTTPX.Response(200, json=HELLO if json.loads(request.content)["model"] == "tiny" else {})

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    http = play.http(handler, follow_redirects=True)
    assert play(script, http_client=http).choices[0].message.content == HELLO["message"]["content"]


@pytest.mark.parametrize("header", [None, "Idempotency-Key"])
def test_an_idempotency_key_is_made_where_it_is_sent(run: Run, ollama: Server, header: str | None) -> None:
    ollama.answer("/api/chat", body={"message": {"content": "Hi"}, "done": True, "model": "m"})

    def action(client: Any) -> Any:
        client._idempotency_header = header
        return client.chat.completions.create(model="m", messages=HI)

    run(action, settings=Settings(provider="ollama", host=HOST))
    sent = ollama.request.headers.get("idempotency-key", "")
    assert sent.startswith("stainless-python-retry-") is (header is not None)


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
@pytest.mark.parametrize("environment", [None, ""])
def test_data_residency_is_the_sdks(kind: Any, environment: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the host, and no other argument does."""
    if "data_residency" not in kind.__init__.__signature__.parameters:
        pytest.skip("this SDK has no data residency")
    if environment is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", environment)
    client = kind(api_key="k", data_residency="eu")
    assert str(client.base_url) == str(client.copy(timeout=3).base_url) == "https://eu.api.openai.com/v1/"
    with pytest.raises(ValueError, match="mutually exclusive"):
        kind(api_key="k", data_residency="eu", base_url="http://a.test/v1")
