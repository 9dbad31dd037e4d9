"""One call of a client of the SDK, with what is known of where it went and what came back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.routing.description import IN_THIS_PROCESS, Destination, authority
from llm_adapter.settings.hosts import is_loopback, is_openai
from llm_adapter.traffic.places import Place

_numbers = itertools.count(1)


@dataclass(eq=False)
class ObservedCall:
    """One call of a client, with all its attempts. What is not known yet, or not told, is None."""

    client: Any = field(repr=False)
    client_kind: str  # the class's name, with its package where it is the SDK's own
    client_place: Place
    place: Place
    destination: Destination  # of the client
    method: str
    path: str  # below /v1
    body: Json = field(repr=False)  # as the call site gave it, with `extra_body` merged in
    number: int = field(default_factory=lambda: next(_numbers))
    urls: list[str] = field(default_factory=list)  # of the requests that were sent for it, without queries
    model: str | None = None  # that the reply names
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    notes: str = ""  # what was adapted: "ignored=user; emulated=n"
    provider: str | None = None  # that the reply names
    error: str | None = None

    @property
    def answered_by(self) -> Destination:
        """Where the last request went; where none was sent, the client's destination."""
        if not self.urls:
            return self.destination
        host = authority(self.urls[-1])
        if self.destination.host == IN_THIS_PROCESS and is_loopback(self.urls[-1]):
            return self.destination
        if host == self.destination.host:
            return self.destination
        known = self.provider or ("openai" if is_openai(self.urls[-1]) else "a /v1 server")
        return Destination(known, host)
