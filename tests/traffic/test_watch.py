"""Calls that are watched: of our clients and of the SDK's own, each with its lines, its destination and its reply."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import HI, Run
from openai._base_client import AsyncAPIClient, BaseClient, SyncAPIClient

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import Fake, cassette, error, serving
from llm_adapter.traffic import watch
from llm_adapter.traffic.current import HEADER
from llm_adapter.traffic.observed import ObservedCall
from llm_adapter.traffic.watch import Watcher

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
HERE = str(Path(__file__))


class Seen(Watcher):
    def __init__(self) -> None:
        self.made: list[Any] = []
        self.begun: list[ObservedCall] = []
        self.ended: list[ObservedCall] = []

    def client_made(self, client: Any) -> None:
        self.made.append(client)

    def call_begun(self, call: ObservedCall) -> None:
        self.begun.append(call)

    def call_ended(self, call: ObservedCall) -> None:
        self.ended.append(call)

    @property
    def call(self) -> ObservedCall:
        """The one call, which is over."""
        assert self.begun == self.ended
        (call,) = self.ended
        return call


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    watch.add_watcher(seen)
    yield seen
    watch.remove_watcher(seen)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving("ollama@0.32") as fake:
        yield fake


def chat(client: Any) -> Any:
    return client.chat.completions.create(**CHAT, n=2, user="me")


def test_a_call(run: Run, seen: Seen, fake: Fake) -> None:
    """Once, whatever the number of its requests, as it stands at the call site; with what became of it."""
    run(chat, settings=fake.settings(models={"gpt-4o-mini": "qwen3:8b"}))
    call = seen.call
    assert (call.method, call.path, call.body) == ("POST", "/chat/completions", {**CHAT, "n": 2, "user": "me"})
    assert str(call.answered_by) == f"ollama at {fake.url.removeprefix('http://')}"
    assert (call.model, call.prompt_tokens, call.completion_tokens) == ("qwen3:8b", 6, 10)
    assert call.notes == "emulated=n; ignored=user"
    assert call.urls == [f"{fake.url}/api/chat"] * 2
    maker = str(Path(__file__).parents[1] / "conftest.py")  # which awaits the coroutine, too
    assert (call.place.file, call.client_place.file) == (HERE if run.mode == "sync" else maker, maker)
    assert call.error is None


STREAMED: dict[str, Callable[[Any], Any]] = {
    "chat": lambda client: client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}),
    "responses": lambda client: client.responses.create(model="gpt-4o-mini", input="Hello", stream=True),
}


@pytest.mark.parametrize("kind", STREAMED)
def test_a_stream_ends_with_its_last_piece(run: Run, seen: Seen, fake: Fake, kind: str) -> None:
    def begin(client: Any) -> Any:
        return STREAMED[kind](client)

    run.stream(begin, settings=fake.settings())
    call = seen.call
    assert (call.model, call.prompt_tokens, call.completion_tokens) == ("gpt-4o-mini", 6, 5)


def test_an_abandoned_stream_ends_when_it_is_closed(seen: Seen, fake: Fake) -> None:
    with fake.client() as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        next(stream)
        assert seen.ended == []
        stream.close()
    assert seen.call.error is None


def sync_chat(client: Any) -> None:
    with client:
        client.chat.completions.create(**CHAT)


async def async_chat(client: Any) -> None:
    async with client:
        await client.chat.completions.create(**CHAT)


OWN: dict[str, Callable[[str], Any]] = {
    "openai.OpenAI": lambda url: sync_chat(openai.OpenAI(base_url=url, api_key="k")),
    "openai.AsyncOpenAI": lambda url: asyncio.run(async_chat(openai.AsyncOpenAI(base_url=url, api_key="k"))),
    "openai.AzureOpenAI": lambda url: sync_chat(openai.AzureOpenAI(base_url=url, api_key="k", api_version="1")),
}


@pytest.mark.parametrize("kind", OWN)
def test_clients_of_the_sdk_itself(seen: Seen, fake: Fake, kind: str) -> None:
    with suppress(openai.NotFoundError):  # of Azure's paths the fake has none
        OWN[kind](fake.base_url)
    call = seen.call
    assert (call.client_kind, call.client_place.file, call.place.file) == (kind, HERE, HERE)
    assert str(call.answered_by) == f"a /v1 server at {fake.url.removeprefix('http://')}"
    assert call.error == ("NotFoundError 404" if kind == "openai.AzureOpenAI" else None)
    assert seen.made == [call.client]


def test_raw_responses(seen: Seen, fake: Fake) -> None:
    with fake.client() as client:
        client.chat.completions.with_raw_response.create(**CHAT)
        with client.chat.completions.with_streaming_response.create(**CHAT) as response:
            response.parse()
    assert [(call.prompt_tokens, call.place.file) for call in seen.ended] == [(6, HERE)] * 2


def test_an_error(run: Run, seen: Seen, fake: Fake) -> None:
    fake.script(error(429, "slow down"), repeat=True)  # the call takes two requests
    with pytest.raises(openai.RateLimitError):
        run(chat, settings=fake.settings())
    assert seen.call.error == "RateLimitError 429"


def test_a_refusal_is_sent_nowhere(seen: Seen, fake: Fake) -> None:
    with fake.client() as client, pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**CHAT, logit_bias={"1": 1})
    assert (seen.call.urls, seen.call.error) == ([], "BadRequestError 400")


def test_attempts_are_one_call(seen: Seen, fake: Fake) -> None:
    fake.script(error(429, "slow down", headers={"retry-after-ms": "1"}), "Hello")
    with fake.client(max_retries=1) as client:
        client.chat.completions.create(**CHAT)
    assert (len(seen.call.urls), seen.call.error) == (2, None)


@pytest.mark.filterwarnings("ignore:model 'openai/gpt-4o-mini'")
def test_a_prefix_leads_elsewhere(seen: Seen, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is the host that answered, and not the client's."""
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    with OpenAI(settings=Settings(provider="ollama", host="127.0.0.1:9"), max_retries=0) as client:
        client.chat.completions.create(model="openai/gpt-4o-mini", messages=HI)
    assert seen.call.answered_by.host == fake.url.removeprefix("http://")
    assert seen.call.destination.host == "127.0.0.1:9"


