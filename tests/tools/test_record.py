"""tools/record.py: a server's answers to the requests of recordings that are there already."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from llm_adapter.testing import serving

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "recordings" / "ollama-0.24.0"


@pytest.fixture
def record() -> Any:
    spec = importlib.util.spec_from_file_location("record", ROOT / "tools" / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.record


def test_a_server_is_recorded(record: Any, tmp_path: Path) -> None:
    """The requests stay, the answers are this server's: whole replies, streams and refusals."""
    for name in ("chat", "chat_stream", "model_missing", "models"):
        (tmp_path / f"{name}.json").write_text((RECORDINGS / f"{name}.json").read_text("utf-8"), "utf-8")
    to = tmp_path / "ollama-0.32.99"
    with serving("ollama@0.32", models=["tiny", "tiny-embed"]) as fake:
        fake.script("Recorded.", repeat=True)
        written = record(tmp_path, to, fake.url)
    assert sorted(path.name for path in written) == [
        "chat.json",
        "chat_stream.json",
        "model_missing.json",
        "models.json",
    ]
    chat, stream, missing = (
        json.loads((to / f"{name}.json").read_text("utf-8")) for name in ("chat", "chat_stream", "model_missing")
    )
    before = json.loads((RECORDINGS / "chat.json").read_text("utf-8"))
    assert chat["server"] == "ollama 0.32.99"
    assert [one["request"] for one in chat["native"]] == [one["request"] for one in before["native"]]
    assert json.loads(chat["native"][0]["body"])["message"]["content"] == "Recorded."
    assert stream["native"][0]["content_type"] == "application/x-ndjson"
    assert stream["v1"][0]["body"].endswith("data: [DONE]\n\n")
    assert {one["status"] for one in missing["native"]} == {404}
