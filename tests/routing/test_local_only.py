"""`local_only`: what would leave is refused before anything is sent; and keys, where a cloud wants one."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
import respx
from conftest import HI, Server
from drivers import SYNC_AND_ASYNC, Play, mode

from llm_adapter import OpenAI, Settings, SettingsError
from llm_adapter.translation.process_cache import clear_caches

ROOT = "http://ollama:11434"
CHAT = "/api/chat"
DONE = {"message": {"content": "Hi"}, "done": True}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server(ollama: Server) -> Server:
    """Another address of the mocked Ollama: one that is known to be private."""
    server = Server(ollama._router, ROOT)
    server.answer(CHAT, body=DONE)
    server.answer("/v1/chat/completions", body={"choices": []})
    server.answer("/api/show", body={"capabilities": ["completion"]})
    return server


PROFILES = {
    "native": Settings(provider="ollama", host=ROOT, local_only=True, models={"gpt-4o": "gpt-oss:120b-cloud"}),
    "v1": Settings(
        provider="openai",
        base_url=f"{ROOT}/v1",
        dialect="ollama",
        local_only=True,
        models={"gpt-4o": "gpt-oss:120b-cloud"},
    ),
}


@pytest.fixture(params=PROFILES.values(), ids=PROFILES)
def profile(request: pytest.FixtureRequest) -> Settings:
    return request.param  # type: ignore[no-any-return]


def refused(action: Any) -> Any:
    def script(client: Any) -> Any:
        with pytest.raises(openai.PermissionDeniedError, match="`local_only` is set") as caught:
            yield action(client)
        return caught.value

    return script


CALLS = {
    "chat": lambda client: client.chat.completions.create(model="gpt-oss:120b-cloud", messages=HI),
    "stream": lambda client: client.chat.completions.create(model="kimi:cloud", messages=HI, stream=True),
    "an alias": lambda client: client.chat.completions.create(model="gpt-4o", messages=HI),
    "responses": lambda client: client.responses.create(model="x:cloud", input="Hello"),
    "embeddings": lambda client: client.embeddings.create(model="x:cloud", input="Hello"),
    "completions": lambda client: client.completions.create(model="X:Cloud", prompt="Hello"),
    "copy": lambda client: client.models.copy("x:cloud", "harmless"),
    "create": lambda client: client.models.create("harmless", from_="x:cloud"),
    "pull": lambda client: client.models.pull("x:cloud"),
    "load": lambda client: client.models.load("x:cloud"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_names(play: Play, server: Server, profile: Settings, call: Any) -> None:
    failure = play(refused(call), settings=profile)
    assert (failure.code, failure.param) == ("local_only", "model")
    assert len(server._router.calls) == 0


@pytest.mark.parametrize("shown", [{"remote_host": "https://ollama.com:443"}, {"remote_model": "gpt-oss:120b"}])
def test_a_remote_model_by_another_name(play: Play, server: Server, profile: Settings, shown: Any) -> None:
    """What it is called does not tell: the server is asked, and hears no more than the name."""
    server.answer("/api/show", body=shown)
    play(refused(lambda client: client.chat.completions.create(model="harmless", messages=HI)), settings=profile)
    assert [json.loads(one.request.content) for one in server._router.calls] == [{"model": "harmless"}]


def test_what_is_not_known(play: Play, server: Server, profile: Settings) -> None:
    server.answer("/api/show", 500, {"error": "no"})
    play(refused(lambda client: client.chat.completions.create(model="m", messages=HI)), settings=profile)


def test_a_missing_model_is_a_missing_model(play: Play, server: Server) -> None:
    server.answer("/api/show", 404, {"error": "model 'm' not found"})
    server.answer(CHAT, 404, {"error": "model 'm' not found"})

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError):
            yield client.chat.completions.create(model="m", messages=HI)

    play(script, settings=PROFILES["native"])


def test_here(play: Play, server: Server) -> None:
    """One question a model and process more, and the call goes on."""

    def script(client: Any) -> Any:
        for _ in range(2):
            reply = yield client.chat.completions.create(model="mycloud", messages=HI)
        return reply.choices[0].message.content

    assert play(script, settings=PROFILES["native"]) == "Hi"
    assert [one.request.url.path for one in server._router.calls] == ["/api/show", CHAT, CHAT]


def test_an_endpoint_that_is_not_translated(play: Play, server: Server) -> None:
    """Such as Anthropic's, which Ollama has too."""
    server.answer("/v1/messages", body={"id": "1"})

    def script(client: Any) -> Any:
        with pytest.raises(openai.PermissionDeniedError):
            yield client.post("/messages", cast_to=object, body={"model": "x:cloud"})
        yield client.post("/messages", cast_to=object, body={"model": "m"})

    play(script, settings=PROFILES["native"])
    assert server.sent == {"model": "m"}


def message(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "Look"}, *parts]}]


