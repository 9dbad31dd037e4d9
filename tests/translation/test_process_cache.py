"""What is remembered of a server has an end, and nothing of it hangs a forked child."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import openai
import prepared
import pytest
import respx
from conftest import HI, HOST, Server
from drivers import Play, mode

import llm_adapter
from llm_adapter import AdapterWarning, Settings
from llm_adapter.testing import serving
from llm_adapter.translation.forks import ForkSafeLock
from llm_adapter.translation.process_cache import ExpiringCache, clear_caches, forget_server

PRIVATE = "http://ollama:11434"
REPLY = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


@pytest.fixture(params=[Play("sync"), Play("async")], ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def test_an_answer_has_an_end() -> None:
    cache: ExpiringCache[tuple[str, str], int] = ExpiringCache(seconds=60)
    cache.set(("a", "m"), 1, now=100)
    ages = [(100, None), (160, None), (161, None), (103, 3.0), (104, 3.0), (99, None)]
    assert [cache.get(("a", "m"), now, max_age) for now, max_age in ages] == [1, 1, None, 1, None, None]


def test_a_server_is_forgotten_alone() -> None:
    cache: ExpiringCache[tuple[str, str], int] = ExpiringCache(seconds=60)
    for server in "ab":
        cache.set((server, "m"), 1, now=0)
    forget_server("a")
    assert cache.keys() == [("b", "m")]
    clear_caches()
    assert cache.keys() == []


def test_all_that_is_remembered_of_servers_is_registered() -> None:
    """A module-level dictionary of translation, providers or responses is made by a cache, or by a register."""
    package = Path(llm_adapter.__file__).parent
    files = [file for name in ("translation", "providers", "responses") for file in (package / name).rglob("*.py")]
    bare = [
        f"{file.name}: {line}"
        for file in files
        for line in re.findall(r"^_[a-z_]+(?:: [^=\n]+)? = (?:\{\}|set\(\)|dict\(\))$", file.read_text("utf-8"), re.M)
    ]
    assert bare == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_lock_is_free_in_a_child() -> None:
    lock = ForkSafeLock()
    with lock:
        child = os.fork()
        if child == 0:
            taken = threading.Thread(target=lock.__enter__, daemon=True)
            taken.start()
            taken.join(5)
            os._exit(taken.is_alive())
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_the_interpreter_keeps_nothing_of_ours_to_its_end() -> None:
    """What its hooks reach is looked through once more, and a hook of ours would reach the whole SDK."""
    program = """
import atexit
atexit.register(lambda: print(forks._beginnings))
from llm_adapter.translation import forks
from llm_adapter import OpenAI
assert len(forks._beginnings) > 1
"""
    assert prepared.run(program).stdout == "[]\n"
    package = Path(llm_adapter.__file__).parent
    hooks = {file.name for file in package.rglob("*.py") if "os.register_at_fork(" in file.read_text("utf-8")}
    assert hooks == {"forks.py", "store.py"}  # the latter's are methods of a lock, which reach nothing


def test_local_only_believes_no_old_answer(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that later leads to a cloud model takes no prompt along."""
    now = [1_000_000.0]
    monkeypatch.setattr("llm_adapter.client.requests.time.time", lambda: now[0])
    router = respx.mock(assert_all_called=False)
    ollama = Server(router, PRIVATE)
    ollama.answer("/api/chat", body=REPLY)

    def script(client: llm_adapter.OpenAI) -> object:
        ollama.answer("/api/show", body={"capabilities": ["completion"]})
        yield client.chat.completions.create(model="m", messages=HI)
        ollama.answer("/api/show", body={"remote_host": "https://ollama.com:443"})
        now[0] += 5
        yield client.chat.completions.create(model="m", messages=HI)

    with router, pytest.raises(openai.PermissionDeniedError, match=r"runs at https://ollama\.com"):
        play(script, settings=Settings(provider="ollama", host=PRIVATE, local_only=True))


def test_a_preload_that_failed_is_tried_again(play: Play, ollama: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pause between, for each call would wait for it."""
    now = [1_000_000.0]
    monkeypatch.setattr("llm_adapter.client.requests.time.time", lambda: now[0])
    ollama.answer("/api/chat", body=REPLY)
    ollama.answer("/api/generate", 500, {"error": "out of memory"})

    def script(client: llm_adapter.OpenAI) -> object:
        ask = lambda: client.chat.completions.create(model="m", messages=HI)  # noqa: E731
        with pytest.warns(AdapterWarning, match="`preload`: out of memory"):
            yield ask()
        loads = ollama.answer("/api/generate", body={"done": True})
        yield ask()
        now[0] += 60
        yield ask()
        yield ask()
        return loads.call_count

    assert play(script, settings=Settings(provider="ollama", host=HOST, preload=("m",))) == 2


def test_preload_pulls_where_a_profile_pulls(play: Play) -> None:
    """The fake has nothing to pull, and says so: it was asked."""
    with serving("ollama@0.32", models=["other"]) as fake:
        fake.script("Hi")
        settings = fake.settings(preload=("m",), pull="missing", models={"gpt-4o": "other"})
        with pytest.warns(AdapterWarning, match="pulling 'm' failed"):
            play(ask, settings=settings)


def ask(client: llm_adapter.OpenAI) -> object:
    return (yield client.chat.completions.create(model="gpt-4o", messages=HI))


def test_a_server_that_was_started_anew_is_recognised_anew(play: Play) -> None:
    with serving("llamacpp") as first:
        port = int(first.url.rpartition(":")[2])
        first.script("Hi")
        settings = Settings(provider="openai", base_url=first.base_url)
        play(ask, settings=settings, api_key="k")
    with pytest.raises(openai.APIConnectionError):
        play(ask, settings=settings, api_key="k")
    with serving("vllm", port=port) as second:
        second.script("Hi")
        play(ask, settings=settings, api_key="k")
        assert "/v1/models" in [request.path for request in second.requests]
