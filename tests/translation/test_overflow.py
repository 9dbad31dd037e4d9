"""A prompt that does not fit: one error in OpenAI's words on every server, and what may be left out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest
from conftest import DONE
from drivers import SYNC_AND_ASYNC, Play, mode

from llm_adapter import AdapterWarning, OpenAI, Settings
from llm_adapter.testing import serving, text
from llm_adapter.translation.overflow import counts

LONG = "word " * 3000
SYSTEM = {"role": "system", "content": "Be brief."}
OLD: list[Any] = [{"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "ok"}]
TURNS: list[Any] = [SYSTEM, *OLD * 12, {"role": "user", "content": "Hello"}]
CALLS: dict[str, Any] = {
    "chat": lambda client, **more: client.chat.completions.create(model="m", messages=TURNS, **more),
    "completions": lambda client, **more: client.completions.create(model="m", prompt=LONG, **more),
    "responses": lambda client, **more: client.responses.create(model="m", input=TURNS, **more),
    "embeddings": lambda client: client.embeddings.create(model="m", input=LONG),
}
PARAMS = {"chat": "messages", "completions": "prompt", "responses": "input", "embeddings": "input"}
# Ollama's own /v1 cuts what does not fit, and its native API is asked first; the others refuse it themselves.
OLLAMAS_V1 = ("ollama@0.24 /v1", "ollama@0.32 /v1")
SERVERS = ("ollama@0.24", "ollama@0.32", "llamacpp", "vllm", "lmstudio", *OLLAMAS_V1)


@contextmanager
def client_of(server: str, **settings: Any) -> Iterator[tuple[OpenAI, Any]]:
    """A client of a server with a context of 1,024 tokens, and the server."""
    with serving(server.removesuffix(" /v1"), context=1024) as fake:
        at = fake.settings() if not server.endswith(" /v1") else Settings(base_url=fake.base_url)
        chosen = {name: getattr(at, name) for name in at.model_fields_set}
        with OpenAI(settings=Settings(**{**chosen, **settings}), api_key="none", max_retries=0) as client:
            yield client, fake


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("server", SERVERS)
def test_the_error_is_openais(server: str, call: str, streamed: bool) -> None:
    """LangChain and CrewAI read the message, and programs the code; the cure comes after it."""
    more = {"stream": True} if streamed and call != "embeddings" else {}
    with client_of(server) as (client, _), pytest.raises(openai.BadRequestError) as caught:
        CALLS[call](client, **more)
    error = caught.value
    assert (error.code, error.param, error.type) == ("context_length_exceeded", PARAMS[call], "invalid_request_error")
    body: Any = error.body
    assert "This model's maximum context length is 1024 tokens" in body["message"]
    assert f"{body['n_prompt_tokens']} tokens" in body["message"]
    assert "context_length_exceeded" in body["message"]
    assert "What helps: " in body["message"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("call", ["chat", "completions", "responses"])
@pytest.mark.parametrize("server", SERVERS)
def test_what_is_oldest_is_left_out(server: str, call: str, streamed: bool) -> None:
    """System message and last question stay, a text loses its beginning, and the reply says so."""
    more: dict[str, Any] = {"stream": True} if streamed else {}
    own = {"truncation": "auto"} if call == "responses" else {}
    with client_of(server, **({} if own else {"overflow": "truncate"})) as (client, fake):
        reply = CALLS[call](client, **more, **own)
        last = list(reply)[-1] if streamed else reply
        sent = fake.requests[-1].body
        asked = sum(not one.path.endswith(("models", "/ps", "/show")) for one in fake.requests)
    report = last.response.adapter if streamed and call == "responses" else last.adapter
    changed = report["changed"] if isinstance(report, dict) else report.changed
    assert len(changed) == 1
    assert "left out" in changed[0]
    if call == "completions":
        assert LONG.endswith(sent["prompt"])
        assert 1000 < len(sent["prompt"]) < len(LONG)
    else:
        assert [sent["messages"][0]["content"], sent["messages"][-1]["content"]] == ["Be brief.", "Hello"]
        assert 2 < len(sent["messages"]) < len(TURNS)
    assert asked <= (4 if server in OLLAMAS_V1 else 2)  # there: the load, two that measure, and the call


def test_an_agents_oldest_rounds_are_left_out() -> None:
    """One question and many tool calls are one turn; a call stays with its result."""
    rounds = [
        one
        for place in range(12)
        for one in (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": f"c{place}", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": f"c{place}", "content": "word " * 200},
        )
    ]
    question = {"role": "user", "content": "Hello"}
    with client_of("llamacpp", overflow="truncate") as (client, fake):
        fake.script(text("Hi"), repeat=True)
        reply: Any = client.chat.completions.create(model="m", messages=[SYSTEM, question, *rounds])  # type: ignore[list-item]
        sent = fake.requests[-1].body["messages"]
    assert [one["role"] for one in sent[:2]] == ["system", "user"]
    ids = [call["id"] for one in sent for call in one.get("tool_calls") or ()]
    assert ids == [one["tool_call_id"] for one in sent if one["role"] == "tool"]
    assert ids[-1] == "c11"
    assert reply.adapter.changed == [f"messages: the oldest {len(rounds) + 2 - len(sent)} left out"]


def a_token_each(request: httpx.Request) -> httpx.Response:
    """Ollama 0.32 with a context of 8,192, for whose model every character is a token."""
    tokens = sum(len(one["content"]) for one in json.loads(request.content)["messages"])
    if tokens <= 8192:
        return httpx.Response(200, json={"message": {"content": "x"}, **DONE, "prompt_eval_count": tokens})
    counts = {"n_prompt_tokens": tokens, "n_ctx": 8192, "type": "exceed_context_size_error", "code": 400}
    message = "the request exceeds the available context size, try increasing it"
    return httpx.Response(400, json={"error": json.dumps({"error": {**counts, "message": message}})})


TRUNCATED = Settings(provider="ollama", host="http://ollama.test:11434", num_ctx=8192, overflow="truncate")


def asked(run: Any, messages: Any) -> Any:
    return run(lambda client: client.chat.completions.create(model="m", messages=messages), settings=TRUNCATED)


def test_a_growing_chat_is_refused_once(run: Any, ollama: Any) -> None:
    """What fits is learned from the first refusal; the messages that are sent begin alike for many calls."""
    chat = ollama.answer("/api/chat").mock(side_effect=a_token_each)
    turns: list[Any] = [SYSTEM]
    firsts = []
    for place in range(60):
        turns += [{"role": "user", "content": f"{place:04} " + "word " * 80}]
        asked(run, turns)
        firsts.append(ollama.sent["messages"][1]["content"][:4])
        turns += [{"role": "assistant", "content": "word"}]
    assert chat.call_count == 61
    assert firsts[-1] > "0035"
    changes = sum(one != other for one, other in pairwise(firsts))
    assert changes * 3 <= sum(one != "0000" for one in firsts)


@pytest.mark.parametrize("rounds", [30, 60])
def test_an_agents_one_turn_costs_one_more_request(rounds: int, run: Any, ollama: Any) -> None:
    chat = ollama.answer("/api/chat").mock(side_effect=a_token_each)
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    one: Any = [
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "word " * 100},
    ]
    messages: Any = [SYSTEM, {"role": "user", "content": "Hello"}, *one * rounds]
    asked(run, messages)
    assert chat.call_count == 2
    assert len(ollama.sent["messages"]) > 12  # about three quarters of the context are used
    asked(run, messages)
    assert chat.call_count == 3


def test_what_was_learned_does_not_cut_what_fits(run: Any, ollama: Any) -> None:
    ollama.answer("/api/chat").mock(side_effect=a_token_each)
    assert asked(run, [SYSTEM, *OLD * 12, TURNS[-1]]).adapter.changed
    assert asked(run, [SYSTEM, *OLD * 5, TURNS[-1]]).adapter.changed is None


def test_the_last_message_is_never_cut() -> None:
    with client_of("llamacpp", overflow="truncate") as (client, fake):
        with pytest.raises(openai.BadRequestError, match="messages resulted in"):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": LONG}])
        assert [one.path for one in fake.requests].count("/v1/chat/completions") == 1


def test_several_prompts_are_cut_each() -> None:
    """One that fits stays as it is."""
    with client_of("vllm", overflow="truncate") as (client, fake):
        fake.script(*[text("Hi")] * 4)
        client.completions.create(model="m", prompt=[LONG, "short"])
        assert [len(one) < len(LONG) for one in fake.requests[-1].body["prompt"]] == [True, True]
        assert fake.requests[-1].body["prompt"][1] == "short"


def test_a_cut_embedding_input_is_told() -> None:
    """Ollama cuts an input's end off, and its reply does not say so."""
    with client_of("ollama@0.24", overflow="truncate") as (client, _):
        reply: Any = client.embeddings.create(model="m", input=["short", LONG])
    assert reply.adapter.changed == ["input: what did not fit was cut off"]


