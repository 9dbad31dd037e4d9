"""Models of the embedded llama.cpp by their files: what a header tells, what is refused, and which one a call means."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import Play

from llm_adapter import Settings, SettingsError
from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded.models import CHAT_MODEL, EMBEDDING_MODEL, configured, resolve
from llm_adapter.providers.embedded.process import ServerProcess
from llm_adapter.providers.embedded.provider import Embedded
from llm_adapter.providers.embedded.server import Launch, LlamaCppError, start_server

CHAT = CHAT_MODEL.read_bytes()
ASKED: Any = {
    "model": "m",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
}
EMBEDDED = Settings(provider="embedded")


def made(path: Path, *changes: tuple[bytes, bytes]) -> str:
    """The small chat model with other words of the same length in its header."""
    data = CHAT
    for old, new in changes:
        assert len(old) == len(new)
        assert old in data
        data = data.replace(old, new)
    path.write_bytes(data)
    return str(path)


NO_TEMPLATE = (b"tokenizer.chat_template", b"tokenizer.chat_nothing_")


@pytest.fixture
def own() -> Iterator[Embedded]:
    provider = Embedded()
    yield provider
    provider.stop()


def test_a_model_without_a_chat_template(own: Embedded, tmp_path: Path) -> None:
    """llama.cpp would take ChatML in silence; what is no chat needs none."""
    path = made(tmp_path / "bare.gguf", NO_TEMPLATE)

    def script(client: Any) -> Any:
        reply = yield client.completions.create(model="m", prompt="Hello", max_tokens=2)
        for call in (client.chat.completions.create(**ASKED), client.responses.create(model="m", input="Hello")):
            with pytest.raises(SettingsError, match=r"no chat template .* `chat_template = "):
                yield call
        return reply.usage.completion_tokens

    settings = Settings(provider=own, model_path=path, embedded_process=False)
    assert Play("async")(script, settings=settings) == 2


def test_a_chat_template_of_the_settings(own: Embedded, tmp_path: Path) -> None:
    path = made(tmp_path / "bare.gguf", NO_TEMPLATE)
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %} Two words", encoding="utf-8")

    def script(client: Any) -> Any:
        return (yield client.chat.completions.create(**ASKED, max_tokens=1)).usage.prompt_tokens

    def count(**settings: Any) -> Any:
        return Play("sync")(script, settings=Settings(provider=own, embedded_process=False, **settings))

    assert count(model_path=path, chat_template=str(template)) < count(model_path=path, chat_template="chatml")
    with pytest.raises(SettingsError, match="neither a file nor a Jinja template nor 'chatml': 'llama3'"):
        count(model_path=path, chat_template="llama3")


PROJECTOR = CHAT.replace(b"\5\0\0\0\0\0\0\0llama", b"\4\0\0\0\0\0\0\0clip", 1)
REFUSED = {
    "an embedding model": (EMBEDDING_MODEL.read_bytes(), "embeds texts, and does not chat"),
    "of Ollama's own engine": (CHAT.replace(b"\5\0\0\0\0\0\0\0llama", b"\6\0\0\0\0\0\0\0gptoss", 1), "cannot load"),
    "a projector": (PROJECTOR, "is no model itself"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    "cut": (CHAT[:3000], "The file is not complete"),
}


@pytest.mark.parametrize(("data", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_before_it_is_loaded(data: bytes, said: str, own: Embedded, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(SettingsError, match=said):
        own.start(Settings(provider=own, model_path=str(tmp_path / "model.gguf")), "/chat/completions")


def test_a_vision_tower_in_the_models_own_file(tmp_path: Path) -> None:
    """As Ollama's engine has it; llama.cpp finds too many tensors in it."""
    key = b"llama.feed_forward_length"
    path = tmp_path / "sees.gguf"
    new = b"llama.vision.block_count"
    path.write_bytes(CHAT.replace(struct.pack("<Q", len(key)) + key, struct.pack("<Q", len(new)) + new, 1))
    with pytest.raises(SettingsError, match="hf:owner/repo:QUANT"):
        resolve(str(path), EMBEDDED)


def test_a_split_model(tmp_path: Path) -> None:
    """Any part will do, and llama.cpp is given the first one."""
    for place in (1, 2):
        shutil.copy(CHAT_MODEL, tmp_path / f"m-{place:05}-of-00002.gguf")
    model = resolve(str(tmp_path / "m-00002-of-00002.gguf"), EMBEDDED)
    assert (model.file.name, model.size) == ("m-00001-of-00002.gguf", 2 * len(CHAT))
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(SettingsError, match="missing m-00002-of-00002"):
        resolve(str(tmp_path / "m-00001-of-00002.gguf"), EMBEDDED)


def test_a_blob_is_not_called_by_its_hash(tmp_path: Path) -> None:
    shutil.copy(CHAT_MODEL, tmp_path / "sha256-0123")
    assert resolve(str(tmp_path / "sha256-0123"), EMBEDDED).alias == "tiny-chat"


