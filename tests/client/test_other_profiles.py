"""Routes and fallback: which profile answers a call, what never moves, what is said of it, and who sees which key."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import CUT, HTTPX, SYNC_AND_ASYNC, Play, entered, every, mode
from pydantic import BaseModel

from llm_adapter import AsyncOpenAI, OpenAI, Settings, SettingsError
from llm_adapter.routing import cool_downs
from llm_adapter.testing import cassette, disconnect, error, json_text, serving, slow, text
from llm_adapter.testing.mock import _pauses, _response
from llm_adapter.testing.scripted import Scripted
from llm_adapter.translation.process_cache import clear_caches
from llm_adapter.transport.concurrency import limiter_of

BOTH = pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
LOCAL, CLOUD, LAN = "local.internal", "cloud.example", "lan.internal"
BUSY = error(503, "busy", headers={"retry-after-ms": "1"})
WENT = {"from": "local", "to": "cloud", "reason": "refused"}


class Hosts:
    """Servers by the names of their hosts, behind an HTTP client: fakes, functions, or None for one that is down."""

    def __init__(self) -> None:
        self.local: Any = Scripted("ollama@0.32")
        self.cloud: Any = Scripted("openai")
        self.lan: Any = Scripted("vllm")
        self.asked: list[Any] = []

    def to(self, host: str) -> list[Any]:
        """The requests that a host got."""
        return [request for request in self.asked if request.url.host == host]

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        server = {LOCAL: self.local, CLOUD: self.cloud, LAN: self.lan}[request.url.host]
        if server is None:
            raise HTTPX.ConnectError("Connection refused", request=request)
        if not isinstance(server, Scripted):
            return server(request)
        found = server.answer(request.method, request.url.path, request.headers.multi_items(), request.content)
        pause = _pauses(HTTPX, request)
        for seconds in pause(found.wait):
            time.sleep(seconds)
        return _response(HTTPX, found, request, pause)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    clear_caches()
    yield Hosts()
    clear_caches()


def profiles(shared: str = "", local: str = "", cloud: str = "", lan: str = "") -> None:
    """Write the three profiles, with more lines for each of them, and lines that stand above them."""
    Path("llm_adapter.toml").write_text(
        f'{shared}\n[profiles.local]\nprovider = "ollama"\nhost = "http://{LOCAL}:11434"\n{local}\n'
        f'[profiles.cloud]\nprovider = "openai"\ndialect = "openai"\nbase_url = "https://{CLOUD}/v1"\n'
        f"{'' if 'api_key' in cloud else KEY}\n{cloud}\n"
        f'[profiles.lan]\nprovider = "openai"\ndialect = "vllm"\nbase_url = "http://{LAN}/v1"\n{lan}\n',
        encoding="utf-8",
    )


KEY = 'api_key = "sk-cloud"'
FALLBACK = 'fallback = ["cloud"]'


def played(play: Play, hosts: Hosts, script: Any, profile: str = "local", **options: Any) -> Any:
    options = {"settings": None, "profile": profile, "http_client": play.http(hosts), **options}
    return play(script, **options)


def chat(**arguments: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="gpt-4o-mini", messages=HI, **arguments))

    return script


# --- a server that is down: every endpoint and every way to call it ---


class Answer(BaseModel):
    city: str


def streamed(client: Any) -> Any:
    stream = yield client.chat.completions.create(model="m", messages=HI, stream=True)
    chunks = yield every(stream)
    return chunks[-1], "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def parsed(client: Any) -> Any:
    reply = yield client.chat.completions.parse(model="m", messages=HI, response_format=Answer)
    return reply, reply.choices[0].message.parsed.city


def raw(client: Any) -> Any:
    response = yield client.chat.completions.with_raw_response.create(model="m", messages=HI)
    reply = response.parse()
    to = reply.adapter.fallback["to"]
    assert response.headers["x-llm-adapter-fallback"] == f"from=local; to={to}; reason=refused"
    assert response.headers["x-llm-adapter"] == f"provider=openai; fallback={to}"
    return reply, reply.choices[0].message.content


def streaming_response(client: Any) -> Any:
    response = yield entered(client.chat.completions.with_streaming_response.create(model="m", messages=HI))
    reply = yield response.parse()
    yield response.close()
    return reply, reply.choices[0].message.content


def responses(client: Any) -> Any:
    reply = yield client.responses.create(model="m", input="Hello")
    return reply, reply.output_text


def streamed_responses(client: Any) -> Any:
    events = yield every((yield client.responses.create(model="m", input="Hello", stream=True)))
    return events[-1].response, events[-1].response.output_text


def completions(client: Any) -> Any:
    reply = yield client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello")
    return reply, reply.choices[0].text


def with_options(client: Any) -> Any:
    reply = yield client.with_options(timeout=7).chat.completions.create(model="m", messages=HI)
    return reply, reply.choices[0].message.content


CALLS = (streamed, parsed, raw, streaming_response, responses, streamed_responses, completions, with_options)


@BOTH
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("to", ["cloud", "lan"])
def test_a_server_that_is_down_is_answered_for(play: Play, call: Any, to: str, hosts: Hosts) -> None:
    hosts.local = None
    said = json_text({"city": "Paris"}) if call is parsed else text("Hello from there")
    getattr(hosts, to).script(said)
    profiles(local=f'fallback = ["{to}"]')
    reply, content = played(play, hosts, call)
    assert content == ("Paris" if call is parsed else "Hello from there")
    assert reply.adapter.fallback == {**WENT, "to": to}
    assert len(hosts.to(LOCAL)) == 1


@BOTH
def test_embeddings_and_moderations_fall_back(play: Play, hosts: Hosts) -> None:
    def script(client: Any) -> Any:
        vectors = yield client.embeddings.create(model="text-embedding-3-small", input="Hello")
        judged = yield client.moderations.create(input="Hello")
        return vectors, judged

    def moderating(request: Any) -> Any:
        if request.url.path.endswith("moderations"):
            return HTTPX.Response(200, json={"id": "modr-1", "model": "omni", "results": []})
        return embedding(request)

    embedding = Hosts()
    hosts.cloud, hosts.lan = moderating, None
    profiles(lan=FALLBACK)
    vectors, judged = played(play, hosts, script, profile="lan")
    assert vectors.data[0].embedding
    assert vectors.adapter.fallback == {**WENT, "from": "lan"}
    assert judged.adapter.fallback == {**WENT, "from": "lan"}


@BOTH
def test_it_is_said_once_who_answered_and_why(play: Play, hosts: Hosts, caplog: pytest.LogCaptureFixture) -> None:
    hosts.local = None
    profiles(local=FALLBACK)

    def script(client: Any) -> Any:
        for _ in range(3):
            yield client.chat.completions.create(model="m", messages=HI)

    played(play, hosts, script, max_retries=2)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "'local'" in said[0]
    assert LOCAL in said[0]
    assert "refused" in said[0]
    assert "'cloud' answered" in said[0]
    assert "fallback_cooldown" in said[0]
    assert len(hosts.to(LOCAL)) == 1
    assert len(hosts.to(CLOUD)) == 3


@BOTH
def test_a_connection_that_takes_too_long_is_none(play: Play, hosts: Hosts) -> None:
    def silent(request: Any) -> Any:
        raise HTTPX.ConnectTimeout("", request=request)

    hosts.local = silent
    profiles(local=FALLBACK)
    assert played(play, hosts, chat()).adapter.fallback == WENT
    hosts.cloud = silent
    with pytest.raises(openai.APITimeoutError, match="fallback profile 'cloud': ConnectTimeout"):
        played(play, hosts, chat())


def test_a_cool_down_ends(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.local = None
    profiles(local=FALLBACK)
    now = 1000.0
    monkeypatch.setattr(cool_downs, "monotonic", lambda: now)
    played(Play("sync"), hosts, chat())
    hosts.local = Scripted("ollama@0.32")
    now += 29
    assert played(Play("sync"), hosts, chat()).adapter.fallback is not None
    now += 2
    assert played(Play("sync"), hosts, chat()).adapter.fallback is None


def test_after_a_cool_down_one_call_tries(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others do not wait for a server that is still dead, and the log has a line for the cool-down that follows."""
    hosts.local = None
    profiles(local=FALLBACK)
    now = 1000.0
    monkeypatch.setattr(cool_downs, "monotonic", lambda: now)

    def still_dead(request: Any) -> Any:
        time.sleep(0.05)
        raise HTTPX.ConnectError("Connection refused", request=request)

    play = Play("sync")
    played(play, hosts, chat())
    now += 31
    hosts.asked.clear()
    caplog.clear()
    hosts.local = still_dead
    replies = in_threads(OpenAI(profile="local", http_client=play.http(hosts)))
    assert all(reply.adapter.fallback == WENT for reply in replies)
    assert len(hosts.to(LOCAL)) == 1
    assert len(hosts.to(CLOUD)) == 200
    assert len(caplog.records) == 1