WORDS = {
    # llama.cpp tools/server/server-context.cpp, 2026-09
    "request (2500 tokens) exceeds the available context size (2048 tokens), try increasing it": (2500, 2048),
    "input (2500 tokens) is too large to process. increase the physical batch size (current batch size: 2048)": (
        2500,
        2048,
    ),
    # vllm v1/engine and entrypoints/openai
    "This model's maximum context length is 2048 tokens. However, your request has 2500 input tokens.": (2500, 2048),
    "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens (2400 in the messages)": (
        2500,
        2048,
    ),
    "The decoder prompt (length 2500) is longer than the maximum model length of 2048.": (2500, 2048),
    # sglang managers/tokenizer_manager.py
    "exceeds the model's maximum context length of 2048 tokens. You requested a total of 2500 tokens": (2500, 2048),
    "Trying to keep the first 2500 tokens when context the overflows. However, the model is loaded with context "
    "length of only 2048 tokens": (2500, 2048),
}


@pytest.mark.parametrize(("message", "numbers"), WORDS.items())
def test_the_servers_counts(message: str, numbers: tuple[int, int]) -> None:
    assert counts(message) == dict(zip(("n_prompt_tokens", "n_ctx"), numbers, strict=True))


def measured(fake: Any) -> list[tuple[str, Any]]:
    """What a fake Ollama was asked but for facts of models: the path, and the field that keeps a prompt whole."""
    asked = [one for one in fake.requests if not one.path.endswith(("models", "/ps", "/show"))]
    return [(one.path, one.body.get("truncate")) for one in asked]


