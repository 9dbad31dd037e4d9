"""Uploads: a form's fields as the arguments that the SDK's own call would have, its files as the SDK hands them on."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any, TypeAlias

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from llm_adapter.provider import parsed_json

Form: TypeAlias = tuple[dict[str, Any], list[tuple[str, Any]]]  # arguments, and files with their names
# A form has texts alone: these are numbers and truth values in OpenAI's own form of the calls.
_TYPED = frozenset({"n", "output_compression", "partial_images", "seed", "stream", "temperature"})
# How the SDK writes lists and objects: `include[]`, `expires_after[anchor]`. What is deeper stays as it is written.
_INNER = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")


class _Parser(MultiPartParser):
    """Starlette's, which takes a form that breaks off for one without its last part."""

    def __init__(self, body: bytes, content_type: str) -> None:
        super().__init__(Headers({"content-type": content_type}), self._pieces(body), max_part_size=len(body) + 1)
        self._is_whole = False

    async def _pieces(self, body: bytes) -> AsyncGenerator[bytes, None]:
        yield body
        if not self._is_whole:
            raise MultiPartException("The form breaks off.")

    def on_end(self) -> None:
        self._is_whole = True


async def read_form(body: bytes, content_type: str) -> Form:
    """Raises `ValueError` where the body is no such form."""
    try:
        form = await _Parser(body, content_type).parse()
    except MultiPartException as broken:
        raise ValueError(broken.message) from None
    arguments: dict[str, Any] = {}
    files: list[tuple[str, Any]] = []
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.append((name, (value.filename, await value.read(), value.content_type)))
            else:
                _add(arguments, name, _typed(name, value))
    finally:
        await form.close()
    return arguments, files


def _typed(name: str, value: str) -> Any:
    try:
        return parsed_json(value.encode()) if name in _TYPED else value
    except ValueError:
        return value


def _add(arguments: dict[str, Any], name: str, value: Any) -> None:
    found = _INNER.fullmatch(name)
    outer, inner = found.groups() if found is not None else (name, None)
    if inner is not None:
        held = arguments.setdefault(outer, {} if inner else [])
        if isinstance(held, dict) and inner:
            _put(held, inner, value)
            return
        if isinstance(held, list) and not inner:
            held.append(value)
            return
    _put(arguments, name, value)  # also one name as two things: the server may know what to make of it


def _put(held: dict[str, Any], name: str, value: Any) -> None:
    """A name that stands several times has a list of its values."""
    last = held.get(name, [])
    held[name] = [*(last if isinstance(last, list) else [last]), value] if name in held else value
