"""`install()`: the SDK's own names lead to the profile, whoever makes the client and however."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import openai
import pytest
from conftest import HI, HOST, Server
from openai import AsyncOpenAI as EarlyAsyncOpenAI
from openai import OpenAI as EarlyOpenAI

import llm_adapter
from llm_adapter import AdapterWarning, Settings, SettingsError
from llm_adapter.installation.active import innermost
from llm_adapter.installation.process import BOOTSTRAP, switch_by_environment
from llm_adapter.installation.sdk_classes import switch_sdk
from llm_adapter.providers.ollama import Ollama
from llm_adapter.settings.run_variable import VARIABLE

SETTINGS = Settings(provider="ollama", host=HOST)
OWN = "http://127.0.0.1:9/v1"  # a server of the program's own


@pytest.fixture(autouse=True)
def nothing_installed() -> Iterator[None]:
    switch_sdk()  # once in a process it warns of clients, and other tests have left some
    yield
    while innermost() is not None:
        llm_adapter.uninstall()


@pytest.fixture
def said(ollama: Server) -> Server:
    ollama.answer("/api/chat", body={"message": {"role": "assistant", "content": "Hi."}, "done": True})
    return ollama


def plain(**options: Any) -> openai.OpenAI:
    """A client as a program makes it."""
    return openai.OpenAI(http_client=openai.DefaultHttpxClient(verify=False), max_retries=0, **options)


def ask(client: Any, **options: Any) -> str:
    return client.chat.completions.create(model="m", messages=HI, **options).choices[0].message.content  # type: ignore[no-any-return]


# --- which clients are switched ---


class Mine(openai.OpenAI):
    def __init__(self, *arguments: Any, tag: str = "none", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tag = tag


class Slots(openai.OpenAI):
    __slots__ = ("extra",)


class FewArguments(openai.OpenAI):
    """Takes what the SDK's `copy` hands on, and nothing of ours."""

    def __init__(self, api_key: Any = None, base_url: Any = None, http_client: Any = None, **rest: Any) -> None:
        assert not rest.keys() & {"settings", "profile", "_copy_of"}
        super().__init__(api_key=api_key, base_url=base_url, http_client=http_client, **rest)


class NamesTheBase(openai.OpenAI):
    def __init__(self) -> None:
        openai.OpenAI.__init__(self, api_key="sk-x", max_retries=0)


class Registered(openai.OpenAI):
    kinds: list[Any] = []  # noqa: RUF012

    def __init_subclass__(cls, *, kind: str) -> None:
        Registered.kinds.append(kind)


class Derived(Registered, kind="derived"):
    pass


class OneOnly(openai.OpenAI):
    """Makes one instance."""

    def __new__(cls, **options: Any) -> Any:
        return super().__new__(cls)