@pytest.mark.parametrize("server", OLLAMAS_V1)
def test_what_may_be_cut_is_measured(server: str) -> None:
    """A short prompt is asked of nobody, a longer one of the context, and one that is near to it of the native API."""
    load, call = ("/api/generate", None), ("/v1/chat/completions", None)
    with client_of(server) as (client, fake):
        for words in (20, 200, 500):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "word " * words}])
        assert measured(fake) == [call, load, call, ("/api/chat", False), call]
        assert fake.requests[-2].body["options"] == {"num_predict": 1}
        assert len(fake.requests[-1].body["messages"][0]["content"]) == 2500


def test_one_of_several_inputs_is_named_over_ollamas_v1() -> None:
    with client_of("ollama@0.32 /v1") as (client, fake):
        client.embeddings.create(model="m", input=["short"])
        with pytest.raises(openai.BadRequestError, match="maximum context length is 1024") as caught:
            client.embeddings.create(model="m", input=["short", LONG])
    assert caught.value.param == "input[1]"
    assert [one.path for one in fake.requests].count("/v1/embeddings") == 1


def test_allow_leaves_it_to_ollamas_v1() -> None:
    with client_of("ollama@0.24 /v1", overflow="allow") as (client, fake):
        reply = CALLS["chat"](client)
    assert measured(fake) == [("/v1/chat/completions", None)]
    assert reply.usage.prompt_tokens == 1024  # as the real one counts what it has left (recordings: context_overflow)


def test_a_context_that_is_not_told_is_warned_of(run: Any, ollama: Any) -> None:
    """A proxy may pass on the /v1 alone."""
    for path in ("/api/show", "/api/generate"):
        ollama.answer(path, 404, "404 page not found")
    ollama.answer("/v1/embeddings", body={"object": "list", "data": [{"embedding": [1.0], "index": 0}], "model": "m"})
    settings = Settings(base_url="http://ollama.test:11434/v1", dialect="ollama")
    with pytest.warns(AdapterWarning, match="does not tell the context length of 'm'"):
        run(lambda client: client.embeddings.create(model="m", input=LONG), settings=settings)
    assert ollama.sent["input"] == LONG


def test_a_cure_that_was_taken_is_not_named_again(run: Any, ollama: Any) -> None:
    """A server takes no more context than the model was trained with, whatever `num_ctx` says."""
    ollama.answer("/api/chat").mock(side_effect=a_token_each)
    settings = Settings(provider="ollama", host="http://ollama.test:11434", num_ctx=16384)
    long = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(openai.BadRequestError, match="What helps: a model with a longer context: ") as caught:
        run(lambda client: client.chat.completions.create(model="m", messages=long), settings=settings)
    assert "loads the model with more" not in str(caught.value)


CHOICE = {"index": 0, "text": "a", "finish_reason": "stop", "logprobs": None}
TOO_LONG = {"error": "the input length exceeds the context length"}  # as recorded of 0.24


@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "copied"])
def test_a_model_of_ollamas_cloud_is_measured(name: str, play: Play, ollama: Any) -> None:
    """By the context that the server tells of it, and loaded by nobody: a copy of it has a name that says nothing."""
    remote = {} if name.endswith("cloud") else {"remote_host": "https://ollama.com:443"}
    info = {"general.architecture": "gptoss", "gptoss.context_length": 1024}
    ollama.answer("/api/show", body={"model_info": info, "capabilities": ["completion"], **remote})
    ollama.answer("/v1/completions", body={"object": "text_completion", "model": name, "choices": [CHOICE]})
    ollama.answer("/api/generate", 400, TOO_LONG)
    settings = Settings(base_url="http://ollama.test:11434/v1", dialect="ollama")

    def script(client: Any) -> Any:
        yield client.completions.create(model=name, prompt="word " * 200)
        assert (ollama.count, ollama.request.url.path) == (1, "/v1/completions")
        with pytest.raises(openai.BadRequestError) as caught:
            yield client.completions.create(model=name, prompt="word " * 900)
        return caught.value.code

    assert play(script, settings=settings, max_retries=0) == "context_length_exceeded"
    assert ollama.sent["truncate"] is False
