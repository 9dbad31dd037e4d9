"""The cassette of a test: where it lies, and what pytest's options and marks say of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llm_adapter.testing.cassettes import Cassette, in_use
from llm_adapter.testing.cassettes.tape import display_path

MARK = "llm_cassette"
FOLDER = "cassettes"
_LONGEST = 120  # bytes of a file's name: file systems take 255 of them
_UNSAFE = re.compile(r"[^\w.,=+()\[\]-]+")


@contextmanager
def in_test(item: pytest.Item, patches: pytest.MonkeyPatch) -> Iterator[Cassette]:
    """The cassette while its test runs. Whoever uses it says `finish`, when the test has passed."""
    mark = item.get_closest_marker(MARK)
    options: dict[str, Any] = {one: value for one, value in mark.kwargs.items() if one != "name"} if mark else {}
    deck = Cassette(place(item), **options, near=partial(_renamed_hint, item))
    if not deck.recording and not os.environ.get("OPENAI_API_KEY"):
        # The SDK makes no client without a key; no request leaves that it could go with.
        patches.setenv("OPENAI_API_KEY", "replayed")
    with in_use(deck):
        yield deck


def place(item: pytest.Item) -> Path:
    """The file: beside the test's own, in a folder of its module's name."""
    mark = item.get_closest_marker(MARK)
    named = mark.kwargs.get("name", mark.args[0] if mark.args else None) if mark is not None else None
    name = (
        _safe_file_name(named)
        if named
        else _test_file_name(item.nodeid.partition("::")[2].replace("::", ".") or item.name)
    )
    return item.path.parent / FOLDER / item.path.stem / f"{name}.jsonl"


def _test_file_name(own: str) -> str:
    """The name of a test. What is changed in it tells two of them apart no longer: a digest does."""
    safe = _UNSAFE.sub("-", own)
    return safe if safe == own and len(safe.encode()) <= _LONGEST else _digest_name(safe, own)


def _safe_file_name(name: str) -> str:
    """A name that every file system takes."""
    safe = _UNSAFE.sub("-", name)
    return safe if len(safe.encode()) <= _LONGEST else _digest_name(safe, name)


def _digest_name(safe: str, name: str) -> str:
    return f"{safe[: _LONGEST // 2]}-{sha256(name.encode()).hexdigest()[:12]}"


def _renamed_hint(item: pytest.Item, path: Path) -> str:
    """The cassette that may be the missing one, from before its test was renamed: no test that was collected has it."""
    used = {place(one) for one in item.session.items if one.path == item.path}
    orphans = [one.name for one in path.parent.glob("*.jsonl") if one not in used]
    found = get_close_matches(path.name, orphans, n=1)
    return (
        f"Was the test renamed? No test that runs now has {display_path(path.with_name(found[0]))}\n" if found else ""
    )
