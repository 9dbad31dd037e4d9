"""`client.models` beyond OpenAI's three calls: the recorded exchanges through the public client, on every profile."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import respx
from conftest import HI, HOST, Server
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, mode
from recorded import Exchange, exchanges

from llm_adapter import AdapterWarning, OpenAI, Settings
from llm_adapter.management.models import AsyncModels, Models
from llm_adapter.providers.ollama import capabilities
from llm_adapter.providers.ollama.types import ModelInfo, RunningModel

SERVERS = ("ollama-0.24.0", "ollama-0.32.15")
# Every profile whose server is Ollama, however chat goes there.
PROFILES = {
    "native": Settings(provider="ollama", host=HOST),
    "v1": Settings(provider="openai", base_url=f"{HOST}/v1", dialect="ollama"),
}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=PROFILES.values(), ids=PROFILES)
def profile(request: pytest.FixtureRequest) -> Settings:
    return request.param  # type: ignore[no-any-return]


def recorded(server: str, intent: str, path: str, status: int = 200) -> Exchange:
    found = [one for one in exchanges(server, intent, "native") if (one.path, one.status) == (path, status)]
    return found[0]


def calling(action: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield action(client.models))

    return script


def failing(action: Any, error: type[Exception] = openai.NotFoundError, match: str = "") -> Any:
    def script(client: Any) -> Any:
        with pytest.raises(error, match=match) as caught:
            yield action(client.models)
        return caught.value

    return script


# --- the verbs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", SERVERS)
def test_show(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    one = recorded(recording, "models", "/api/show")
    ollama.answer("/api/show", body=one.body)
    shown = play(calling(lambda models: models.show("tiny")), settings=profile)
    assert isinstance(shown, ModelInfo)
    assert (shown.model, shown.context_length, shown.embedding_length) == ("tiny", 2048, 128)
    assert set(shown.capabilities or ()) == {"completion", "tools", "thinking"}
    assert (shown.remote, shown.details and shown.details.parameter_size) == (False, "951K")
    assert shown.to_dict()["tensors"] == json.loads(one.body)["tensors"]  # a field that we have no name for
    assert json.loads(ollama._router.calls.last.request.content) == one.request


@pytest.mark.parametrize("recording", SERVERS)
def test_ps(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    ollama.answer("/api/ps", body=recorded(recording, "load_unload", "/api/ps").body, method="GET")
    tiny, embed = play(calling(lambda models: models.ps()), settings=profile)
    assert isinstance(tiny, RunningModel)
    assert (tiny.model, tiny.context_length, tiny.size_vram, embed.context_length) == ("tiny:latest", 2048, 0, 512)
    assert isinstance(tiny.expires_at, datetime)
    assert tiny.expires_at.tzinfo == timezone.utc
    ollama.answer("/api/ps", body={"models": None}, method="GET")
    assert play(calling(lambda models: models.ps()), settings=profile) == []


def test_version(play: Play, ollama: Server, profile: Settings) -> None:
    ollama.answer("/api/version", body={"version": "0.24.0"}, method="GET")
    assert play(calling(lambda models: models.version()), settings=profile) == "0.24.0"


@pytest.mark.parametrize("recording", SERVERS)
def test_copy(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    """The source by a call site's name, too; a missing one is OpenAI's error, with the nearest names."""
    one, missing = (recorded(recording, "manage", "/api/copy", status) for status in (200, 404))
    ollama.answer("/api/copy", body=one.body)
    settings = profile.model_copy(update={"models": {"gpt-4o": "tiny"}})
    assert play(calling(lambda models: models.copy("gpt-4o", "tiny-copy")), settings=settings) is None
    assert ollama.sent == one.request
    ollama.answer("/api/copy", 404, missing.body)
    ollama.answer("/api/tags", body={"models": [{"name": "nopes:latest"}]}, method="GET")
    failure = play(failing(lambda models: models.copy("nope", "x"), match="did you mean .*nopes"), settings=profile)
    assert failure.code == "model_not_found"


@pytest.mark.parametrize("recording", SERVERS)
def test_create(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    one = recorded(recording, "manage", "/api/create")
    ollama.answer("/api/create", body=one.body)
    wish = {"from_": "tiny", "system": "You are a pirate.", "parameters": {"num_ctx": 1024}}

    def script(client: Any) -> Any:
        return (yield every((yield client.models.create("tiny-pirate", **wish, stream=True))))

    seen = play(script, settings=profile)
    assert ollama.sent == one.request
    assert [step.status for step in seen] == [json.loads(line)["status"] for line in one.body.splitlines()]
    assert (seen[0].phase, seen[-1].percent) == ("waiting", 100)


def test_create_says_all(play: Play, ollama: Server) -> None:
    ollama.answer("/api/create", body=[{"status": "success"}])
    more: Any = {"template": "{{ .Prompt }}", "messages": HI, "license": ["MIT"], "quantize": "q4_K_M"}

    def script(client: Any) -> Any:
        yield client.models.create("m", from_="b", adapters={"a.gguf": "sha256:00"}, **more)

    play(script)
    assert ollama.sent == {"model": "m", "from": "b", "adapters": {"a.gguf": "sha256:00"}, "stream": True, **more}


@pytest.mark.parametrize("held", [True, False])
def test_files(play: Play, ollama: Server, profile: Settings, tmp_path: Path, held: bool) -> None:
    """A file is sent where the server lacks it; its name goes along, for safetensors go by it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" * 1000)
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    asked = ollama.answer(f"/api/blobs/{digest}", 200 if held else 404, "", method="HEAD")
    sent = ollama.answer(f"/api/blobs/{digest}", 201, "")
    ollama.answer("/api/create", body=[{"status": "success"}])

    def script(client: Any) -> Any:
        return (yield every((yield client.models.create("m", files=[path], stream=True))))

    seen = play(script, settings=profile)
    assert (asked.call_count, sent.call_count) == (1, 0 if held else 1)
    if not held:
        assert sent.calls.last.request.content == path.read_bytes()
    assert ollama.sent["files"] == {"model.gguf": digest}
    assert seen[0].status == "reading model.gguf"
    assert (seen[-1].completed, seen[-1].total) == (4000, 4000)


