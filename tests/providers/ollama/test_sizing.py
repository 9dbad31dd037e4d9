"""The context on Ollama: grown once, never shrunk; a conversation cut only where the profile says so, and told."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import openai
import pytest
from conftest import DONE
from recorded import exchanges

from llm_adapter import AdapterWarning, Settings
from llm_adapter.providers.ollama.capabilities import forget

_hosts = itertools.count()  # what is known of a server lasts as long as the process: every test has its own


class Sizes:
    """An Ollama whose model was trained for some length, and may be loaded with some context already."""

    def __init__(self, ollama: Any, trained: int = 262144, loaded: int = 0) -> None:
        self.root = f"http://sizes-{next(_hosts)}.test:11434"
        running = [{"model": "m:latest", "context_length": loaded}] if loaded else []
        router = ollama._router
        router.post(f"{self.root}/api/show").respond(
            200, json={"model_info": {"general.architecture": "llama", "llama.context_length": trained}}
        )
        router.get(f"{self.root}/api/ps").respond(200, json={"models": running})
        self.chat = router.post(f"{self.root}/api/chat").respond(200, json={"message": {"content": "x"}, **DONE})

    def ask(self, run: Any, tokens: int, **settings: Any) -> int:
        """The `num_ctx` that leaves for a prompt of so many tokens."""
        settings = {"num_ctx": "auto", **settings}
        chosen = Settings(provider="ollama", host=self.root, **settings)
        messages: Any = [{"role": "user", "content": "abcd" * tokens}]
        run(lambda client: client.chat.completions.create(model="m", messages=messages), settings=chosen)
        sent = json.loads(self.chat.calls.last.request.content)
        return int(sent["options"]["num_ctx"])


def test_auto_is_sticky(run: Any, ollama: Any) -> None:
    """It grows in powers of two and does not go back: every change loads the model anew."""
    sizes = Sizes(ollama)
    assert [sizes.ask(run, tokens) for tokens in (3000, 5000, 4000, 20000, 100)] == [8192, 8192, 8192, 32768, 32768]


def test_auto_keeps_what_is_loaded(run: Any, ollama: Any) -> None:
    """A model that is loaded with more is not loaded anew with less."""
    assert Sizes(ollama, loaded=32768).ask(run, 100) == 32768


@pytest.mark.parametrize(("trained", "settings", "size"), [(16384, {}, 16384), (262144, {"num_ctx_max": 12000}, 12000)])
def test_auto_is_capped(trained: int, settings: Any, size: int, run: Any, ollama: Any) -> None:
    """By what the model was trained for, and by the profile."""
    assert Sizes(ollama, trained=trained).ask(run, 50_000, **settings) == size


def refusing(body: Any, fits: int) -> Any:
    """A chat that is refused with this error where `num_ctx` is less."""

    def reply(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["options"]["num_ctx"] < fits:
            return httpx.Response(400, json={"error": body})
        return httpx.Response(200, json={"message": {"content": "x"}, **DONE})

    return reply


TOO_LONG = "the request exceeds the available context size, try increasing it"
NEEDED = {"code": 400, "message": TOO_LONG, "type": "exceed_context_size_error", "n_ctx": 8192}


@pytest.mark.parametrize(
    ("error", "tokens", "sent"),
    [
        (json.dumps({"error": {**NEEDED, "n_prompt_tokens": 40_000}}), 100, [8192, 65536]),
        ("the input length exceeds the context length", 100, [8192, 16384]),  # 0.24 names no numbers
    ],
    ids=["counted", "uncounted"],
)
def test_auto_grows_once_to_what_is_needed(error: str, tokens: int, sent: Any, run: Any, ollama: Any) -> None:
    """An estimate may be too small; the size stays for the calls after."""
    sizes = Sizes(ollama)
    sizes.chat.mock(side_effect=refusing(error, sent[-1]))
    assert sizes.ask(run, tokens) == sent[-1]
    assert sizes.ask(run, tokens) == sent[-1]
    assert [json.loads(one.request.content)["options"]["num_ctx"] for one in sizes.chat.calls] == [*sent, sent[-1]]


def test_auto_does_not_grow_beyond_the_model(run: Any, ollama: Any) -> None:
    sizes = Sizes(ollama, trained=8192)
    sizes.chat.mock(side_effect=refusing(json.dumps({"error": {**NEEDED, "n_prompt_tokens": 9000}}), 10**6))
    with pytest.raises(openai.BadRequestError, match="context length is 8192"):
        sizes.ask(run, 100)
    assert sizes.chat.call_count == 1


def test_auto_begins_anew_with_another_model(run: Any, ollama: Any) -> None:
    """One that was made anew under the same name may take less."""
    sizes = Sizes(ollama)
    assert sizes.ask(run, 20_000) == 32768
    info = {"general.architecture": "llama", "llama.context_length": 16384}
    ollama._router.post(f"{sizes.root}/api/show").respond(200, json={"model_info": info, "modified_at": "2026-11-30"})
    forget("m")
    assert sizes.ask(run, 20_000) == 16384
    assert sizes.ask(run, 100) == 16384


def test_a_fixed_size_asks_nothing(run: Any, ollama: Any) -> None:
    assert Sizes(ollama).ask(run, 50_000, num_ctx=4096) == 4096
    assert ollama.count == 1


def test_a_changed_size_is_said(run: Any, ollama: Any) -> None:
    """Two sizes for one model are two loads for every pair of calls."""
    sizes = Sizes(ollama)
    assert sizes.ask(run, 10, num_ctx=4096) == 4096
    with pytest.warns(AdapterWarning, match="changes from 4096 to 8192"):
        sizes.ask(run, 10, num_ctx=8192)


OLD, NEW = "ollama-0.24.0", "ollama-0.32.15"
TURNS: list[Any] = [
    message
    for turn in range(6)
    for message in ({"role": "user", "content": f"{turn} " + "word " * 60}, {"role": "assistant", "content": "ok"})
] + [{"role": "user", "content": "Hello"}]


def small(server: str, ollama: Any, limit: int = 2) -> Any:
    """A server that takes so many messages, and refuses more in its own words."""
    refusal = exchanges(server, "context_overflow", "native")[0].body

    def reply(request: httpx.Request) -> httpx.Response:
        if len(json.loads(request.content)["messages"]) > limit:
            return httpx.Response(400, content=refusal)
        return httpx.Response(200, json={"model": "m", "message": {"content": "x"}, **DONE})

    return ollama.answer("/api/chat").mock(side_effect=reply)


@pytest.mark.parametrize("server", [OLD, NEW])
def test_truncate_leaves_out_the_oldest_turns(server: str, run: Any, ollama: Any) -> None:
    """What went is on the reply; the last question always stays."""
    ollama.answer("/api/ps", body={"models": []}, method="GET")
    small(server, ollama)
    settings = Settings(provider="ollama", host="http://ollama.test:11434", overflow="truncate")
    reply = run(lambda client: client.chat.completions.create(model="m", messages=TURNS), settings=settings)
    assert ollama.sent["messages"][-1]["content"] == "Hello"
    assert reply.adapter.changed
    assert all("left out" in one for one in reply.adapter.changed)
    # One figure for all attempts: what did not arrive is what is told.
    assert reply.adapter.changed == [f"messages: the oldest {len(TURNS) - len(ollama.sent['messages'])} left out"]


@pytest.mark.parametrize("overflow", ["error", "truncate"])
def test_what_cannot_fit_is_an_error_with_both_counts(overflow: Any, run: Any, ollama: Any) -> None:
    """0.24 gives no counts: the context is asked for, the prompt estimated and marked so."""
    ollama.answer("/api/ps", body={"models": [{"model": "m:latest", "context_length": 512}]}, method="GET")
    small(OLD, ollama, limit=0)
    settings = Settings(provider="ollama", host="http://ollama.test:11434", overflow=overflow)
    with pytest.raises(openai.BadRequestError, match="num_ctx = ") as caught:
        run(lambda client: client.chat.completions.create(model="m", messages=TURNS), settings=settings)
    body: Any = caught.value.body
    assert (caught.value.code, body["n_ctx"], body["estimated"]) == ("context_length_exceeded", 512, True)
    assert body["n_prompt_tokens"] > 0
