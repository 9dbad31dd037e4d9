"""Settings that the server behind a profile does not read: translated, or told when the client is made."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import HI
from typer.testing import CliRunner

from llm_adapter import AdapterWarning, AsyncOpenAI, OpenAI, Settings
from llm_adapter.cli.app import app
from llm_adapter.providers.v1.dialects import DIALECTS, OLLAMA_ONLY, SAMPLERS
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.readers import ALL, OPTIONS, READERS
from llm_adapter.settings.unread import readers_of
from llm_adapter.testing import serving, text
from llm_adapter.translation.process_cache import clear_caches

VLLM: Any = {"provider": "openai", "base_url": "http://vllm.test:8000/v1", "dialect": "vllm", "api_key": "k"}
CLOUD: Any = {"provider": "openai", "api_key": "k"}
EMBEDDED: Any = {"provider": "embedded"}
OLLAMA: Any = {"provider": "ollama"}


@contextmanager
def told() -> Iterator[list[str]]:
    """The warnings that are given inside."""
    messages: list[str] = []
    clear_caches()  # the same line has been warned of in another test
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AdapterWarning)
        yield messages
        messages += [str(one.message) for one in caught]


@pytest.mark.parametrize("client", [OpenAI, AsyncOpenAI])
@pytest.mark.parametrize(
    ("server", "setting", "name", "reads"),
    [
        (VLLM, {"num_ctx": 8192}, "num_ctx", "provider 'ollama', provider 'embedded', Ollama's /v1"),
        (VLLM, {"shift": False}, "shift", "provider 'ollama'"),
        (VLLM, {"options": {"typical_p": 0.5}}, "options.typical_p", "llama.cpp"),
        (CLOUD, {"think": False}, "think", "all but OpenAI"),
        (CLOUD, {"options": {"top_k": 5}}, "options.top_k", "all but OpenAI and Ollama's /v1"),
        (EMBEDDED, {"shift": True}, "shift", "provider 'ollama'"),
        (EMBEDDED, {"options": {"num_ctx": 5}}, "options.num_ctx", "provider 'ollama'"),
    ],
)
def test_what_would_change_the_reply_follows_the_policy(
    server: Any, setting: Any, name: str, reads: str, client: Any
) -> None:
    with pytest.raises(SettingsError, match=f"`{name}` .*read by .*{reads}") as caught:
        client(settings=Settings(**server, **setting))
    assert caught.value.fields == tuple(setting)
    for policy, count in {"warn": 1, "ignore": 0}.items():
        for policies in (policy, {next(iter(setting)): policy, "*": "error"}):
            with told() as messages:
                client(settings=Settings(**server, **setting, unsupported=policies))
            assert [name in one for one in messages] == [True] * count


@pytest.mark.parametrize(
    ("server", "setting"),
    [
        (VLLM, {"keep_alive": "1h"}),
        (VLLM, {"model_path": "/x.gguf"}),
        (CLOUD, {"preload": ("m",)}),
        (CLOUD, {"options": {"num_gpu": 1}}),
        (EMBEDDED, {"preload": ("m",)}),
        (OLLAMA, {"n_gpu_layers": 3}),
        (OLLAMA, {"embedding_model_path": "/x.gguf"}),
    ],
)
def test_what_would_not_is_warned_of(server: Any, setting: Any) -> None:
    with told() as messages:
        for _ in range(2):
            OpenAI(settings=Settings(**server, **setting))
    assert [next(iter(setting)) in one for one in messages] == [True]


def test_another_profiles_settings_are_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What stands in the environment, or above all profiles, may be meant for another of them."""
    (tmp_path / "llm_adapter.toml").write_text(
        'keep_alive = "30m"\n[options]\ntop_k = 5\n[profiles.local]\nprovider = "ollama"\nnum_ctx = 4096\n'
        '[profiles.cloud]\nprovider = "openai"\napi_key = "k"\n[profiles.odd]\nprovider = "openai"\nshift = true\n'
    )
    monkeypatch.setenv("LLM_ADAPTER_NUM_CTX", "8192")
    with told() as messages:
        for _ in range(2):
            OpenAI(profile="cloud")
        OpenAI(profile="local")
    assert sorted(one.split("`")[1] for one in messages) == ["num_ctx", "options.top_k"]
    monkeypatch.delenv("LLM_ADAPTER_NUM_CTX")
    with pytest.raises(SettingsError, match=r"`shift` \(from .*\[profiles.odd\]\)"), told():
        OpenAI(profile="odd", api_key="k")


OPTIONS_SENT: dict[str, dict[str, Any]] = {
    "llamacpp": {"temperature": 0, "max_tokens": 5, "top_k": 3, "repeat_penalty": 1.1, "n_keep": 4},
    "vllm": {"temperature": 0, "max_tokens": 5, "top_k": 3, "repetition_penalty": 1.1},
    "lmstudio": {"temperature": 0, "max_tokens": 5, "top_k": 3, "repeat_penalty": 1.1},
}
GIVEN: Any = {"temperature": 0, "num_predict": 5, "top_k": 3, "repeat_penalty": 1.1, "num_keep": 4}


