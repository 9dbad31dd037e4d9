"""llama.cpp in this process, live, with the two small models that come with the package."""

from __future__ import annotations

import asyncio
import math
import shutil
import socket
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.to_thread
import openai
import prepared
import pytest
from drivers import CUT, SYNC_AND_ASYNC, Play, entered, every, first, left, mode
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import BaseModel

from llm_adapter import AsyncOpenAI, OpenAI, Settings, SettingsError
from llm_adapter.providers.embedded import provider as embedded
from llm_adapter.providers.embedded import server as server_module
from llm_adapter.providers.embedded.models import CHAT_MODEL
from llm_adapter.providers.embedded.process import ServerProcess, load_failure
from llm_adapter.providers.embedded.provider import Embedded

pytest.importorskip("xllamacpp")

EMBEDDED = Settings(provider="embedded")
GREEDY = {"model": "tiny", "temperature": 0}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather for a city",
            "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        },
    }
]


def said(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


ENDLESS = {"ignore_eos": True}
FRANCE = {**GREEDY, "messages": said("What is the capital of France?")}
CITIES = {**GREEDY, "messages": said("What is the weather in Paris and Rome?"), "tools": TOOLS}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def own() -> Iterator[Embedded]:
    """A provider that shares no server with the other tests."""
    provider = Embedded()
    yield provider
    provider.stop()


def live(play: Play, script: Any, **options: Any) -> Any:
    return play(script, **{"settings": EMBEDDED, **options})


def port(raw: Any) -> int:
    return int(raw.http_response.request.url.port)


def test_chat(play: Play) -> None:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**FRANCE))

    completion = live(play, script)
    assert completion.choices[0].message.content == "The capital of France is Paris."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens > 0


def test_stream(play: Play) -> None:
    def script(client: Any) -> Any:
        return (yield every((yield client.chat.completions.create(**FRANCE, stream=True))))

    chunks = live(play, script)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "The capital of France is Paris."
    assert len(chunks) > 5


@pytest.mark.parametrize("stream", [False, True])
def test_two_tool_calls(play: Play, stream: bool) -> None:
    """Side by side, each with its own id and arguments."""

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(**CITIES, stream=stream)
        if not stream:
            return reply
        state = ChatCompletionStreamState()
        for chunk in (yield every(reply)):
            state.handle_chunk(chunk)
        return state.get_final_completion()

    choice = live(play, script).choices[0]
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert [call.function.arguments for call in calls] == ['{"city": "Paris"}', '{"city": "Rome"}']
    assert len({call.id for call in calls}) == 2


def test_a_tools_result(play: Play) -> None:
    def script(client: Any) -> Any:
        messages = said("What is the weather in Paris?")
        asked = yield client.chat.completions.create(**GREEDY, messages=messages, tools=TOOLS)
        [call] = asked.choices[0].message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}
        messages = [*messages, asked.choices[0].message, result]
        return (yield client.chat.completions.create(**GREEDY, messages=messages, tools=TOOLS))

    assert "18 degrees" in live(play, script).choices[0].message.content


def test_parse(play: Play) -> None:
    def script(client: Any) -> Any:
        messages = said("Return JSON for a person named Ana aged 30.")
        return (yield client.chat.completions.parse(**GREEDY, messages=messages, response_format=Person))

    assert live(play, script).choices[0].message.parsed == Person(name="Ana", age=30)


def test_stream_helper(play: Play) -> None:
    def script(client: Any) -> Any:
        manager = client.chat.completions.stream(**FRANCE)
        stream = yield entered(manager)
        yield every(stream)
        final = yield stream.get_final_completion()
        yield left(manager)
        return final.choices[0].message.content

    assert live(play, script) == "The capital of France is Paris."


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def pooled_model(folder: Path) -> str:
    """The small chat model as one that embeds, with 2,048 tokens of context: one key of its file under another name."""
    data = CHAT_MODEL.read_bytes()
    for old, new in ((b"general.file_type", b"llama.pooling_type"), (b"tiny-chat", b"tiny-cha")):  # 1 is the mean
        lengths = [struct.pack("<Q", len(one)) for one in (old, new)]
        data = data.replace(lengths[0] + old, lengths[1] + new, 1)
    path = folder / "pooled.gguf"
    path.write_bytes(data)
    return str(path)