@pytest.mark.parametrize("name", ["none.gguf", "text.gguf"])
def test_a_projector_that_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no projector", encoding="utf-8")
    with pytest.raises(SettingsError, match="`mmproj_path`"):
        resolve("tiny-chat", Settings(provider="embedded", mmproj_path=str(tmp_path / name)))


def test_a_projector_and_adapters_reach_llamacpp(tmp_path: Path) -> None:
    """Which refuses these: they are none, but for their names."""
    path = tmp_path / "clip.gguf"
    path.write_bytes(PROJECTOR)
    for more in ({"projector": str(path)}, {"adapters": (str(path),)}):
        with pytest.raises(LlamaCppError, match="could not load"):
            start_server(Launch(str(CHAT_MODEL), "x", is_small=True, **more))


TABLE = {"gpt-4o": "/m/one.gguf", "small": "ollama:tiny"}
CONFIGURED: dict[str, Any] = {
    "no table": ({}, "gpt-4o", False, "tiny-chat"),
    "one model": ({"model_path": "/m/one.gguf"}, "gpt-4o", False, "/m/one.gguf"),
    "small ones in a table": ({"models": {"gpt-4o": "tiny-chat"}}, "tiny-chat", False, "tiny-chat"),
    "a table": ({"models": TABLE}, "ollama:tiny", False, "ollama:tiny"),
    "beside a table": ({"models": TABLE, "model_path": "/m/two.gguf"}, "two", False, "/m/two.gguf"),
    "embeddings beside a table": ({"models": TABLE, "embedding_model_path": "/m/e.gguf"}, "x", True, "/m/e.gguf"),
    "a small one beside a table": ({"models": TABLE}, "tiny-embed", True, "tiny-embed"),
    "no name": ({"models": TABLE}, None, False, "/m/one.gguf"),
    "no name, to embed": ({"models": {**TABLE, "text-embedding-3-small": "ollama:e"}}, None, True, "ollama:e"),
    "no name, to chat": ({"models": {"text-embedding-3-small": "ollama:e", **TABLE}}, None, False, "/m/one.gguf"),
}


@pytest.mark.parametrize(("settings", "name", "embeddings", "meant"), CONFIGURED.values(), ids=CONFIGURED)
def test_which_model_a_call_means(settings: Any, name: str | None, embeddings: bool, meant: str) -> None:
    assert configured(Settings(provider="embedded", **settings), name, embeddings=embeddings) == meant


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"models": TABLE}, "qwen3:235b"),
        ({"models": {"gpt-4o": "tiny-chat"}}, "qwen3:235b"),
        ({"models": {"gpt-4o": "qwen3:8b"}, "model_path": "/m/one.gguf"}, "qwen3:235b"),
        ({}, "hf:o/r"),
        ({"model_path": "/m/one.gguf"}, "hf:o/r"),
    ],
)
def test_a_model_that_the_profile_does_not_have(settings: Any, name: str) -> None:
    with pytest.raises(Rejected) as caught:
        configured(Settings(provider="embedded", **settings), name, embeddings=False)
    assert (caught.value.status, caught.value.error["code"]) == (404, "model_not_found")


def test_a_table_of_names_that_are_no_models(own: Embedded) -> None:
    """Of Ollama's names, beside provider `embedded`: the small model would have answered for them."""
    with pytest.raises(SettingsError, match=r"no GGUF file at qwen3:8b .*`ollama:qwen3:8b`"):
        own.start(Settings(provider=own, models={"*": "qwen3:8b"}), "/chat/completions")


def test_a_table_that_was_made_for_another_server() -> None:
    """Where a variable alone chooses this provider, one model answers to its names, as to all others."""
    loaded = Settings.load({"LLM_ADAPTER_PROVIDER": "embedded", "LLM_ADAPTER_MODELS": '{"gpt-4o": "qwen3:8b"}'})
    assert configured(loaded, "qwen3:8b", embeddings=False) == "tiny-chat"


def test_one_file_has_one_server(own: Embedded, tmp_path: Path) -> None:
    """Under two names, and by two calls at once; here it runs in this process, as the settings say."""
    path = made(tmp_path / "one.gguf")
    link = tmp_path / "link.gguf"
    link.symlink_to(path)

    def script(client: Any) -> Any:
        for name in ("a", "b"):
            yield client.completions.create(model=name, prompt="Hello", max_tokens=1)
        [(server, _)] = own._servers.values()
        return isinstance(server, ServerProcess)

    settings = Settings(provider=own, models={"a": path, "b": str(link)}, embedded_process=False)
    assert Play("sync")(script, settings=settings) is False


def test_images_without_a_projector(own: Embedded) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    call: Any = {"model": "m", "messages": [{"role": "user", "content": [part]}]}

    def script(client: Any) -> Any:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError, match="`mmproj_path`") as caught:
                yield client.chat.completions.create(**call, stream=stream)
            assert (caught.value.param, caught.value.code) == ("messages", "unsupported_content")

    Play("async")(script, settings=Settings(provider=own))


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