@pytest.mark.filterwarnings("ignore::llm_adapter.AdapterWarning")
def test_a_fallback_is_told_by_its_own_profile(run: Run, seen: Seen, fake: Fake, tmp_path: Path) -> None:
    """It is part of the call, and its client is no client of the program's."""
    profiles = '[profiles.{}]\nprovider = "ollama"\nhost = "{}"\n{}'
    first = profiles.format("first", "http://127.0.0.1:9", 'fallback = ["second"]\n')
    (tmp_path / "llm_adapter.toml").write_text(first + profiles.format("second", fake.url, ""), encoding="utf-8")
    run(chat, settings=Settings.load(profile="first"))
    call = seen.call
    assert (call.destination.profile, call.answered_by.profile, call.error) == ("first", "second", None)
    assert call.answered_by.host == fake.url.removeprefix("http://")
    assert len(seen.made) == 1


def test_the_list_of_models_that_a_call_asks_for_is_part_of_it(seen: Seen, fake: Fake) -> None:
    with fake.client() as client:
        client.chat.completions.create(model="ollama/m", messages=HI)
        client.models.list()
    assert [call.path for call in seen.ended] == ["/chat/completions", "/models"]


def test_a_client_is_told_once(seen: Seen, fake: Fake) -> None:
    """Not again for a copy with other options; but for one with another destination."""
    with fake.client() as client:
        client.with_options(timeout=3).copy(max_retries=1)
        assert seen.made == [client]
        other = client.with_options(settings=Settings(provider="embedded"))
        assert seen.made == [client, other]


