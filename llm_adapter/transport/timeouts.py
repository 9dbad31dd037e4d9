"""What an open stream holds while it is read: timeouts of its own, and a slot at its server.

httpx has one read timeout for all of a request. Its transports read it from `extensions["timeout"]`, HTTP/2 for every
read, HTTP/1.1 once for the headers and once for the body (httpcore2 _sync/http11.py, 2.16): there the connection's
`network_stream` is made to look again. Where a transport has none, as mocks, one timeout stays for the whole body.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from llm_adapter.transport.body import Observer
from llm_adapter.transport.concurrency import Slot, current_reader

# How a line of native Ollama's ends, and a piece with it, while there are more.
_GOES_ON = b'"done":false}\n'
_LONGEST_FINISH = 32  # bytes: a piece may end in the middle of one


class ReadTimeouts:
    """The read timeouts of one stream: until its first piece, and between its pieces (seconds; None: no limit)."""

    def __init__(self, request: Any, response: Any, first: float | None, others: float | None) -> None:
        self._timeouts = request.extensions["timeout"]
        self._timeouts["read"] = first
        self._others = others
        network = response.extensions.get("network_stream")
        # With HTTP/2 it is shared with other requests, and the timeout is looked up for every read anyway.
        alike = first == others or response.extensions.get("http_version") == b"HTTP/2"
        self._network = None if alike else network
        if self._network is not None:
            self._read_before = vars(network).get("read")  # `read_limit` may have put one there
            self._network.read = partial(_read, network.read, self._timeouts)

    def first_piece_arrived(self) -> None:
        self._timeouts["read"] = self._others

    def release_connection(self) -> None:
        """Leave the connection as it was: once the body is closed it is the next request's."""
        network, self._network = self._network, None
        if network is not None:
            del network.read
            if self._read_before is not None:
                network.read = self._read_before


def _read(read: Callable[..., Any], timeouts: dict[str, float | None], max_bytes: int, **_: Any) -> Any:
    """One read, sync or async, with the timeout of this moment."""
    return read(max_bytes, timeout=timeouts["read"])


def _has_finish(data: bytes) -> bool:
    """Whether it has what a server writes when a reply is complete; after it, only the bytes are waited for.

    In a text of the model's every quote is escaped and no line begins, so none of it matches. Native Ollama; a choice
    of /v1; the end of a /v1 stream; the Responses API. One by one and not in a loop: this is done for each piece, and a
    pattern of all takes ten times as long.
    """
    return (
        b'"done":true' in data
        or b'"finish_reason":"' in data
        or b'"done": true' in data
        or b'"finish_reason": "' in data
        or b"\ndata: [DONE]" in data
        or b"\ndata:[DONE]" in data
        or b"event: response.completed" in data
    )


class OpenStream(Observer):
    """Keeps a stream's slot until its finish has come or its body is closed, and switches its timeouts.

    Meanwhile it notes who reads, and since when nobody does.
    """

    def __init__(self, slot: Slot | None, timeouts: ReadTimeouts | None) -> None:
        self._slot = slot
        self._timeouts = timeouts
        self._tail = b""
        self._is_first = True
        self._note_unread()

    def waiting(self) -> None:
        if self._slot is not None:
            self._slot.unread_since = None

    def received(self, data: bytes) -> None:
        if self._is_first:
            self._is_first = False
            if self._timeouts is not None:
                self._timeouts.first_piece_arrived()
        slot = self._slot
        if slot is not None:  # in few steps, for this is done for each piece
            if data[-len(_GOES_ON) :] == _GOES_ON:
                self._tail = b""
            elif self._finishes_with(data):
                self._release_slot()
                return
            slot.unread_since, slot.reader = monotonic(), current_reader()

    def _finishes_with(self, data: bytes) -> bool:
        seen = self._tail + data
        self._tail = seen[-_LONGEST_FINISH:]
        return _has_finish(seen)

    def ended(self, error: BaseException | None) -> None:
        self._note_unread()

    def closing(self) -> None:
        if self._timeouts is not None:
            self._timeouts.release_connection()

    def closed(self) -> None:
        self._release_slot()

    def _release_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def _note_unread(self) -> None:
        if self._slot is not None:
            self._slot.stopped_reading()
