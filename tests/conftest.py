"""What every test stands on: a clean environment, a sync and an async client, and a mocked Ollama on the wire."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import respx
from hypothesis import HealthCheck, settings
from respx.mocks import HTTPCoreMocker

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.translation.process_cache import clear_caches

# respx patches the transport of httpx; the SDK has run on httpx2 since 3.0. To patch both costs each test double.
if find_spec("httpcore2") is not None:
    # Its errors are known by class: a copy that is imported within a test of tests goes with that test.
    import_module("httpcore2")
    HTTPCoreMocker.targets[:] = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]

# A busy machine is no reason for a test to fail, so nothing judges how long an example takes. The parent is named
# because hypothesis starts from another profile where it sees a CI machine, and no test must see where it runs.
# Fewer examples than hypothesis's own hundred: `--hypothesis-profile=thorough` looks for longer.
settings.register_profile(
    "any_machine",
    settings.get_profile("default"),
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("any_machine"), max_examples=1000)
settings.load_profile("any_machine")

pytest_plugins = ["pytester"]
gc.set_threshold(20_000, 50, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than there are processors: many tests wait for a process, and a processor would wait with them."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (processors or 1) + 1


def pytest_collection_finish() -> None:
    """Thousands of tests live as long as the run, and all that they import: the collector need not look through them.

    It did again and again, and for a fifth of a second where a test asks for a collection.
    """
    gc.freeze()


HOST = "http://ollama.test:11434"
HI: list[Any] = [{"role": "user", "content": "Hello"}]
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2, "total_duration": 9}
_VARIABLES = ("OPENAI_", "OLLAMA_", "LLM_ADAPTER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# What a terminal or a CI machine says of itself: cassettes are not recorded there, pages are as wide as it says, and in
# colour. A test that is about one of them sets it.
_SURROUNDINGS = {
    *("CI", "GITHUB_ACTIONS", "BUILD_NUMBER", "PY_COLORS", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"),
    *("COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"),
}


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Finds a folder into which nobody has written. To make one for each test costs as much as many a test does."""
    folders: list[Path] = []

    def find() -> Path:
        if not folders or os.listdir(folders[-1]):
            folders.append(tmp_path_factory.mktemp("empty"))
        return folders[-1]

    return find


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, empty_folder: Callable[[], Path]) -> None:
    """No variable that we read and no file of the machine's reaches a test."""
    for name in list(os.environ):
        if name in _SURROUNDINGS or name.upper().startswith(_VARIABLES):
            monkeypatch.delenv(name)
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else empty_folder()
    monkeypatch.setenv("TERM", "xterm")  # on a dumb one rich has no width but its own, and no colours
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("LLM_ADAPTER_TRUST", str(folder))  # a test's own files are no stranger's
    monkeypatch.chdir(folder)


@pytest.fixture(scope="session", autouse=True)
def no_machines_certificates() -> Iterator[None]:
    """Reading them is most of what making a client costs, and no test reaches a public host."""
    load = ssl.SSLContext.load_verify_locations

    def own(context: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        if cadata is not None:  # a test's own authority
            load(context, cadata=cadata)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", own)
        yield


class Run:
    """One action, run by a sync or by an async client: `run(lambda client: client.models.list())`."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def __call__(self, action: Callable[[Any], Any], **options: Any) -> Any:
        return self._run(action, lambda reply: reply, options)

    def stream(self, action: Callable[[Any], Any], **options: Any) -> list[Any]:
        """All chunks of a streamed call."""
        return self._run(action, list, options)  # type: ignore[no-any-return]

    def _run(self, action: Callable[[Any], Any], collect: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        options = {"settings": Settings(provider="ollama", host=HOST), "max_retries": 0, **options}
        if self.mode == "sync":
            with OpenAI(**options) as client:
                return collect(action(client))

        async def main() -> Any:
            async with AsyncOpenAI(**options) as client:
                reply = await action(client)
                return reply if collect is not list else [chunk async for chunk in reply]

        return asyncio.run(main())


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


class Server:
    """A mocked server: say what it answers, look at what it was sent."""

    def __init__(self, router: respx.MockRouter, root: str) -> None:
        self._router = router
        self._root = root
        self.answer("/api/ps", body={"models": []}, method="GET")
        self.answer("/api/tags", body={"models": []}, method="GET")

    @property
    def _calls(self) -> list[Any]:
        """What was asked, but for what is asked beside a call."""
        aside = ("/api/ps", "/api/show", "/api/tags")
        return [one.request for one in self._router.calls if one.request.url.path not in aside]

    def answer(
        self, path: str, status: int = 200, body: Any = None, *, method: str = "POST", **headers: str
    ) -> respx.Route:
        """Answer with JSON, with text, or - for a list of dictionaries - with lines of JSON."""
        if isinstance(body, list):
            body = "".join(json.dumps(line) + "\n" for line in body)
        content = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return self._router.request(method, self._root + path).respond(status, content=content, headers=headers)

    @property
    def request(self) -> Any:
        """The last request that left."""
        return self._calls[-1] if self._calls else self._router.calls.last.request

    @property
    def sent(self) -> Any:
        """Its JSON."""
        return json.loads(self.request.content)

    @property
    def count(self) -> int:
        return len(self._calls)


@pytest.fixture
def ollama() -> Iterator[Server]:
    clear_caches()
    with respx.mock(assert_all_called=False) as router:
        yield Server(router, HOST)


@pytest.fixture
def tried(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """`tried(source, *options)`: what pytest says of a test module, with our plugin alone; in this process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take most of the time
    ours = ("-p", "llm_adapter", "-p", "no:cacheprovider", "--strict-markers")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*ours, *options, "-W", "ignore::pytest.PytestAssertRewriteWarning")

    return run
