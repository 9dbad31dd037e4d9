"""Real exchanges of real servers: what we send is what was recorded, what we answer is what the SDK would hold.

Where we differ from Ollama's own /v1 the difference is named in the test.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from recorded import Case, Exchange, call, natives, pairs

from llm_adapter import AdapterWarning
from llm_adapter.providers.ollama import chat, embeddings
from llm_adapter.translation.completions import logprobs

PLAIN = [
    "chat",
    "chat_system",
    "chat_multi_turn",
    "chat_stop",
    "chat_length",
    "chat_logprobs",
    "json_object",
    "json_schema",
    "tools",
    "tools_two",
    "tools_result",
    "think",
    "think_off",
]
STREAMED = [
    "chat_stream",
    "chat_length_stream",
    "chat_logprobs_stream",
    "json_schema_stream",
    "tools_stream",
    "tools_two_stream",
    "think_stream",
]
LEVEL_KEPT = ("think", "think_stream")  # recorded with think=true; an effort keeps its level


@pytest.mark.parametrize("case", pairs("/v1/chat/completions", PLAIN + STREAMED), ids=str)
def test_chat_request(case: Case) -> None:
    """The native request is the recorded one. Stated differences: `truncate: false`, and think keeps its level."""
    sent = chat.request(call("/chat/completions", case.v1.request))
    assert sent.pop("truncate") is False
    if case.intent in LEVEL_KEPT:
        assert sent.pop("think") == "high"
    assert sent == {
        key: value for key, value in case.native.request.items() if not (key == "think" and case.intent in LEVEL_KEPT)
    }


def held(message: dict[str, Any]) -> dict[str, Any]:
    """What a message says, without what differs between two runs or is ours alone."""
    calls = [
        (one["function"]["name"], json.loads(one["function"]["arguments"])) for one in message.get("tool_calls") or []
    ]
    # OpenAI's content is null beside tool calls; /v1's is "".
    return {"content": message.get("content") or "", "reasoning": message.get("reasoning"), "tool_calls": calls}


def _thought_only(case: Case) -> bool:
    message = json.loads(case.native.body)["message"]
    return case.intent == "chat_length" and not message["content"] and bool(message.get("thinking"))


def answered(cases: list[Case]) -> list[Case]:
    return [case for case in cases if case.native.status == 200 and case.v1.status == 200]


@pytest.mark.parametrize("case", answered(pairs("/v1/chat/completions", PLAIN)), ids=str)
def test_chat_reply(case: Case, run: Any, ollama: Any) -> None:
    """The completion says what /v1's says: text, reasoning, tool calls, finish, usage, logprobs."""
    ollama.answer("/api/chat", body=case.native.body)
    # thinking that eats the whole budget is said, for the content is empty then.
    empty = pytest.warns(AdapterWarning, match="whole of `max_tokens`") if _thought_only(case) else nullcontext()
    with empty:
        ours: ChatCompletion = run(lambda client: client.chat.completions.create(**case.v1.request))
    theirs = json.loads(case.v1.body)
    choice = ours.choices[0].to_dict()
    assert held(choice["message"]) == held(theirs["choices"][0]["message"])  # type: ignore[arg-type]
    assert ours.choices[0].finish_reason == theirs["choices"][0]["finish_reason"]
    assert ours.usage is not None
    assert ours.usage.to_dict() == theirs["usage"]
    assert (ours.model, ours.object, ours.system_fingerprint) == (theirs["model"], theirs["object"], "fp_ollama")
    tokens = (theirs["choices"][0].get("logprobs") or {}).get("content") or []
    got = ours.choices[0].logprobs
    assert [one.token for one in (got.content if got else None) or []] == [one["token"] for one in tokens]


def chunks(stream: bytes | str) -> list[dict[str, Any]]:
    text = stream if isinstance(stream, str) else stream.decode()
    events = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(one) for one in events[:-1]]


def gathered(stream: bytes | str) -> dict[str, Any]:
    """All of a stream put together, the way a client does it."""
    message: dict[str, Any] = {"content": "", "reasoning": "", "tool_calls": []}
    reasons, usage, tokens = [], None, []
    for chunk in chunks(stream):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning"] += delta.get("reasoning") or ""
            message["tool_calls"] += delta.get("tool_calls") or []
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
            tokens += [one["token"] for one in ((choice.get("logprobs") or {}).get("content") or [])]
    return {**held(message), "finish": reasons, "usage": usage, "tokens": tokens}


