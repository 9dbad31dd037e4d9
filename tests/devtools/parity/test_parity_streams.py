"""Streamed prompts of `llm-adapter parity`: replies as whole as those that are not streamed, and when they came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, command
from drivers import HTTPX
from hypothesis import given
from hypothesis import strategies as some
from loopback import Handler, serving
from test_parity import SCHEMA, WEATHER

from llm_adapter import OpenAI, Settings
from llm_adapter.devtools.parity.sides import Side, stream_timing
from llm_adapter.devtools.parity.suite import Prompt, parse
from llm_adapter.testing import fake as fakes
from llm_adapter.testing.turns import Turn, disconnect, error, slow, text, thinking, tool_call

__all__ = ["command"]

ANA = "Return JSON for a person named Ana aged 30."
SKY = {"endpoint": "responses", "input": "Why is the sky blue?"}
PROMPTS: dict[str, dict[str, Any]] = {
    "said": {"user": "What is the capital of France?"},
    "tool": {"user": "What is the weather in Paris?", "tools": [WEATHER]},
    "form": {
        "user": ANA,
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
    },
    "cut": {"user": "Tell me a story.", "max_completion_tokens": 3},
    "two": {"user": "Hello", "n": 2},
    "unicode": {"user": "Grüezi, 日本語 🐘"},
    "responses": SKY,
    "form of responses": {**SKY, "input": ANA, "text": {"format": {"type": "json_object"}}},
    "completion": {"prompt": "Once upon a time", "max_tokens": 8},
    "too long": {"user": "word " * 4000},
}


def made(**prompt: Any) -> Prompt:
    return parse(
        json.dumps({"prompts": [{"name": "p", "model": "m", "temperature": 0, **prompt}]}, ensure_ascii=False), "s"
    ).prompts[0]


@pytest.fixture(scope="module")
def side() -> Iterator[Side]:
    with OpenAI(settings=Settings(provider="embedded", n_gpu_layers=0), max_retries=0) as client:
        yield Side("embedded", client)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_streamed_reply_is_the_whole_one(side: Side, name: str) -> None:
    """On a real model: finish reason, tools, schema, lengths, tokens and errors are those without `stream`."""
    whole, streamed = (side.ask(made(**PROMPTS[name], stream=flag)) for flag in (False, True))
    told = [{**run.outcome.json(), "seconds": 0} for run in (whole, streamed)]
    assert told[0] == told[1]
    assert ([call.arguments for call in whole.outcome.tools], whole.text, bool(whole.error)) == (
        [call.arguments for call in streamed.outcome.tools],
        streamed.text,
        bool(streamed.error),
    )
    assert whole.pace == (None, None)
    if name != "too long":
        assert streamed.pace.first is not None
        assert 0 < streamed.pace.first <= streamed.outcome.seconds
        assert 0 <= (streamed.pace.between or 0) < streamed.outcome.seconds


@pytest.fixture
def fake() -> Iterator[fakes.Fake]:
    with fakes.serving("openai") as server:
        Path("llm_adapter.toml").write_text(
            '[profiles.one]\nprovider = "embedded"\nn_gpu_layers = 0\n'
            f'[profiles.fake]\nprovider = "openai"\nbase_url = "{server.base_url}"\n'
            'dialect = "openai"\napi_key = "k"\n',
            encoding="utf-8",
        )
        yield server


def compared(command: Command, *more: str, **prompt: Any) -> Any:
    content = {"prompts": [{"name": "p", "model": "m", "stream": True, "user": "Hi", **prompt}]}
    Path("suite.yaml").write_text(json.dumps(content), encoding="utf-8")
    arguments = ("--a", "one", "--b", "fake", "--runs", "2", "--no-warm-up", *more, "--json", "-")
    return command("parity", "suite.yaml", *arguments)


def test_a_slow_stream(command: Command, fake: fakes.Fake) -> None:
    """The first token and the pieces after it are timed apart, and only judged where a suite asks for it."""
    fake.script(slow(first=0.2, between=0.03, turn=text(("Pa", "ri", "s"))), repeat=True)
    result = compared(command, "--html", "page.html", thresholds={"between_pieces": 0.01})
    found, runs = result.json["prompts"][0]["figures"], result.json["prompts"][0]["runs"]["b"]
    # Pieces come late at times, and then the next comes sooner after them.
    assert found["b"]["first_token"] >= 0.2
    assert 0.01 < found["b"]["between_pieces"] < found["b"]["first_token"]
    assert found["first_token_ratio"] == pytest.approx(found["b"]["first_token"] / found["a"]["first_token"])
    assert [0.2 <= run["first_token"] <= run["seconds"] for run in runs] == [True] * 2
    assert ([one["name"] for one in result.json["broken"]], result.code) == (["between_pieces"], 1)
    page = Path("page.html").read_text(encoding="utf-8")
    assert [part in page for part in ("Pace of every stream", "first token, b over a", "streamed")] == [True] * 3


def test_whole_replies_have_no_pace(command: Command, fake: fakes.Fake) -> None:
    fake.script(text("Paris"), repeat=True)
    result = compared(command, "--html", "page.html", stream=False)
    assert result.json["prompts"][0]["figures"]["b"]["first_token"] is None
    assert "Pace of" not in Path("page.html").read_text(encoding="utf-8")


CUT = "peer closed connection"
BROKEN_OFF = "APIConnectionError" if HTTPX.__name__ == "httpx2" else "RemoteProtocolError"  # HTTP's own before 3.0
FAILURES: dict[str, tuple[Turn, dict[str, Any], str, str]] = {
    "an error on the way": (error(500, "oom", mid_stream=True, after=2), {}, "APIError", "oom"),
    "of /responses": (
        error(500, "oom", mid_stream=True, after=2),
        {"user": None, "input": "Hi", "endpoint": "responses"},
        "APIError",
        "oom",
    ),
    "a cut": (
        disconnect(after=2),
        {},
        "APIConnectionError" if HTTPX.__name__ == "httpx2" else "RemoteProtocolError",
        CUT,
    ),
    "an error at once": (error(429, "slow down"), {}, "RateLimitError", "slow down"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_stream_that_fails_is_an_error(command: Command, fake: fakes.Fake, name: str) -> None:
    """Whatever came before: half a reply is none."""
    turn, prompt, kind, told = FAILURES[name]
    fake.script(turn, repeat=True)
    result = compared(command, **prompt)
    runs = result.json["prompts"][0]["runs"]["b"]
    assert [(run["error"], told in run["message"]) for run in runs] == [(kind, True)] * 2
    assert ([one["name"] for one in result.json["broken"]], result.code) == (["errors"], 1)


ODD = [b'{"choices": ["x"]}', b'"text"', b"[1]", b'{"choices": [{"index": "a", "delta": {"content": 5}}]}', b"not JSON"]


@pytest.mark.parametrize("data", ODD)
def test_chunks_that_are_none(data: bytes) -> None:
    """A stream of anything else is an error of this call, and of no other."""

    def odd(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", str(len(data) + 8))
        handler.end_headers()
        handler.wfile.write(b"data: " + data + b"\n\n")

    with serving() as server:
        server.act = odd
        settings = Settings(provider="openai", dialect="openai", base_url=f"{server.root}/v1", api_key="k")
        with OpenAI(settings=settings, max_retries=0) as client:
            run = Side("odd", client).ask(made(user="Hi", stream=True))
    assert run.outcome.error in ("ValueError", "JSONDecodeError")
    assert run.pace == (None, None)


def test_tokens_are_counted(command: Command, fake: fakes.Fake) -> None:
    """A server counts a stream's tokens only where it is asked to."""
    fake.script(text("Paris", usage=(3, 5)), repeat=True)
    assert compared(command).json["prompts"][0]["figures"]["b"]["completion_tokens"] == 10
    assert fake.last.body["stream_options"] == {"include_usage": True}


