"""One call that is compared in the background: where it went, where its copy goes, and what was answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_adapter.routing.connection import Connection

if TYPE_CHECKING:
    from openai import OpenAI

LARGEST = 4 << 20  # bytes of a call's body, and of its reply: with worker.PENDING, what waiting calls take of memory


@dataclass(frozen=True, eq=False)
class Destinations:
    """The two destinations of one client: the one that answers it, and the one that gets copies."""

    first: Connection
    second: Connection
    make: Callable[..., OpenAI]  # a client of these settings; handed in from above, for clients import this package

    @property
    def log(self) -> str | None:
        return self.first.configured.shadow_log


@dataclass(frozen=True)
class Job:
    """A call and its reply, both as bytes: what the background thread compares."""

    shadow: Destinations
    path: str
    body: bytes
    streamed: bool
    seconds: float  # until the caller had all of the reply
    ended: float  # unix seconds
    http: Any  # the HTTP library of the reply
    error: BaseException | None = None  # instead of a reply
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    encoded: bool = False  # the content is as it came over the wire, compressed perhaps
    whole: bool = True  # it was read to its end