def test_an_input_as_long_as_the_context_is_embedded(tmp_path: Path) -> None:
    """A piece of llama.cpp's is 512 tokens by itself. What is too long for the context has its place in the error."""
    settings = Settings(provider="embedded", embedding_model_path=pooled_model(tmp_path))
    long = "Hello there my friend " * 100  # 900 tokens
    with OpenAI(settings=settings, max_retries=0) as client:
        assert client.embeddings.create(model="m", input=long).usage.prompt_tokens == 900
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="m", input=["ok", long * 4, "ok"])
    body: Any = caught.value.body
    assert (caught.value.code, caught.value.param, body["index"]) == ("context_length_exceeded", "input[1]", 1)


def test_values_that_llamacpp_understands_otherwise(play: Play) -> None:
    """Each says nothing to OpenAI, or asks for none; llama.cpp ends at once, or leaves out what was asked for."""

    def script(client: Any) -> Any:
        plain = yield client.chat.completions.create(**FRANCE)
        for stop in ("", [""], []):
            reply = yield client.chat.completions.create(**FRANCE, stop=stop)
            assert reply.choices[0].message.content == plain.choices[0].message.content
        logs = (yield client.chat.completions.create(**FRANCE, logprobs=True, top_logprobs=0)).choices[0].logprobs
        assert all(one.logprob <= 0 and one.top_logprobs == [] for one in logs.content)
        text: dict[str, Any] = {**GREEDY, "prompt": "Hello", "max_tokens": 2}
        logs = (yield client.completions.create(**text, logprobs=0)).choices[0].logprobs
        assert len(logs.token_logprobs) == 2
        assert logs.top_logprobs is None
        began = yield client.completions.create(**{**text, "prompt": ""})
        assert began.usage.completion_tokens == 2
        assert began.adapter.changed == ["prompt: a line break in the place of nothing"]
        none = yield client.completions.create(**{**text, "max_tokens": 0}, echo=True)
        return none.choices[0].text, none.choices[0].finish_reason, none.usage

    text, reason, counts = live(play, script)
    assert (text, reason, counts.completion_tokens) == ("Hello", "length", 0)
    assert counts.total_tokens == counts.prompt_tokens > 0


def test_embeddings(play: Play) -> None:
    """Texts about the same are close; base64, which the SDK asks for by itself, and floats are the same vectors."""
    texts = ["The cat is an animal", "A dog is an animal too", "Rayleigh scattering of light"]

    def script(client: Any) -> Any:
        packed = yield client.embeddings.create(model="tiny-embed", input=texts)
        floats = yield client.embeddings.create(model="tiny-embed", input=texts, encoding_format="float")
        return [[one.embedding for one in reply.data] for reply in (packed, floats)]

    packed, floats = live(play, script)
    assert cosine(packed[0], packed[1]) > cosine(packed[0], packed[2]) + 0.2
    for one, other in zip(packed, floats, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


OVERFLOWS = {
    "chat": (lambda client: client.chat.completions.create(**GREEDY, messages=said("word " * 3000)), "messages"),
    "stream": (
        lambda client: client.chat.completions.create(**GREEDY, messages=said("word " * 3000), stream=True),
        "messages",
    ),
    "embeddings": (lambda client: client.embeddings.create(model="tiny-embed", input="word " * 1000), "input"),
}


@pytest.mark.parametrize(("call", "param"), OVERFLOWS.values(), ids=OVERFLOWS)
def test_overflow(play: Play, call: Any, param: str) -> None:
    """A prompt that does not fit is refused by OpenAI's code, and not tried again."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            yield call(client)
        return caught.value

    error = live(play, script, max_retries=2)
    assert (error.code, error.param) == ("context_length_exceeded", param)
    assert error.response.request.headers["x-stainless-retry-count"] == "0"


def test_what_is_not_translated_passes(play: Play) -> None:
    """llama.cpp's own /v1 answers the rest."""

    def script(client: Any) -> Any:
        models = yield client.models.list()
        reply = yield client.responses.create(model="tiny", input="What is the capital of France?", temperature=0)
        return [model.id for model in models.data], reply.output_text

    assert live(play, script) == (["tiny-chat", "tiny-embed"], "The capital of France is Paris.")


# --- the server -----------------------------------------------------------------------------------------------------


def test_clients_share_a_server(play: Play) -> None:
    """Equal settings, one model in memory; another context is another server."""

    def script(client: Any) -> Any:
        small = client.copy(settings=Settings(provider="embedded", num_ctx=512))
        with OpenAI(settings=Settings(provider="embedded")) as other:
            theirs = port(other.chat.completions.with_raw_response.create(**FRANCE))
        ours = port((yield client.chat.completions.with_raw_response.create(**FRANCE)))
        another = port((yield small.chat.completions.with_raw_response.create(**FRANCE)))
        yield small.close()
        return ours == theirs, ours == another

    assert live(play, script) == (True, False)


def test_first_requests_at_once_start_one_server(play: Play, own: Embedded) -> None:
    def script(client: Any) -> Any:
        create, models = client.chat.completions.with_raw_response.create, client.models.with_raw_response.list
        if play.mode == "async":
            return (yield asyncio.gather(*(create(**FRANCE) for _ in range(6)), models()))
        with ThreadPoolExecutor(7) as pool:
            return [*pool.map(lambda _: create(**FRANCE), range(6)), pool.submit(models).result()]

    *raws, listed = live(play, script, settings=Settings(provider=own))
    assert {port(raw) for raw in raws} == {port(listed)}
    assert {raw.parse().choices[0].message.content for raw in raws} == {"The capital of France is Paris."}


def test_nobody_else_gets_in(play: Play) -> None:
    """The server wants the key that only this process knows."""

    def script(client: Any) -> Any:
        return port((yield client.chat.completions.with_raw_response.create(**FRANCE)))

    address = f"http://127.0.0.1:{live(play, script)}/v1/chat/completions"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(address, b"{}", {"content-type": "application/json"}))
    caught.value.close()
    assert caught.value.code == 401


