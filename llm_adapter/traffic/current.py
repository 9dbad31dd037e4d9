"""The call that is being made, in the place of an argument that the SDK's methods do not have."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from llm_adapter.traffic.observed import ObservedCall

EXTENSION = "llm_adapter_call"  # the extension of a request that carries the call which it is sent for
current_call: ContextVar[ObservedCall | None] = ContextVar("llm_adapter_call", default=None)  # None: nobody watches


def mark_request(request: Any) -> None:
    """Have a request of httpx or httpx2 say which call it is for, while somebody watches."""
    if (call := current_call.get()) is not None:
        request.extensions[EXTENSION] = call


def note_reply(response: Any) -> None:
    """Tell those who watch of the response in OpenAI's form, before it is read further."""
    call = current_call.get()
    if call is not None and response.request.extensions.get(EXTENSION) is call:
        call.answered(response)


# --- for fake servers of this process, which see no extensions: their requests have a header with the call's number

HEADER = "x-llm-adapter-call"
marked_origins: set[str] = set()  # host:port of those servers
_calls: WeakValueDictionary[int, ObservedCall] = WeakValueDictionary()


def attempt_of(request: Any) -> str | None:
    """Which attempt of which call a request is for, as the header has it; None for one that nobody watches."""
    call: ObservedCall | None = request.extensions.get(EXTENSION)
    if call is None:
        return None
    _calls[call.number] = call
    return f"{os.getpid()}.{call.number}.{request.headers.get('x-stainless-retry-count', '0')}"


def call_by_attempt(attempt: str) -> ObservedCall | None:
    """The call of a header's value, if it is one of this process and still under way."""
    process, _, rest = attempt.partition(".")
    number = rest.partition(".")[0]
    return _calls.get(int(number)) if process == str(os.getpid()) and number.isdigit() else None