def test_a_tool_call_in_pieces(command: Command, fake: fakes.Fake) -> None:
    fake.script(tool_call("f", {"city": "Paris"}), repeat=True)
    result = compared(command)
    (call,) = result.json["prompts"][0]["runs"]["b"][0]["tools"]
    assert (call["name"], call["arguments"], call["valid"]) == ("f", ["city"], True)


def test_thinking_is_no_answer_yet() -> None:
    """The first token is of the answer; the pieces are counted from the first thought."""
    with fakes.serving("vllm") as server:
        server.script(thinking("One two three", text("Yes.")), repeat=True)
        run = Side("vllm", server.client()).ask(made(user="Hi", stream=True))
    assert (run.text, run.outcome.finish_reason, run.error) == ("Yes.", "stop", "")
    assert run.pace.first is not None
    assert run.pace.between is not None


def delta(**parts: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": parts}]}


THINKS, SAYS, NOTHING = delta(reasoning_content="Hm"), delta(content="Yes"), delta(role="assistant", content="")


@given(some.lists(some.tuples(some.floats(0, 10), some.sampled_from([THINKS, SAYS, NOTHING]))))
def test_pace(timed: list[tuple[float, dict[str, Any]]]) -> None:
    """Chunks without anything in them are no pieces, wherever they stand."""
    timed = sorted(timed, key=lambda pair: pair[0])
    found = stream_timing(timed)
    said = [when for when, chunk in timed if chunk is SAYS]
    pieces = [when for when, chunk in timed if chunk is not NOTHING]
    assert found.first == (said[0] if said else None)
    assert found == stream_timing([pair for pair in timed if pair[1] is not NOTHING])
    if len(pieces) > 1:
        assert found.between == pytest.approx((max(pieces) - min(pieces)) / (len(pieces) - 1))
    else:
        assert found.between is None


EVENTS = {
    "response.output_text.delta": True,
    "response.refusal.delta": True,
    "response.function_call_arguments.delta": True,
    "response.reasoning_summary_text.delta": False,
    "response.reasoning_text.delta": False,
    "response.output_text.done": False,
}


@pytest.mark.parametrize(("kind", "says"), EVENTS.items())
def test_pace_of_events(kind: str, says: bool) -> None:
    assert stream_timing([(1.0, {"type": kind, "delta": "x"})]).first == (1.0 if says else None)
