"""A model that is missing, or cannot do what is asked: told with a cure, or pulled, once for all who miss it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from conftest import HI, HOST, Server
from drivers import SYNC_AND_ASYNC, Play, every, mode
from loopback import Handler, Loopback, serving

from llm_adapter import AdapterWarning, AsyncOpenAI, OpenAI, Settings
from llm_adapter.providers.ollama.missing import missing_model_message

CHAT = "/api/chat"
GONE = {"error": "model 'qwen' not found"}
LINES = [{"status": "pulling manifest"}, {"status": "pulling a", "digest": "a", "total": 9}, {"status": "success"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def near(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Any:
    with serving() as server:
        yield server


CALLS = {
    "chat": lambda client: client.chat.completions.create(model="qwen", messages=HI),
    "stream": lambda client: client.chat.completions.create(model="qwen", messages=HI, stream=True),
    "completions": lambda client: client.completions.create(model="qwen", prompt="Hello"),
    "embeddings": lambda client: client.embeddings.create(model="qwen", input="Hello", encoding_format="float"),
    "responses": lambda client: client.responses.create(model="qwen", input="Hello"),
}
NATIVE = {"completions": "/api/generate", "embeddings": "/api/embed"}


def failing(call: Any, error: type[Exception] = openai.NotFoundError) -> Any:
    def script(client: Any) -> Any:
        with pytest.raises(error) as caught:
            yield call(client)
        return caught.value

    return script


def asking(**more: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="qwen", messages=HI, **more))

    return script


# --- told -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_told(play: Play, ollama: Server, name: str) -> None:
    """With the nearest installed names and the command; one request beside the call, and only after it failed."""
    ollama.answer(NATIVE.get(name, CHAT), 404, GONE)
    ollama.answer("/api/tags", body={"models": [{"name": "qwen3:8b"}, {"name": "llama3.2:latest"}]}, method="GET")
    failure = play(failing(CALLS[name]))
    assert (failure.code, failure.param, failure.status_code) == ("model_not_found", "model", 404)
    for words in ("model 'qwen' not found", "did you mean 'qwen3:8b'?", "`llm-adapter models pull qwen`"):
        assert words in failure.body["message"]
    assert [one.request.url.path for one in ollama._router.calls] == [NATIVE.get(name, CHAT), "/api/tags"]


def test_told_over_v1(play: Play, ollama: Server) -> None:
    ollama.answer("/v1/chat/completions", 404, {"error": {"message": "model 'qwen' not found", "code": None}})
    ollama.answer("/api/tags", body={"models": [{"name": "qwen3:latest"}]}, method="GET")
    settings = Settings(provider="openai", base_url=f"{HOST}/v1", dialect="ollama")
    failure = play(failing(CALLS["chat"]), settings=settings)
    assert "did you mean 'qwen3'?" in failure.body["message"]


@pytest.mark.parametrize(
    ("name", "installed", "words"),
    [
        ("qwen3", ["qwen3:8b", "llama3:latest"], "did you mean 'qwen3:8b'?"),
        ("zzz", ["a:latest", "b:1", "c", "d", "e", "f"], "installed: a, b:1, c, d, e, ...."),
        ("gpt-4o", [], '`models = { "gpt-4o" = "qwen3:8b" }`'),
        ("gpt-4o-mini", ["mistral:latest"], '`models = { "gpt-4o-mini" = "mistral" }`'),
        ("qwen3:80b", [], "https://ollama.com/search?q=qwen3 "),
    ],
)
def test_the_cure(name: str, installed: list[str], words: str) -> None:
    message = missing_model_message("gone", name, installed)
    assert words in message
    assert f"`llm-adapter models pull {name}`" in message


def test_what_cannot_be_listed(play: Play, ollama: Server) -> None:
    """The reason stays, whatever the server says to the question beside it."""
    ollama.answer(CHAT, 404, GONE)
    ollama.answer("/api/tags", 500, "<html>", method="GET")
    assert "model 'qwen' not found" in play(failing(CALLS["chat"])).body["message"]


@pytest.mark.parametrize(
    ("said", "capability", "more"),
    [("does not support tools", "tools", {"tools": TOOLS}), ("does not support chat", "completion", {})],
)
def test_a_capability(play: Play, ollama: Server, said: str, capability: str, more: Any) -> None:
    """Refused by the server, before it generates; the installed models that have it are named."""
    ollama.answer(CHAT, 400, {"error": f"registry.ollama.ai/library/qwen:latest {said}"})
    tags = [{"name": "qwen:latest", "capabilities": ["x"]}, {"name": "able:1", "capabilities": [capability]}]
    ollama.answer("/api/tags", body={"models": tags}, method="GET")
    failure = play(
        failing(
            lambda client: client.chat.completions.create(model="qwen", messages=HI, **more), openai.BadRequestError
        )
    )
    assert failure.body["message"].endswith(f"{said}; installed models that do: able:1")
    ollama.answer(CHAT, body={"message": {"content": "Hi"}, "done": True})
    before = len(ollama._router.calls)
    play(asking(**more))
    asked = [one.request.url.path for one in list(ollama._router.calls)[before:]]
    assert asked == [CHAT]  # nothing precedes a call that works


# --- pulled -----------------------------------------------------------------------------------------------------------


class Registry:
    """An Ollama that has a model once it was pulled."""

    def __init__(self, server: Loopback, *, seconds: float = 0, fails: str = "", calls: int = 1) -> None:
        self.server, self.seconds, self.fails = server, seconds, fails
        self.pulls = 0
        self.missed = threading.Barrier(calls)  # all callers have missed it before one pulls
        self.there = False
        server.act = self.act

    def act(self, handler: Handler) -> None:
        if handler.path == "/api/pull":
            self.pull(handler)
        elif not self.there:
            self.missed.wait(5)
            handler.reply(GONE, 404)
        else:
            handler.chat()

    def pull(self, handler: Handler) -> None:
        self.pulls += 1
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for line in LINES[:-1]:
            handler.line(line)
        time.sleep(self.seconds)
        self.there = not self.fails
        handler.line({"error": self.fails} if self.fails else LINES[-1])
        handler.wfile.write(b"0\r\n\r\n")


def settings(server: Loopback, **more: Any) -> Settings:
    return Settings(provider="ollama", host=server.root, **{"pull": "missing", **more})


@pytest.mark.parametrize("stream", [False, True])
def test_pulled(near: Play, server: Loopback, stream: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """And the call is made again; nothing is written where there is no terminal; no read timeout cuts it off."""
    registry = Registry(server, seconds=0.3)

    def script(client: Any) -> Any:
        made = yield client.chat.completions.create(model="qwen", messages=HI, stream=stream)
        if not stream:
            return made.choices[0].message.content
        chunks = yield every(made)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert near(script, settings=settings(server), timeout=0.2) == "Hello"
    assert [path for path, _ in server.asked] == [CHAT, "/api/pull", CHAT]
    assert server.asked[1][1] == {"model": "qwen", "stream": True}
    assert registry.pulls == 1
    assert capsys.readouterr().err == ""


def test_shown_at_a_terminal(near: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    Registry(server)
    near(asking(), settings=settings(server))
    written = capsys.readouterr().err
    assert "pulling qwen: 100 %" in written
    assert written.endswith("\r\x1b[K")


@pytest.mark.parametrize("agrees", [True, False])
def test_a_function_decides(near: Play, server: Loopback, agrees: bool) -> None:
    registry, asked = Registry(server), []
    decides = settings(server, pull=lambda name: asked.append(name) or agrees)

    def script(client: Any) -> Any:
        try:
            yield client.chat.completions.create(model="qwen", messages=HI)
        except openai.NotFoundError:
            return False
        return True

    assert near(script, settings=decides) is agrees
    assert (asked, registry.pulls) == (["qwen"], int(agrees))


@pytest.mark.parametrize(
    ("fails", "error", "words"),
    [
        ("pull model manifest: file does not exist", openai.NotFoundError, "no such model"),
        ("max retries exceeded", openai.InternalServerError, "max retries exceeded"),
    ],
)
def test_a_pull_that_fails(near: Play, server: Loopback, fails: str, error: Any, words: str) -> None:
    """It is told, and not begun again by the SDK's retries."""
    registry = Registry(server, fails=fails)
    failure = near(failing(CALLS["chat"], error), settings=settings(server), max_retries=2)
    assert "pulling 'qwen' failed" in failure.body["message"]
    assert words in failure.body["message"]
    assert registry.pulls == 1