def test_stopped_in_the_midst_of_a_reply(play: Play, own: Embedded) -> None:
    """Stopping does not wait for a stream that nobody reads on; whoever does read is told."""

    def script(client: Any) -> Any:
        messages = said("Tell me a story.")
        stream = yield client.chat.completions.create(**GREEDY, messages=messages, stream=True, extra_body=ENDLESS)
        yield first(stream)
        own.stop()
        with pytest.raises((openai.APIError, *CUT)):
            yield every(stream)

    live(play, script, settings=Settings(provider=own))


@pytest.fixture
def all_looks_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOOK", 1000)


@pytest.mark.usefixtures("all_looks_by_hand")
def test_stopping_disturbs_no_other_thread() -> None:
    """Who makes a tuple of an iterator gets a SystemError where another thread looks at all objects meanwhile."""
    over = threading.Event()

    def make() -> int:
        made = 0
        while not over.is_set():
            made += len(tuple(number for number in range(20)))
        return made

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(make)
        until = time.monotonic() + 0.5
        while time.monotonic() < until and not making.done():
            server_module._close_connections(1)
        over.set()
        assert making.result() > 0


def test_a_server_that_nobody_uses_stops(play: Play, own: Embedded) -> None:
    """Each other `num_ctx` is one more model in memory. Not within a reply, though nobody reads it; then with it."""

    def settings(num_ctx: int, **more: Any) -> Settings:
        return Settings(provider=own, num_ctx=num_ctx, **more)

    def contexts() -> set[Any]:
        own.stop_unused()
        return {key[2] for key in own._servers}

    def script(client: Any) -> Any:
        read, kept, usual = (client.with_options(settings=one) for one in (settings(256), settings(320), settings(384)))
        for one in (read, kept, usual):
            yield one.chat.completions.create(**FRANCE, max_tokens=1)
        left_open = yield client.chat.completions.create(**FRANCE, stream=True, extra_body=ENDLESS)
        yield first(left_open)
        assert contexts() == {256, 320, 384, 512}
        for number in (256, 512):  # the last call's `keep_alive` holds, and a call that fails has ended
            at_once = client.with_options(settings=settings(number, keep_alive=0))
            with pytest.raises(openai.APITimeoutError):
                yield at_once.models.list(timeout=1e-6)
        for_ever = client.with_options(settings=settings(320, keep_alive=-1))
        yield for_ever.models.list()
        assert contexts() == {320, 384, 512}
        yield left_open.close()
        assert contexts() == {320, 384}
        yield read.models.list()
        assert contexts() == {256, 320, 384}

    live(play, script, settings=settings(512))


