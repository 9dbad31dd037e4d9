"""One translated call, pure: native requests out, native replies in, the OpenAI reply at the end.

The client drives it: while there are `pending` requests, send them and `resume` with the replies; then `answer`
holds the reply. Nothing here waits, sends or reads the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from llm_adapter.provider import Call, Endpoint, Events, NativeReply, NativeRequest, Rejected, Reply


class Exchange:
    """The state of one call between the SDK and a backend."""

    def __init__(self, call: Call, endpoint: Endpoint) -> None:
        self.call = call
        self.pending: tuple[NativeRequest, ...] = ()
        self.answer: Reply | Rejected | None = None
        self._many = False
        self._flow = endpoint(call)
        self._advance(None)

    @property
    def untouched(self) -> bool:
        """Whether the one pending request's response goes to the SDK as it comes."""
        return len(self.pending) == 1 and self.pending[0].untouched

    def resume(self, replies: Sequence[NativeReply]) -> None:
        """Hand over the replies to `pending`, in its order."""
        self._advance(list(replies) if self._many else replies[0])

    def _advance(self, replies: NativeReply | list[NativeReply] | None) -> None:
        try:
            step = self._flow.send(replies)
        except StopIteration as stop:
            self.pending, self.answer = (), stop.value
        except Rejected as refusal:
            self.pending, self.answer = (), refusal
        else:
            self._many = not isinstance(step, NativeRequest)
            self.pending = (step,) if isinstance(step, NativeRequest) else tuple(step)

    def reply(self) -> tuple[int, bytes | Events]:
        """The status and the body of the OpenAI response, once nothing is pending."""
        match self.answer:
            case Rejected() as refusal:
                return refusal.status, to_json(refusal.envelope())
            case dict() as reply:
                return 200, to_json(reply, inf_nan_mode="constants")
            case None:
                raise RuntimeError("the exchange still has pending requests")
            case events:
                return 200, events
