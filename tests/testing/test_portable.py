"""Whether a call can be moved: what the library would do with it, without asking anyone."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from drivers import HTTPX

from llm_adapter import OpenAI, Settings, SettingsError
from llm_adapter.providers.v1.dialects import OLLAMA_ONLY, SAMPLERS
from llm_adapter.testing import Cassette, assert_portable, findings
from llm_adapter.testing.cassettes.tape import Line, save_lines
from llm_adapter.testing.portable import TARGETS
from llm_adapter.translation.process_cache import clear_caches

HI: list[Any] = [{"role": "user", "content": "Hello"}]
CALL = {"model": "gpt-4o-mini", "messages": HI}


def judged(call: Any, target: str, **options: Any) -> dict[str, str]:
    return {one.parameter: one.verdict for one in findings(call, [target], **options)}


def test_a_plain_call_is_portable() -> None:
    """What every server understands can go anywhere."""
    assert_portable({**CALL, "temperature": 0.2, "max_completion_tokens": 5, "stop": ["x"], "seed": 1})


VERDICTS: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"logit_bias": {"1": 5}}, "ollama", {"logit_bias": "refused"}),
    ({"logit_bias": {"1": 5}}, "llamacpp", {}),
    ({"logit_bias": {"1": 5}}, "openai", {}),
    ({"n": 2, "user": "u"}, "ollama", {"n": "emulated", "user": "ignored"}),
    ({"n": 2}, "vllm", {}),
    ({"keep_alive": "1h"}, "openai", {"keep_alive": "left out"}),
    ({"keep_alive": "1h"}, "ollama", {}),
    ({"keep_alive": "1h"}, "ollama-v1", {}),  # told beside the call
    ({"keep_alive": "1h"}, "lmstudio", {"keep_alive": "left out"}),
    ({"extra_body": {"num_ctx": 8192}}, "embedded", {"num_ctx": "left out"}),
    ({"model": "gpt-5", "max_tokens": 5}, "openai", {"max_tokens": "refused"}),
    ({"model": "gpt-5", "max_tokens": 5}, "ollama@0.32", {}),
    ({"verbosity": "low", "audio": {}}, "vllm", {"verbosity": "refused", "audio": "refused"}),
    ({"verbosity": None}, "vllm", {}),
    ({"max_token": 5, "top_k": 4}, "vllm", {"max_token": "unknown"}),  # a misspelt name, and a server's own
    ({"max_token": 5}, "embedded", {"max_token": "unknown"}),
]


@pytest.mark.parametrize(("arguments", "target", "expected"), VERDICTS, ids=str)
def test_verdicts(arguments: dict[str, Any], target: str, expected: dict[str, str]) -> None:
    assert judged({**CALL, **arguments}, target) == expected


def test_every_refusal_is_found() -> None:
    """The library stops at the first; a report has all of them, and what is lost besides."""
    call = {**CALL, "logit_bias": {"1": 5}, "verbosity": "low", "web_search_options": {}, "user": "u"}
    refused = {"logit_bias": "refused", "verbosity": "refused", "web_search_options": "refused"}
    assert judged(call, "ollama") == {**refused, "user": "ignored"}


def test_a_refused_message_ends_the_list() -> None:
    """What cannot be taken out of a call is told once."""
    call = {**CALL, "messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}], "user": "u"}
    assert judged(call, "ollama") == {"messages": "refused"}


def test_the_failure_is_a_table() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_portable({**CALL, "logit_bias": {"1": 5}, "keep_alive": "1h", "n": 2}, to=["ollama", "openai"])
    assert str(caught.value).split("\n") == [
        "the call cannot be moved as it is:",
        "",
        "  provider  parameter   verdict   note",
        "  ollama    logit_bias  refused   Ollama's sampler has no per-token bias",
        "  openai    keep_alive  left out  the provider has no such parameter",
    ]


def test_what_is_allowed() -> None:
    """`allow` is the test's own measure."""
    assert_portable({**CALL, "keep_alive": "1h"}, ["openai"], allow=["left out"])
    with pytest.raises(AssertionError, match="emulated"):
        assert_portable({**CALL, "n": 2}, ["ollama"], allow=[])


