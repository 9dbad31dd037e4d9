"""`pieces` gives what `iter_bytes` gives, sync and async: the bytes, the error, and a response that is closed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from drivers import HTTPX, Body
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_adapter.transport.pieces import async_pieces, pieces

REQUEST = HTTPX.Request("POST", "http://server.test/")
some = st.lists(st.sampled_from([b"one", b"", b"two\n", HTTPX.ReadError("gone"), ValueError("odd")]), max_size=4)


def response(*parts: Any, **headers: str) -> Any:
    return HTTPX.Response(200, stream=Body(*parts), headers=headers, request=REQUEST)


def of_the_body(given: Any, error: Exception | None, got: list[bytes]) -> Any:
    request = getattr(error, "_request", None)
    return got, type(error), request, given.num_bytes_downloaded


def read(read: Callable[[Any], Any], given: Any) -> Any:
    got: list[bytes] = []
    failed = None
    try:
        got.extend(read(given))
    except Exception as error:
        failed = error
    return of_the_body(given, failed, got)


async def aread(read: Callable[[Any], Any], given: Any) -> Any:
    got: list[bytes] = []
    failed = None
    try:
        async for piece in read(given):
            got.append(piece)  # noqa: PERF401 - those before an error count
    except Exception as error:
        failed = error
    return of_the_body(given, failed, got)


@settings(max_examples=40)
@given(parts=some)
def test_bytes_and_errors(parts: list[Any]) -> None:
    """The response is closed after an error as well, which an older HTTP library leaves to who reads."""
    ours, theirs = response(*parts), response(*parts)
    assert read(pieces, ours) == read(lambda one: one.iter_bytes(), theirs)
    assert ours.is_closed
    assert ours.stream.closed
    ours, theirs = response(*parts), response(*parts)
    assert asyncio.run(aread(async_pieces, ours)) == asyncio.run(aread(lambda one: one.aiter_bytes(), theirs))
    assert ours.is_closed
    assert ours.stream.closed


def was_read() -> Any:
    given = response(b"one")
    given.read()
    return given


OTHERS: dict[str, Callable[[], Any]] = {
    "compressed": lambda: response(gzip.compress(b"one"), **{"content-encoding": "gzip"}),
    "read": was_read,
    "made of bytes": lambda: HTTPX.Response(200, content=b"one", request=REQUEST),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_what_is_not_plain_goes_the_librarys_way(make: Callable[[], Any]) -> None:
    assert list(pieces(make())) == [b"one"]


def test_a_body_is_read_once() -> None:
    given = response(b"one")
    assert list(pieces(given)) == [b"one"]
    with pytest.raises(HTTPX.StreamConsumed):
        list(pieces(given))


def test_who_leaves_early_closes() -> None:
    given = response(b"one", b"two")
    begun = pieces(given)
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert given.stream.closed
