"""All chunks of a chunked body that one read brought come as one piece: h11 gives each of them by itself.

Skipped: h11's event for each chunk, and the way of each through the generators of the HTTP libraries. Pieces of a fast
server's stream are HTTP chunks of their own, of which many come in one read.

Safe, because h11's own reader stays in charge. Only chunks that are there as a whole are taken, each with a length in
plain hexadecimal digits and with the end that it has to have; with the first that is anything else - incomplete, with
an extension, malformed, the last one - h11's reader goes on where they end. Who reads gets the same bytes by the same
reads of the connection, in fewer pieces. Where the libraries are built otherwise than is known here, or the body is
not a chunked one of HTTP/1.1, nothing is changed.

Proved by tests/transport/test_joined_chunks.py. Source: h11 _readers.py ChunkedReader and _connection.py
_extract_next_receive_event, 0.16.0; httpcore2 _sync/http11.py and _sync/connection_pool.py, 2.16.2.
"""

from __future__ import annotations

import re
from typing import Any

import h11

_LENGTH = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n").match
_END = b"\r\n"
# From a response's body to the HTTP/1.1 connection, by the attributes of the libraries' classes and of ours.
_INNER = ("_stream", "_httpcore_stream", "_connection", "_source")
_DEEPEST = 8  # steps


def join_chunks(response: Any) -> None:
    """Have the body of a response, which is read from now on, come in pieces of several chunks."""
    connection = _h11_connection(response.stream)
    reader = getattr(connection, "_reader", None)
    if type(reader).__name__ == "ChunkedReader" and isinstance(getattr(reader, "_bytes_to_discard", None), bytes):
        connection._reader = _JoiningReader(reader)  # type: ignore[union-attr]


def _h11_connection(body: Any) -> h11.Connection | None:
    """What h11 knows of the connection that a body is read from; None where there is none."""
    for _ in range(_DEEPEST):
        if (found := getattr(body, "_h11_state", None)) is not None:
            return found if type(found) is h11.Connection else None
        body = next((inner for name in _INNER if (inner := getattr(body, name, None)) is not None), None)
    return None


class _JoiningReader:
    """What h11 calls to get the next event out of its buffer, in the place of its own reader."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.read_eof = reader.read_eof

    def __call__(self, buffer: Any) -> Any:
        reader = self._reader
        # In the midst of a chunk, of its end or of the trailer there is nothing to be joined.
        if reader._bytes_in_chunk or reader._reading_trailer or reader._bytes_to_discard not in (b"", _END):
            return reader(buffer)
        data = bytes(buffer)
        if not data:  # as after every piece
            return None
        begin = len(reader._bytes_to_discard)
        if data[:begin] != reader._bytes_to_discard:
            return reader(buffer)
        parts, end = _whole_chunks(data, begin)
        if not parts:
            return reader(buffer)
        buffer.maybe_extract_at_most(end)
        reader._bytes_to_discard = b""
        return h11.Data(data=b"".join(parts))


def _whole_chunks(data: bytes, place: int) -> tuple[list[bytes], int]:
    """The chunks from a place on that are complete and of the common shape, and the place where they end."""
    parts: list[bytes] = []
    while length := _LENGTH(data, place):
        begin = length.end()
        end = begin + int(length[1], 16)
        if end == begin or data[end : end + 2] != _END:
            break
        parts.append(data[begin:end])
        place = end + 2
    return parts, place