def test_nobody_watches(fake: Fake) -> None:
    seen = Seen()
    watch.add_watcher(seen)
    watch.remove_watcher(seen)
    with fake.client() as client:
        client.chat.completions.create(**CHAT)
    assert (seen.made, seen.begun) == ([], [])


def test_a_request_tells_fakes_alone_which_call_it_is_for(seen: Seen, fake: Fake) -> None:
    with fake.client() as client:
        client.chat.completions.create(**CHAT)
    assert HEADER not in fake.last.headers


WRAPPED = [
    (BaseClient, "__init__"),
    (BaseClient, "_build_request"),
    *((kind, name) for kind in (SyncAPIClient, AsyncAPIClient) for name in ("request", "_send_request")),
    *((kind, "_process_response") for kind in (SyncAPIClient, AsyncAPIClient)),
]


@pytest.mark.parametrize(("kind", "name"), WRAPPED)
def test_what_is_wrapped_is_the_sdks(seen: Seen, kind: Any, name: str) -> None:
    """Methods that are there, look as before, and take what they took."""
    method = getattr(kind, name)
    assert method.__module__ == "openai._base_client"
    assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(inspect.unwrap(method))
    assert "client" not in inspect.signature(method).parameters


def test_the_calls_of_threads(seen: Seen, fake: Fake) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with fake.client() as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.chat.completions.create(**CHAT), range(8)))
    assert [call.place.file for call in seen.ended] == [HERE] * 8
    assert len({call.number for call in seen.ended}) == 8


def passing_on(method: Any) -> Any:
    return functools.wraps(method)(lambda *arguments, **options: method(*arguments, **options))


def apassing_on(method: Any) -> Any:
    async def passed_on(*arguments: Any, **options: Any) -> Any:
        return await method(*arguments, **options)

    return functools.wraps(method)(passed_on)


def test_what_somebody_put_back_is_wrapped_again(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is wrapped by somebody else is not wrapped twice."""
    monkeypatch.setattr(SyncAPIClient, "request", inspect.unwrap(SyncAPIClient.request))
    for _ in range(2):
        seen = Seen()
        watch.add_watcher(seen)
        with fake.client() as client:
            client.models.list()
        watch.remove_watcher(seen)
        assert len(seen.ended) == 1
        monkeypatch.setattr(SyncAPIClient, "request", passing_on(SyncAPIClient.request))


@pytest.mark.parametrize("tracer_first", [True, False], ids=["tracer first", "watch first"])
def test_a_tracer_of_the_sdks_class_hides_no_call(
    run: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch, tracer_first: bool
) -> None:
    """OpenInference and logfire put theirs on `openai.OpenAI`, around the method that the base class has by then."""
    for kind, base in ((openai.OpenAI, SyncAPIClient), (openai.AsyncOpenAI, AsyncAPIClient)):
        method = inspect.unwrap(base.request) if tracer_first else base.request
        monkeypatch.setattr(kind, "request", passing_on(method) if kind is openai.OpenAI else apassing_on(method))
    seen = Seen()
    watch.add_watcher(seen)
    run(lambda client: client.chat.completions.create(**CHAT), settings=fake.settings())
    watch.remove_watcher(seen)
    assert seen.call.path == "/chat/completions"


def test_a_cassette_leaves_the_watch_in_place(fake: Fake, seen: Seen, tmp_path: Path) -> None:
    with cassette(tmp_path / "one.jsonl", mode="all"), fake.client() as client:
        client.chat.completions.create(**CHAT)
    with cassette(tmp_path / "one.jsonl", mode="none"), fake.client() as client:
        client.chat.completions.create(**CHAT)
    with fake.client() as client:
        client.chat.completions.create(**CHAT)
    assert [len(call.urls) for call in seen.ended] == [1, 0, 1]
