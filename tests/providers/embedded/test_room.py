"""Whether models fit into memory, and who has to stop for another."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import CUT, Play, every, first

from llm_adapter import Settings, SettingsError
from llm_adapter.providers.embedded import memory, room
from llm_adapter.providers.embedded.fit import Need, need_of, refusal, to_stop, usual_context
from llm_adapter.providers.embedded.gguf import Header
from llm_adapter.providers.embedded.models import CHAT_MODEL, Model, resolve
from llm_adapter.providers.embedded.provider import Embedded

GB = 10**9


def header(architecture: str = "llama", **values: Any) -> Header:
    """An eight-billion model's, with other values."""
    usual: dict[str, Any] = {
        "block_count": 32,
        "context_length": 131_072,
        "embedding_length": 4096,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
    }
    named = {f"{architecture}.{key}": value for key, value in {**usual, **values}.items()}
    return Header({"general.architecture": architecture, **named})


# Bytes of the cache for each token, at a context of 100,000: layers, times heads that are cached, times their lengths.
CACHES = {
    "grouped heads": (header(), 131_072),
    "lengths of their own": (header(**{"attention.key_length": 256, "attention.value_length": 256}), 262_144),
    "sliding windows": (header("gemma3", **{"attention.sliding_window": 1000}), 20_480 + 1105),
    "recurrent layers": (header("jamba", **{"attention.head_count_kv": [0] * 28 + [8] * 4}), 16_384),
    "every fourth layer": (header("qwen3next", full_attention_interval=4), 32_768),
    "latent attention": (header("deepseek2", **{"attention.kv_lora_rank": 512, "rope.dimension_count": 64}), 36_864),
    "nothing is known": (Header({"general.architecture": "x"}), 0),
}


@pytest.mark.parametrize(("model", "each"), CACHES.values(), ids=CACHES)
def test_the_cache_of_a_context(model: Header, each: int) -> None:
    assert need_of(model, 0).cache(100_000) // 100_000 == each


