"""The process of one model: what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from llm_adapter.providers.embedded.models import CHAT_MODEL
from llm_adapter.providers.embedded.process import PROGRAM
from llm_adapter.providers.embedded.server import Launch


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """All that such a process imports until its model is loaded; its input has ended by then, and so it ends."""
    pytest.importorskip("xllamacpp")
    launch = Launch(str(CHAT_MODEL), "tiny", is_small=True)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", PROGRAM, *sys.path],
        input=f"{{}}\n{json.dumps(asdict(launch))}\n",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )
    cards, address = map(json.loads, done.stdout.splitlines())
    assert (list(cards), done.returncode) == (["free"], 0)
    assert address["root"].startswith("http://127.0.0.1:")
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"xllamacpp", "llm_adapter.providers.embedded.child"} <= found
    return found


@pytest.mark.parametrize("name", ["openai", "pydantic", "httpx", "httpx2", "anyio", "ollama", "jsonschema"])
def test_a_models_process_is_lean(imported: set[str], name: str) -> None:
    """The SDK took most of the time until a small model was there, and memory for as long as it ran."""
    assert name not in imported


def test_a_models_process_has_no_more_of_ours_than_it_needs(imported: set[str]) -> None:
    ours = {one for one in imported if one.startswith("llm_adapter.providers.embedded.")}
    assert ours == {f"llm_adapter.providers.embedded.{name}" for name in ("child", "server")}
