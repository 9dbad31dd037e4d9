"""Responses whose body is made of events: the SDK's streams get the objects, and who reads bytes gets bytes.

A chunk that was translated would be written as JSON, cut out of the bytes and parsed again in the same process. So
`iter_bytes` of such a response gives bytes to who iterates over it, and its events to the decoder of
`llm_adapter/client/event_decoder.py`, which asks for them. Skipped are the HTTP library's own steps between a body and
its reader: there is nothing to decompress, and the SDK's streams close the response themselves. Where somebody watches
the bytes, or has read some, there are no events. tests/transport/test_event_pieces.py holds the two ways to be equal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any

from llm_adapter.transport.translated_body import TranslatedBody


class EventPieces:
    """A body as its bytes, sync or async, and as its events. pieces: what `iter_bytes` gives otherwise."""

    def __init__(self, response: Any, pieces: Any) -> None:
        self._response = response
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces  # type: ignore[no-any-return]

    def __next__(self) -> bytes:
        return next(self._pieces)  # type: ignore[no-any-return]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces  # type: ignore[no-any-return]

    async def __anext__(self) -> bytes:
        return await self._pieces.__anext__()  # type: ignore[no-any-return]

    def close(self) -> None:
        self._pieces.close()

    async def aclose(self) -> None:
        await self._pieces.aclose()

    def body(self) -> TranslatedBody | None:
        """The body, whose events are taken instead of its bytes; None where it has to be read as bytes."""
        response = self._response
        body = response.stream
        if response.is_stream_consumed or response.is_closed or not isinstance(body, TranslatedBody):
            return None
        if not body.gives_objects:
            return None
        response.is_stream_consumed = True
        return body


class _EventResponse:
    """What is added to the HTTP library's class of responses."""

    def iter_bytes(self, chunk_size: int | None = None) -> Any:
        pieces = super().iter_bytes(chunk_size)  # type: ignore[misc]
        return EventPieces(self, pieces)

    def aiter_bytes(self, chunk_size: int | None = None) -> Any:
        pieces = super().aiter_bytes(chunk_size)  # type: ignore[misc]
        return EventPieces(self, pieces)


@lru_cache(maxsize=4)
def response_class(http: Any) -> Any:
    """The class of such responses in one HTTP library."""
    own = http.Response
    return type(own.__name__, (_EventResponse, own), {"__module__": own.__module__, "__doc__": own.__doc__})
