"""The terms of one server: how long to wait for it, how many requests at once, which errors are not repeated. Pure.

The phases of a request are: connect, until the response begins, until a stream's first piece, between its pieces.
Ollama holds a response back until the model is loaded and has said its first word (server/routes.go, v0.24.0), and one
that is not streamed until it is complete. What the settings leave open stays as the SDK has it: 5 seconds to connect
and 600 for each read, which is generous to a cold model; shorter defaults would fail where the plain SDK does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import openai

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

LOCAL = ("ollama", "embedded")
# Far more than a local server works on at once (OLLAMA_NUM_PARALLEL is 1 by default, the embedded server has 4 slots),
# so that it is never kept waiting; far fewer than the 512 waiting requests at which Ollama answers 503. All others wait
# here, where waiting counts against no timeout.
LOCAL_CONCURRENCY = 32
# The work was not begun, or another attempt finds the server up again. A 500 fails again, and behind a 504 the
# work goes on: repeated, they only make a busy server busier.
_REPEATABLE = frozenset({408, 409, 425, 429, 502, 503})
# Requests that are quick, or long without work for the model: they do not wait behind generations.
_WITHOUT_SLOT = re.compile(r"/api/(show|pull|push|create|copy|blobs/[^/]*)$")


class Terms(NamedTuple):
    """The terms of one destination. Timeouts are in seconds; None leaves the SDK's."""

    connect: float | None = None
    load: float | None = None  # until the response begins
    first_token: float | None = None
    idle: float | None = None
    limit: int | None = None  # requests at once
    no_repeats: bool = False  # the SDK is kept from sending a request again whose work the server has begun

    @property
    def has_timeouts(self) -> bool:
        return (self.connect, self.load, self.first_token, self.idle) != (None, None, None, None)

    def needs_slot(self, method: str, path: str) -> bool:
        """Whether a request needs one of the slots at its server."""
        return self.limit is not None and method == "POST" and not _WITHOUT_SLOT.search(path)

    def timeouts(self, sdk: Mapping[str, float | None], *, stream: bool) -> dict[str, float | None]:
        """httpx's timeouts until the response begins. sdk: the SDK's own."""
        read = self.load or (self.first_token if stream else None) or sdk["read"]
        return {**sdk, "connect": self.connect or sdk["connect"], "read": read}


def terms_of(settings: Settings) -> Terms | None:
    """The terms that the settings name; None where everything is as the SDK has it."""
    local = settings.provider in LOCAL
    limit = settings.max_concurrency
    terms = Terms(
        connect=settings.connect_timeout,
        load=settings.load_timeout,
        first_token=settings.first_token_timeout,
        idle=settings.idle_timeout,
        limit=(limit or None) if limit is not None else LOCAL_CONCURRENCY if local else None,
        no_repeats=local,
    )
    return terms if local or terms != Terms() else None


def is_explicit(timeouts: Any) -> bool:
    """Whether a request's timeouts are the caller's own: from a call, a client, or an HTTP client."""
    return bool(timeouts != _sdk_timeouts)


def is_repeatable(status: int) -> bool:
    """Whether the SDK may send a request again that got this error status."""
    return status in _REPEATABLE


_sdk_timeouts = openai.DEFAULT_TIMEOUT.as_dict()