def test_a_call_that_tries_and_is_cancelled(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one tries, one more cool-down later."""
    now = 1000.0
    monkeypatch.setattr(cool_downs, "monotonic", lambda: now)
    cool_downs.begin("a", 30, "refused")
    assert not cool_downs.may_try("a", 30)
    now += 31
    assert [cool_downs.may_try("a", 30) for _ in range(3)] == [True, False, False]
    assert cool_downs.reason("a") == "refused"
    now += 31
    assert cool_downs.may_try("a", 30)


@BOTH
def test_without_a_cool_down_each_call_tries(play: Play, hosts: Hosts) -> None:
    hosts.local = None
    profiles(local=f"{FALLBACK}\nfallback_cooldown = 0")

    def script(client: Any) -> Any:
        yield client.chat.completions.create(model="m", messages=HI)
        yield client.chat.completions.create(model="m", messages=HI)

    played(play, hosts, script)
    assert len(hosts.to(LOCAL)) == 2


# --- each reason, and what is none ---


@BOTH
def test_busy_falls_back_after_the_last_attempt(play: Play, hosts: Hosts) -> None:
    hosts.local.script(BUSY, BUSY, BUSY)
    profiles(local=FALLBACK)
    reply = played(play, hosts, chat(), max_retries=2)
    assert reply.adapter.fallback == {**WENT, "reason": "busy"}
    assert [request.url.host for request in hosts.asked] == [LOCAL, LOCAL, LOCAL, CLOUD]


def test_busy_is_not_over_before_the_sdk_gives_up(hosts: Hosts) -> None:
    hosts.local.script(BUSY, text("here"))
    profiles(local=FALLBACK)
    reply = played(Play("sync"), hosts, chat(), max_retries=1)
    assert reply.choices[0].message.content == "here"
    assert not hosts.to(CLOUD)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_leaves_the_server_alone(status: int, hosts: Hosts) -> None:
    hosts.lan.script(error(status, "later", headers={"retry-after": "20"}), text("again"))
    profiles(lan=FALLBACK)

    def script(client: Any) -> Any:
        first = yield client.chat.completions.create(model="m", messages=HI)
        second = yield client.chat.completions.create(model="m", messages=HI)
        other = yield client.chat.completions.create(model="another", messages=HI)
        return [one.adapter.fallback for one in (first, second, other)]

    went = {"from": "lan", "to": "cloud", "reason": "busy"}
    first, second, _ = played(Play("sync"), hosts, script, profile="lan")
    assert first == second == went
    assert [json.loads(request.content)["model"] for request in hosts.to(LAN)] == ["m", "another"]


@BOTH
@pytest.mark.parametrize("server", ["ollama@0.32", "vllm", "openai"])
def test_a_missing_model_falls_back(play: Play, server: str, hosts: Hosts) -> None:
    hosts.local = hosts.lan = Scripted(server, models=["another"])
    other = (
        f'[profiles.other]\nprovider = "openai"\nbase_url = "http://{LAN}/v1"\ndialect = "{server}"\n{KEY}\n{FALLBACK}'
    )
    profiles(local=FALLBACK, lan=other if server in ("vllm", "openai") else "")
    profile = "local" if server.startswith("ollama") else "other"
    reply = played(play, hosts, chat(), profile=profile)
    assert reply.adapter.fallback == {"from": profile, "to": "cloud", "reason": "missing_model"}


@BOTH
def test_another_404_does_not(play: Play, hosts: Hosts) -> None:
    hosts.lan = lambda request: HTTPX.Response(404, json={"error": {"message": "no such path", "code": None}})
    profiles(lan=FALLBACK)
    with pytest.raises(openai.NotFoundError):
        played(play, hosts, chat(), profile="lan")
    assert not hosts.to(CLOUD)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_a_load_timeout_falls_back(play: Play, stream: bool, hosts: Hosts) -> None:
    hosts.local.script(slow(5, text("late")))
    profiles(local=f"{FALLBACK}\nload_timeout = 0.01")

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(model="m", messages=HI, stream=stream)
        return (yield every(reply))[-1] if stream else reply

    assert played(play, hosts, script).adapter.fallback == {**WENT, "reason": "load_timeout"}


@BOTH
def test_the_callers_own_timeout_is_no_reason(play: Play, hosts: Hosts) -> None:
    hosts.local.script(slow(5, text("late")))
    profiles(local=f"{FALLBACK}\nload_timeout = 60")
    with pytest.raises(openai.APITimeoutError):
        played(play, hosts, chat(timeout=0.01))
    assert not hosts.to(CLOUD)


def test_a_body_that_stops_is_no_reason() -> None:
    """On a socket: whether the response has begun is known of a real connection alone."""
    clear_caches()
    with serving("openai") as cloud, serving("ollama@0.32") as local:
        local.script(slow(0, text(["a", "b"]), between=5))
        local_lines = f'host = "{local.url}"\nload_timeout = 0.3\n{FALLBACK}'
        Path("llm_adapter.toml").write_text(
            f'[profiles.local]\nprovider = "ollama"\n{local_lines}\n[profiles.cloud]\nprovider = "openai"\n'
            f'base_url = "{cloud.base_url}"\ndialect = "openai"\n{KEY}\n',
            encoding="utf-8",
        )
        with OpenAI(profile="local", timeout=openai.DEFAULT_TIMEOUT, max_retries=0) as client:
            stream = client.chat.completions.create(model="m", messages=HI, stream=True)
            assert next(iter(stream)).choices[0].delta.content is not None
            stream.close()
        assert not cloud.requests


@BOTH
def test_a_prompt_that_does_not_fit_only_where_asked_for(play: Play, hosts: Hosts) -> None:
    long = [{"role": "user", "content": "word " * 9000}]

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model="m", messages=long))

    hosts.local = Scripted("ollama@0.32", context=4096)
    profiles(local=FALLBACK)
    with pytest.raises(openai.BadRequestError, match="context"):
        played(play, hosts, script)
    assert not hosts.to(CLOUD)
    profiles(local=f'{FALLBACK}\nfallback_on = ["refused", "context"]')
    assert played(play, hosts, script).adapter.fallback == {**WENT, "reason": "context"}


@BOTH
@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 500, 502])
def test_no_other_error_falls_back(play: Play, status: int, hosts: Hosts) -> None:
    hosts.local.script(error(status, "no", headers={"x-should-retry": "false"}))
    profiles(local=FALLBACK)
    with pytest.raises(openai.APIStatusError, match="no"):
        played(play, hosts, chat())
    assert not hosts.to(CLOUD)


@BOTH
def test_a_refusal_of_ours_never_falls_back(play: Play, hosts: Hosts) -> None:
    profiles(local=FALLBACK)
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        played(play, hosts, chat(logit_bias={"1": 1}))
    hosts.local = None
    played(play, hosts, chat())  # also while its server is left alone
    asked = len(hosts.asked)
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        played(play, hosts, chat(logit_bias={"1": 1}))
    assert len(hosts.asked) == asked


def test_only_the_reasons_that_are_named(hosts: Hosts) -> None:
    hosts.local = None
    profiles(local=f'{FALLBACK}\nfallback_on = ["busy"]')
    with pytest.raises(openai.APIConnectionError):
        played(Play("sync"), hosts, chat())
    assert not hosts.to(CLOUD)


@BOTH
@pytest.mark.parametrize("local", ["ollama@0.32", "openai"])
def test_a_stream_that_is_cut_is_an_error_that_names_the_next(play: Play, local: str, hosts: Hosts) -> None:
    first, other = ("local", "cloud") if local.startswith("ollama") else ("cloud", "lan")
    getattr(hosts, first).script(disconnect(after=1, turn=text(["Hel", "lo"])))
    profiles(**{first: f'fallback = ["{other}"]'})
    got: list[str] = []

    def script(client: Any) -> Any:
        stream = yield client.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True)
        if isinstance(stream, openai.Stream):
            got.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        else:
            yield read(stream)

    async def read(stream: Any) -> None:
        async for chunk in stream:
            got.extend(choice.delta.content or "" for choice in chunk.choices)

    with pytest.raises((openai.APIError, *CUT), match=f"fallback profile '{other}' was not asked"):
        played(play, hosts, script, profile=first)
    assert "".join(got) == "Hel"
    assert {request.url.host for request in hosts.asked} == {LOCAL if first == "local" else CLOUD}


# --- nobody answers ---


@BOTH
def test_all_down_is_the_first_ones_error(play: Play, hosts: Hosts) -> None:
    hosts.local = hosts.cloud = hosts.lan = None
    profiles(local='fallback = ["cloud", "lan"]')
    with pytest.raises(openai.APIConnectionError, match=r"no server answers at http://local.*'cloud'.*'lan'"):
        played(play, hosts, chat())
    assert len(hosts.asked) == 3


@BOTH
def test_a_first_error_with_a_status_says_what_the_others_said(play: Play, hosts: Hosts) -> None:
    hosts.local.script(error(429, "slow down", headers={"x-should-retry": "false"}))
    hosts.cloud.script(error(401, "wrong key"))
    profiles(local=FALLBACK)
    with pytest.raises(openai.RateLimitError, match=r"slow down.*fallback profile 'cloud': status 401: wrong key"):
        played(play, hosts, chat())


@BOTH
def test_the_sdk_tries_again_when_nobody_answered(play: Play, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    hosts.local = hosts.cloud = None
    profiles(local=FALLBACK)
    with pytest.raises(openai.APIConnectionError):
        played(play, hosts, chat(), max_retries=1)
    assert [request.url.host for request in hosts.asked] == [LOCAL, CLOUD, CLOUD, LOCAL]


def test_profiles_are_asked_in_their_order(hosts: Hosts) -> None:
    hosts.local = hosts.cloud = None
    profiles(local=FALLBACK, cloud='fallback = ["lan"]')
    assert played(Play("sync"), hosts, chat()).adapter.fallback == {**WENT, "to": "lan"}
    assert [request.url.host for request in hosts.asked] == [LOCAL, CLOUD, LAN]
    assert played(Play("sync"), hosts, chat()).adapter.fallback == {**WENT, "to": "lan"}
    assert [request.url.host for request in hosts.asked[3:]] == [LAN]


# --- beside our other features ---


def test_a_shadow_compares_what_its_own_profile_answers(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that another profile answered says nothing about the one that was to be compared."""
    submitted: list[Any] = []
    monkeypatch.setattr("llm_adapter.shadow.worker.submit", submitted.append)
    profiles(local=f'{FALLBACK}\nshadow = "lan"\nshadow_sample = 1')
    played(Play("sync"), hosts, chat(), max_retries=1)
    assert len(submitted) == 1
    hosts.local = None
    played(Play("sync"), hosts, chat(), max_retries=1)
    played(Play("sync"), hosts, chat(), max_retries=1)
    assert len(submitted) == 1


def test_a_private_call_has_no_shadow(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Any] = []
    monkeypatch.setattr("llm_adapter.shadow.worker.submit", submitted.append)
    profiles(local='shadow = "cloud"\nshadow_sample = 1')
    played(Play("sync"), hosts, chat(extra_body=PRIVATE))
    assert submitted == []


@BOTH
def test_a_slot_is_free_after_a_fallback(play: Play, hosts: Hosts) -> None:
    hosts.local.script(BUSY, BUSY, BUSY, BUSY)
    profiles(local=f"{FALLBACK}\nmax_concurrency = 1", cloud="max_concurrency = 1")

    def script(client: Any) -> Any:
        for _ in range(2):
            stream = yield client.chat.completions.create(model="m", messages=HI, stream=True)
            yield every(stream)

    played(play, hosts, script, timeout=HTTPX.Timeout(5))
    limiters = [limiter_of(("http", f"{LOCAL}:11434".encode())), limiter_of(("https", CLOUD.encode()))]
    assert [one.in_use for one in limiters] == [0, 0]


def test_calls_that_wait_for_a_slot_do_not_try_a_dead_host_one_by_one(hosts: Hosts) -> None:
    def silent(request: Any) -> Any:
        time.sleep(0.03)
        raise HTTPX.ConnectTimeout("", request=request)

    hosts.local = silent
    profiles(local=f"{FALLBACK}\nmax_concurrency = 2")
    with OpenAI(profile="local", http_client=Play("sync").http(hosts)) as client:
        threads = [
            threading.Thread(target=lambda: client.chat.completions.create(model="m", messages=HI)) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(hosts.to(CLOUD)) == 20
    assert len(hosts.to(LOCAL)) <= 2


@BOTH
def test_a_response_that_our_store_keeps_is_known_to_both(play: Play, hosts: Hosts) -> None:
    """Both profiles keep responses in the memory of this process: the next turn goes on at the first server."""
    profiles(local='fallback = ["lan"]\nfallback_cooldown = 0')
    hosts.local = None

    def script(client: Any) -> Any:
        first = yield client.responses.create(model="m", input="Hello")
        hosts.local = Scripted("ollama@0.32")
        second = yield client.responses.create(model="m", input="And now?", previous_response_id=first.id)
        return first, second

    first, second = played(play, hosts, script)
    assert first.adapter.fallback == {**WENT, "to": "lan"}
    assert second.adapter.fallback is None
    assert b"Hello" in hosts.to(LOCAL)[-1].content


def test_a_cassette_holds_who_answered(hosts: Hosts, tmp_path: Path) -> None:
    hosts.local = None
    profiles(local=FALLBACK)
    tape = tmp_path / "tape.jsonl"
    for recorded in ("all", "none"):
        hosts.asked.clear()
        with cassette(tape, mode=recorded):
            response = played(Play("sync"), hosts, raw)
        assert response[0].adapter.fallback == WENT
    assert not hosts.asked


def test_the_embedded_server_answers() -> None:
    Path("llm_adapter.toml").write_text(
        f'[profiles.local]\nprovider = "ollama"\nhost = "http://127.0.0.1:{unused_port()}"\nfallback = ["own"]\n'
        '[profiles.own]\nprovider = "embedded"\n',
        encoding="utf-8",
    )
    with OpenAI(profile="local") as client:
        assert client.chat.completions.create(model="m", messages=HI, max_tokens=2).choices[0].message.content
        stream = client.chat.completions.create(model="m", messages=HI, max_tokens=2, stream=True)
        assert list(stream)[-1].adapter.fallback == {**WENT, "to": "own"}  # type: ignore[attr-defined]


# --- what stays ---


def create(**arguments: Any) -> Any:
    return lambda client: client.responses.create(model="m", input="Hello", **arguments)


FILE = [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]
STAY = {
    "previous response": create(previous_response_id="resp_1"),
    "conversation": create(conversation="conv_1"),
    "background": create(background=True),
    "stored prompt": create(prompt={"id": "pmpt_1"}),
    "file": lambda client: client.responses.create(model="m", input=FILE),
    "vector store": create(tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}]),
    "batch": lambda client: client.batches.retrieve("batch_1"),
    "models": lambda client: client.models.list(),
    "keep_alive": lambda client: client.chat.completions.create(
        model="m", messages=HI, extra_body={"keep_alive": "5m"}
    ),
    "prefix": lambda client: client.chat.completions.create(model="ollama/m", messages=HI),
    "upload": lambda client: client.audio.transcriptions.create(model="m", file=b"RIFF"),
}