def test_the_largest_context_that_fits() -> None:
    need = need_of(header(), 4 * GB)
    largest = need.largest_context(6 * GB, 131_072)
    assert need.total(largest) <= 6 * GB < need.total(largest + 256)
    assert (need.largest_context(100 * GB, 131_072), need.largest_context(GB, 131_072)) == (131_072, 0)
    assert (usual_context(header()), usual_context(header(context_length=2048))) == (8192, 2048)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (5 * GB, r"`num_ctx = 4096`"),
        (3 * GB, r"quantization that fits is hf:o/r:Q3_K_M \(2.5 GB\)"),
        (2 * GB, r"a file of at most 1.8 GB would"),
    ],
)
def test_what_would_fit(free: int, said: str) -> None:
    others = {"hf:o/r:Q8_0": 8 * GB, "hf:o/r:Q3_K_M": 5 * GB // 2, "hf:o/r:Q2_K": 2 * GB}
    with pytest.raises(SettingsError, match=said):
        raise SettingsError(refusal("hf:o/r:Q4_K_M", need_of(header(), 4 * GB), 8192, free, 131_072, others))


def test_who_has_to_stop() -> None:
    assert [to_stop(needed, 10, [5, 20]) for needed in (10, 15, 30, 40)] == [0, 1, 2, None]


FILES = {
    "meminfo": "MemTotal:  100 kB\nMemAvailable:  50 kB\n",
    "v2": {"memory.max": "40000", "memory.current": "30000", "memory.stat": "active_file 1000\ninactive_file 500\n"},
}


def test_memory_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container may have less than its machine, and pages of files are given back."""
    for name, text in FILES["v2"].items():  # type: ignore[attr-defined]
        (tmp_path / name).write_text(text, encoding="ascii")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_of_machine", lambda: 51_200)
    assert memory.available() == 11_500
    (tmp_path / "memory.max").write_text("max", encoding="ascii")
    assert memory.available() == 51_200


# --- live: copies of the small model, each with a process of its own --------------------------------------------------

SAID: Any = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
NEED = Need(CHAT_MODEL.stat().st_size, 2048, {}).total(2048)


@pytest.fixture
def own() -> Iterator[Embedded]:
    provider = Embedded()
    yield provider
    provider.stop()


@pytest.fixture
def table(tmp_path: Path) -> dict[str, str]:
    """Names of two models, by their files."""
    for name in ("one", "two"):
        shutil.copy(CHAT_MODEL, tmp_path / f"{name}.gguf")
    return {name: str(tmp_path / f"{name}.gguf") for name in ("one", "two")}


def test_two_models_under_a_limit(own: Embedded, table: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is idle stops for the other; one that answers never does, and the other call is a 503."""
    monkeypatch.setattr(room, "PATIENCE", 0.01)

    def script(client: Any) -> Any:
        create = client.chat.completions.create
        stream = yield create(model="one", stream=True, extra_body={"ignore_eos": True}, **SAID)
        yield first(stream)
        with pytest.raises(openai.InternalServerError, match="beside the models that are answering") as caught:
            yield create(model="two", **SAID)
        assert (caught.value.status_code, caught.value.code) == (503, "model_overloaded")
        yield first(stream)  # goes on
        yield stream.close()
        reply = yield create(model="two", **SAID)
        assert [Path(one.file).stem for one in own.tenants()] == ["two"]
        return reply.model

    settings = Settings(provider=own, models=table, memory_limit=NEED + 1000)
    assert Play("async")(script, settings=settings, max_retries=0) == "two"


def placed(own: Embedded, path: str, **settings: Any) -> room.Demand:
    chosen = Settings(provider=own, model_path=path, **settings)
    return room.make_room(resolve(path, chosen), chosen, own, lambda: 0)


def test_a_model_that_never_fits(own: Embedded, table: dict[str, str]) -> None:
    """The error has the context that would fit."""
    with pytest.raises(SettingsError, match=r"does not fit: .* `num_ctx = 2048`"):
        placed(own, table["two"], memory_limit=NEED, num_ctx=8192)


def test_a_context_that_is_shortened_is_told_once(own: Embedded, caplog: pytest.LogCaptureFixture) -> None:
    model = Model("trained with more", CHAT_MODEL, header(), 0)
    for _ in range(2):
        assert room.make_room(model, Settings(provider=own), own, lambda: 100 * GB).tokens == 8192
    [told] = caplog.messages
    assert "8192 tokens; it was trained with 131072" in told


def test_auto_takes_what_fits(own: Embedded, table: dict[str, str]) -> None:
    assert placed(own, table["one"], memory_limit="1GB", num_ctx="auto").tokens == 2048
    assert placed(own, table["one"], memory_limit="1GB", num_ctx="auto", num_ctx_max=1024).tokens == 1024
    assert 0 < placed(own, table["one"], memory_limit=NEED - 1_000_000, num_ctx="auto").tokens < 2048


def test_a_process_that_is_killed_costs_a_call(own: Embedded) -> None:
    """Not the program: the call is an `APIConnectionError`, and the next one starts the server again."""

    def script(client: Any) -> Any:
        create = client.chat.completions.create
        stream = yield create(model="m", stream=True, extra_body={"ignore_eos": True}, **SAID)
        yield first(stream)
        [(server, _)] = own._servers.values()
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises((openai.APIError, *CUT)):
            yield every(stream)
        server._process.wait()
        return (yield create(model="m", **SAID)).choices[0].message.content

    assert Play("sync")(script, settings=Settings(provider=own, embedded_process=True), max_retries=0)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="another process's variables are read from /proc")
@pytest.mark.parametrize("own_wish", [None, "active"])
def test_threads_that_wait_do_not_spin(
    own_wish: str | None, own: Embedded, table: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would hold up those that they wait for where other programs want the processors. A user's wish wins."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own_wish is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", own_wish)
    own.start(Settings(provider=own, model_path=table["one"]), "/completions")
    [tenant] = own.tenants()
    variables = Path(f"/proc/{tenant.pid}/environ").read_bytes().split(b"\0")
    assert f"OMP_WAIT_POLICY={own_wish or 'passive'}".encode() in variables
