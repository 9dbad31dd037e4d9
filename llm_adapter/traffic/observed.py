"""One call of a client of the SDK, with what is known of where it went and what came back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.routing.description import Destination, authority, destination_at, destination_of
from llm_adapter.traffic.places import Place
from llm_adapter.traffic.reading import StreamFacts, facts, facts_of_body
from llm_adapter.transport.body import observe
from llm_adapter.transport.held_reply import held_json
from llm_adapter.transport.native_requests import EXTENSION as ROUND_TRIP

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
    when_ended: Callable[[ObservedCall, BaseException | None], None] = field(repr=False)
    number: int = field(default_factory=lambda: next(_numbers))
    urls: list[str] = field(default_factory=list)  # of the requests that were sent for it, without queries
    answerer: Destination | None = None  # of the client of ours that had the last word
    model: str | None = None  # that the reply names
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    notes: str = ""  # what was adapted: "ignored=user; emulated=n"
    error: str | None = None

    @property
    def answered_by(self) -> Destination:
        """Where the call went last; where nothing was sent, where it would have gone."""
        if self.answerer is not None or not self.urls:
            return self.answerer or self.destination
        host = authority(self.urls[-1])
        return self.destination if host == self.destination.host else destination_at(self.urls[-1])

    def answered(self, response: Any) -> None:
        """Take what the reply says, now or while it is read."""
        self.read_headers(response)

        def end(found: Json, error: BaseException | None) -> None:
            for name, value in found.items():
                setattr(self, name, value)
            self.when_ended(self, error)

        if (held := held_json(response)) is not None:
            end(facts(held), None)
        elif response.is_closed:
            end(facts_of_body(response.content), None)
        else:
            kind = response.headers.get("content-type", "")
            observe(response, StreamFacts(end, events=kind.startswith("text/event-stream")))

    def read_headers(self, response: Any) -> None:
        """Take what is known of a response from its head: who answered, and what was adapted."""
        provider, _, notes = response.headers.get("x-llm-adapter", "").partition("; ")
        if provider.startswith("provider="):
            self.notes = notes
        self.read_request(getattr(response, "_request", None))  # `request` raises where there is none

    def read_request(self, request: Any) -> None:
        """Take which client of ours a request was made by."""
        trip = None if request is None else request.extensions.get(ROUND_TRIP)
        if trip is not None:
            self.answerer = destination_of(trip.connection)
