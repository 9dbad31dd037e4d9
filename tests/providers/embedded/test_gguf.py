"""The header of a GGUF file, which is not trusted."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llm_adapter.providers.embedded.gguf import CutHeaderError, Header, HeaderError, read_header
from llm_adapter.providers.embedded.models import CHAT_MODEL, EMBEDDING_MODEL

UINT8, UINT32, BOOL, STRING, ARRAY, UINT64 = 0, 4, 7, 8, 9, 10


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + data


def file(*values: tuple[str, int, bytes], count: int | None = None, version: int = 3) -> bytes:
    keys = b"".join(text(key) + struct.pack("<I", kind) + data for key, kind, data in values)
    return b"GGUF" + struct.pack("<IQQ", version, 7, len(values) if count is None else count) + keys


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data))


def test_real_models() -> None:
    chat, embedding = (read(one.read_bytes()) for one in (CHAT_MODEL, EMBEDDING_MODEL))
    assert (chat.architecture, chat.name, chat.trained_context, chat.tensors) == ("llama", "tiny-chat", 2048, 38)
    assert "<|im_start|>" in chat.chat_template
    assert (embedding.architecture, embedding.of_model("attention.causal")) == ("bert", False)


def test_what_is_kept() -> None:
    """Single values and short lists; a vocabulary is passed over."""
    words = array(STRING, 200_000, text("a token") * 200_000)
    header = read(
        file(
            ("general.architecture", STRING, text("x")),
            ("tokenizer.ggml.tokens", ARRAY, words),
            ("tokenizer.ggml.scores", ARRAY, array(6, 200_000, bytes(800_000))),
            ("x.attention.head_count_kv", ARRAY, array(UINT32, 2, struct.pack("<2I", 8, 0))),
            ("x.context_length", UINT64, struct.pack("<Q", 4096)),
        )
    )
    assert set(header.values) == {"general.architecture", "x.attention.head_count_kv", "x.context_length"}
    assert (header.of_model("attention.head_count_kv"), header.trained_context) == ([8, 0], 4096)


REFUSED = {
    "empty": (b"", "it is empty"),
    "text": (b"version https://git-lfs", "does not begin with GGUF"),
    "big-endian": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
    "newer": (file(version=99), "version 99"),
    "the first version": (file(version=1), "version 1 of the format, and versions 2 and 3"),
    "a text without an end": (file(("a", STRING, struct.pack("<Q", (1 << 64) - 1))), "more than 48 MB"),
    "a word without an end": (file(("a", ARRAY, array(STRING, 1, b"\xff" * 8))), "more than 48 MB"),
    "many keys": (file(count=1 << 40), "keys"),
    "a long list": (file(("a", ARRAY, array(UINT8, 1 << 60))), "more than 48 MB"),
    "a long vocabulary": (file(("a", ARRAY, array(STRING, 1 << 40))), "strings"),
    "a list of lists": (file(("a", ARRAY, array(ARRAY, 1))), "kind 9"),
    "no kind": (file(("a", 77, b"")), "kind 77"),
    "texts": (file(*[(str(n), STRING, text("x" * 900_000)) for n in range(9)]), "MB of texts"),
}


@pytest.mark.parametrize(("data", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(HeaderError, match=said):
        read(data)


def test_a_file_that_is_cut() -> None:
    with pytest.raises(CutHeaderError):
        read(CHAT_MODEL.read_bytes()[:5000])


LENGTHS = some.one_of(
    some.integers(0, 300), some.integers(0, (1 << 64) - 1), some.sampled_from([1 << 16, 1 << 20, 1 << 25])
)
VALUES: Any = some.one_of(
    some.tuples(some.integers(0, 13), some.binary(max_size=64)),
    some.builds(lambda n, rest: (STRING, struct.pack("<Q", n) + rest), LENGTHS, some.binary(max_size=64)),
    some.builds(
        lambda kind, n, rest: (ARRAY, array(kind, n, rest)), some.integers(0, 13), LENGTHS, some.binary(max_size=64)
    ),
)


@settings(max_examples=60, deadline=None)
@given(values=some.lists(VALUES, max_size=6), count=some.one_of(some.none(), LENGTHS), tail=some.binary(max_size=300))
def test_any_file(values: Any, count: int | None, tail: bytes) -> None:
    """A header, or a HeaderError."""
    data = file(*[(f"k{place}", kind, one) for place, (kind, one) in enumerate(values)], count=count) + tail
    _read_or_refuse(data)


MOST = 1 << 14  # keys of a header
WORST = {
    "strings": file(("a", ARRAY, array(STRING, 1 << 20, bytes(8 << 20)))),
    "strings of some length": file(("a", ARRAY, array(STRING, 1 << 20, text("x" * 30) * (1 << 20)))),
    "lists of strings": file(*[(f"{n:020}", ARRAY, array(STRING, 64, bytes(512))) for n in range(MOST)]),
    "keys": file(*[(f"{n:020}", UINT8, b"\0") for n in range(MOST)]),
    "long keys": file(*[(f"{n:060000}", UINT8, b"\0") for n in range(700)]),
    "numbers": file(*[(str(n), ARRAY, array(UINT8, 1 << 12, bytes(range(256)) * 16)) for n in range(500)]),
    "long lists": file(*[(str(n), ARRAY, array(UINT8, 4097, bytes(4097))) for n in range(10_000)]),
    "one long list": file(("a", ARRAY, array(UINT8, 45 << 20, bytes(45 << 20)))),
    "no UTF-8": file(*[(str(n), STRING, struct.pack("<Q", 400_000) + b"\xff" * 400_000) for n in range(20)]),
    "the same key": file(*[("a", STRING, text("x" * 1000))] * MOST),
}


@pytest.mark.parametrize("data", WORST.values(), ids=WORST)
def test_the_time_has_an_end(data: bytes) -> None:
    """Less than a second of work, whatever the file is."""
    began = time.process_time()
    _read_or_refuse(data)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", [name for name in WORST if "strings" not in name])  # those take seconds to trace
def test_the_memory_has_an_end(name: str) -> None:
    """Less than 64 MB, whatever the file is; of lists of strings the test below has shorter ones."""
    assert _memory(WORST[name]) < 64 << 20


@settings(max_examples=30, deadline=None)
@given(values=some.lists(VALUES, min_size=1, max_size=4), key=some.integers(0, 70_000))
def test_any_values_that_are_repeated(values: Any, key: int) -> None:
    """To the end of what a header may be, or 4 MB: neither the time nor the memory grows beyond that of one."""
    one = [(f"{place}".zfill(key), kind, value) for place, (kind, value) in enumerate(values)]
    times = min(MOST, (4 << 20) // len(file(*one))) // len(one)
    assert _memory(file(*one * times)) < 64 << 20


def _memory(data: bytes) -> int:
    """The most bytes that are in use while the file is read."""
    tracemalloc.start()
    try:
        _read_or_refuse(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _read_or_refuse(data: bytes) -> None:
    try:
        read(data)
    except HeaderError:
        pass
