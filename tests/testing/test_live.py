"""`live_ollama`: found, given models, left as it was. pytest itself runs here, on a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm_adapter.testing.live import settings

pytest_plugins = ["pytester"]
TESTS = """
import pytest

@pytest.mark.live_ollama
def test_marked():
    pass

def test_fixture(live_ollama):
    assert live_ollama.version == "0.24.0"
    assert live_ollama.models == ["tiny:latest"]
"""
PULLED = [{"status": "pulling manifest"}, {"status": "success"}]


class Ollama(ThreadingHTTPServer):
    """An Ollama that has a model, pulls others, and loads what is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.installed = ["tiny:latest"]
        self.loaded: list[str] = []
        self.pulls: list[str] = []
        self.unloaded: list[str] = []
        self.pulling: list[Any] = PULLED

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Ollama

    def do_GET(self) -> None:
        names = self.server.loaded if self.path == "/api/ps" else self.server.installed
        models = [{"name": name, "model": name} for name in names]
        self.reply({"version": "0.24.0"} if self.path == "/api/version" else {"models": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = body.get("model") or ""
        if self.path == "/api/pull":
            self.server.pulls.append(name)
            if self.server.pulling[-1] == PULLED[-1]:
                self.server.installed.append(name)
            return self.reply(*self.server.pulling)
        if self.path == "/api/generate" and body.get("keep_alive") == 0:
            self.server.unloaded.append(name)
            self.server.loaded = [one for one in self.server.loaded if one != name]
        else:
            self.server.loaded.append(name if ":" in name else f"{name}:latest")
        message = {"role": "assistant", "content": "Hello"}
        return self.reply({"model": name, "message": message, "response": "", "done": True, "done_reason": "stop"})

    def reply(self, *lines: Any) -> None:
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Ollama]:
    with Ollama() as one:
        thread = threading.Thread(target=lambda: one.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


class Tried:
    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: Ollama) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self._host = server.host

    def __call__(self, source: str, *options: str, host: str = "") -> Any:
        self._monkeypatch.setenv("OLLAMA_HOST", host or self._host)
        self._pytester.makepyfile(source)
        options = ("-p", "no:cacheprovider", "--strict-markers", "-rs", "-Werror", *options)
        if not host:
            return self._pytester.runpytest_inprocess("-p", "no:xdist", *options)
        # HTTP's own errors are two classes where a pytest in this process imports them a second time.
        self._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take most of the time
        return self._pytester.runpytest_subprocess("-p", "llm_adapter", *options)


@pytest.fixture
def tried(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: Ollama) -> Tried:
    return Tried(pytester, monkeypatch, server)


def ensuring(body: str) -> str:
    return f"def test_it(live_ollama):\n    {body}\n"


ASK = """
def ask(client, model="m"):
    messages = [{"role": "user", "content": "Hello"}]
    return client.chat.completions.create(model=model, messages=messages)
"""


def test_found(tried: Tried) -> None:
    tried(TESTS).assert_outcomes(passed=2)


def test_none_runs(tried: Tried) -> None:
    """The tests are skipped, with the line that starts one."""
    result = tried(TESTS, host="127.0.0.1:9")
    said = "live_ollama: no Ollama answers at http://127.0.0.1:9 (*refused*): start one with `ollama serve`*"
    result.stdout.fnmatch_lines([f"*{said}"])
    result.assert_outcomes(skipped=2)


@pytest.mark.parametrize("options", [(), ("--llm-require",)], ids=["skips", "fails where it is required"])
def test_a_server_that_is_another(
    tried: Tried, server: Ollama, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send_error(404))
    result = tried(TESTS, *options)
    assert f"live_ollama: http://{server.host} is no Ollama that can be used: it answered 404" in result.stdout.str()
    result.assert_outcomes(**({"errors": 2} if options else {"skipped": 2}))


def test_a_model_that_is_installed(tried: Tried, server: Ollama) -> None:
    tried(ensuring("assert live_ollama.ensure_model('tiny') == 'tiny'")).assert_outcomes(passed=1)
    assert server.pulls == []


def test_a_missing_model_is_pulled_once(tried: Tried, server: Ollama) -> None:
    tried(ensuring("[live_ollama.ensure_model('qwen3:0.6b') for _ in '12']")).assert_outcomes(passed=1)
    assert server.pulls == ["qwen3:0.6b"]


def test_pulling_is_not_allowed(tried: Tried, server: Ollama) -> None:
    result = tried(ensuring("live_ollama.ensure_model('qwen3:0.6b')"), "--llm-no-pull")
    result.assert_outcomes(skipped=1)
    assert "'qwen3:0.6b' is not installed, and --llm-no-pull is given: `ollama pull qwen3:0.6b`" in result.stdout.str()
    assert server.pulls == []


def test_pulling_is_not_possible(tried: Tried, server: Ollama) -> None:
    """Without a network."""
    server.pulling = [{"error": 'pull model manifest: Get "https://registry.test/v2": dial tcp: no such host'}]
    result = tried(ensuring("live_ollama.ensure_model('qwen3:0.6b')"))
    result.assert_outcomes(skipped=1)
    assert "live_ollama: 'qwen3:0.6b' is not installed, and could not be pulled" in result.stdout.str()
    assert "no such host" in result.stdout.str()


def test_a_model_that_does_not_exist(tried: Tried, server: Ollama) -> None:
    """A misspelt name is the test's own mistake, and no reason to skip it."""
    server.pulling = [{"error": "pull model manifest: file does not exist"}]
    result = tried(ensuring("live_ollama.ensure_model('quen3:0.6b')"))
    result.assert_outcomes(failed=1)
    assert "NotFoundError" in result.stdout.str()


@pytest.mark.parametrize(("before", "unloaded"), [([], ["tiny:latest"]), (["tiny:latest"], [])])
def test_what_it_loaded_is_unloaded(tried: Tried, server: Ollama, before: list[str], unloaded: list[str]) -> None:
    """What was in memory before stays there, as does what others load."""
    server.loaded = [*before, "others:1b"]
    source = ASK + ensuring("ask(live_ollama.client(), live_ollama.ensure_model('tiny'))")
    tried(source).assert_outcomes(passed=1)
    assert server.unloaded == unloaded
    assert "others:1b" in server.loaded


def test_a_server_that_goes_away(tried: Tried, server: Ollama) -> None:
    """There is nothing to unload then."""
    server.loaded = []
    source = ensuring("live_ollama.ensure_model('tiny'); live_ollama._client.base_url = 'http://127.0.0.1:9/v1'")
    tried(source).assert_outcomes(passed=1)


def test_sync_and_async(tried: Tried) -> None:
    """With settings of their own, and no warning of a connection that is left open."""
    source = ASK + (
        "import asyncio\n"
        "def test_it(live_ollama):\n"
        "    client = live_ollama.client(num_ctx=4096, models={'gpt-4o-mini': 'tiny'})\n"
        "    assert client.settings.num_ctx == 4096\n"
        "    assert ask(client, 'gpt-4o-mini').model == 'tiny'\n"
        "    asked = asyncio.run(ask(live_ollama.async_client(models={'*': 'tiny'})))\n"
        "    assert asked.choices[0].message.content == 'Hello'\n"
    )
    tried(source).assert_outcomes(passed=1)


FILE = """
[profiles.box]
provider = "ollama"
host = "http://box.test:11434"
num_ctx = 4096

[profiles.cloud]
provider = "openai"
"""
PLACES = {
    "the usual port": ({}, "http://127.0.0.1:11434"),
    "OLLAMA_HOST": ({"OLLAMA_HOST": "0.0.0.0:11500"}, "http://127.0.0.1:11500"),
    "the profile": ({"LLM_ADAPTER_PROFILE": "box", "OLLAMA_HOST": "other.test"}, "http://box.test:11434"),
    "a profile that is not Ollama": (
        {"LLM_ADAPTER_PROFILE": "cloud", "OLLAMA_HOST": "lan.test"},
        "http://lan.test:11434",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_where_it_is(place: str, tmp_path: Any) -> None:
    (tmp_path / "llm_adapter.toml").write_text(FILE, encoding="utf-8")
    environ, host = PLACES[place]
    found = settings({"LLM_ADAPTER_TRUST": "1", **environ})
    assert (found.provider, found.host) == ("ollama", host)
    assert found.num_ctx == (4096 if place == "the profile" else None)
