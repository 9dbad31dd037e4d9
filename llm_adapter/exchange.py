"""One translated call, pure: native requests out, native replies in, the OpenAI reply at the end.

The client drives it: while there are `pending` requests, send them and `resume` with the replies; where there is
something to `fetch` or to `wait` for, do that instead, and where the next step is `long_work`, resume it outside the
event loop; then `answer` holds the reply. Nothing here waits, sends or reads the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from llm_adapter.provider import (
    Call,
    Endpoint,
    Events,
    Fetch,
    Json,
    LongWork,
    NativeReply,
    NativeRequest,
    Raw,
    Rejected,
    Replay,
    Reply,
    WaitForPull,
    json_bytes,
)


class Exchange:
    """The state of one call between the SDK and a backend."""

    def __init__(self, call: Call, endpoint: Endpoint) -> None:
        self.call = call
        self.pending: tuple[NativeRequest, ...] = ()
        self.fetch: Fetch | None = None
        self.wait: WaitForPull | None = None
        self.long_work: LongWork | None = None
        self.answer: Reply | Rejected | None = None
        self._many = False
        self._flow = endpoint(call)
        self._advance(partial(self._flow.send, None))

    @property
    def passthrough(self) -> bool:
        """Whether the one pending request's response goes to the SDK as it comes."""
        return len(self.pending) == 1 and self.pending[0].passthrough

    @property
    def resume_on_error(self) -> bool:
        """Whether the endpoint is resumed with that response if it is an error."""
        return self.passthrough and self.pending[0].resume_on_error

    def resume(self, replies: Sequence[NativeReply]) -> None:
        """Give the endpoint the replies to `pending`, or to `fetch`, in the same order."""
        self._advance(partial(self._flow.send, list(replies) if self._many else replies[0]))

    def fail(self, refusal: Rejected) -> None:
        """Say that something in `fetch` could not be fetched."""
        self._advance(partial(self._flow.throw, refusal))

    def close(self) -> None:
        """End the endpoint where it stands: others may wait for it, and an error's traceback would keep it alive."""
        with suppress(ValueError):  # a thread that was abandoned still runs it, and ends it
            self._flow.close()

    def _advance(self, step_on: Callable[[], Any]) -> None:
        self.pending, self.fetch, self.wait, self.long_work = (), None, None, None
        try:
            step = step_on()
        except StopIteration as stop:
            self.answer = stop.value
        except Rejected as refusal:
            self.answer = refusal
        else:
            self._many = not isinstance(step, NativeRequest)
            if isinstance(step, Fetch):
                self.fetch = step
            elif isinstance(step, WaitForPull):
                self.wait = step
            elif isinstance(step, LongWork):
                self.long_work = step
            else:
                self.pending = tuple(step) if self._many else (step,)

    def reply(self) -> tuple[int, Json | bytes | Events | Replay | Raw]:
        """The status and the body of the OpenAI response, once nothing is pending. A reply's JSON is not written."""
        match self.answer:
            case Rejected() as refusal:
                return refusal.status, json_bytes(refusal.envelope())
            case dict() as reply:
                if "model" in reply:
                    reply["adapter"] = self.call.report.json(reply["model"])
                return 200, reply
            case None:
                raise RuntimeError("the exchange still has pending requests")
            case events:
                return 200, events