def test_servers_stop_by_themselves(own: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that looks ends with the last server, and comes back with the next."""
    monkeypatch.setattr(embedded, "LOOK", 0.01)
    with OpenAI(settings=Settings(provider=own, keep_alive=0)) as client:
        for _ in range(2):
            assert client.chat.completions.create(**FRANCE, max_tokens=1).choices
            end = time.monotonic() + 10
            while own._watched and time.monotonic() < end:
                time.sleep(0.005)
            assert (own._watched, own._servers, own._uses) == (False, {}, {})


def test_stopped_and_started_again(own: Embedded) -> None:
    with OpenAI(settings=Settings(provider=own)) as client:
        before = port(client.chat.completions.with_raw_response.create(**FRANCE))
        own.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", before)).close()
        assert client.chat.completions.create(**FRANCE).choices[0].message.content


PROCESS = """
import sys
from llm_adapter import OpenAI, Settings
client = OpenAI(settings=Settings(provider="embedded"))
before = "xllamacpp" in sys.modules
stream = client.chat.completions.create(
    model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True, extra_body={"ignore_eos": True}
)
next(stream)
print(before, "xllamacpp" in sys.modules)
if sys.version_info >= (3, 13):
    # Whoever closes a stream of httpx2 while CPython is taken down crashes there, with the plain SDK too (3.13.5,
    # python/cpython#132413). So nobody does.
    import ctypes
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))
"""


def test_a_process_starts_late_and_ends_well() -> None:
    """Nothing is loaded before the first request; a process that ends in the midst of a reply ends at once."""
    done = prepared.run(PROCESS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False True\n", "")


# --- what can be wrong ----------------------------------------------------------------------------------------------


def failure(play: Play, own: Embedded, **settings: Any) -> str:
    """The message of the one error that a first request raises."""

    def script(client: Any) -> Any:
        with pytest.raises(SettingsError) as caught:
            yield client.chat.completions.create(**FRANCE)
        return str(caught.value)

    return str(live(play, script, settings=Settings(provider=own, **settings), max_retries=2))


def test_no_such_file(play: Play, own: Embedded, tmp_path: Any) -> None:
    """Says which file, by which setting, and is no connection error that is tried again."""
    message = failure(play, own, model_path=str(tmp_path / "none.gguf"))
    assert message.startswith(f"no GGUF file at {tmp_path / 'none.gguf'} (`model_path` from argument)")


BROKEN = {
    "text": ("sync", b"<html>not found</html>", "It is no GGUF file"),
    "cut": ("async", CHAT_MODEL.read_bytes()[:-200_000], "The file is not complete"),
}


@pytest.mark.parametrize(("kind", "content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_model(kind: str, content: bytes, reason: str, own: Embedded, tmp_path: Any) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    said = failure(Play(kind), own, model_path=str(tmp_path / "broken.gguf"))
    assert said.startswith(f"llama.cpp could not load {tmp_path / 'broken.gguf'}: ")
    assert reason in said


# What llama.cpp wrote (xllamacpp 2026.10.11549), and the process's exit status.
LOGS = {
    "an LFS pointer": (
        "0.00.012 E gguf_init_from_reader: invalid magic characters: 'vers', expected 'GGUF'",
        "no GGUF",
    ),
    "empty": ("0.00.017 E gguf_init_from_reader: failed to read magic", "no GGUF"),
    "header cut": ("0.00.017 E gguf_init_from_reader: failed to read key-value pairs", "not complete"),
    "newer": (
        "0.00.017 E gguf_init: this GGUF file is version 99 but this software only supports up to version 3",
        "pip install -U xllamacpp",
    ),
    "memory": (
        "0.08.151.307 E llama_init_from_model: failed to initialize the context: std::bad_alloc\n"
        "0.16.269.602 E cmn  common_init_: failed to create context with model 'm.gguf'",
        "too little memory",
    ),
    "other": ("0.00.1 E srv  load_model: something new\n0.00.1 E srv  init: exiting", "something new"),
}


@pytest.mark.parametrize(("log", "reason"), LOGS.values(), ids=LOGS)
def test_why_a_model_was_not_loaded(log: str, reason: str) -> None:
    assert reason in load_failure(log, 0)


def test_a_process_that_was_killed() -> None:
    assert "too little memory" in load_failure("", -9)
    assert "GGML_ASSERT(x) failed" in load_failure("GGML_ASSERT(x) failed", -6)


LOADING: dict[str, Any] = {
    "chat": lambda client, **options: client.chat.completions.create(**FRANCE, **options),
    "stream": lambda client, **options: client.chat.completions.create(**FRANCE, stream=True, **options),
    "embeddings": lambda client, **options: client.embeddings.create(model="m", input="x", **options),
    "models": lambda client, **options: client.models.list(**options),
}


@pytest.mark.parametrize("call", LOADING.values(), ids=LOADING)
def test_a_model_that_loads_for_long(call: Any, play: Play, own: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call's timeout holds, nothing is tried again, and the load goes on for a later call."""
    go_on, loads, start = threading.Event(), [], embedded.start_server

    def slow(*given: Any) -> Any:
        loads.append(threading.current_thread())
        go_on.wait(20)
        return start(*given)

    monkeypatch.setattr(embedded, "start_server", slow)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError, match="Loading the model"):
            yield call(client, timeout=0.1)
        go_on.set()
        yield call(client)

    live(play, script, settings=Settings(provider=own), max_retries=2)
    assert len(loads) == 1
    assert loads[0] is not threading.main_thread()