FAR = "http://evil.example/?q=secret"
ADDRESSES: dict[str, Any] = {
    "chat": lambda client: client.chat.completions.create(
        model="m", messages=message({"type": "image_url", "image_url": {"url": FAR}})
    ),
    "bare": lambda client: client.chat.completions.create(
        model="m", messages=message({"type": "image_url", "image_url": " //evil.example/a.png"})
    ),
    "video": lambda client: client.chat.completions.create(
        model="m", messages=message({"type": "video_url", "video_url": {"url": FAR}}), stream=True
    ),
    "private": lambda client: client.chat.completions.create(
        model="m", messages=message({"type": "image_url", "image_url": {"url": "http://10.0.0.1/a.png"}})
    ),
    "responses": lambda client: client.responses.create(
        model="m", input=message({"type": "input_image", "image_url": FAR, "detail": "auto"})
    ),
    "output": lambda client: client.responses.create(
        model="m",
        input=[
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_file", "file_url": FAR}]},
        ],
    ),
    "tools": lambda client: client.responses.create(
        model="m", input="Hello", tools=[{"type": "mcp", "server_label": "s", "server_url": FAR}]
    ),
}
DIALECTS = ("native", "openai", "llamacpp", None)


@pytest.mark.parametrize("ask", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_addresses_for_the_server(dialect: Any, ask: Any) -> None:
    """No server is handed an address to fetch, also not one that would pass the call on as it is."""
    named = Settings(provider="ollama", host=ROOT, local_only=True)
    settings = (
        named if dialect == "native" else Settings(base_url=f"{ROOT}/v1", dialect=dialect, local_only=True, api_key="k")
    )
    refused_by = pytest.raises(openai.BadRequestError, match="refused, because `local_only` is set")
    with respx.mock(), OpenAI(settings=settings) as client, refused_by:
        ask(client)


def test_an_image_itself_is_no_address(run: Any, server: Server) -> None:
    """Data is passed on; so is a file that the server itself has."""
    server.answer("/v1/chat/completions", body={"choices": []})
    for url in ("data:image/png;base64,iVBORw0KGgo=", "file:///srv/images/a.png"):
        run(
            lambda client, url=url: client.chat.completions.create(
                model="m", messages=message({"type": "image_url", "image_url": {"url": url}})
            ),
            settings=Settings(base_url=f"{ROOT}/v1", dialect="openai", local_only=True, api_key="k"),
        )
        assert server.sent["messages"][0]["content"][1]["image_url"]["url"] == url


PUBLIC = ["https://api.openai.com/v1", "https://ollama.com", "http://8.8.8.8:11434", "http://llm.example.com/v1"]
PRIVATE = ["http://localhost:11434", "http://10.1.2.3/v1", "http://[fd00::1]:11434", "http://gpu", "http://a.internal"]


@pytest.mark.parametrize("url", PUBLIC)
def test_public_hosts(url: str) -> None:
    with pytest.raises(SettingsError, match="`local_only` is set"):
        OpenAI(settings=Settings(provider="openai", base_url=url, local_only=True), api_key="k")
    with pytest.raises(SettingsError, match="`local_only` is set"):
        OpenAI(settings=Settings(provider="ollama", local_only=True), base_url=url.replace("openai", "other"))


@pytest.mark.parametrize("url", PRIVATE)
def test_private_hosts(url: str) -> None:
    OpenAI(settings=Settings(provider="openai", base_url=url, local_only=True), api_key="k").close()


def test_a_prefix_leads_nowhere_else(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    clear_caches()

    def script(client: Any) -> Any:
        with pytest.raises(SettingsError, match=r"api\.openai\.com"):
            yield client.chat.completions.create(model="openai/gpt-4o", messages=HI)

    with respx.mock() as router:
        router.get(f"{ROOT}/api/tags").respond(json={"models": []})
        play(script, settings=PROFILES["native"])


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_LOCAL_ONLY", "true")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(SettingsError, match="`local_only` is set"):
        OpenAI()


# --- where to get in --------------------------------------------------------------------------------------------------


def unauthorized(client: Any) -> Any:
    with pytest.raises(openai.AuthenticationError) as caught:
        yield client.chat.completions.create(model="m", messages=HI)
    return str(caught.value)


def test_where_to_sign_in(play: Play, server: Server) -> None:
    server.answer(CHAT, 401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=x"})
    said = play(unauthorized, settings=Settings(provider="ollama", host=ROOT))
    assert "sign in at https://ollama.com/connect?name=x" in said
    assert "settings/keys" not in said


def test_where_to_get_a_key(play: Play) -> None:
    with respx.mock() as router:
        router.post("https://ollama.com/api/chat").respond(401, json={"error": "unauthorized"})
        said = play(unauthorized, settings=Settings(provider="ollama", host="https://ollama.com"))
    assert "OLLAMA_API_KEY" in said
    assert "https://ollama.com/settings/keys" in said