MAKERS: dict[str, Callable[[], Any]] = {
    "the SDK's": lambda: openai.OpenAI(api_key="sk-x"),
    "bound early": lambda: EarlyOpenAI(api_key="sk-x"),
    "another name": lambda: openai.Client(api_key="sk-x"),
    "without a key": lambda: openai.OpenAI(),
    "subclass": lambda: Mine(tag="none"),
    "slots": lambda: Slots(),
    "few arguments": lambda: FewArguments(),
    "its copy": lambda: FewArguments(api_key="sk-x").with_options(timeout=3),
    "its copy's copy": lambda: Mine(tag="none").copy(max_retries=0).with_options(timeout=3),
    "explicit base": lambda: NamesTheBase(),
    "registered": lambda: Derived(),
    "own __new__": lambda: OneOnly(),
    "OpenAI's address": lambda: openai.OpenAI(api_key="sk-x", base_url="https://api.openai.com/v1"),
    "copied with OpenAI's address": lambda: openai.OpenAI().with_options(base_url="https://api.openai.com/v1"),
    "a region of OpenAI's": lambda: openai.OpenAI(api_key="sk-x", data_residency="eu"),
    "of another thread's install": lambda: openai.OpenAI(),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_switched(said: Server, kind: str) -> None:
    with llm_adapter.install(settings=SETTINGS):
        client = MAKERS[kind]()
        assert (ask(client), isinstance(client, EarlyOpenAI)) == ("Hi.", True)
        assert str(client.base_url) == f"{HOST}/v1/"


def test_subclasses_stay_what_they_are() -> None:
    with llm_adapter.install(settings=SETTINGS):
        one = Mine(tag="two")
        assert (isinstance(one, Mine), one.tag, type(one).__qualname__, type(one).__module__) == (
            *(True, "two", "Mine"),
            __name__,
        )
        assert Registered.kinds == ["derived"]
    assert list(inspect.signature(NamesTheBase).parameters) == []


def test_signatures_stay() -> None:
    parameters = list(inspect.signature(openai.OpenAI).parameters)
    assert (parameters[0], "settings" in parameters, "arguments" in parameters) == ("api_key", False, False)


async def asked_async(client: Any) -> Any:
    async with client:
        return await client.chat.completions.create(model="m", messages=HI)


def test_async(said: Server) -> None:
    import asyncio

    with llm_adapter.install(settings=SETTINGS):
        for client in (EarlyAsyncOpenAI(), EarlyAsyncOpenAI(api_key="sk-x").with_options(timeout=3)):
            assert asyncio.run(asked_async(client)).choices[0].message.content == "Hi."


def test_mocks_of_the_name_hold() -> None:
    with llm_adapter.install(settings=SETTINGS), mock.patch("openai.OpenAI") as name:
        assert openai.OpenAI() is name.return_value


OTHERS = {
    "azure": lambda: openai.AzureOpenAI(api_key="k", api_version="1", azure_endpoint="https://x.openai.azure.com"),
    "azure async": lambda: openai.AsyncAzureOpenAI(api_key="k", api_version="1", azure_endpoint="https://x.azure.com"),
}
if hasattr(openai, "BedrockOpenAI"):
    OTHERS["bedrock"] = lambda: openai.BedrockOpenAI(api_key="k", aws_region="us-east-1")


@pytest.mark.parametrize("kind", OTHERS)
def test_other_services_are_left_alone(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    before = OTHERS[kind]()
    with llm_adapter.install(settings=SETTINGS):
        client = OTHERS[kind]()
    assert (type(client), client.base_url) == (type(before), before.base_url)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_services_are_refused_under_local_only(kind: str) -> None:
    local = Settings(provider="ollama", host="127.0.0.1", local_only=True)
    with llm_adapter.install(settings=local), pytest.raises(SettingsError, match="`local_only` is set"):
        OTHERS[kind]()


# --- the client behind `openai.chat` ---


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("api_key", "base_url", "organization", "default_headers", "http_client", "api_type"):
        monkeypatch.setattr(openai, name, None)
    monkeypatch.setattr(openai, "max_retries", 0)
    monkeypatch.setattr(openai, "_client", None)
    return openai


def test_module_client(said: Server, module: Any) -> None:
    module.api_key = "sk-mine"
    with llm_adapter.install(settings=SETTINGS):
        assert ask(module) == "Hi."
        module.api_key = "sk-other"
        module.default_headers = {"Authorization": "Bearer sk-third", "x-mine": "1"}
        assert ask(module) == "Hi."
        assert ("sk-" in str(said.request.headers), said.request.headers["x-mine"]) == (False, "1")
    assert (module.api_key, module._client, module.http_client) == ("sk-other", None, None)


def test_module_client_that_is_sent_elsewhere(said: Server, module: Any) -> None:
    with llm_adapter.install(settings=SETTINGS):
        ask(module)
        module.base_url = OWN
        module.api_key = "own-key"
        with pytest.raises(AssertionError, match=OWN):  # nothing is mocked there
            ask(module)
        module.base_url = "https://api.openai.com/v1"
        assert ask(module) == "Hi."


# --- whose address, whose key ---


@pytest.mark.parametrize("name", ["sync", "async"])
def test_the_programs_own_server_is_left_alone(name: str, caplog: pytest.LogCaptureFixture) -> None:
    make: Any = openai.OpenAI if name == "sync" else openai.AsyncOpenAI
    with caplog.at_level(logging.INFO, "llm_adapter"), llm_adapter.install(settings=SETTINGS):
        client = make(base_url=f"{OWN}/{name}", api_key="own-key")
        make(base_url=f"{OWN}/{name}", api_key="own-key")
        copied = make().with_options(base_url=f"{OWN}/{name}", api_key="own-key")
    for one in (client, copied, copied.with_options(timeout=3)):
        assert (str(one.base_url), one.api_key) == (f"{OWN}/{name}/", "own-key")
    assert caplog.text.count(f"{OWN}/{name}: it is left alone") == 1


def test_the_environments_key_goes_to_the_programs_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the SDK does: such a client is as it was, also where `local_only` holds."""
    monkeypatch.setenv("OPENAI_API_KEY", "own-key")
    for local_only in (False, True):
        with llm_adapter.install(settings=Settings(provider="ollama", host="127.0.0.1", local_only=local_only)):
            assert openai.OpenAI(base_url=OWN).api_key == "own-key"
            assert openai.OpenAI().api_key != "own-key"


def test_local_only_holds_for_the_programs_own_server() -> None:
    local = Settings(provider="ollama", host="127.0.0.1", local_only=True)
    with llm_adapter.install(settings=local), pytest.raises(SettingsError, match="`local_only` is set"):
        openai.OpenAI(base_url="https://own.example/v1", api_key="k")


class NamesQuery(openai.OpenAI):
    @property
    def default_query(self) -> Any:
        return {"api_key": "sk-x", "page": "2"}


class NamesHeaders(openai.OpenAI):
    @property
    def default_headers(self) -> Any:
        return {**super().default_headers, "Authorization": "Bearer sk-x", "OpenAI-Organization": "org-x"}


@pytest.mark.parametrize("kind", [NamesQuery, NamesHeaders])
def test_what_a_subclass_adds_for_openai_stays_here(said: Server, kind: Any) -> None:
    with llm_adapter.install(settings=SETTINGS):
        ask(kind(http_client=openai.DefaultHttpxClient(verify=False)))
    sent = said.request
    assert ("sk-x" in f"{sent.url} {sent.headers}", "org-x" in str(sent.headers)) == (False, False)
    assert kind is NamesHeaders or sent.url.params["page"] == "2"


def test_all_are_taken(said: Server) -> None:
    with llm_adapter.install(settings=SETTINGS, takes_all=True):
        assert ask(plain(base_url=OWN, api_key="own-key")) == "Hi."
        assert "own-key" not in str(said.request.headers)


def test_the_address_of_the_environment_is_the_profiles(said: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", OWN)
    with llm_adapter.install(settings=SETTINGS):
        assert ask(plain(base_url=os.environ["OPENAI_BASE_URL"], api_key="sk-x")) == "Hi."


def test_the_programs_own_arguments_are_kept() -> None:
    with llm_adapter.install(settings=SETTINGS):
        client = openai.OpenAI(api_key="sk-x", timeout=3, max_retries=7, default_headers={"x-mine": "1"})
    assert (client.timeout, client.max_retries, client.default_headers["x-mine"]) == (3, 7, "1")


# --- from when and until when ---


def test_nested_installs(ollama: Server) -> None:
    outer, inner = SETTINGS, Settings(provider="ollama", host="http://inner.test:11434")
    with llm_adapter.install(settings=outer):
        with llm_adapter.install(settings=inner):
            kept = openai.OpenAI()
        assert openai.OpenAI().base_url.host == "ollama.test"
    assert kept.with_options(timeout=1).base_url.host == "inner.test"
    assert type(openai.OpenAI(api_key="k")) is openai.OpenAI


def test_uninstall() -> None:
    llm_adapter.install(settings=SETTINGS)
    llm_adapter.uninstall()
    assert type(openai.OpenAI(api_key="k")) is openai.OpenAI
    with pytest.raises(RuntimeError, match="nothing is installed"):
        llm_adapter.uninstall()


def test_a_block_that_was_ended_inside() -> None:
    with llm_adapter.install(settings=SETTINGS), llm_adapter.install(settings=SETTINGS):
        llm_adapter.uninstall()
        assert openai.OpenAI().base_url.host == "ollama.test"
    assert innermost() is None


def test_nothing_configured_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing is configured"):
        llm_adapter.install()
    assert innermost() is None


def test_profile_and_settings_are_one_too_many() -> None:
    with pytest.raises(SettingsError, match="not both"):
        llm_adapter.install("local", SETTINGS)


def test_the_profiles_file_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "llm_adapter.toml").write_text(
        '[profiles.local]\nprovider = "ollama"\nhost = "one.local"\n'
    )
    monkeypatch.chdir(tmp_path / "project")
    with llm_adapter.install("local"):
        monkeypatch.chdir(tmp_path / "elsewhere")
        for client in (openai.OpenAI(), llm_adapter.OpenAI()):
            assert client.base_url.host == "one.local"
    assert llm_adapter.OpenAI(api_key="k").base_url.host == "api.openai.com"


def test_child_processes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By variables that are as before afterwards; see `test_run` for what a process makes of them."""
    monkeypatch.setenv("PYTHONPATH", "/mine")
    before = dict(os.environ)
    with llm_adapter.install(settings=SETTINGS):
        told = json.loads(os.environ[VARIABLE])
        assert told["settings"] == {"provider": "ollama", "host": HOST, "headers": {}}
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(BOOTSTRAP), "/mine"]
        with llm_adapter.install(settings=Settings(provider="embedded")):
            assert json.loads(os.environ[VARIABLE])["settings"]["provider"] == "embedded"
        assert json.loads(os.environ[VARIABLE]) == told
    assert dict(os.environ) == before


NOT_FOR_CHILDREN = {
    "a key": {"api_key": "k-secret"},
    "a header": {"headers": {"x-key": "k-secret"}},
    "a provider in code": {"provider": Ollama()},
}


@pytest.mark.parametrize("kind", NOT_FOR_CHILDREN)
def test_what_a_child_process_cannot_be_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients are refused: without the key, or on OpenAI, they would not be what was asked for."""
    fields: dict[str, Any] = {"provider": "ollama", "host": HOST, **NOT_FOR_CHILDREN[kind]}
    with llm_adapter.install(settings=Settings(**fields)):
        told = os.environ[VARIABLE]
    assert "k-secret" not in told
    monkeypatch.setenv(VARIABLE, told)
    switch_by_environment(import_module("openai._client"))
    with pytest.raises(SettingsError, match="child processes"):
        openai.OpenAI(api_key="k")


def test_a_child_process_has_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "mine")
    headers = {"x-team": "env:TEAM"}
    settings = Settings(provider="ollama", host=HOST, headers=headers, models={"a": "b"}, preload=("m",))
    with llm_adapter.install(settings=settings):
        told = os.environ[VARIABLE]
    monkeypatch.setenv(VARIABLE, told)
    switch_by_environment(import_module("openai._client"))
    client: Any = openai.OpenAI()
    assert client.settings == settings


def test_earlier_clients_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    early = openai.OpenAI(api_key="k")
    monkeypatch.setattr("llm_adapter.installation.install.switch_sdk", lambda: True)
    with pytest.warns(AdapterWarning, match=r"made before install\(\), and will not be switched"):
        llm_adapter.install(settings=SETTINGS)
    assert type(early) is openai.OpenAI
