"""The cassette of a test: where it lies, and what pytest's options and marks say of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llm_adapter.testing.cassettes import Cassette, inserted

FOLDER = "cassettes"
_LONGEST = 120  # characters of a file's name: file systems take 255 bytes
_UNSAFE = re.compile(r"[^\w.,=+()\[\]-]+")


@contextmanager
def in_test(item: pytest.Item, patches: pytest.MonkeyPatch) -> Iterator[Cassette]:
    """The cassette while its test runs. Whoever uses it says `finish`, when the test has passed."""
    mark = item.get_closest_marker("llm_cassette")
    options: dict[str, Any] = dict(mark.kwargs) if mark is not None else {}
    name = options.pop("name", mark.args[0] if mark is not None and mark.args else None)
    deck = Cassette(place(item, name), item.config.getoption("llm_record"), **options)
    if not deck.recording and not os.environ.get("OPENAI_API_KEY"):
        # The SDK makes no client without a key; no request leaves that it could go with.
        patches.setenv("OPENAI_API_KEY", "replayed")
    with inserted(deck):
        yield deck


def place(item: pytest.Item, name: str | None = None) -> Path:
    """The file: beside the test's own, in a folder of its module's name."""
    own = item.nodeid.partition("::")[2].replace("::", ".")
    return item.path.parent / FOLDER / item.path.stem / f"{_safe(name or own or item.name)}.jsonl"


def _safe(name: str) -> str:
    safe = _UNSAFE.sub("-", name)
    if len(safe.encode()) <= _LONGEST:
        return safe
    return f"{safe[: _LONGEST // 2]}-{sha256(name.encode()).hexdigest()[:12]}"