def test_a_model_that_stays_missing(near: Play, server: Loopback) -> None:
    """Pulled once, and asked for once more: not for ever."""
    registry = Registry(server)
    pull = registry.pull

    def act(handler: Handler) -> None:
        if handler.path == "/api/pull":
            pull(handler)
        else:
            handler.reply(GONE, 404)

    server.act = act
    near(failing(CALLS["chat"]), settings=settings(server))
    assert registry.pulls == 1


def direct(kind: Any) -> Any:
    return kind(verify=False)


def test_threads_pull_once(server: Loopback) -> None:
    registry = Registry(server, seconds=0.2, calls=4)

    def ask(_: int) -> Any:
        http = direct(openai.DefaultHttpxClient)
        with OpenAI(settings=settings(server), http_client=http, max_retries=0) as client:
            return client.chat.completions.create(model="qwen", messages=HI).choices[0].message.content

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == ["Hello"] * 4
    assert registry.pulls == 1


@pytest.mark.parametrize("fails", ["", "max retries exceeded"])
def test_tasks_pull_once(server: Loopback, fails: str) -> None:
    """Those who waited have what became of it, too."""
    registry = Registry(server, seconds=0.2, fails=fails, calls=4)

    async def main() -> list[Any]:
        http = direct(openai.DefaultAsyncHttpxClient)
        async with AsyncOpenAI(settings=settings(server), http_client=http, max_retries=0) as client:
            calls = [client.chat.completions.create(model="qwen", messages=HI) for _ in range(4)]
            return await asyncio.gather(*calls, return_exceptions=True)

    replies = asyncio.run(main())
    kinds = {type(reply) for reply in replies}
    assert kinds == {openai.InternalServerError if fails else openai.types.chat.ChatCompletion}
    assert registry.pulls == 1


