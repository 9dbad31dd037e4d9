"""The bytes of a response as they come, in fewer steps than the HTTP library's `iter_bytes` where it has nothing to do.

Skipped are the steps for bodies that are compressed, were read before, or are to be cut into pieces of one size; whose
body is none of these, of the library's own class, is handed on piece by piece. Kept is all else that `iter_bytes` does:
empty pieces are left out, an error knows its request, bytes are counted, and the response is closed at the end. The
chunks that one read brought are one piece: `joined_chunks.py`.
tests/transport/test_pieces.py holds it against `iter_bytes`. Source: httpx2 _models.py Response.iter_raw, v2.16.2.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from llm_adapter.transport.body import http_library
from llm_adapter.transport.joined_chunks import join_chunks


def pieces(response: Any) -> Iterator[bytes]:
    """What `iter_bytes` gives."""
    return _pieces(response) if _is_plain(response) else response.iter_bytes()


def async_pieces(response: Any) -> AsyncIterator[bytes]:
    """What `aiter_bytes` gives."""
    return _async_pieces(response) if _is_plain(response) else response.aiter_bytes()


def _is_plain(response: Any) -> bool:
    if response.is_stream_consumed or response.is_closed or "content-encoding" in response.headers:
        return False
    return type(response) is http_library(response).Response and not hasattr(response, "_content")


def _pieces(response: Any) -> Iterator[bytes]:
    response.is_stream_consumed = True
    response._num_bytes_downloaded = 0
    join_chunks(response)
    try:
        for piece in response.stream:
            if piece:
                response._num_bytes_downloaded += len(piece)
                yield piece
    except Exception as error:
        _tell_request(error, response)
        raise
    finally:
        response.close()


async def _async_pieces(response: Any) -> AsyncIterator[bytes]:
    response.is_stream_consumed = True
    response._num_bytes_downloaded = 0
    join_chunks(response)
    source = response.stream.__aiter__()
    try:
        async for piece in source:
            if piece:
                response._num_bytes_downloaded += len(piece)
                yield piece
    except Exception as error:
        _tell_request(error, response)
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
        await response.aclose()


def _tell_request(error: Exception, response: Any) -> None:
    """Give an error of the HTTP library's its request."""
    if isinstance(error, http_library(response).RequestError):
        error.request = response.request
