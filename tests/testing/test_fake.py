"""The fake server from outside: what users of every client see of every persona."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from drivers import CUT, SYNC_AND_ASYNC, Play, every, mode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState

from llm_adapter import Settings
from llm_adapter.testing import (
    PERSONAS,
    Fake,
    ToolCall,
    Turn,
    disconnect,
    error,
    serving,
    slow,
    text,
    thinking,
    tool_call,
    tool_calls,
)

HI: list[Any] = [{"role": "user", "content": "Hello"}]
ASK: dict[str, Any] = {"model": "m", "messages": HI}
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
STREAM = text("one two three four")


@pytest.fixture(params=PERSONAS)
def fake(request: pytest.FixtureRequest) -> Iterator[Fake]:
    with serving(request.param) as server:
        yield server


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def sdk(fake: Fake) -> Iterator[openai.OpenAI]:
    """The SDK's own client."""
    with plain(fake) as client:
        yield client


def plain(fake: Fake) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=fake.base_url, api_key="sk-secret-1234", max_retries=0, http_client=http)


def streamed(play: Play, fake: Fake, **more: Any) -> tuple[str, Any]:
    """The text of a stream, and the error that ended it."""
    pieces: list[str] = []

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(**ASK, stream=True, **more)
        yield collected(stream, pieces)

    try:
        play(script, settings=fake.settings())
    except Exception as failure:
        return "".join(pieces), failure
    return "".join(pieces), None


def collected(stream: Any, pieces: list[str]) -> Any:
    def keep(chunk: Any) -> None:
        pieces.extend(choice.delta.content or "" for choice in chunk.choices)

    if not hasattr(stream, "__aiter__"):
        return [keep(chunk) for chunk in stream]

    async def collect() -> None:
        async for chunk in stream:
            keep(chunk)

    return collect()


# --- our client, sync and async, on every persona -------------------------------------------------------------------


def test_chat(play: Play, fake: Fake) -> None:
    fake.script(text("Paris.", usage=(7, 2)))

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    completion = play(script, settings=fake.settings())
    assert completion.choices[0].message.content == "Paris."
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (7, 2)
    fake.assert_all_used()


def test_stream(play: Play, fake: Fake) -> None:
    fake.script(STREAM)
    assert streamed(play, fake) == ("one two three four", None)