@pytest.mark.parametrize("name", STAY)
def test_a_stateful_call_stays(name: str, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{LOCAL}:11434")
    hosts.lan = hosts.local = None
    profiles(local=FALLBACK, lan=FALLBACK)

    def script(client: Any) -> Any:
        yield STAY[name](client)

    with pytest.raises(openai.OpenAIError):
        played(Play("sync"), hosts, script, profile="local" if name == "keep_alive" else "lan")
    assert not hosts.to(CLOUD)


def test_a_tool_whose_argument_is_called_file_id_moves(hosts: Hosts) -> None:
    hosts.local = None
    profiles(local=FALLBACK)
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}}, "required": ["file_id"]}
    tool = {"type": "function", "function": {"name": "open", "parameters": schema}}
    assert played(Play("sync"), hosts, chat(tools=[tool])).adapter.fallback == WENT


# --- privacy ---

PRIVATE = {"privacy": "local"}


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_a_private_call_does_not_fall_back(play: Play, stream: bool, hosts: Hosts) -> None:
    hosts.local = None
    profiles(local='fallback = ["cloud", "lan"]')
    with pytest.raises(openai.APIConnectionError):
        played(play, hosts, chat(extra_body=PRIVATE, stream=stream))
    assert {request.url.host for request in hosts.asked} == {LOCAL}