def test_calls_that_wait_take_none_of_the_programs_threads(own: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """anyio's shared threads are 40: more calls than that wait for a load, and the program's own work goes on."""
    go_on, start = threading.Event(), embedded.start_server

    def slow(*given: Any) -> Any:
        go_on.wait(20)
        return start(*given)

    monkeypatch.setattr(embedded, "start_server", slow)

    async def main() -> Any:
        async with AsyncOpenAI(settings=Settings(provider=own), max_retries=0) as client:
            retrieve = client.models.retrieve
            calls = [asyncio.create_task(retrieve("tiny-chat")) for _ in range(50)]
            while not own._loading:
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            waiting = [one.name for one in threading.enumerate() if "AnyIO" in one.name]
            with anyio.fail_after(10):
                await anyio.to_thread.run_sync(go_on.set)
            return waiting, await asyncio.gather(*calls)

    threads, models = asyncio.run(main())
    assert threads == []
    assert {model.id for model in models} == {"tiny-chat"}


@pytest.mark.parametrize("seconds", [None, 30])
def test_a_call_of_a_server_that_runs_starts_no_thread(
    seconds: Any, play: Play, own: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def script(client: Any) -> Any:
        yield client.models.list(timeout=seconds)
        monkeypatch.setattr(threading.Thread, "start", started.append)
        yield client.models.list(timeout=seconds)
        monkeypatch.undo()

    live(play, script, settings=Settings(provider=own))
    assert started == []


def test_a_model_of_ones_own_has_a_process_of_its_own(own: Embedded, tmp_path: Any) -> None:
    """While a model loads, llama.cpp holds the GIL: in this process it would stop every event loop.

    A process that was ended from outside is started anew.
    """
    shutil.copy(CHAT_MODEL, tmp_path / "own.gguf")

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**FRANCE))

    completion = live(Play("async"), script, settings=Settings(provider=own, model_path=str(tmp_path / "own.gguf")))
    assert completion.choices[0].message.content
    [(server, _)] = own._servers.values()
    assert isinstance(server, ServerProcess)
    server._process.kill()  # as the system does it when memory is full
    server._process.wait()
    again = live(Play("sync"), script, settings=Settings(provider=own, model_path=str(tmp_path / "own.gguf")))
    assert again.choices[0].message.content == completion.choices[0].message.content


