"""What an import and a client load, open and reach, and what is not loaded before it is used: in one new process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import openai
import pytest

PROBE = """
import sys, json
events = []
sys.addaudithook(lambda name, given: events.append((name, str(given[0]) if given else "")))
import llm_adapter
client = llm_adapter.OpenAI(settings=llm_adapter.Settings(provider="ollama"))
touched = [path for name, path in events if name == "open" and path.endswith((".toml", ".env", ".json"))]
reached = [name for name, _ in events if name in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen")]
clients = sorted(sys.modules)
client.models
models = sorted(sys.modules)
missing = dict.fromkeys(("pytest", "typer", "rich"))
sys.modules.update(missing)
from llm_adapter.testing.contract import profiles, run
for name in missing:
    del sys.modules[name]
import llm_adapter.cli.app
command = sorted(sys.modules)
print(json.dumps(dict(touched=touched, reached=reached, clients=clients, models=models, command=command)))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A new process, in a folder with configuration. It comes to its end: the contract suite, which the extra `testing`
    alone runs and `verify` with the extra `cli` alone, needs neither pytest nor a terminal's library.
    """
    folder = tmp_path_factory.mktemp("fresh")
    (folder / "llm_adapter.toml").write_text("nonsense = 1\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LEAN = {
    *("ollama", "typer", "rich", "xllamacpp", "httpx", "respx", "pytest"),
    *(f"llm_adapter.{name}" for name in ("cli", "testing", "devtools", "serve", "batch", "installation")),
    *(f"llm_adapter.{name}" for name in ("management", "shadow", "comparison", "traffic.report")),
    *("llm_adapter.client.other_profiles", "llm_adapter.client.fallback", "llm_adapter.providers.embedded"),
    *("llm_adapter.routing.detours", "llm_adapter.routing.unreachable"),
    *(f"llm_adapter.translation.{name}" for name in ("unavailable", "reasoning", "overflow", "reply_shapes")),
}


def test_importing_is_lean(fresh: Any) -> None:
    """What only some use is loaded by those who use it; an SDK before 3.0 is itself one who uses httpx."""
    before_3 = {"httpx"} if int(openai.__version__.partition(".")[0]) < 3 else set()
    assert LEAN & set(fresh["clients"]) - before_3 == set()


def test_importing_does_nothing(fresh: Any) -> None:
    """No configuration is read and nothing is reached, by the import or by a client with settings of its own."""
    assert (fresh["touched"], fresh["reached"]) == ([], [])


def test_the_ollama_package_is_loaded_by_what_needs_it(fresh: Any) -> None:
    """By a call that manages models, and not by `client.models` alone."""
    assert "llm_adapter.management" in fresh["models"]
    assert "ollama" not in fresh["models"]


def test_the_command_line_starts_without_libcst(fresh: Any) -> None:
    assert "typer" in fresh["command"]
    assert "libcst" not in fresh["command"]
