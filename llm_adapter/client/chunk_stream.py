"""Chunks of a stream without the SDK's steps between an event and its object.

The SDK's stream goes through three generators for each chunk, and looks at its JSON before it makes an object of it.
Here each event of a chunk that validates strictly becomes its object at once, by the validator that
`_process_response_data` uses. [DONE] is the end: for the SDK, too, there is nothing left but to close the response. (An
async one that could not be read to its end here is left to it, for the SDK has a way of its own to do that.) With the
first event that is anything else - a named one, an error, a chunk that does not validate - or an error while reading,
the SDK's own iterator begins with that event and goes on to the end: it raises, ends and closes as it always does. That
is safe, for between two chunks it would remember nothing. In an event loop each of the SDK's iterators that is left at
[DONE] would become a task that closes it.
tests/client/test_event_decoder.py and tests/transport/test_event_pieces.py hold objects and errors against the SDK's.
Source: openai-python src/openai/_streaming.py Stream.__stream__, v2.45.0 and v3.57.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import openai

from llm_adapter.client.event_decoder import EventDecoder
from llm_adapter.client.quick_replies import CHUNKS
from llm_adapter.client.reply_fields import with_attributes
from llm_adapter.transport.pieces import async_pieces, pieces
from llm_adapter.transport.rest_of_body import aread_rest, read_rest
from llm_adapter.transport.round_trip import REPORT


def quickened(reply: Any) -> Any:
    """The reply itself; where it is a stream of chunks, it takes them in the shorter way."""
    kind = type(reply)
    if kind is openai.Stream and _is_quick(reply):
        reply._iterator = _chunks(reply, reply._iterator)
        reply._decoder.at_end = partial(read_rest, reply.response)
    elif kind is openai.AsyncStream and _is_quick(reply):
        reply._iterator = _async_chunks(reply, reply._iterator)
        reply._decoder.at_end = partial(aread_rest, reply.response)
    return reply


def _is_quick(stream: Any) -> bool:
    if stream._cast_to not in CHUNKS or type(stream._decoder) is not EventDecoder:
        return False
    return not stream._client._strict_response_validation and REPORT not in stream.response.extensions


def _chunks(stream: Any, others: Iterator[Any]) -> Iterator[Any]:
    """The chunks of a stream. others: the SDK's own iterator over it, which has not begun."""
    decoder, validator = stream._decoder, stream._cast_to.__pydantic_validator__
    try:
        try:
            source = decoder.begin(pieces(stream.response))
            for piece in source:
                batch = decoder.feed(piece)
                for event in batch:
                    chunk = event.validated(validator)
                    if chunk is None:
                        if event.is_end:
                            decoder.at_end(source)
                            return
                        decoder.leave(batch, event)
                        break
                    yield with_attributes(chunk) if chunk.__pydantic_extra__ else chunk
                if decoder.is_left:
                    break
        except Exception as error:
            decoder.fail(error)
        yield from others
    finally:
        stream.response.close()


async def _async_chunks(stream: Any, others: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same in an event loop."""
    decoder, validator = stream._decoder, stream._cast_to.__pydantic_validator__
    try:
        try:
            source = decoder.abegin(async_pieces(stream.response))
            async for piece in source:
                batch = decoder.feed(piece)
                for event in batch:
                    chunk = event.validated(validator)
                    if chunk is None:
                        if event.is_end:
                            await decoder.at_end(source)
                            if stream.response.is_closed:
                                return
                            decoder.at_end = None
                        decoder.leave(batch, event)
                        break
                    yield with_attributes(chunk) if chunk.__pydantic_extra__ else chunk
                if decoder.is_left:
                    break
        except Exception as error:
            decoder.fail(error)
        async for chunk in others:
            yield chunk
    finally:
        await stream.response.aclose()
