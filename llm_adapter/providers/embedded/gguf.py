"""The header of a GGUF file: what it says of its model. The file is not trusted: it may be anything.

Whatever the file is, at most 48 MB of it are read, in pieces of 1 MB, and only single values and short lists are kept.
Source: ggml docs/gguf.md (version 3); the keys are those of llama.cpp src/llama-arch.cpp (b11549).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

Value: TypeAlias = "int | float | bool | str | list[int | float | bool]"

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)  # 1 had other lengths, and no program writes it any more
_PIECE = 1 << 20  # bytes read at once
_LONGEST = 48 << 20  # bytes of a header; the largest vocabularies take some 20 MB
_MOST_KEYS = 1 << 14  # a model has some 50
_MOST_STRINGS = 1 << 20  # in all lists together; the largest vocabularies have 260,000, and twice as many merges
_LONGEST_KEY = 1 << 16
_LONGEST_TEXT = 1 << 20  # a chat template has some 10,000 bytes
_LONGEST_LIST = 1 << 12  # numbers of a list that are kept: one a layer
_MOST_KEPT = 8 << 20  # bytes of all that is kept
_NUMBER = 32  # bytes of memory that a number of a list takes at most
_TOO_LONG = f"its header has more than {_LONGEST >> 20} MB"
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class HeaderError(ValueError):
    """The file is no GGUF file, or its header cannot be read. The message is a clause that says why."""


class CutHeaderError(HeaderError):
    """The file ends within its header."""


@dataclass(frozen=True)
class Header:
    """What a file says of its model."""

    values: Mapping[str, Value]
    tensors: int = 0

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of the model's own, by its key without the architecture: "block_count"."""
        found = self.of_model(key)
        return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else default

    def of_model(self, key: str) -> Value | None:
        """A value of the model's own, by its key without the architecture."""
        return self.values.get(f"{self.architecture}.{key}")

    def text(self, key: str) -> str:
        """A text, or "" where there is none."""
        found = self.values.get(key)
        return found if isinstance(found, str) else ""

    @property
    def architecture(self) -> str:
        """In llama.cpp's words: "llama", "qwen3", "bert"."""
        return self.text("general.architecture")

    @property
    def name(self) -> str:
        """The name that the model's makers gave it."""
        return self.text("general.name")

    @property
    def chat_template(self) -> str:
        """The Jinja template of its conversations; "" where the file has none."""
        return self.text("tokenizer.chat_template")

    @property
    def trained_context(self) -> int:
        """The tokens of context that it was trained with; 0 where the file does not say."""
        return self.number("context_length")


class _Cursor:
    """Reads a file from its start, a piece at a time, and never further than a header may be long."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file, self._left = file, longest
        self._piece, self._place = b"", 0
        self._strings = self._kept = 0

    def take(self, count: int) -> bytes:
        """The next bytes. Raises HeaderError where the file, or what a header may be, ends before."""
        self._fill(count)
        taken = self._piece[self._place : self._place + count]
        self._place += count
        return taken

    def _fill(self, count: int) -> None:
        """Have so many bytes at hand."""
        while len(self._piece) - self._place < count:
            more = self._file.read(min(max(_PIECE, count), self._left))
            if not more:
                raise CutHeaderError("its header ends too early") if self._left else HeaderError(_TOO_LONG)
            self._left -= len(more)
            self._piece, self._place = self._piece[self._place :] + more, 0

    def skip(self, count: int) -> None:
        """Pass over bytes. Those that are not at hand are not read at all."""
        here = min(count, len(self._piece) - self._place)
        self._place += here
        if rest := count - here:
            if rest > self._left:
                raise HeaderError(_TOO_LONG)
            self._left -= rest
            self._file.seek(rest, 1)

    def unpack(self, form: str) -> Any:
        """One number of a fixed length."""
        [value] = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return value

    def keep(self, count: int) -> None:
        """Note bytes of memory that are kept. Raises HeaderError where that is more than any model needs."""
        self._kept += count
        if self._kept > _MOST_KEPT:
            raise HeaderError(f"its header has more than {_MOST_KEPT >> 20} MB of texts and numbers")

    def skip_strings(self, count: int) -> None:
        """Pass over strings. A vocabulary has some hundred thousand, so the inner loop does little."""
        self._strings += count
        if self._strings > _MOST_STRINGS:
            raise HeaderError(f"its header lists more than {_MOST_STRINGS} strings")
        unpack = struct.Struct("<Q").unpack_from
        while count:
            self._fill(8)
            piece, place, last = self._piece, self._place, len(self._piece) - 8
            while count and place <= last:
                [length] = unpack(piece, place)
                place += 8 + length
                count -= 1
            self._place = min(place, len(piece))
            self.skip(place - self._place)


def read_header(file: BinaryIO) -> Header:
    """The header of an open file. Raises HeaderError. Reads 48 MB and keeps 8 at most, in less than a second."""
    cursor = _Cursor(file, _LONGEST)
    magic = file.read(4)
    if magic != _MAGIC:
        raise HeaderError("it does not begin with GGUF" if magic else "it is empty")
    version = cursor.unpack("I")
    if version not in _VERSIONS:
        byte_order = " (it may be one for big-endian machines)" if version and version % (1 << 16) == 0 else ""
        raise HeaderError(f"it has version {version} of the format{byte_order}, and versions 2 and 3 can be read")
    tensors, count = cursor.unpack("Q"), cursor.unpack("Q")
    if count > _MOST_KEYS:
        raise HeaderError(f"its header has {count} keys")
    values: dict[str, Value] = {}
    for _ in range(count):
        key = _text(cursor, _LONGEST_KEY)
        value = _value(cursor, cursor.unpack("I"))
        if key and value is not None:
            values[key] = value
    return Header(values, tensors)


def _text(cursor: _Cursor, longest: int) -> str | None:
    """A string; None for one that is too long to be kept."""
    length = cursor.unpack("Q")
    if length > longest:
        cursor.skip(length)
        return None
    cursor.keep(4 * length)
    return cursor.take(length).decode("utf-8", "replace")


def _value(cursor: _Cursor, kind: int) -> Value | None:
    """A value; None for one that is not kept."""
    if kind in _FIXED:
        found: Value = cursor.unpack(_FIXED[kind])
        return found
    if kind == _STRING:
        return _text(cursor, _LONGEST_TEXT)
    if kind == _ARRAY:
        return _list(cursor, cursor.unpack("I"), cursor.unpack("Q"))
    raise HeaderError(f"its header has a value of kind {kind}, which the format does not know")


def _list(cursor: _Cursor, kind: int, count: int) -> list[int | float | bool] | None:
    """A list of numbers, if it is short; all others are passed over."""
    if kind == _STRING:
        cursor.skip_strings(count)
        return None
    if kind not in _FIXED:
        raise HeaderError(f"its header has a list of kind {kind}, which the format does not know")
    size = struct.calcsize("<" + _FIXED[kind])
    if count > _LONGEST_LIST:
        cursor.skip(count * size)
        return None
    cursor.keep(_NUMBER * count)
    return list(struct.unpack(f"<{count}{_FIXED[kind]}", cursor.take(count * size)))
