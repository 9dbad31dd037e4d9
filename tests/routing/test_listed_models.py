"""A model's prefix leads away only where the server has no model of the whole name, and then it is told."""

from __future__ import annotations

import json
import warnings
from typing import Any

import drivers
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Play, mode

from llm_adapter import AdapterWarning, Settings
from llm_adapter.translation.process_cache import clear_caches

NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True, "embeddings": [[1.0]]}
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
OLLAMA = Settings(provider="ollama", host="http://gpu.lan:11434")
VLLM = Settings(base_url="http://gpu.lan/v1", dialect="vllm")
CALLS: dict[str, Any] = {
    "chat": lambda client, model: client.chat.completions.create(model=model, messages=HI),
    "raw": lambda client, model: client.chat.completions.with_raw_response.create(model=model, messages=HI),
    "embeddings": lambda client, model: client.embeddings.create(model=model, input="Hello"),
    "responses": lambda client, model: client.responses.create(model=model, input="Hello"),
}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_caches()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")


class Net:
    """The configured server with its models, and OpenAI. `lists` is how often the models were asked for."""

    def __init__(self, *models: str, status: int = 200) -> None:
        self.models, self.status = models, status
        self.lists = 0
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: Any) -> Any:
        path = request.url.path
        if path.endswith(("/tags", "/models")):
            self.lists += 1
            found = {"models": [{"name": name} for name in self.models], "data": [{"id": name} for name in self.models]}
            return HTTPX.Response(self.status, json=found)
        if not path.endswith("/show"):
            self.asked.append((request.url.host, json.loads(request.content)["model"]))
        return HTTPX.Response(200, json=NATIVE if "/api/" in path else CHAT)


def asking(ask: Any, *models: str) -> Any:
    def script(client: Any) -> Any:
        replies = []
        for model in models:
            reply = yield ask(client, model)
            replies.append(reply)
        return replies

    return script


@pytest.mark.parametrize("ask", CALLS.values(), ids=CALLS)
def test_a_listed_name_stays(play: Play, ask: Any) -> None:
    """The list is asked for once; a tag need not be written."""
    net = Net("openai/gpt-oss:20b", "openai/other:latest")
    play(asking(ask, "openai/gpt-oss:20b", "openai/other"), settings=OLLAMA, http_client=play.http(net))
    assert net.asked == [("gpu.lan", "openai/gpt-oss:20b"), ("gpu.lan", "openai/other")]
    assert net.lists == 1


def test_a_listed_name_of_another_provider(play: Play) -> None:
    net = Net("ollama/qwen3")
    play(asking(CALLS["chat"], "ollama/qwen3"), settings=VLLM, http_client=play.http(net))
    assert net.asked == [("gpu.lan", "ollama/qwen3")]


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_prefix_that_leads_away_is_told(play: Play, status: int) -> None:
    """By one warning for each place, and on each reply; also where there is no list."""
    net = Net("qwen3:8b", status=status)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        replies = play(
            asking(CALLS["chat"], "openai/gpt-4o", "openai/gpt-4o"), settings=OLLAMA, http_client=play.http(net)
        )
    assert [str(one.message).partition(";")[0] for one in told] == [
        "model 'openai/gpt-4o': its prefix leads this call away from the configured server, to api.openai.com"
    ]
    assert told[0].category is AdapterWarning
    assert told[0].filename in (__file__, drivers.__file__)  # where the call is made, or awaited
    assert net.asked == [("api.openai.com", "gpt-4o")] * 2
    for reply in replies:
        assert (reply.adapter.provider, reply.adapter.changed) == ("openai", ["provider"])
        assert (reply.adapter.requested_model, reply.model) == ("openai/gpt-4o", "m")


def test_a_prefix_that_the_configuration_gives(play: Play) -> None:
    """It is on the reply, and no warning: whoever wrote it meant it."""
    net = Net()
    settings = OLLAMA.model_copy(update={"models": {"fast": "openai/gpt-4o"}})
    (reply,) = play(asking(CALLS["raw"], "fast"), settings=settings, http_client=play.http(net))
    assert reply.headers["x-llm-adapter"] == "provider=openai; changed=provider"


def test_models_are_managed_where_they_are(play: Play) -> None:
    """No prefix leads `client.models` to another server."""
    net = Net("openai/gpt-oss:20b")

    def script(client: Any) -> Any:
        yield client.models.load("openai/gpt-oss:20b")

    play(script, settings=OLLAMA, http_client=play.http(net))
    assert net.asked == [("gpu.lan", "openai/gpt-oss:20b")]