@pytest.mark.parametrize("case", answered(pairs("/v1/chat/completions", STREAMED)), ids=str)
def test_chat_stream(case: Case) -> None:
    """The chunks together say what /v1's chunks say together."""
    events = chat.ChatDecoder(call("/chat/completions", case.v1.request))
    ours = gathered(events.feed(case.native.body.encode()) + events.finish())
    theirs = gathered(case.v1.body)
    if not case.v1.request.get("stream_options"):
        assert ours["usage"] is None
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "exchange"),
    [(n, e) for n, e in natives("/api/chat") if e.streamed],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_chat_stream_cut_at_every_byte(name: str, exchange: Exchange) -> None:
    """However the bytes arrive, the same events leave. The head and the tail of the body hold every kind of line."""
    body = exchange.body.encode()
    the_call = call("/chat/completions", {"model": "m", "stream": True, "stream_options": {"include_usage": True}})

    def decoded(*pieces: bytes) -> bytes:
        events = chat.ChatDecoder(the_call)
        return b"".join(map(events.feed, pieces)) + events.finish()

    whole = decoded(body)
    assert decoded(*(body[place : place + 1] for place in range(len(body)))) == whole
    for cut in range(0, len(body), max(1, len(body) // 400)):
        assert decoded(body[:cut], body[cut:]) == whole


@pytest.mark.parametrize("exchange", [e for n, e in natives("/api/chat") if e.streamed][:3])
def test_chat_stream_ending_early_is_an_error(exchange: Exchange) -> None:
    """Bytes that stop before `done` end in an error event, never in [DONE]."""
    lines = exchange.body.encode().split(b"\n")
    for kept in range(len(lines) - 2):
        events = chat.ChatDecoder(call("/chat/completions", {"model": "m", "stream": True}))
        out = events.feed(b"\n".join(lines[:kept])) + events.finish()
        assert b"[DONE]" not in out
        assert b'"error"' in out.split(b"\n\n")[-2]


def test_completion(run: Any, ollama: Any) -> None:
    """A completion's prompt is sent raw, as the recorded request; the reply holds its text and counts."""
    for _, exchange in [(n, e) for n, e in natives("/api/generate") if e.request.get("raw") and not e.streamed]:
        ollama.answer("/api/generate", body=exchange.body)
        wanted = dict(exchange.request)
        reply: Completion = run(
            lambda client, wanted=wanted: client.completions.create(
                model=wanted["model"], prompt=wanted["prompt"], temperature=0, max_tokens=120
            )
        )
        assert ollama.sent == {**wanted, "truncate": False}
        native = json.loads(exchange.body)
        assert reply.choices[0].text == native["response"]
        assert reply.usage is not None
        assert reply.usage.completion_tokens == native["eval_count"]


def test_completion_stream(run: Any, ollama: Any) -> None:
    """The streamed completion gathers to the whole text, with usage on a chunk of its own when asked for."""
    for _, exchange in [(n, e) for n, e in natives("/api/generate") if e.streamed]:
        ollama.answer("/api/generate", body=exchange.body)
        got = run.stream(
            lambda client, exchange=exchange: client.completions.create(
                model="tiny", prompt=exchange.request["prompt"], stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(chunk.choices[0].text for chunk in got if chunk.choices) == "1, 2, 3, 4, 5"
        assert [chunk.choices[0].finish_reason for chunk in got if chunk.choices][-1] == "stop"
        assert got[-1].choices == []
        assert got[-1].usage.total_tokens == 25


@pytest.mark.parametrize("case", pairs("/v1/embeddings", ["embed"]), ids=str)
def test_embeddings(case: Case, run: Any, ollama: Any) -> None:
    """The vectors are the recorded ones, asked for as base64 (the SDK's default) or as numbers."""
    native = {**case.native.request, "truncate": False}
    assert embeddings.request(call("/embeddings", case.v1.request)) == native
    ollama.answer("/api/embed", body=case.native.body)
    theirs = json.loads(case.v1.body)
    for form in ({}, {"encoding_format": "float"}):
        ours: CreateEmbeddingResponse = run(
            lambda client, form=form: client.embeddings.create(**case.v1.request, **form)
        )
        assert ours.data[0].embedding == pytest.approx(theirs["data"][0]["embedding"], abs=1e-7)
        assert (ours.model, ours.usage.to_dict()) == (theirs["model"], theirs["usage"])


def test_completion_offsets() -> None:
    """Logprobs of completions come in OpenAI's parallel lists."""
    native = {
        "done": True,
        "response": "ab",
        "logprobs": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.0}],
    }
    logs = logprobs(native["logprobs"], 3)
    assert logs == {
        "tokens": ["a", "b"],
        "token_logprobs": [-1.0, -2.0],
        "top_logprobs": [{}, {}],
        "text_offset": [3, 4],
    }