@pytest.mark.parametrize("path", ["chat", "completions", "responses"])
@pytest.mark.parametrize("server", OPTIONS_SENT)
def test_options_are_parameters_elsewhere(server: str, path: str) -> None:
    """By the server's own names; what it has no name for is refused with the first call, when its kind is known."""
    calls: dict[str, Any] = {
        "chat": lambda client: client.chat.completions.create(model="m", messages=HI),
        "completions": lambda client: client.completions.create(model="m", prompt="Hi"),
        "responses": lambda client: client.responses.create(model="m", input="Hi"),
    }
    own = {name: value for name, value in GIVEN.items() if name in OPTIONS[f"/v1 {server}"]}
    with serving(server) as fake, told():
        fake.script(text("Hi"), repeat=True)
        calls[path](OpenAI(settings=fake.settings(options=own)))
        sent = fake.requests[-1].body
        assert {name: sent.get(name) for name in OPTIONS_SENT[server]} == OPTIONS_SENT[server]
        if len(own) < len(GIVEN):
            with pytest.raises((openai.BadRequestError, SettingsError), match=r"options\.num_keep"):
                calls[path](OpenAI(settings=fake.settings(options=GIVEN), max_retries=0))


@pytest.mark.parametrize(
    ("server", "think", "sent"),
    [
        ("llamacpp", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", True, {"chat_template_kwargs": {"enable_thinking": True}}),
        ("vllm", "high", {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"}}),
        ("lmstudio", False, {"reasoning_effort": "none"}),
        ("lmstudio", "low", {"reasoning_effort": "low"}),
    ],
)
def test_think_is_what_the_server_has_for_it(server: str, think: Any, sent: Any) -> None:
    with serving(server) as fake, told():
        fake.script(text("Hi"), repeat=True)
        client = OpenAI(settings=fake.settings(think=think))
        reply: Any = client.chat.completions.create(model="m", messages=HI)
        assert sent.items() <= fake.requests[-1].body.items()
        assert reply.adapter.emulated == ["think"]
        client.chat.completions.create(model="m", messages=HI, reasoning_effort="medium")
        assert "enable_thinking" not in fake.requests[-1].body.get("chat_template_kwargs", {})  # the call's own wins


def test_a_calls_own_parameters_win() -> None:
    with serving("llamacpp") as fake:
        fake.script(text("Hi"), repeat=True)
        options = {"temperature": 0, "num_predict": 5}
        client = OpenAI(settings=fake.settings(options=options, sampling_defaults="openai"))
        client.chat.completions.create(model="m", messages=HI, temperature=1, max_completion_tokens=9)
        sent = fake.requests[-1].body
    assert {name: sent.get(name) for name in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 1,
        "top_p": 1.0,
        "max_tokens": 9,
    }


def test_options_reach_openai_itself(httpx_openai: list[Any]) -> None:
    OpenAI(settings=Settings(**CLOUD, options={"temperature": 0, "num_predict": 5})).chat.completions.create(
        model="gpt-4o-mini", messages=HI
    )
    assert {name: httpx_openai[0].get(name) for name in ("temperature", "max_completion_tokens")} == {
        "temperature": 0,
        "max_completion_tokens": 5,
    }


@pytest.fixture
def httpx_openai() -> Iterator[list[Any]]:
    """What was sent to OpenAI."""
    import json

    import respx

    sent: list[Any] = []

    def reply(request: Any) -> Any:
        import httpx

        sent.append(json.loads(request.content))
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return httpx.Response(200, json=whole)

    with respx.mock() as router:
        router.post("https://api.openai.com/v1/chat/completions").mock(side_effect=reply)
        yield sent


@pytest.mark.parametrize("name", DIALECTS)
def test_options_are_sent_where_they_are_read(name: str) -> None:
    """What an option is called on a server is a name that the dialect does not leave out."""
    reader = name if name == "openai" else f"/v1 {name}"
    assert not set(OPTIONS[reader].values()) & (OLLAMA_ONLY | SAMPLERS) - DIALECTS[name].understands


@pytest.mark.parametrize("field", Settings.model_fields)
def test_readers_are_known_ones(field: str) -> None:
    assert readers_of(field) <= ALL == READERS.keys()
    assert readers_of(field)


@pytest.mark.parametrize("arguments", [["config"], ["explain", "--message", "Hi"], ["doctor"]], ids=lambda one: one[0])
def test_the_commands_say_it(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("vllm") as fake:
        for name, value in {"base_url": fake.base_url, "dialect": "vllm", "shift": "true", "api_key": "k"}.items():
            monkeypatch.setenv(f"LLM_ADAPTER_{name.upper()}", value)
        result = CliRunner().invoke(app, [*arguments, "--json"])
    assert "`shift` (from LLM_ADAPTER_SHIFT) has no effect on vLLM: it is read by provider 'ollama'" in result.output