@pytest.mark.parametrize("stream", [False, True])
def test_tools(play: Play, fake: Fake, stream: bool) -> None:
    """Two calls side by side, each with its own id and arguments."""
    fake.script(tool_calls(("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})))

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(**ASK, tools=TOOLS, stream=stream)
        if not stream:
            return reply
        state = ChatCompletionStreamState()
        for chunk in (yield every(reply)):
            state.handle_chunk(chunk)
        return state.get_final_completion()

    choice = play(script, settings=fake.settings()).choices[0]
    assert choice.finish_reason == "tool_calls"
    found = [json.loads(call.function.arguments) for call in choice.message.tool_calls]
    assert found == [{"city": "Paris"}, {"city": "Rome"}]
    assert len({call.id for call in choice.message.tool_calls}) == 2


def test_embeddings(play: Play, fake: Fake) -> None:
    """The same text has the same vector, in this run and the next."""

    def script(client: Any) -> Any:
        return (yield client.embeddings.create(model="text-embed", input=["a", "b", "a"]))

    one, two, three = (item.embedding for item in play(script, settings=fake.settings()).data)
    assert one == three != two
    assert one[:2] == pytest.approx([-0.6316, 0.2323], abs=1e-3)
    assert sum(part * part for part in one) == pytest.approx(1)


def test_error(play: Play, fake: Fake) -> None:
    fake.script(error(503, "server busy"))

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    with pytest.raises(openai.InternalServerError) as caught:
        play(script, settings=fake.settings())
    assert caught.value.status_code == 503
    assert "server busy" in f"{caught.value} {caught.value.body}"


def test_a_failure_in_the_middle_of_a_stream(play: Play, fake: Fake) -> None:
    """Our client raises on every server, and what came before is there."""
    fake.script(error(500, "the model runner has stopped", mid_stream=True, after=2, turn=STREAM))
    said, failure = streamed(play, fake)
    assert said == "one two"
    assert isinstance(failure, openai.APIError)
    assert "the model runner has stopped" in str(failure)


def test_a_stream_that_is_cut(play: Play, fake: Fake) -> None:
    fake.script(disconnect(after=2, turn=STREAM))
    said, failure = streamed(play, fake)
    assert said == "one two"
    assert isinstance(failure, (openai.APIError, CUT))


@pytest.mark.parametrize("after", [0, 1])
def test_a_reply_that_is_cut(play: Play, fake: Fake, after: int) -> None:
    fake.script(disconnect(after=after))

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    with pytest.raises(openai.APIConnectionError):
        play(script, settings=fake.settings())


def test_thoughts(play: Play, fake: Fake) -> None:
    """Whatever the server calls them; OpenAI shows none."""
    fake.script(thinking("Hm, well.", "Yes."))

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    message = play(script, settings=fake.settings()).choices[0].message
    assert message.content == "Yes."
    assert getattr(message, "reasoning", None) == (None if fake.persona.name == "openai" else "Hm, well.")


def test_models(play: Play, fake: Fake) -> None:
    def script(client: Any) -> Any:
        return (yield every((yield client.models.list())))

    fake.models = ["qwen3:8b", "nomic-embed-text:latest"]
    assert [model.id for model in play(script, settings=fake.settings())] == ["qwen3:8b", "nomic-embed-text:latest"]


def test_retries_meet_the_next_turn(play: Play, fake: Fake) -> None:
    fake.script(error(503, "busy", headers={"retry-after-ms": "1"}), "now")

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASK))

    assert play(script, settings=fake.settings(), max_retries=1).choices[0].message.content == "now"
    assert [asked.path for asked in fake.calls] == [fake.last.path] * 2


# --- the SDK's own client --------------------------------------------------------------------------------------------

SILENT = ("ollama@0.24", "ollama@0.32")


def test_the_plain_sdk_on_a_broken_stream(fake: Fake, sdk: openai.OpenAI) -> None:
    """On Ollama's /v1 a failure looks like a short answer: the SDK raises nothing. Everywhere else it does."""
    fake.script(error(500, "boom", mid_stream=True, after=2, turn=STREAM))
    stream = sdk.chat.completions.create(**ASK, stream=True)
    chunks: list[Any] = []
    if fake.persona.name in SILENT:
        chunks += stream
        assert chunks[-1].choices[0].finish_reason is None
        assert chunks[-1].model == ""
    else:
        with pytest.raises(openai.APIError, match="boom"):
            chunks += stream


@pytest.mark.parametrize("pieces", [("a", "b"), ("Hel", "lo", "\x85", " \n", "ü")])
def test_pieces_of_a_stream(fake: Fake, sdk: openai.OpenAI, pieces: tuple[str, ...]) -> None:
    """A stream's chunks are the script's pieces."""
    fake.script(text(pieces))
    chunks = sdk.chat.completions.create(**ASK, stream=True)
    assert tuple(chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content) == pieces


def test_usage_of_a_stream(fake: Fake, sdk: openai.OpenAI) -> None:
    """It comes in a chunk without choices, where it is asked for."""
    fake.script(text("a b", usage=(5, 2)), text("a b"))
    asked = sdk.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    last = list(asked)[-1]
    assert (last.choices, last.usage.total_tokens) == ([], 7)  # type: ignore[union-attr]
    assert list(sdk.chat.completions.create(**ASK, stream=True))[-1].usage is None


TWO = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")]
PLACELESS = {
    0: ("fg", '{"a":1}{"b":2}'),  # ollama#15457
    None: "list indices must be integers or slices, not NoneType",  # ollama#7881
}


def assembled(chunks: Any) -> list[tuple[str, Any]]:
    """The calls of a stream, as the SDK puts them together."""
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    calls = state.get_final_completion().choices[0].message.tool_calls or []
    return [(call.function.name, call.function.arguments) for call in calls]


@pytest.mark.parametrize("name", ["ollama@0.24", "ollama@0.32"])
@pytest.mark.parametrize("index", PLACELESS)
@pytest.mark.parametrize("way", ["the plain SDK", "natively", "by /v1"])
def test_calls_without_a_place_of_their_own(name: str, index: int | None, way: str) -> None:
    """The SDK's accumulator runs them together or fails; our client gives each its place, on either API."""
    calls = tool_calls(ToolCall("f", {"a": 1}, index=index), ToolCall("g", {"b": 2}, index=index))
    ask = {**ASK, "tools": TWO, "stream": True}
    with serving(name) as fake:
        fake.script(calls)
        if way == "the plain SDK":
            with plain(fake) as client:
                if index is None:
                    with pytest.raises(TypeError, match=str(PLACELESS[index])):
                        assembled(client.chat.completions.create(**ask))
                else:
                    assert assembled(client.chat.completions.create(**ask)) == [PLACELESS[index]]
            return
        v1 = {"provider": "openai", "host": None, "base_url": fake.base_url, "dialect": "ollama", "api_key": "any"}
        settings = fake.settings() if way == "natively" else Settings(**v1)
        with fake.client(settings=settings, http_client=openai.DefaultHttpxClient(verify=False)) as ours:
            found = assembled(ours.chat.completions.create(**ask))
        assert found == [("f", '{"a":1}'), ("g", '{"b":2}')]


def test_responses(fake: Fake, sdk: openai.OpenAI) -> None:
    fake.script("Hello there", "Hello again")
    assert sdk.responses.create(model="m", input="Hi").output_text == "Hello there"
    events = list(sdk.responses.create(model="m", input="Hi", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello again"
    assert [event.type for event in events][:: len(events) - 1] == ["response.created", "response.completed"]


def test_completions(fake: Fake, sdk: openai.OpenAI) -> None:
    fake.script("one two", "one two")
    assert sdk.completions.create(model="m", prompt="Hi").choices[0].text == "one two"
    stream = sdk.completions.create(model="m", prompt="Hi", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == "one two"


ANY = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


@given(pieces=st.lists(ANY, max_size=5), thought=ANY, arguments=st.dictionaries(ANY, ANY | st.integers(), max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_round_trip(fake: Fake, sdk: openai.OpenAI, pieces: list[str], thought: str, arguments: dict[str, Any]) -> None:
    """Any text, thought and arguments arrive whole, through a real stream and the SDK's accumulator."""
    call = tool_call("f", arguments).calls
    fake.script(Turn("".join(pieces), thought, call, pieces=tuple(pieces)))
    state = ChatCompletionStreamState()
    for chunk in sdk.chat.completions.create(**ASK, stream=True):
        state.handle_chunk(chunk)
    [choice] = state.get_final_completion().choices
    assert (choice.message.content or "") == "".join(pieces)
    assert json.loads(choice.message.tool_calls[0].function.arguments) == arguments  # type: ignore[index]
    shown = {"reasoning", "reasoning_content"} & (choice.message.model_extra or {}).keys()
    assert all((choice.message.model_extra or {})[name] == thought for name in shown)


# --- the server ------------------------------------------------------------------------------------------------------


def test_other_clients(fake: Fake) -> None:
    """Any HTTP client will do, and any JSON library."""
    request = urllib.request.Request(f"{fake.base_url}/chat/completions", json.dumps(ASK).encode(), method="POST")
    request.add_header("Authorization", "Bearer any")
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["choices"][0]["message"]["content"] == "Hello from the fake server."


def test_a_body_in_chunks(fake: Fake) -> None:
    """As Go and Node send them."""
    connection = http.client.HTTPConnection(fake.url.removeprefix("http://"))
    data = json.dumps(ASK).encode()
    headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", iter([data[:9], data[9:]]), headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert fake.last.body == ASK
    connection.close()


def test_slowness() -> None:
    """Before the headers, before the first piece, and between two."""
    with serving() as fake:
        fake.script(slow(0.05, text("a b c"), first=0.05, between=0.05))
        begun = time.perf_counter()
        with plain(fake) as client:
            stream = client.chat.completions.create(**ASK, stream=True)
            headers = time.perf_counter() - begun
            list(stream)
        assert headers >= 0.05
        assert time.perf_counter() - begun >= 0.2


def test_a_slow_server_stops_at_once() -> None:
    begun = time.perf_counter()
    with serving() as fake:
        fake.script(slow(60))
        connection = http.client.HTTPConnection(fake.url.removeprefix("http://"))
        connection.request("POST", "/v1/chat/completions", json.dumps(ASK), {"Authorization": "Bearer any"})
        while not fake.requests:
            time.sleep(0.001)
    with pytest.raises(OSError):  # noqa: PT011 - RemoteDisconnected or reset
        connection.getresponse()
    connection.close()
    assert time.perf_counter() - begun < 5


def test_it_starts_and_stops_quickly() -> None:
    """A fixture of every test costs it nothing."""

    def once() -> float:
        begun = time.perf_counter()
        with serving():
            pass
        return time.perf_counter() - begun

    assert min(once() for _ in range(5)) < 0.03


def test_from_a_shell(tmp_path: Any) -> None:
    """For tests in other languages: it says where it listens, and has a script of recorded replies."""
    recorded = {"object": "chat.completion", "choices": [{"message": {"content": "Recorded."}}]}
    (tmp_path / "replies.jsonl").write_text(json.dumps(recorded) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "llm_adapter.testing.fake", "--persona", "vllm", "--script", "replies.jsonl"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("vllm listens at http://127.0.0.1:")
            url = said.split()[3] + "/v1/chat/completions"
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(ASK).encode())) as response:
                assert json.load(response)["choices"][0]["message"]["content"] == "Recorded."
        finally:
            process.terminate()


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    from llm_adapter.testing.fake import main

    with serving() as fake, pytest.raises(SystemExit) as stopped:
        main(["--port", fake.url.rpartition(":")[2]])
    assert stopped.value.code == 2
    assert "Address already in use" in capsys.readouterr().err