def test_ollama_extras_on_the_way_back() -> None:
    """OpenAI gets legal arguments only, and what is reported is what was taken out."""
    extras: dict[str, Any] = dict.fromkeys(sorted(OLLAMA_ONLY | SAMPLERS), 1)
    asked: list[bytes] = []

    def answered(request: Any) -> Any:
        asked.append(request.content)
        return HTTPX.Response(200, json={"id": "x", "object": "chat.completion", "choices": []})

    settings = Settings(provider="openai", base_url="https://api.openai.com/v1", api_key="sk-test")
    http = HTTPX.Client(transport=HTTPX.MockTransport(answered))
    with OpenAI(settings=settings, http_client=http) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.chat.completions.create(model="gpt-4o-mini", messages=HI, extra_body=extras)
    sent = json.loads(asked[0])
    stripped = judged({**CALL, "extra_body": extras}, "openai")
    assert sent == CALL
    assert stripped == dict.fromkeys(extras, "left out")
    assert judged(sent, "openai") == {}


def test_profiles_are_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the profile's own settings: its models, and what it lets pass."""
    (tmp_path / "llm_adapter.toml").write_text(
        '[profiles.lax]\nprovider = "ollama"\nunsupported = "ignore"\n[profiles.vllm]\nprovider = "ollama"\n',
        encoding="utf-8",
    )
    call = {**CALL, "logit_bias": {"1": 5}}
    assert judged(call, "lax") == {"logit_bias": "left out"}
    assert judged(call, "vllm") == {"logit_bias": "refused"}  # a profile's name goes first


def test_an_unknown_target() -> None:
    with pytest.raises(SettingsError, match=r"'olama' is no profile and no provider.*did you mean 'ollama'"):
        assert_portable(CALL, ["olama"])


ENDPOINTS: list[tuple[dict[str, Any], str | None, dict[str, str]]] = [
    ({"model": "m", "prompt": ["x"], "suffix": "y"}, None, {"prompt": "emulated", "suffix": "refused"}),
    ({"model": "m", "input": "x", "user": "u"}, None, {"user": "ignored"}),
    ({"model": "m", "input": "x", "instructions": "y"}, None, {}),
    ({"model": "m", "input": "x", "background": True}, "/responses", {"background": "refused"}),
]


@pytest.mark.parametrize(("call", "path", "expected"), ENDPOINTS, ids=str)
def test_endpoints(call: dict[str, Any], path: str | None, expected: dict[str, str]) -> None:
    """The arguments tell which call it is."""
    found = judged(call, "llamacpp", path=path)
    assert {name: verdict for name, verdict in found.items() if name in call} == expected


def test_whatever_holds_calls(tmp_path: Path) -> None:
    """A request of a log, a line, a cassette, its file, or several of them."""
    body = {**CALL, "logit_bias": {"1": 5}}
    path = tmp_path / "x.jsonl"
    lines = [Line("POST", "/chat/completions", request=CALL), Line("POST", "/chat/completions", request=body)]
    save_lines(path, [*lines, Line("GET", "/models")])
    for held in (path, Cassette(path, "none"), lines, [CALL, body], iter([CALL, body])):
        [found] = findings(held, ["ollama"])
        assert (found.parameter, found.call) == ("logit_bias", 2)
    logged = SimpleNamespace(path="/v1/chat/completions", body=body)
    assert judged(logged, "ollama") == {"logit_bias": "refused"}
    with pytest.raises(AssertionError, match=r"per-token bias \(call 1, 2\)"):
        assert_portable([body, body], "ollama")


@pytest.mark.parametrize(("nothing", "error"), [([], ValueError), (5, TypeError)])
def test_nothing_to_judge(nothing: Any, error: Any) -> None:
    """An empty cassette proves nothing, and does not pass."""
    with pytest.raises(error, match="no call"):
        assert_portable(nothing)


def test_nothing_is_remembered() -> None:
    """A judged call is none: the next real one tells Ollama's /v1 its keep_alive."""
    clear_caches()
    call = {**CALL, "keep_alive": "1h"}
    assert [judged(call, "ollama-v1"), judged(call, "ollama-v1")] == [{}, {}]
    assert set(TARGETS) >= {"openai", "ollama", "embedded"}


def test_a_name_that_leads_elsewhere() -> None:
    """ "ollama/qwen3" is Ollama's, whatever the profile: OpenAI would not be asked."""
    with pytest.raises(AssertionError, match=r"'ollama/qwen3' names provider 'ollama': the call goes there"):
        assert_portable({**CALL, "model": "ollama/qwen3"}, to=["openai"])
    assert_portable({**CALL, "model": "ollama/qwen3"}, to=["ollama"])


def test_no_model() -> None:
    """OpenAI's own error names no parameter."""
    assert judged({"messages": HI}, "openai") == {"model": "refused"}
