"""Streamed responses: the events in OpenAI's order, judged by the SDK's own accumulator, cut at every byte."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from conftest import DONE, HOST
from drivers import HTTPX, SYNC_AND_ASYNC, Body, Play, entered, every, left, mode
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from recorded import SERVERS, Exchange, exchanges
from test_responses import CALLED, GREEDY, WEATHER, Person

from llm_adapter import Call, Settings
from llm_adapter.exchange import Exchange as Translation
from llm_adapter.provider import NativeReply
from llm_adapter.providers.ollama import Ollama


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def lines(*natives: dict[str, Any]) -> bytes:
    return b"".join(json.dumps({"model": "m", **one}).encode() + b"\n" for one in natives)


def says(**message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "", **message}, "done": False}


END = {"message": {"role": "assistant", "content": ""}, **DONE}
THOUGHT = lines(says(thinking="h"), says(thinking="m"), says(content="Hé"), says(content="llo\u0085"), END)
TOOLS = lines(
    says(thinking="hm"), says(content="One"), says(tool_calls=[CALLED]), says(tool_calls=[{**CALLED, "id": "c2"}]), END
)
CUT = lines(says(content="Once"), {**END, "done_reason": "length"})
SILENT = lines(says(thinking="hm"), END)


def served(play: Play, native: Any, script: Any, **settings: Any) -> Any:
    """A script's result, on an Ollama that streams these bytes."""

    def handler(request: Any) -> Any:
        if request.url.path == "/api/show":
            capable = ["completion", "tools", "thinking", "vision"]
            return HTTPX.Response(200, json={"capabilities": capable, "details": {}, "model_info": {}})
        return HTTPX.Response(200, stream=native) if isinstance(native, Body) else HTTPX.Response(200, content=native)

    configured = Settings(provider="ollama", host=HOST, **settings)
    return play(script, settings=configured, http_client=play.http(handler))


def streamed(play: Play, native: Any, **arguments: Any) -> list[Any]:
    """The events of one call."""

    def script(client: Any) -> Any:
        stream = yield client.responses.create(**{"model": "m", "input": "Hello", "stream": True, **arguments})
        return (yield every(stream))

    return served(play, native, script)  # type: ignore[no-any-return]


BEGIN = ["response.created", "response.in_progress"]
REASONING = [
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]
MESSAGE = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
CALL = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]
EMPTY = [kind for kind in MESSAGE if not kind.endswith("text.delta")]
SEQUENCES: dict[str, tuple[bytes, list[str]]] = {
    "thought": (THOUGHT, [*BEGIN, *REASONING, *MESSAGE, "response.completed"]),
    # Calls are done at the end, for servers may send their arguments in turns.
    "tools": (
        TOOLS,
        [*BEGIN, *REASONING, *MESSAGE, *CALL[:2], *CALL[:2], *CALL[2:], *CALL[2:], "response.completed"],
    ),
    "cut": (CUT, [*BEGIN, *MESSAGE, "response.incomplete"]),
    "silent": (SILENT, [*BEGIN, *REASONING, *EMPTY, "response.completed"]),
}


def folded(events: list[Any]) -> list[str]:
    """The kinds in their order, deltas in a row told once."""
    kinds: list[str] = [event.type for event in events]
    return [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before or "delta" not in kind]


@pytest.mark.parametrize(("native", "sequence"), SEQUENCES.values(), ids=SEQUENCES)
def test_sequence(native: bytes, sequence: list[str], play: Play) -> None:
    """Every event, in OpenAI's order and numbered without a gap."""
    events = streamed(play, native, tools=[WEATHER])
    assert folded(events) == sequence
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("native", [native for native, _ in SEQUENCES.values()], ids=SEQUENCES)
def test_events_are_the_sdks(native: bytes, play: Play) -> None:
    """Each event has every field of its type, rightly typed: strict validation, which the SDK itself does not do."""
    adapter = TypeAdapter[Any](ResponseStreamEvent)
    for event in streamed(play, native, tools=[WEATHER]):
        adapter.validate_json(event.to_json(), strict=True)


