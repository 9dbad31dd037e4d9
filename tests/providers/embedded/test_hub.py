"""Models of a Hugging Face hub, by a fake hub on loopback: found in the cache, downloaded, checked."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, mode
from hub import COMMIT, FakeHub, fake_hub

from llm_adapter import Settings, SettingsError
from llm_adapter.providers.embedded import hub
from llm_adapter.providers.embedded.models import CHAT_MODEL
from llm_adapter.providers.embedded.names import HubName, parse
from llm_adapter.providers.embedded.provider import Embedded

pytest.importorskip("huggingface_hub")

DATA = CHAT_MODEL.read_bytes()
TINY = {"tiny-Q4_K_M.gguf": DATA}
SMALL = {"a-Q4_K_M.gguf": b"GGUF four", "a-Q8_0.gguf": b"GGUF eight", "README.md": b"read me"}
SPLIT = {f"a-{place:05}-of-00002.gguf": f"GGUF part {place}".encode() for place in (1, 2)}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub, and an empty cache."""
    with fake_hub() as found:
        for name, value in {
            "HF_ENDPOINT": found.address,
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "*",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield found


def name(text: str) -> HubName:
    found = parse(text)
    assert isinstance(found, HubName)
    return found


def contents(model: hub.HubModel) -> list[bytes]:
    return [one.read_bytes() for one in model.parts]


def test_a_model_is_downloaded_once(there: FakeHub) -> None:
    """With its progress and its commit; then it is found without a request."""
    there.repositories["o/r"] = SMALL
    told: list[hub.Progress] = []
    model = hub.download(name("hf:o/r:q8_0"), told.append)
    assert (contents(model), model.commit, model.size) == ([b"GGUF eight"], COMMIT, 10)
    assert (told[-1].completed, told[-1].total) == (10, 10)
    assert list(model.others) == ["hf:o/r:Q4_K_M"]
    there.asked.clear()
    again = hub.find(name("hf:o/r:Q8_0"))
    assert again is not None
    assert (contents(again), hub.find(name("hf:o/r:Q4_K_M")), there.asked) == ([b"GGUF eight"], None, [])
    [cached] = hub.cached()
    assert (str(cached.name), cached.size) == ("hf:o/r:Q8_0", 10)
    assert hub.remove(name("hf:o/r:Q8_0")) == 10
    assert (hub.find(name("hf:o/r:Q8_0")), list(hub.cached())) == (None, [])


def test_a_split_model(there: FakeHub) -> None:
    """All parts come, and the first one is named; progress is one of all. In a cache that lacks one, there is none."""
    there.repositories["o/r"] = SPLIT
    told: list[hub.Progress] = []
    model = hub.download(name("hf:o/r"), told.append)
    size = len(SPLIT["a-00001-of-00002.gguf"])
    seen = [(one.file, one.completed, one.total) for one in told]
    assert {one.total for one in told} == {2 * size}
    assert {("a-00001-of-00002.gguf", 0, 2 * size), ("a-00002-of-00002.gguf", size, 2 * size)} <= set(seen)
    assert [one[1] for one in seen] == sorted(one[1] for one in seen)
    assert contents(model) == list(SPLIT.values())
    assert hub.size_of(name("hf:o/r")) == model.size
    model.parts[1].unlink()
    assert hub.find(name("hf:o/r")) is None


def test_the_only_projector_comes_along(there: FakeHub) -> None:
    there.repositories["o/r"] = {"a-Q4_0.gguf": b"GGUF", "mmproj-F16.gguf": b"GGUF eyes"}
    projector = hub.download(name("hf:o/r")).projector
    assert projector is not None
    assert projector.read_bytes() == b"GGUF eyes"


def test_wrong_bytes_are_deleted(there: FakeHub, tmp_path: Path) -> None:
    """huggingface_hub takes a file with a wrong byte for a whole one."""
    there.repositories["o/r"] = there.repositories["o/once"] = {"a.gguf": b"GGUF and more"}
    there.wrong.add("o/r")
    with pytest.raises(SettingsError, match="other bytes than it states, twice"):
        hub.download(name("hf:o/r"))
    assert len(there.downloads) == 2
    assert [one for one in tmp_path.rglob("*") if one.is_file() and one.read_bytes().startswith(b"GGUF")] == []
    there.wrong_once.add("o/once")
    assert contents(hub.download(name("hf:o/once"))) == [b"GGUF and more"]


def test_a_file_that_changed_in_the_cache(there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is hashed once, and again when it has changed; then it is no model, and is deleted."""
    there.repositories["o/r"] = {"a.gguf": b"GGUF and more"}
    model = hub.download(name("hf:o/r"))
    hashed: list[Path] = []
    monkeypatch.setattr(
        hub, "_sha256", lambda file: hashed.append(file) or hashlib.sha256(file.read_bytes()).hexdigest()
    )
    assert hub.find(name("hf:o/r")) is not None
    assert hashed == []
    model.parts[0].resolve().write_bytes(b"GGUF and worse")
    assert hub.find(name("hf:o/r")) is None
    assert len(hashed) == 1
    assert not model.parts[0].exists()


def test_a_download_that_is_cut_goes_on(there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    there.repositories["o/r"] = {"a.gguf": DATA}
    there.cut.add("o/r")
    assert contents(hub.download(name("hf:o/r"))) == [DATA]
    [first, second] = there.downloads
    assert (first, bool(second)) == (None, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf:o/gated", "set HF_TOKEN"),
        ("hf:o/none", "no such repository, or it is a private one: then set HF_TOKEN"),
        ("hf:o/r", r"hf:o/r:Q4_K_M \(9 B\), hf:o/r:Q8_0 \(10 B\)"),
        ("hf:o/r:Q5_0", r"hf:o/r:Q4_K_M \(9 B\), hf:o/r:Q8_0 \(10 B\)"),
        ("hf:o/empty", "has no GGUF file"),
        ("hf:o/r@v2", "no revision 'v2'"),
    ],
)
def test_what_is_said_of_it(text: str, said: str, there: FakeHub) -> None:
    there.repositories |= {"o/gated": SMALL, "o/r": SMALL, "o/empty": {"a.safetensors": b""}}
    there.gated.add("o/gated")
    with pytest.raises(SettingsError, match=said):
        hub.download(name(text))


def test_offline(there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SettingsError, match="HF_HUB_OFFLINE forbids"):
        hub.download(name("hf:o/r"))
    assert there.asked == []


# --- through the client -----------------------------------------------------------------------------------------------

CALL: Any = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}


@pytest.fixture
def own() -> Iterator[Embedded]:
    provider = Embedded()
    yield provider
    provider.stop()


@pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)
def test_a_call_of_a_model_that_is_missing(play: Play, own: Embedded, there: FakeHub) -> None:
    """By itself nothing is pulled, and never with `local_only`. The reply has the call's name."""
    there.repositories["o/r"] = TINY
    table = {"models": {"gpt-4o": "hf:o/r:Q4_K_M"}}

    def script(client: Any) -> Any:
        for more in ({}, {"pull": "missing", "local_only": True}):
            bare = client.with_options(settings=Settings(provider=own, **table, **more))
            with pytest.raises(openai.NotFoundError, match="llm-adapter models pull hf:o/r:Q4_K_M") as caught:
                yield bare.chat.completions.create(model="gpt-4o", **CALL)
            assert caught.value.code == "model_not_found"
        assert there.asked == []
        reply = yield client.chat.completions.create(model="gpt-4o", **CALL)
        assert there.downloads == [None]
        return reply

    reply = play(script, settings=Settings(provider=own, pull="missing", **table), max_retries=2)
    assert reply.choices[0].message.content == "The capital of France is Paris."
    assert (reply.model, reply.adapter.model, reply.adapter.requested_model) == ("gpt-4o", "hf:o/r:Q4_K_M", "gpt-4o")


def test_local_only_sends_no_packet(own: Embedded, there: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the address of the hub is looked up."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: pytest.fail("an address was looked up"))
    with pytest.raises(SettingsError, match="not found in the cache"):
        own.start(Settings(provider=own, model_path="hf:o/r", local_only=True), "/chat/completions")
