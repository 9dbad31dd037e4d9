"""The call that is being made, in the place of an argument that the SDK's methods do not have."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_adapter.traffic.observed import ObservedCall

EXTENSION = "llm_adapter_call"  # the extension of a request that carries the call which it is sent for
current_call: ContextVar[ObservedCall | None] = ContextVar("llm_adapter_call", default=None)  # None: nobody watches


def mark_request(request: Any) -> None:
    """Have a request of httpx or httpx2 say which call it is for, while somebody watches."""
    if (call := current_call.get()) is not None:
        request.extensions[EXTENSION] = call
