"""What a local Ollama has pulled: its folder is read, and never written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import Play, every

from llm_adapter import Settings, SettingsError
from llm_adapter.providers.embedded import ollama_store
from llm_adapter.providers.embedded.models import CHAT_MODEL, EMBEDDING_MODEL, resolve
from llm_adapter.providers.embedded.names import OllamaName
from llm_adapter.providers.embedded.provider import Embedded

KIND = "application/vnd.ollama.image."


class Store:
    """An Ollama's folder, as server/images.go writes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True)

    def add(self, name: str, **layers: bytes) -> None:
        """A model by its place below the manifests: "registry.ollama.ai/library/tiny/latest"."""
        listed = [
            {"mediaType": KIND + kind, "digest": self.blob(data), "size": len(data)} for kind, data in layers.items()
        ]
        manifest = self.root / "manifests" / name
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": listed}), encoding="utf-8")

    def blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (self.root / "blobs" / f"sha256-{digest}").write_bytes(data)
        return f"sha256:{digest}"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    return Store(tmp_path / "models")


@pytest.fixture
def own() -> Iterator[Embedded]:
    provider = Embedded()
    yield provider
    provider.stop()


LIBRARY = "registry.ollama.ai/library"


def test_a_model_and_what_its_maker_set(store: Store) -> None:
    store.add(
        f"{LIBRARY}/pirate/latest",
        model=b"GGUF model",
        projector=b"GGUF eyes",
        adapter=b"GGUF adapter",
        params=b'{"temperature": 0.5}',
        system=b"You are a pirate.",
        messages=b'[{"role": "user", "content": "Hi"}]',
        template=b"{{ .Prompt }}",
    )
    found = ollama_store.find(OllamaName("pirate"))
    assert found.projector is not None
    files = [found.file, found.projector, *found.adapters]
    assert [one.read_bytes() for one in files] == [b"GGUF model", b"GGUF eyes", b"GGUF adapter"]
    assert (found.params, found.system) == ({"temperature": 0.5}, "You are a pirate.")
    assert found.messages == ({"role": "user", "content": "Hi"},)


def test_parameters_that_mean_nothing_to_llamacpp(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    params = b'{"temperature": 0.5, "num_ctx": 512, "num_gpu": 1, "mirostat": 2}'
    store.add(f"{LIBRARY}/x/latest", model=CHAT_MODEL.read_bytes(), params=params)
    for _ in range(2):
        resolve("ollama:x", Settings(provider="embedded"))
    assert caplog.messages == ["ollama:x: llama.cpp has no counterpart of its maker's `mirostat`"]


def test_names(store: Store) -> None:
    for name in (f"{LIBRARY}/tiny/latest", f"{LIBRARY}/qwen3/8b", "hf.co/o/r/Q4_0"):
        store.add(name, model=b"GGUF")
    assert [ollama_store.named(one) for one in ollama_store.pulled()] == [
        "ollama:hf.co/o/r:Q4_0",
        "ollama:qwen3:8b",
        "ollama:tiny",
    ]


BROKEN: dict[str, Any] = {
    "no GGUF": ({"image.tensor": b"x"}, "runs in Ollama alone"),
    "params that are no JSON": ({"model": b"GGUF", "params": b"{"}, "is not JSON"),
}


@pytest.mark.parametrize(("layers", "said"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_used(layers: dict[str, bytes], said: str, store: Store) -> None:
    store.add(f"{LIBRARY}/x/latest", **layers)
    with pytest.raises(SettingsError, match=said):
        ollama_store.find(OllamaName("x"))


def test_a_file_that_is_missing(store: Store) -> None:
    store.add(f"{LIBRARY}/x/latest", model=b"GGUF")
    next((store.root / "blobs").iterdir()).unlink()
    with pytest.raises(SettingsError, match="ollama pull x"):
        ollama_store.find(OllamaName("x"))


def test_a_folder_that_may_not_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages for Linux give it to a user of its own."""
    store.add(f"{LIBRARY}/x/latest", model=b"GGUF")

    def refused(path: Path, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(SettingsError, match="usermod -aG ollama"):
        ollama_store.find(OllamaName("x"))


def test_calls_of_models_of_an_ollama(store: Store, own: Embedded) -> None:
    """By the names of a table: each model has its server, replies and the list carry the names, and nothing is written.

    What the maker set holds where a call says nothing else: here the first words and the longest reply.
    """
    params = b'{"num_predict": 3, "num_ctx": 512, "temperature": 0}'
    store.add(f"{LIBRARY}/tiny/latest", model=CHAT_MODEL.read_bytes(), params=params, system=b"You are brief.")
    store.add(f"{LIBRARY}/embed/v1", model=EMBEDDING_MODEL.read_bytes())
    before = sorted((str(one), os.stat(one).st_mtime_ns) for one in store.root.rglob("*"))
    table = {"gpt-4o": "ollama:tiny", "text-embedding-3-small": "ollama:embed:v1", "gone": "ollama:gone"}
    call: Any = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}

    def script(client: Any) -> Any:
        create = client.chat.completions.create
        short = yield create(model="gpt-4o", **call)
        assert (short.usage.completion_tokens, short.model) == (3, "gpt-4o")
        for more in ({}, {"n": 2}):
            chunks = yield every((yield create(model="gpt-4o", stream=True, **call, **more)))
            assert ({one.model for one in chunks}, chunks[-1].adapter.model) == ({"gpt-4o"}, "ollama:tiny")
        answer = yield client.responses.create(model="gpt-4o", input="Hello")
        assert answer.model == "gpt-4o"
        whole = yield create(model="ollama:tiny", max_tokens=20, **call)
        bare = [{"role": "system", "content": ""}, *call["messages"]]
        without = yield create(model="gpt-4o", max_tokens=20, messages=bare)
        assert whole.usage.prompt_tokens > without.usage.prompt_tokens
        with pytest.raises(openai.BadRequestError) as caught:
            yield create(model="gpt-4o", messages=[{"role": "user", "content": "word " * 600}])
        assert caught.value.code == "context_length_exceeded"
        vectors = yield client.embeddings.create(model="text-embedding-3-small", input="a")
        assert (len(vectors.data[0].embedding), vectors.model) == (96, "text-embedding-3-small")
        for name, said in (("gone", "embed:v1, ollama:tiny"), ("qwen3:235b", "gpt-4o, text-embedding-3-small, gone")):
            with pytest.raises(openai.NotFoundError, match=said) as missing:
                yield create(model=name, **call)
            assert missing.value.code == "model_not_found"
        with pytest.raises(SettingsError, match="embeds texts, and does not chat"):
            yield create(model="text-embedding-3-small", **call)
        return [one.id for one in (yield client.models.list()).data], (yield client.models.retrieve("gpt-4o")).id

    listed, one = Play("async")(script, settings=Settings(provider=own, models=table), max_retries=0)
    assert (listed, one) == (["gpt-4o", "text-embedding-3-small", "gone"], "gpt-4o")
    assert sorted((str(one), os.stat(one).st_mtime_ns) for one in store.root.rglob("*")) == before
