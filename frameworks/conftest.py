"""The two backends that every framework is run on, a clean environment, and no way out of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from process import Backend, Outcome, backend, run_program
from pydantic import BaseModel
from replay import replaying

from llm_adapter import AsyncOpenAI, OpenAI, Settings

_VARIABLES = ("OPENAI_", "OLLAMA_", "LLM_ADAPTER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
for name in [name for name in os.environ if name.upper().startswith(_VARIABLES)]:
    del os.environ[name]
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import fetches a table of prices from GitHub

# What both the tiny model and the recordings know; temperature 0 makes the embedded one repeatable.
MODEL = "tiny"
HELLO, GREETING = "Hello", "Hello! How can I help you today?"
COUNT, COUNTED = "Count to 5", "1, 2, 3, 4, 5"
ANA = "Return JSON for a person named Ana aged 30."
PARIS, SUNNY, REPORT = "What is the weather in Paris?", "18 degrees and sunny", "It is 18 degrees and sunny in Paris."
CITIES = "What is the weather in Paris and Rome?"


class Person(BaseModel):
    name: str
    age: int


embedded_only = pytest.mark.parametrize("settings", ["embedded"], indirect=True)
# What was asked is in the list of the fake's requests; the embedded model keeps none.
ollama_only = pytest.mark.parametrize("destination", ["ollama"], indirect=True)


@pytest.fixture(scope="session", params=["embedded", "ollama"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    if request.param == "embedded":
        yield Settings(provider="embedded")
    else:
        with replaying() as host:
            yield Settings(provider="ollama", host=host)


@pytest.fixture
def client(settings: Settings) -> Iterator[OpenAI]:
    with OpenAI(settings=settings, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module", params=["embedded", "ollama"])
def destination(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The embedded models, or a fake Ollama with a script: for frameworks whose own prompts no recording has."""
    with backend(request.param) as one:
        yield one


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, destination: Backend, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the program of the test's module gave, unmodified under `llm-adapter run`, on each destination.

    The module says which: PROGRAM; the fake's TURNS, in the order of the program's chat calls; and its ENVIRONMENT,
    variables that its users set, such as those that switch off telemetry.
    """
    module = request.module
    destination.script(*module.TURNS)
    ended = run_program(
        destination, module.PROGRAM, tmp_path_factory.mktemp("program"), getattr(module, "ENVIRONMENT", {})
    )
    ended.check()
    return ended


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The current event loop, which the `run_sync` of the frameworks uses as well."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return loop.run_until_complete


@pytest.fixture
def async_client(settings: Settings, loop: asyncio.AbstractEventLoop) -> Iterator[AsyncOpenAI]:
    client = AsyncOpenAI(settings=settings, max_retries=0)
    yield client
    loop.run_until_complete(client.close())


@pytest.fixture
def guide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Runs the documents' recipe for a framework, its profiles moved to the embedded llama.cpp; what it made."""
    text = (Path(__file__).parent.parent / "docs" / "frameworks.md").read_text("utf-8")

    def run(name: str) -> dict[str, Any]:
        (profiles,) = re.findall(r"<!-- file: llm_adapter.toml -->\n```toml\n(.*?)^```", text, re.M | re.S)
        (recipe,) = re.findall(rf"<!-- framework: {name} -->\n```python\n(.*?)^```", text, re.M | re.S)
        (tmp_path / "llm_adapter.toml").write_text(profiles, "utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
        namespace: dict[str, Any] = {}
        exec(compile(recipe, "docs/frameworks.md", "exec"), namespace)
        return namespace

    return run


@pytest.fixture(scope="session", autouse=True)
def _stay_here() -> Iterator[None]:
    """Refuse every connection that leaves this machine, in any thread, and fail when one was tried."""
    left: list[Any] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        if host not in ("127.0.0.1", "::1", "localhost", None):
            left.append(host)
            raise PermissionError(f"a test tried to reach {host!r}")

    sys.addaudithook(hook)
    yield
    assert left == []