def test_without_the_extra(play: Play, own: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert "pip install 'llm_adapter[embedded]'" in failure(play, own)


LIBGOMP = "libgomp.so.1: cannot open shared object file: No such file or directory"  # on debian:trixie-slim


@pytest.mark.parametrize(
    ("said", "cure"), [(LIBGOMP, "apt-get install libgomp1"), ("no ABI of mine", "no ABI of mine")]
)
def test_a_library_of_the_system_is_missing(
    said: str, cure: str, play: Play, own: Embedded, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The extra is there: to install it again would not help."""
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({said!r})", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    message = failure(play, own)
    assert message.startswith(f"provider 'embedded': llama.cpp is installed, but cannot be loaded: {said}")
    assert message.endswith(cure)


# --- what llama.cpp leaves out is given all the same ------------------------------------------------------------------

WEATHER_OR_TIME = [*TOOLS, {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}]
TIME: Any = {"type": "function", "function": {"name": "get_time"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("choice", "name"), [("required", "get_weather"), (TIME, "get_time")], ids=["required", "named"]
)
def test_a_demanded_call(choice: Any, name: str, stream: bool, play: Play) -> None:
    """llama.cpp reads a named function as "auto", and calls one that it must call until the budget is gone."""
    asked = {**GREEDY, "messages": said("What is the weather in Paris?"), "tools": WEATHER_OR_TIME}

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(**asked, tool_choice=choice, max_tokens=60, stream=stream)
        if not stream:
            return reply
        state = ChatCompletionStreamState()
        for chunk in (yield every(reply)):
            state.handle_chunk(chunk)
        return state.get_final_completion()

    choice_made = live(play, script).choices[0]
    assert [call.function.name for call in choice_made.message.tool_calls] == [name]
    assert choice_made.finish_reason == ("tool_calls" if choice == "required" else "stop")


def test_more_choices_than_slots(play: Play) -> None:
    """llama.cpp refuses an `n` above its slots, four of them: asked one by one, the others wait."""

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(**FRANCE, n=6, seed=1)
        stream = yield client.chat.completions.create(
            **FRANCE, n=6, seed=1, stream=True, stream_options={"include_usage": True}
        )
        return reply, (yield every(stream))

    reply, chunks = live(play, script)
    assert [one.message.content for one in reply.choices] == ["The capital of France is Paris."] * 6
    one = reply.usage.completion_tokens // 6
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 6 * one
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    whole = state.get_final_completion()
    assert [one.message.content for one in whole.choices] == ["The capital of France is Paris."] * 6
    assert whole.usage.total_tokens == reply.usage.total_tokens
    assert (reply.adapter.emulated, chunks[-1].adapter.emulated) == (["n"], ["n"])


def test_several_texts(play: Play) -> None:
    """llama.cpp counts the tokens of the first prompt alone, and leaves `echo` and `best_of` out."""
    asked = {**GREEDY, "max_tokens": 3, "echo": True}

    def script(client: Any) -> Any:
        both = yield client.completions.create(**asked, prompt=["a", "b"])
        first_alone = yield client.completions.create(**asked, prompt="a")
        second_alone = yield client.completions.create(**asked, prompt="b")
        stream = yield client.completions.create(
            **asked, prompt=["a", "b"], stream=True, stream_options={"include_usage": True}
        )
        best = yield client.completions.create(**GREEDY, max_tokens=3, prompt="a", best_of=2, logprobs=1)
        return both, [first_alone, second_alone], (yield every(stream)), best

    both, single, chunks, best = live(play, script)
    assert [one.text for one in both.choices] == [one.choices[0].text for one in single]
    assert both.usage.total_tokens == sum(one.usage.total_tokens for one in single)
    texts = ["".join(c.text for chunk in chunks for c in chunk.choices if c.index == place) for place in (0, 1)]
    assert texts == [one.text for one in both.choices]
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [both.usage.total_tokens]
    assert (len(best.choices[0].logprobs.tokens), best.usage.completion_tokens) == (3, 6)


def test_dimensions_of_another_length(play: Play) -> None:
    """llama.cpp ignores `dimensions`."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match="96 dimensions, not 8"):
            yield client.embeddings.create(model="tiny-embed", input="x", dimensions=8)
        return (yield client.embeddings.create(model="tiny-embed", input="x", dimensions=96))

    assert len(live(play, script).data[0].embedding) == 96


def test_refused_by_name(play: Play) -> None:
    """llama.cpp answers 200 to all of these, and does nothing."""

    def script(client: Any) -> Any:
        for name, value in {"verbosity": "low", "web_search_options": {}, "moderation": {}}.items():
            with pytest.raises(openai.BadRequestError, match=f"`{name}`"):
                yield client.chat.completions.create(**FRANCE, **{name: value})
        with pytest.raises(openai.BadRequestError, match="`suffix`"):
            yield client.completions.create(**GREEDY, prompt="a", suffix="b")

    live(play, script)


def test_an_image_on_this_machine_is_not_fetched(play: Play) -> None:
    """llama.cpp would fetch it, from this process: an address of a private network is refused before."""
    part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            yield client.chat.completions.create(**GREEDY, messages=[{"role": "user", "content": [part]}])
        return caught.value

    error = live(play, script)
    assert (error.param, error.code) == ("messages", "image_fetch_failed")


def test_connections_are_not_used_again(play: Play) -> None:
    """Its server breaks some of them off, which only the SDK's retries would hide."""

    def script(client: Any) -> Any:
        whole = yield client.chat.completions.with_raw_response.create(**FRANCE)
        found = yield client.embeddings.with_raw_response.create(model="e", input="x")
        return [one.http_response.request.headers["connection"] for one in (whole, found)]

    assert live(play, script, max_retries=0) == ["close", "close"]
