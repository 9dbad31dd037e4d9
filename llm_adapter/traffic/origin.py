"""Where a client was made. Copies of it that go to the same destination share this."""

from __future__ import annotations

import logging
import os
from typing import Any

from llm_adapter.routing.connection import Connection
from llm_adapter.routing.description import deciding_setting, destination_of
from llm_adapter.traffic.made import when_made
from llm_adapter.traffic.places import Place

_log = logging.getLogger("llm_adapter")


class ClientOrigin:
    """The line that made a client, and what was told of the client."""

    __slots__ = ("announced", "made", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.announced = False  # whether the log has the client's destination
        self.made = False  # whether those who watch know of the client

    def tell_made(self, client: Any) -> None:
        """Tell those who watch of a new client; a copy is none."""
        if not self.made:
            self.made = True
            for tell in when_made:
                tell(client)

    def announce(self, kind: str, connection: Connection) -> None:
        """Tell the log where the calls of the client go, with its first call."""
        self.announced = True
        if _log.isEnabledFor(logging.INFO):
            _log.info("first call of %s", destination_line(kind, self.place, connection))


def destination_line(kind: str, place: Place, connection: Connection) -> str:
    """One client in a line: where it was made, where its calls go, and by which setting."""
    why = deciding_setting(connection, os.environ)
    return f"{kind} made at {place}: goes to {destination_of(connection)} ({why})"