@BOTH
def test_a_route_leads_a_private_call_to_a_private_host(play: Play, hosts: Hosts) -> None:
    profiles(cloud='routes = { chat = "lan" }')
    reply = played(play, hosts, chat(extra_body=PRIVATE), profile="cloud")
    assert reply.adapter.route == {"to": "lan", "by": "chat"}
    assert "privacy" not in json.loads(hosts.asked[-1].content)


@BOTH
@pytest.mark.parametrize("routes", ["", 'routes = { chat = "cloud" }'])
def test_a_private_call_is_refused_before_it_leaves(play: Play, routes: str, hosts: Hosts) -> None:
    profiles(local=routes)
    with pytest.raises(openai.PermissionDeniedError, match="`privacy` is `local` for this call"):
        played(play, hosts, chat(extra_body=PRIVATE), profile="local" if routes else "cloud")
    assert not hosts.asked


@BOTH
def test_a_private_call_goes_to_its_private_server(play: Play, hosts: Hosts) -> None:
    def script(client: Any) -> Any:
        yield client.chat.completions.create(model="m", messages=HI, extra_body=PRIVATE)
        yield client.responses.create(model="m", input="Hello", extra_body=PRIVATE)
        yield client.embeddings.create(model="m", input="Hello", extra_body={**PRIVATE, "truncate": True})

    profiles()
    played(play, hosts, script)
    assert all(b"privacy" not in request.content for request in hosts.asked)
    played(play, hosts, chat(extra_body=PRIVATE), profile="lan")
    assert "privacy" not in json.loads(hosts.to(LAN)[-1].content)
    with pytest.raises(openai.PermissionDeniedError, match="`privacy` is `local`"):
        played(play, hosts, cloud_model)