@pytest.mark.parametrize("native", [native for native, _ in SEQUENCES.values()], ids=SEQUENCES)
def test_deltas_add_up(native: bytes, play: Play) -> None:
    """What came in pieces is what is said to be done, and what the response holds at the end."""
    events = streamed(play, native, tools=[WEATHER])
    pieces: dict[str, str] = {}
    for event in events:
        if event.type.endswith(".delta"):
            pieces[event.item_id] = pieces.get(event.item_id, "") + event.delta
        elif event.type.endswith((".text.done", "_text.done", "arguments.done")):
            assert pieces.get(event.item_id, "") == getattr(event, "text", None) or event.arguments
    final = events[-1].response
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert sorted(item.id for item in done) == sorted(item.id for item in final.output)
    assert {item.id: item for item in done} == {item.id: item for item in final.output}


def accumulated(play: Play, native: Any, **arguments: Any) -> Any:
    """What the SDK's own accumulator makes of a stream."""

    def script(client: Any) -> Any:
        manager = client.responses.stream(**{"model": "m", "input": "Hello", **arguments})
        stream = yield entered(manager)
        events = yield every(stream)
        final = yield stream.get_final_response()
        yield left(manager)
        return events, final

    return served(play, native, script)


def plain(response: Any) -> Any:
    told = json.loads(response.to_json())
    for name in ("id", "created_at", "ollama", "adapter"):
        told.pop(name, None)
    for item in told["output"]:
        item.pop("id")
        item.pop("parsed_arguments", None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
    return told


@pytest.mark.parametrize("native", [THOUGHT, TOOLS, SILENT], ids=["thought", "tools", "silent"])
def test_accumulator(native: bytes, play: Play) -> None:
    """The SDK's accumulator accepts the stream, and ends with what a call without streaming gives."""
    _, final = accumulated(play, native, tools=[WEATHER])
    message: dict[str, Any] = {"role": "assistant", "content": "", "thinking": "", "tool_calls": []}
    for line in native.splitlines() if b"\\u0085" in native else native.split(b"\n")[:-1]:
        for name, value in json.loads(line)["message"].items():
            message[name] = value if name == "role" else message[name] + value
    whole = lines({**END, "message": {name: value for name, value in message.items() if value or name == "content"}})

    def script(client: Any) -> Any:
        return (yield client.responses.create(model="m", input="Hello", tools=[WEATHER]))

    assert plain(final) == plain(served(play, whole, script))
    assert final.to_dict()["adapter"]["provider"] == "ollama"
    assert final.to_dict()["ollama"] == {"total_duration": 9, "prompt_eval_count": 3, "eval_count": 2}


def test_text_snapshots(play: Play) -> None:
    events, final = accumulated(play, THOUGHT)
    assert [event.snapshot for event in events if event.type == "response.output_text.delta"][-1] == "Héllo\u0085"
    assert final.output_text == "Héllo\u0085"


def test_parsed(play: Play) -> None:
    native = lines(says(content='{"name": "Ana",'), says(content=' "age": 30}'), END)
    events, final = accumulated(play, native, text_format=Person)
    assert final.output_parsed == Person(name="Ana", age=30)
    [done] = [event for event in events if event.type == "response.output_text.done"]
    assert done.parsed == Person(name="Ana", age=30)


class GetWeather(BaseModel):
    city: str


def test_parsed_arguments(play: Play) -> None:
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    flat = {"type": "function", **tool["function"]}
    _, final = accumulated(play, lines(says(tool_calls=[CALLED]), END), tools=[flat])
    assert final.output[0].parsed_arguments == {"city": "Paris"}


def test_forced_call_is_streamed(play: Play) -> None:
    """A reply that had to be checked first comes as the stream that would have brought it."""
    native = lines({**END, "message": {"role": "assistant", "content": json.dumps(CALLED["function"])}})
    events = streamed(play, native, tools=[WEATHER], tool_choice="required")
    assert folded(events) == [*BEGIN, *CALL, "response.completed"]
    assert events[-1].response.output[0].arguments == '{"city":"Paris"}'


def test_logprobs(play: Play) -> None:
    log = {"token": "Hi", "logprob": -0.5}
    native = lines({**says(content="Hi"), "logprobs": [log]}, END)
    events = streamed(play, native, include=["message.output_text.logprobs"])
    [delta] = [event for event in events if event.type == "response.output_text.delta"]
    assert [(one.token, one.logprob) for one in delta.logprobs] == [("Hi", -0.5)]
    assert events[-1].response.output[0].content[0].logprobs[0].token == "Hi"


# --- ends that are none ----------------------------------------------------------------------------------------------


FAILURES: dict[str, tuple[Any, str]] = {
    "an error line": (lines(says(content="Once"), {"error": "the runner has crashed"}), "the runner has crashed"),
    "an early end": (lines(says(content="Once")), "before the reply was complete"),
    "half a line": (THOUGHT[:-20], "not JSON"),
    "nothing": (b"", "before the reply was complete"),
    "no JSON": (b"<html>\n", "not JSON"),
    "a broken structure": (lines(says(content="no"), END), "does not fit"),
}


@pytest.mark.parametrize(("native", "match"), FAILURES.values(), ids=FAILURES)
def test_failure(native: Any, match: str, play: Play) -> None:
    """What is not complete is told as failed, raises, and is not kept."""
    form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    arguments: dict[str, Any] = {"text": form} if match == "does not fit" else {}
    seen: list[Any] = []

    def script(client: Any) -> Any:
        stream = yield client.responses.create(model="m", input="Hello", stream=True, **arguments)
        error = yield (_gathered if play.mode == "sync" else _collected)(stream, seen)
        assert match in str(error)
        with pytest.raises(openai.NotFoundError):
            yield client.responses.retrieve(seen[0].response.id)

    served(play, native, script)
    failed = seen[-1]
    assert (failed.type, failed.response.status, failed.response.error.code) == (
        "response.failed",
        "failed",
        "server_error",
    )
    assert match in failed.response.error.message
    assert not {"response.completed", "response.incomplete"} & {event.type for event in seen}


def _gathered(stream: Any, seen: list[Any]) -> openai.APIError:
    """The error that a stream ends with; what came before it is gathered."""
    try:
        for event in stream:
            seen.append(event)  # noqa: PERF402 - up to the error
    except openai.APIError as error:
        return error
    raise AssertionError("the stream ended well")


async def _collected(stream: Any, seen: list[Any]) -> openai.APIError:
    try:
        async for event in stream:
            seen.append(event)  # noqa: PERF401 - up to the error
    except openai.APIError as error:
        return error
    raise AssertionError("the stream ended well")


def test_failure_before_the_stream(play: Play) -> None:
    """A refusal is an error by its status, not a stream."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError):
            yield client.responses.create(model="m", input="Hello", stream=True)

    def handler(request: Any) -> Any:
        return HTTPX.Response(404, json={"error": "model 'm' not found"})

    play(script, http_client=play.http(handler))


def test_left_early_is_closed(play: Play) -> None:
    """A caller who has read enough gives the connection back."""
    body = Body(lines(says(content="Once")), lines(says(content=" upon"), END))

    def script(client: Any) -> Any:
        stream = yield client.responses.create(model="m", input="Hello", stream=True)
        yield stream.close()

    served(play, body, script)
    assert body.closed


# --- the decoder alone -----------------------------------------------------------------------------------------------


def decoder(**body: Any) -> Any:
    """The decoder of one streamed call, with a fixed id and time."""
    endpoint = Ollama().endpoint("POST", "/responses")
    assert endpoint is not None
    settings = Settings(provider="ollama", host=HOST)
    body = {"model": "m", "input": "Hello", "stream": True, **body}
    exchange = Translation(Call("POST", "/responses", body, settings, "0" * 32, 1_700_000_000), endpoint)
    capable = {"capabilities": ["completion", "tools", "thinking"], "details": {}, "model_info": {}}
    while exchange.pending:
        shown = json.dumps(capable).encode()
        replies = [NativeReply(200, {}, b"" if one.path == "/api/chat" else shown) for one in exchange.pending]
        exchange.resume(replies)
    return exchange.reply()[1]


@pytest.mark.parametrize("native", [native for native, _ in SEQUENCES.values()], ids=SEQUENCES)
def test_cut_at_every_byte(native: bytes) -> None:
    """Wherever the network cuts, the events are the same."""
    whole = decoder(tools=[WEATHER])
    expected = whole.feed(native) + whole.finish()
    for place in range(1, len(native)):
        events = decoder(tools=[WEATHER])
        assert events.feed(native[:place]) + events.feed(native[place:]) + events.finish() == expected
    single = decoder(tools=[WEATHER])
    assert (
        b"".join(single.feed(native[place : place + 1]) for place in range(len(native))) + single.finish() == expected
    )


@pytest.mark.parametrize("native", [native for native, _ in SEQUENCES.values()], ids=SEQUENCES)
def test_ended_at_every_byte(native: bytes) -> None:
    """Wherever the connection ends before the end, no event says that the response is complete."""
    for place in range(len(native) - 1):
        events = decoder(tools=[WEATHER])
        out = events.feed(native[:place]) + events.finish()
        # The last line says `done` as soon as its JSON is whole, with or without its line break.
        assert b"event: response.failed\n" in out
        assert b"event: response.completed\n" not in out
        assert b"event: response.incomplete\n" not in out


def test_events_come_as_they_can(play: Play) -> None:
    """Nothing is held back: the first piece of text is out with the first piece of the stream."""
    events = decoder()
    assert b"response.output_text.delta" in events.feed(lines(says(content="Once")))


RECORDED = [(server, one) for server in SERVERS[:2] for one in exchanges(server, "responses", "v1") if one.streamed]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case[0])
def test_recorded(case: tuple[str, Exchange], play: Play) -> None:
    """The events that Ollama's own /v1/responses gives, and the two of a summary's part that it leaves out."""
    theirs = [json.loads(line[6:]) for line in case[1].body.split("\n") if line.startswith("data: ")]
    natives = []
    for event in theirs:
        if event["type"] == "response.reasoning_summary_text.delta":
            natives.append(says(thinking=event["delta"]))
        elif event["type"] == "response.output_text.delta":
            natives.append(says(content=event["delta"]))
    usage = theirs[-1]["response"]["usage"]
    counts = {"prompt_eval_count": usage["input_tokens"], "eval_count": usage["output_tokens"]}
    ours = streamed(play, lines(*natives, {**END, **counts}), **case[1].request)
    extra = ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done")
    mine = [event for event in ours if event.type not in extra]
    assert [event.type for event in mine] == [event["type"] for event in theirs]
    for one, other in zip(mine, theirs, strict=True):
        for name in ("delta", "text", "output_index", "content_index", "summary_index"):
            assert getattr(one, name, None) == other.get(name)
    assert ours[-1].response.usage.total_tokens == usage["total_tokens"]


# --- live ------------------------------------------------------------------------------------------------------------


def test_live(play: Play) -> None:
    """llama.cpp in this process, through the accumulator."""
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        manager = client.responses.stream(**GREEDY, input="What is the capital of France?")
        stream = yield entered(manager)
        yield every(stream)
        final = yield stream.get_final_response()
        yield left(manager)
        return final

    final = play(script, settings=Settings(provider="embedded"))
    assert final.output_text == "The capital of France is Paris."
    assert final.usage.output_tokens > 0


def test_live_tools(play: Play) -> None:
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        question = "What is the weather in Paris and Rome?"
        stream = yield client.responses.create(**GREEDY, input=question, tools=[WEATHER], stream=True)
        return (yield every(stream))

    events = play(script, settings=Settings(provider="embedded"))
    assert [json.loads(item.arguments)["city"] for item in events[-1].response.output] == ["Paris", "Rome"]
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert done == [item.arguments for item in events[-1].response.output]