def test_a_file_that_is_not_there(play: Play, ollama: Server) -> None:
    def script(client: Any) -> Any:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            yield client.models.create("m", files={"m.gguf": "nowhere.gguf"})

    play(script)
    assert ollama.count == 0


@pytest.mark.parametrize("recording", SERVERS)
def test_load_and_unload(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    """As the profile's calls would load it: with other options the first of them would load it anew."""
    ollama.answer("/api/generate", body=recorded(recording, "load_unload", "/api/generate").body)
    settings = profile.model_copy(update={"keep_alive": "10m", "num_ctx": 4096, "options": {"num_gpu": 0}})
    play(calling(lambda models: models.load("tiny")), settings=settings)
    assert ollama.sent == {
        "model": "tiny",
        "stream": False,
        "keep_alive": "10m",
        "options": {"num_ctx": 4096, "num_gpu": 0},
    }
    play(calling(lambda models: models.load("tiny", keep_alive="1h")), settings=profile)
    assert ollama.sent == {"model": "tiny", "stream": False, "keep_alive": "1h"}
    play(calling(lambda models: models.unload("tiny")), settings=settings)
    assert ollama.sent == {"model": "tiny", "stream": False, "keep_alive": 0}


def test_load_an_embedding_model(play: Play, ollama: Server) -> None:
    """It has nothing to generate: an empty embedding loads it (recordings: embed_empty)."""
    ollama.answer("/api/generate", 400, {"error": '"tiny-embed" does not support generate'})
    ollama.answer("/api/embed", body={"model": "tiny-embed", "embeddings": []})
    play(calling(lambda models: models.load("tiny-embed", keep_alive=60)))
    assert ollama.sent == {"model": "tiny-embed", "stream": False, "keep_alive": 60, "input": []}


def test_preload(play: Play, ollama: Server) -> None:
    ollama.answer("/api/generate", body={"done": True})
    play(
        calling(lambda models: models.preload()),
        settings=Settings(provider="ollama", host=HOST, preload=("a", "gpt-4o"), models={"gpt-4o": "b"}),
    )
    assert [json.loads(one.content)["model"] for one in ollama._calls] == ["a", "b"]


@pytest.mark.parametrize("recording", SERVERS)
def test_delete(play: Play, ollama: Server, profile: Settings, recording: str) -> None:
    """It stays OpenAI's, and works where Ollama's /v1 has no such endpoint."""
    one, missing = (recorded(recording, "manage", "/api/delete", status) for status in (200, 404))
    route = ollama.answer("/api/delete", body=one.body, method="DELETE")
    deleted = play(calling(lambda models: models.delete("tiny-copy")), settings=profile)
    assert (deleted.id, deleted.deleted) == ("tiny-copy", True)
    assert json.loads(route.calls.last.request.content) == one.request
    ollama.answer("/api/delete", 404, missing.body, method="DELETE")
    play(failing(lambda models: models.delete("nope"), match="nope.* not found"), settings=profile)


NAMED = {
    "show": ("/api/show", "POST", lambda models, name: models.show(name), "asked about"),
    "load": ("/api/generate", "POST", lambda models, name: models.load(name), "asked about"),
    "unload": ("/api/generate", "POST", lambda models, name: models.unload(name), "asked about"),
    "pull": ("/api/pull", "POST", lambda models, name: models.pull(name), "asked about"),
    "push": ("/api/push", "POST", lambda models, name: models.push(name), "acted on"),
    "create": ("/api/create", "POST", lambda models, name: models.create(name, from_="a"), "acted on"),
    "delete": ("/api/delete", "DELETE", lambda models, name: models.delete(name), "acted on"),
}


@pytest.mark.parametrize("verb", NAMED)
def test_names_are_the_servers(play: Play, ollama: Server, profile: Settings, verb: str) -> None:
    """ "*" answers for what call sites ask; it is not shown, overwritten or deleted in another model's place."""
    path, method, act, kind = NAMED[verb]
    line = {"status": "success", "done": True}
    route = ollama.answer(path, body=[line] if verb in ("pull", "push", "create") else line, method=method)
    aliased = profile.model_copy(update={"models": {"gpt-4o": "qwen3:8b", "*": "spare"}})
    for name, alias in {"mine": "mine", "gpt-4o": "qwen3:8b" if kind == "asked about" else "gpt-4o"}.items():
        play(calling(partial(act, name=name)), settings=aliased)
        assert json.loads(route.calls.last.request.content)["model"] == alias


def test_preload_loads_what_calls_will_ask_for(play: Play, ollama: Server) -> None:
    ollama.answer("/api/generate", body={"done": True})
    aliased = Settings(provider="ollama", host=HOST, preload=("gpt-4o",), models={"*": "spare"})
    play(calling(lambda models: models.preload()), settings=aliased)
    assert ollama.sent["model"] == "spare"


@pytest.mark.parametrize("verb", ["copy", "delete", "pull", "create"])
def test_what_changes_is_asked_anew(play: Play, ollama: Server, verb: str) -> None:
    ollama.answer("/api/copy", body="")
    ollama.answer("/api/delete", body="", method="DELETE")
    for path in ("/api/pull", "/api/create"):
        ollama.answer(path, body=[{"status": "success"}])
    capabilities._models.set((HOST + "/v1", "m"), capabilities.Model(frozenset()), time.time())
    act = {
        "copy": lambda models: models.copy("a", "m"),
        "delete": lambda models: models.delete("m"),
        "pull": lambda models: models.pull("m"),
        "create": lambda models: models.create("m", from_="a"),
    }[verb]
    play(calling(act))
    assert capabilities._models.keys() == []


# --- the way there ----------------------------------------------------------------------------------------------------


def test_keys_and_clients(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's own HTTP client asks, and OLLAMA_API_KEY, which the package gives to any host, stays here."""
    monkeypatch.setenv("OLLAMA_API_KEY", "ollama-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append(request)
        return HTTPX.Response(200, json={"status": "success", "done": True, "response": ""})

    def script(client: Any) -> Any:
        yield client.models.pull("m")
        yield client.models.load("m")

    play(script, http_client=play.http(handler))
    assert [one.url.path for one in seen] == ["/api/pull", "/api/generate"]
    assert not any("secret" in value for one in seen for value in one.headers.values())
    assert seen[0].extensions["timeout"]["read"] is None  # a server that checks what it got says nothing meanwhile
    play(script, settings=Settings(provider="ollama", host=HOST, api_key="mine"), http_client=play.http(handler))
    assert seen[-1].headers["authorization"] == "Bearer mine"
    cloud = Settings(provider="ollama", host="https://ollama.com")
    play(script, settings=cloud, http_client=play.http(handler))
    assert seen[-1].headers["authorization"] == "Bearer ollama-secret"
    assert str(seen[-1].url) == "https://ollama.com/api/generate"


def test_retries(play: Play, ollama: Server) -> None:
    """They are the SDK's."""
    route = ollama.answer("/api/copy")
    route.side_effect = [httpx.Response(503, headers={"retry-after-ms": "1"}), httpx.Response(200)]
    play(calling(lambda models: models.copy("a", "b")), max_retries=1)
    assert route.call_count == 2


def test_a_root_below_a_path(play: Play) -> None:
    with respx.mock() as router:
        route = router.get("http://ai.test/ollama/api/version").respond(json={"version": "1"})
        settings = Settings(provider="ollama", host="http://ai.test/ollama")
        assert play(calling(lambda models: models.version()), settings=settings) == "1"
        assert route.called


# --- elsewhere --------------------------------------------------------------------------------------------------------

UNMANAGED = {
    "nothing configured": None,
    "openai": Settings(provider="openai", base_url="https://api.openai.com/v1"),
    "vllm": Settings(provider="openai", base_url="http://gpu.test:8000/v1", dialect="vllm"),
    "embedded": Settings(provider="embedded"),
}
VERBS = {
    "pull": lambda models: models.pull("m"),
    "push": lambda models: models.push("m"),
    "create": lambda models: models.create("m", from_="a"),
    "copy": lambda models: models.copy("a", "b"),
    "show": lambda models: models.show("m"),
    "ps": lambda models: models.ps(),
    "load": lambda models: models.load("m"),
    "unload": lambda models: models.unload("m"),
    "version": lambda models: models.version(),
}


@pytest.mark.parametrize("settings", UNMANAGED.values(), ids=UNMANAGED)
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_unmanaged(play: Play, verb: Any, settings: Settings | None) -> None:
    """Said offline, by name, as for the endpoints that Ollama has not."""
    with respx.mock():
        failure = play(failing(verb, match="models are not managed on provider"), settings=settings, api_key="sk-x")
    assert (failure.code, failure.status_code) == ("unsupported_endpoint", 404)


def test_a_server_that_is_recognised(play: Play) -> None:
    """Where the address does not tell, the server's own list does, once a process."""
    with respx.mock(assert_all_called=False) as router:
        router.get("http://gpu.test:8001/v1/models").respond(json={"data": [{"id": "m", "owned_by": "library"}]})
        router.get("http://gpu.test:8001/api/version").respond(json={"version": "1"})
        settings = Settings(provider="openai", base_url="http://gpu.test:8001/v1")
        assert play(calling(lambda models: models.version()), settings=settings) == "1"


# --- over /v1 ---------------------------------------------------------------------------------------------------------

COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
COMPLETION["choices"] = [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]  # type: ignore[assignment]


def chatting(*calls: dict[str, Any]) -> Any:
    def script(client: Any) -> Any:
        for more in calls:
            yield client.chat.completions.create(**{"model": "m", "messages": HI, **more})

    return script


def test_keep_alive_over_v1(play: Play, ollama: Server) -> None:
    """An empty native load says it: before the first call for a model, and again when it changes."""
    ollama.answer("/api/generate", body={"done": True})
    ollama.answer("/v1/chat/completions", body=COMPLETION)
    settings = PROFILES["v1"].model_copy(update={"keep_alive": "30m"})
    play(chatting({}, {}, {"model": "b"}, {"extra_body": {"keep_alive": "1h"}}, {}), settings=settings)
    play(chatting({}), settings=settings)
    asked = [(one.url.path, json.loads(one.content)) for one in ollama._calls]
    loads = [(body["model"], body["keep_alive"]) for path, body in asked if path == "/api/generate"]
    assert loads == [("m", "30m"), ("b", "30m"), ("m", "1h"), ("m", "30m")]
    assert [path for path, _ in asked][:3] == ["/api/generate", "/v1/chat/completions", "/v1/chat/completions"]
    assert all("keep_alive" not in body for path, body in asked if path != "/api/generate")


def test_num_ctx_over_v1(play: Play, ollama: Server) -> None:
    """It cannot be kept there: the server loads the model anew for the next call. Said once, with what does it."""
    ollama.answer("/v1/chat/completions", body=COMPLETION)
    settings = PROFILES["v1"].model_copy(update={"num_ctx": 8192})
    with pytest.warns(AdapterWarning, match=r"`num_ctx` has no effect over .*parameters=") as warned:
        play(chatting({}, {}), settings=settings)
    assert len(warned) == 1
    assert ollama.count == 2


# --- the SDK's idiom --------------------------------------------------------------------------------------------------


def test_the_sdks_own(ollama: Server) -> None:
    """A resource of the SDK, with its raw and streamed forms; the package is imported with the first use."""
    ollama.answer("/api/tags", body={"models": [{"name": "m"}]}, method="GET")
    with OpenAI(settings=PROFILES["native"]) as client:
        assert isinstance(client.models, openai.resources.Models)
        assert client.models is client.models
        assert client.models.with_raw_response.list().parse().data[0].id == "m"
        with client.models.with_streaming_response.list() as streamed:
            assert streamed.parse().data[0].id == "m"
        assert client.with_raw_response.models.list().status_code == 200
    assert issubclass(Models, openai.resources.Models)
    assert issubclass(AsyncModels, openai.resources.AsyncModels)