def test_one_who_gives_up(server: Loopback) -> None:
    """A pull that is cancelled is taken over by one who waits."""
    registry = Registry(server, seconds=0.5, calls=2)

    async def main() -> Any:
        http = direct(openai.DefaultAsyncHttpxClient)
        async with AsyncOpenAI(settings=settings(server), http_client=http, max_retries=0) as client:
            calls = [asyncio.create_task(client.chat.completions.create(model="qwen", messages=HI)) for _ in range(2)]
            while not registry.pulls:
                await asyncio.sleep(0.01)
            registry.missed = threading.Barrier(1)
            await asyncio.sleep(0.05)
            # Whichever pulls: the other one goes on.
            first = calls[0]
            first.cancel()
            return (await asyncio.gather(*calls, return_exceptions=True))[1]

    assert asyncio.run(main()).choices[0].message.content == "Hello"
    assert registry.pulls in (1, 2)


# --- loaded before ----------------------------------------------------------------------------------------------------


def test_preload_with_the_first_call(play: Play, ollama: Server) -> None:
    """Once a process, as the profile's calls load them; one that is missing is told, and no reason to fail."""
    ollama.answer("/api/generate", body={"done": True})
    ollama.answer(CHAT, body={"message": {"content": "Hi"}, "done": True})
    warm = Settings(provider="ollama", host=HOST, preload=("a", "b"), num_ctx=4096, keep_alive="1h")

    def script(client: Any) -> Any:
        for _ in range(2):
            yield client.chat.completions.create(model="qwen", messages=HI)

    play(script, settings=warm)
    play(script, settings=warm)
    asked = [(one.url.path, json.loads(one.content)) for one in ollama._calls]
    loads = [body for path, body in asked if path == "/api/generate"]
    same = {"stream": False, "keep_alive": "1h", "options": {"num_ctx": 4096}}
    assert loads == [{"model": "a", **same}, {"model": "b", **same}]
    ollama.answer("/api/generate", 404, {"error": "model 'c' not found"})
    with pytest.warns(AdapterWarning, match="`preload`: model 'c' not found"):
        play(script, settings=warm.model_copy(update={"preload": ("c",)}))