def cloud_model(client: Any) -> Any:
    yield client.chat.completions.create(model="gpt-oss:120b-cloud", messages=HI, extra_body=PRIVATE)


def test_another_privacy_is_an_unknown_argument(hosts: Hosts) -> None:
    profiles(local=FALLBACK)
    with pytest.raises(openai.BadRequestError, match="privacy"):
        played(Play("sync"), hosts, chat(extra_body={"privacy": "everywhere"}))
    assert not hosts.to(CLOUD)


def test_privacy_holds_where_nothing_is_configured(hosts: Hosts) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        played(Play("sync"), hosts, chat(extra_body=PRIVATE), profile=None, api_key="sk-mine")  # type: ignore[arg-type]
    options = {"profile": None, "api_key": "sk-mine", "base_url": f"http://{LAN}/v1"}
    played(Play("sync"), hosts, chat(extra_body=PRIVATE), **options)
    assert "privacy" not in json.loads(hosts.to(LAN)[-1].content)


# --- keys ---


@BOTH
def test_each_host_sees_its_own_key_alone(play: Play, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("LAN_KEY", "sk-lan")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-environment")
    hosts.lan = None
    profiles(lan=f'{FALLBACK}\napi_key_env = "LAN_KEY"\nheaders = {{ "X-Lan" = "lan-secret" }}')
    given = {"Authorization": "Bearer sk-header", "X-Api-Key": "sk-api", "X-Trace": "7"}

    def script(client: Any) -> Any:
        yield client.chat.completions.create(model="m", messages=HI, extra_headers=given, extra_query={"token": "t"})
        yield client.with_options(default_headers=given).chat.completions.create(model="m", messages=HI)

    played(play, hosts, script, profile="lan", api_key="sk-call-site", default_headers={"X-My-Token": "mine"})
    assert len(hosts.to(CLOUD)) == 2
    for request in hosts.to(CLOUD):
        assert request.headers["authorization"] == "Bearer sk-cloud"
        assert request.headers["x-trace"] == "7"
        told = f"{request.headers.multi_items()} {request.url}"
        assert not any(secret in told for secret in ("sk-call", "sk-h", "sk-api", "sk-lan", "lan-s", "mine", "token"))
    assert "sk-cloud" not in str(hosts.to(LAN)[0].headers)


def test_a_callable_key_is_for_its_own_host(hosts: Hosts) -> None:
    hosts.lan = None
    profiles(lan=f"{FALLBACK}\ncall_site_key = true")
    played(Play("sync"), hosts, chat(), profile="lan", api_key=lambda: "sk-called")
    assert hosts.to(LAN)[0].headers["authorization"] == "Bearer sk-called"
    assert hosts.to(CLOUD)[0].headers["authorization"] == "Bearer sk-cloud"


# --- routes ---


@BOTH
def test_routes_lead_calls_to_other_profiles(play: Play, hosts: Hosts) -> None:
    profiles(local='routes = { embeddings = "lan", "model:gpt-4*" = "cloud", chat = "local" }')

    def script(client: Any) -> Any:
        replies = [
            (yield client.embeddings.create(model="m", input="Hello")),
            (yield client.chat.completions.create(model="gpt-4o", messages=HI)),
            (yield client.chat.completions.create(model="llama3.2", messages=HI)),
            (yield client.responses.create(model="gpt-4.1", input="Hello")),
        ]
        chunks = yield every((yield client.chat.completions.create(model="gpt-4o", messages=HI, stream=True)))
        return [reply.adapter.route for reply in (*replies, chunks[-1])]

    by_model = {"to": "cloud", "by": "model:gpt-4*"}
    assert played(play, hosts, script) == [{"to": "lan", "by": "embeddings"}, by_model, None, by_model, by_model]
    spoken = [
        request.url.host for request in hosts.asked if request.method == "POST" and "show" not in request.url.path
    ]
    assert spoken == [LAN, CLOUD, LOCAL, CLOUD, CLOUD]
    assert hosts.to(CLOUD)[0].headers["authorization"] == "Bearer sk-cloud"


def test_a_route_to_a_server_that_is_down_takes_that_profiles_fallback(hosts: Hosts) -> None:
    hosts.lan = None
    profiles(local='routes = { chat = "lan" }', lan=FALLBACK)
    adapter = played(Play("sync"), hosts, chat()).adapter
    assert adapter.fallback == {"from": "lan", "to": "cloud", "reason": "refused"}
    assert [request.url.host for request in hosts.asked] == [LAN, CLOUD]


def test_a_models_prefix_says_more_than_a_route(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{LOCAL}:11434")
    profiles(cloud='routes = { chat = "lan" }')
    played(Play("sync"), hosts, prefixed, profile="cloud")
    assert not hosts.to(LAN)
    assert hosts.to(LOCAL)


def prefixed(client: Any) -> Any:
    return (yield client.chat.completions.create(model="ollama/llama3.2", messages=HI))


@BOTH
def test_a_missing_endpoint_names_the_route(play: Play, hosts: Hosts) -> None:
    profiles()

    def script(client: Any) -> Any:
        yield client.moderations.create(input="Hello")

    with pytest.raises(openai.NotFoundError, match=r'by a route, `routes = \{ moderations = "PROFILE" \}`'):
        played(play, hosts, script)


def test_a_programs_own_server_is_left_alone(hosts: Hosts) -> None:
    hosts.lan = None
    profiles(local=f'{FALLBACK}\nroutes = {{ chat = "cloud" }}')
    with pytest.raises(openai.APIConnectionError):
        played(Play("sync"), hosts, chat(), base_url=f"http://{LAN}/v1", api_key="sk-x")
    assert not hosts.to(CLOUD)


def test_a_programs_own_server_needs_no_other_profile() -> None:
    profiles(local='fallback = ["cloud"]', cloud='api_key_env = "UNSET_KEY"')
    OpenAI(profile="local", base_url=f"http://{LAN}/v1", api_key="sk-x").close()


# --- all is checked when the client is made ---

WRONG = {
    "unknown fallback": ({"local": 'fallback = ["clod"]'}, "`fallback` names profile 'clod'.*did you mean 'cloud'"),
    "unknown route": ({"local": 'routes = { chat = "clod" }'}, "`routes` names profile 'clod'"),
    "no endpoint": (
        {"local": 'routes = { embedding = "cloud" }'},
        "`routes` has 'embedding'.*did you mean 'embeddings'",
    ),
    "no pattern": ({"local": 'routes = { "model:" = "cloud" }'}, "`routes` has 'model:'"),
    "its own": ({"local": 'fallback = ["local"]'}, "`fallback` goes round in a circle: local -> local"),
    "circle": (
        {"local": 'fallback = ["cloud"]', "cloud": 'fallback = ["lan"]', "lan": 'fallback = ["local"]'},
        "circle: local -> cloud -> lan -> local",
    ),
    "circle of routes": (
        {"local": 'routes = { chat = "cloud" }', "cloud": 'routes = { chat = "local" }'},
        "`routes` goes round in a circle: local -> cloud -> local",
    ),
    "local_only": (
        {"local": 'local_only = true\nfallback = ["cloud"]'},
        "`fallback` cannot be profile 'cloud'.*local_only",
    ),
    "local_only route": (
        {"local": 'local_only = true\nroutes = { chat = "cloud" }'},
        "`routes` cannot be profile 'cloud'.*local_only",
    ),
    "key": ({"local": FALLBACK, "cloud": 'api_key_env = "UNSET_KEY"'}, "cannot be profile 'cloud'.*UNSET_KEY"),
    "reason": ({"local": 'fallback_on = ["refussed"]'}, "fallback_on"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_wrong_settings_are_told_when_the_client_is_made(name: str, kind: Any) -> None:
    lines, message = WRONG[name]
    profiles(**lines)
    with pytest.raises(SettingsError, match=message):
        kind(profile="local")


def test_no_key_for_openai_is_told_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    own = '[profiles.own]\nprovider = "openai"'
    profiles(local='fallback = ["own"]', lan=own)
    with pytest.raises(SettingsError, match=r"'own'.*OPENAI_API_KEY is not set"):
        OpenAI(profile="local")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    OpenAI(profile="local").close()


def test_what_stands_above_the_profiles_says_nothing_of_those_that_it_names(hosts: Hosts) -> None:
    hosts.local = None
    profiles(shared='fallback = ["lan", "cloud"]\nroutes = { embeddings = "lan" }')
    assert played(Play("sync"), hosts, chat()).adapter.fallback == {**WENT, "to": "lan"}
    hosts.lan = None
    assert played(Play("sync"), hosts, chat(), profile="lan").adapter.fallback == {**WENT, "from": "lan"}
    OpenAI(profile="cloud").close()


def test_settings_in_code_and_variables(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.local = None
    profiles()
    settings = Settings(provider="ollama", host=f"http://{LOCAL}:11434", fallback=["cloud"])  # type: ignore[arg-type]
    reply = played(Play("sync"), hosts, chat(), profile=None, settings=settings)  # type: ignore[arg-type]
    assert reply.adapter.fallback == {**WENT, "from": "ollama"}
    clear_caches()
    monkeypatch.setenv("LLM_ADAPTER_FALLBACK", '["cloud"]')
    monkeypatch.setenv("LLM_ADAPTER_ROUTES", '{"model:gpt-5*": "lan"}')
    assert played(Play("sync"), hosts, chat()).adapter.fallback == WENT
    assert played(Play("sync"), hosts, asking("gpt-5-mini")).adapter.route == {"to": "lan", "by": "model:gpt-5*"}


def asking(model: str) -> Any:
    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(model=model, messages=HI))

    return script


def test_profiles_are_found_where_the_first_was(hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.local = None
    profiles(local=FALLBACK)
    monkeypatch.setenv("LLM_ADAPTER_TRUST", "1")
    monkeypatch.chdir("/")
    settings = Settings.at(tmp_path, profile="local")
    reply = played(Play("sync"), hosts, chat(), profile=None, settings=settings)  # type: ignore[arg-type]
    assert reply.adapter.fallback == WENT


class Mine(OpenAI):
    """A program's own class, whose constructor takes nothing."""

    def __init__(self, http_client: Any) -> None:
        super().__init__(profile="local", http_client=http_client)


def test_a_subclass_falls_back(hosts: Hosts) -> None:
    hosts.local = None
    profiles(local=FALLBACK)
    with Mine(Play("sync").http(hosts)) as client:
        assert client.chat.completions.create(model="m", messages=HI).adapter.fallback == WENT  # type: ignore[attr-defined]


# --- under load, on real sockets ---


def unused_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_200_parallel_calls_on_a_dead_host(way: str, caplog: pytest.LogCaptureFixture) -> None:
    clear_caches()
    with serving("openai") as cloud:
        Path("llm_adapter.toml").write_text(
            f'[profiles.local]\nprovider = "ollama"\nhost = "http://127.0.0.1:{unused_port()}"\n{FALLBACK}\n'
            f'[profiles.cloud]\nprovider = "openai"\nbase_url = "{cloud.base_url}"\ndialect = "openai"\n{KEY}\n',
            encoding="utf-8",
        )
        replies = in_threads(OpenAI(profile="local")) if way == "threads" else asyncio.run(in_tasks())
    assert len(replies) == 200
    assert all(reply.adapter.fallback == WENT for reply in replies)
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1


def in_threads(client: OpenAI) -> list[Any]:
    replies: list[Any] = []
    ask: Callable[[], Any] = lambda: replies.extend(  # noqa: E731
        client.chat.completions.create(model="m", messages=HI) for _ in range(10)
    )
    with client:
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return replies


async def in_tasks() -> list[Any]:
    async with AsyncOpenAI(profile="local") as client:
        calls = [client.chat.completions.create(model="m", messages=HI) for _ in range(200)]
        return list(await asyncio.gather(*calls))
