"""`models` and `demo` with models that no server has: a hub's cache, and Ollama's folder, which is only read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, Ollama, command, server
from hub import FakeHub, fake_hub

from llm_adapter.cli import real_models
from llm_adapter.providers.embedded.fit import need_of, usual_context
from llm_adapter.providers.embedded.gguf import Header
from llm_adapter.providers.embedded.models import CHAT_MODEL
from llm_adapter.settings.sizes import size_text

pytest.importorskip("huggingface_hub")
__all__ = ["command", "server"]
NAME = "hf:o/r:Q4_K_M"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with one repository, an empty cache and an empty folder of Ollama's; nothing is configured."""
    with fake_hub() as found:
        found.repositories["o/r"] = {"a-Q4_K_M.gguf": b"GGUF" * 300, "a-Q8_0.gguf": b"GGUF" * 600}
        for name, value in {
            "HF_ENDPOINT": found.address,
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "*",
            "OLLAMA_MODELS": str(tmp_path / "ollama"),
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        yield found


def pulled_by_ollama(root: Path, name: str, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    blob = root / "blobs" / f"sha256-{digest}"
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / "latest"
    for path in (blob, manifest):
        path.parent.mkdir(parents=True)
    blob.write_bytes(data)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": len(data)}
    manifest.write_text(json.dumps({"layers": [layer]}))


def test_pull_ls_and_rm(command: Command, there: FakeHub, tmp_path: Path) -> None:
    assert "`llm-adapter models pull NAME`" in command("models", "ls").out
    steps = [json.loads(line) for line in command("models", "pull", NAME, "--json").out.splitlines()]
    assert (steps[-1]["phase"], steps[-1]["percent"], steps[-1]["total"]) == ("done", 100, 1200)
    assert "downloading a-Q4_K_M.gguf" in [step["status"] for step in steps]
    there.asked.clear()
    assert "in the cache already: 1.2 kB" in command("models", "pull", NAME).out
    assert there.asked == []
    pulled_by_ollama(tmp_path / "ollama", "tiny", b"GGUF" * 500)
    listed = command("models", "ls").out.splitlines()
    assert [line.split()[:3] for line in listed] == [
        ["name", "size", "owner"],
        [NAME, "1.2", "kB"],
        ["ollama:tiny", "2.0", "kB"],
    ]
    assert [(one["id"], one["size"]) for one in command("models", "ls", "--json").json] == [
        (NAME, 1200),
        ("ollama:tiny", 2000),
    ]
    assert command("models", "rm", NAME).out == f"deleted {NAME}\n"
    assert f"{NAME} is not in the cache" in command.mistake("models", "rm", NAME)
    assert [one["id"] for one in command("models", "ls", "--json").json] == ["ollama:tiny"]


@pytest.mark.parametrize("verb", ["pull", "rm"])
def test_ollamas_folder_is_only_read(verb: str, command: Command, there: FakeHub, tmp_path: Path) -> None:
    pulled_by_ollama(tmp_path / "ollama", "tiny", b"GGUF")
    assert "`ollama rm tiny`" in command.mistake("models", verb, "ollama:tiny")
    assert len([one for one in (tmp_path / "ollama").rglob("*") if one.is_file()]) == 2


def test_local_only_asks_no_hub(command: Command, there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_LOCAL_ONLY", "true")
    assert "`local_only` is set" in command.mistake("models", "pull", NAME)
    assert there.asked == []


def test_a_server_lists_its_own(command: Command, there: FakeHub, server: Ollama) -> None:
    """What is stored here is nothing that it could run."""
    command("models", "pull", NAME)
    server.answers |= {"/api/tags": {"models": [{"name": "m"}]}, "/api/delete": {}}
    assert [one["id"] for one in command("models", "ls", "--json").json] == ["m"]
    assert [one["deleted"] for one in command("models", "rm", NAME, "m", "--json").json] == [True, True]
    assert server.bodies("/api/delete") == [{"model": "m"}]


def test_the_demo_shows_the_way_on(command: Command, there: FakeHub, tmp_path: Path) -> None:
    """A model of this machine, or a small one of a hub, each with its size and what it needs."""
    [small] = real_models.suggestions()
    assert "demo --model hf:" in small
    pulled_by_ollama(tmp_path / "ollama", "tiny", CHAT_MODEL.read_bytes())
    command("models", "pull", NAME)  # it is no GGUF file, and so no model that could be named
    [own] = real_models.suggestions()
    assert own.startswith("llm-adapter demo --model ollama:tiny  (")
    assert re.search(r"\d MB on disk, .* of memory with a context of \d+ tokens\)$", own)


def test_the_demo_on_a_model_of_a_hub(there: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    """It is downloaded once, and what it needs is said before it is loaded."""
    there.repositories["o/chat"] = {"tiny-Q8_0.gguf": CHAT_MODEL.read_bytes()}
    settings = real_models.real_model("hf:o/chat")
    assert (settings.provider, settings.model_path) == ("embedded", "hf:o/chat")
    said = capsys.readouterr().out
    assert re.search(r"hf:o/chat: \S+ MB to download", said)
    assert "of memory with a context of" in said
    downloads = len(there.downloads)
    real_models.real_model("hf:o/chat")
    assert "to download" not in capsys.readouterr().out
    assert len(there.downloads) == downloads


@pytest.mark.parametrize(
    ("name", "words"),
    [("hf:o/none", "no such repository"), ("ollama:none", "not found"), ("none.gguf", "no GGUF file"), (NAME, "GGUF")],
)
def test_a_demo_that_has_no_model(name: str, words: str, command: Command, there: FakeHub) -> None:
    result = command("demo", "--model", name)
    assert (result.code, words in result.err, "Traceback" in result.err) == (1, True, False)


def test_what_the_small_model_needs() -> None:
    """By the bytes of its file on the hub, its layers, and the 896 MiB that llama.cpp allocates for their context."""
    keys = {"block_count": 28, "embedding_length": 1024, "context_length": 40_960, "attention.head_count": 16}
    keys |= {"attention.head_count_kv": 8, "attention.key_length": 128, "attention.value_length": 128}
    header = Header({"general.architecture": "qwen3", **{f"qwen3.{key}": value for key, value in keys.items()}})
    need = need_of(header, 639_446_688)
    assert need.cache(8192) == 896 << 20
    needs = f"{size_text(need.weights)} to download, {size_text(need.total(usual_context(header)))} of memory"
    assert ("hf:Qwen/Qwen3-0.6B-GGUF:Q8_0", needs) == real_models._SMALL
