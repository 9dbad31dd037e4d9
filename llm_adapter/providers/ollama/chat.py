"""POST /chat/completions  ↔  POST /api/chat

A stream has the role on its first chunk, the finish on one of its own, then usage, then [DONE].
Source: ollama/openai/openai.go FromChatRequest, ToChatCompletion, ToStreamChunks, middleware/openai.go ChatWriter,
v0.24.0 and v0.33.0-rc2; where they lose something, we do not. The recordings *_stream.
Rule: what the caller did not ask for is not sent, but for `truncate: false`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llm_adapter.provider import Call, Event, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.messages import messages, natives_of, with_media
from llm_adapter.providers.ollama.parameters import CHAT, generating_request, seeded_requests
from llm_adapter.providers.ollama.reply import (
    FINGERPRINT,
    finish_reason,
    logprobs,
    message,
    reasoning,
    timings,
    tool_calls,
    usage,
)
from llm_adapter.providers.ollama.sizing import refusal_with_counts, with_num_ctx
from llm_adapter.providers.ollama.stream import LineDecoder
from llm_adapter.translation.chat_stream import ChoiceDeltas, chunk_choice, replay_of, wants_usage
from llm_adapter.translation.errors import checked
from llm_adapter.translation.grammar_schema import GRAMMARS
from llm_adapter.translation.overflow import LARGER_NUM_CTX, within_context
from llm_adapter.translation.parallel import SequentialStreams, Steps, together
from llm_adapter.translation.parameters import note_emulated_tools
from llm_adapter.translation.reasoning import without_thinking
from llm_adapter.translation.reply_checks import (
    Ask,
    ReplyRequirements,
    checked_completion,
    combined_choices,
    summed_usage,
    with_penalty,
)
from llm_adapter.translation.reply_shapes import NATIVE_CHAT, reply_of
from llm_adapter.translation.structured_output import ReplyForm
from llm_adapter.translation.wire import Interrupted

_requirements = partial(ReplyRequirements.of, where="provider 'ollama'", constrained=True, fields=("format",))


def flow(call: Call) -> Flow:
    """One request a choice, side by side; one more where a reply does not fit, and for the form after the tools."""
    call = yield from with_media(call)
    return (yield from within_context(call, _sized, LARGER_NUM_CTX, refusal_with_counts))


def _sized(call: Call) -> Flow:
    return with_num_ctx(call, call.body.get("messages"), _thinking_if_it_can)


def _thinking_if_it_can(call: Call) -> Flow:
    while True:
        try:
            return (yield from _exchange(call))
        except Rejected as refusal:  # noqa: PERF203 - once more at most
            call = without_thinking(call, refusal)


def _exchange(call: Call) -> Flow:
    requirements = _requirements(call)
    natives = seeded_requests(request(call, requirements), requirements.count)
    if call.stream and not requirements.plan.forced and not requirements.tools_first:
        replies = yield [NativeRequest("POST", "/api/chat", one, stream=True) for one in natives]
        for reply in replies:
            checked(reply)
        return decoder(requirements)
    wholes = yield from together([_completion(requirements, one, place) for place, one in enumerate(natives)])
    whole = combined_choices(wholes)
    if len(wholes) > 1:
        whole["ollama"] = timings(*(one["ollama"] for one in wholes))
    return replay_of(requirements, whole) if call.stream else whole


def request(call: Call, requirements: ReplyRequirements | None = None) -> Json:
    """The native request. Raises `Rejected`."""
    requirements = requirements or _requirements(call)
    native = generating_request(CHAT, call, {"messages": messages(call)})
    note_emulated_tools(CHAT, call.body, call)
    if requirements.plan.functions:
        native["tools"] = requirements.plan.folded
    if requirements.plan.forced:
        # A thinking model would think first, and not be constrained while it does. The whole call is checked, so
        # there is nothing to stream.
        native |= {"format": requirements.plan.format(call, GRAMMARS["ollama"]), "think": False, "stream": False}
    elif requirements.tools_first:  # the whole reply tells what follows, so there is nothing to stream
        native["stream"] = False
        native.pop("format", None)
    elif requirements.form is not None:
        native["format"] = requirements.form.format(call, GRAMMARS["ollama"])
    return native


def _completion(requirements: ReplyRequirements, native: Json, place: int) -> Steps[Json]:
    """The completion of one choice."""

    def ask_for_form(form: ReplyForm) -> Ask:
        bare = {name: value for name, value in native.items() if name != "tools"}
        with_form = {**bare, "format": form.format(requirements.call, GRAMMARS["ollama"])}
        return _asker(requirements, with_form, place)

    return checked_completion(requirements, _asker(requirements, native, place), ask_for_form)


def _asker(requirements: ReplyRequirements, native: Json, place: int) -> Ask:
    """What sends the native request for one choice."""

    def ask(turns: list[Json], penalised: bool) -> Steps[Json]:
        more: Json = {"messages": [*native["messages"], *natives_of(turns, requirements.call)]} if turns else {}
        if penalised:
            more["options"] = with_penalty(requirements.call, native.get("options", {}))
        reply: NativeReply = yield NativeRequest("POST", "/api/chat", {**native, **more})
        whole = reply_of(reply, NATIVE_CHAT)
        if not whole.get("done"):
            raise Interrupted
        return response(requirements.call, whole, place)

    return ask


def response(call: Call, native: Json, place: int = 0) -> Json:
    """The chat completion of one choice's native reply: a complete one, durations in nanoseconds."""
    message_in = native.get("message") or {}
    choice = {
        "index": place,
        "message": message(call, message_in, place),
        "logprobs": logprobs(native),
        "finish_reason": finish_reason(native),
    }
    return {
        "id": f"chatcmpl-{call.id}",
        "object": "chat.completion",
        "created": call.created,
        "model": native.get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
        "usage": _usage(call, native),
        "ollama": timings(native),
    }


def _usage(call: Call, native: Json) -> Json:
    """The counts of one choice."""
    prompt = str(call.body.get("messages")) if "prompt_eval_count" not in native else ""
    return usage(native, prompt, str((native.get("message") or {}).get("content")))


@dataclass
class Tally:
    """What all choices of a stream share: their last messages, and how many there will be."""

    count: int = 1
    lasts: list[Json] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)  # of each choice, in the order of `lasts`


def decoder(requirements: ReplyRequirements) -> ChatDecoder | SequentialStreams:
    """The decoder for the streams of all choices."""
    tally = Tally(requirements.count)
    parts = [ChatDecoder(requirements.call, requirements, place, tally) for place in range(requirements.count)]
    return parts[0] if requirements.count == 1 else SequentialStreams(parts)


class ChatDecoder(LineDecoder):
    """The decoder of one choice."""

    shape = NATIVE_CHAT

    def __init__(
        self, call: Call, requirements: ReplyRequirements | None = None, index: int = 0, tally: Tally | None = None
    ) -> None:
        super().__init__(call)
        self._index = index
        self._deltas = ChoiceDeltas(requirements or ReplyRequirements(call), index)
        self._tally = tally or Tally()
        self._opened = False
        self._called = 0
        self._text_model: str | None = None  # of the last piece of text, and what all chunks of such pieces begin with
        self._text_head: Json = {}
        self._head: Json = {
            "object": "chat.completion.chunk",
            "system_fingerprint": FINGERPRINT,
            "id": f"chatcmpl-{call.id}",
            "created": call.created,
        }

    @property
    def last(self) -> bool:
        return len(self._tally.lasts) == self._tally.count

    def chunks(self, native: Json) -> list[Event]:
        message, done = native.get("message") or {}, bool(native.get("done"))
        if done:
            self._tally.lasts.append(native)
            self._tally.pieces.append(self.pieces)
        delta, reason, error = self._deltas.outgoing(self._delta(message), finish_reason(native) if done else None)
        logs = logprobs(native) if "logprobs" in native else None
        out = [self._event(native, [chunk_choice(self._index, delta, logs, None)], {})] if delta or logs else []
        if error is not None:
            return [*out, *self.failed(error)]
        return out if reason is None else [*out, *self._last_events(native, reason)]

    def text_chunk(self, native: Any) -> Event | None:
        """Of nothing but the four fields of a piece of text, each of its type: there is nothing to check in it.

        tests/transport/test_event_pieces.py holds it against the longer way, `chunks`.
        """
        if type(native) is not dict or len(native) != 4 or native.get("done") is not False:
            return None
        message, model = native.get("message"), native.get("model")
        if type(message) is not dict or len(message) != 2 or "role" not in message or "created_at" not in native:
            return None
        text = message.get("content")
        if not (text and type(text) is str and type(model) is str and self._opened and self._deltas.passes_text):
            return None
        if model != self._text_model:
            named = {**self._head, "model": model or self.call.body.get("model"), "choices": []}
            self._text_model, self._text_head = model, named
        chunk = self._text_head.copy()
        chunk["choices"] = [chunk_choice(self._index, {"content": text}, None, None)]
        return Event(chunk)

    def _delta(self, message: Json) -> Json:
        delta: Json = {} if self._opened else {"role": "assistant", "content": ""}
        self._opened = True
        if message.get("content"):
            delta["content"] = message["content"]
        delta |= reasoning(message)
        if message.get("tool_calls"):
            delta["tool_calls"] = tool_calls(self.call, message, self._called, self._index)
            self._called += len(delta["tool_calls"])
        return delta

    def _last_events(self, native: Json, reason: str) -> list[Event]:
        counts = {"usage": self._usage()} if wants_usage(self.call) else {}
        figures = {"ollama": timings(*self._tally.lasts), "adapter": self.call.report.json(native.get("model"))}
        finish = [chunk_choice(self._index, {}, None, reason)]
        if not self.last:
            return [self._event(native, finish, {})]
        if not counts:
            return [self._event(native, finish, figures)]
        return [self._event(native, finish, {}), self._event(native, [], {**counts, **figures})]

    def _usage(self) -> Json:
        prompt = str(self.call.body.get("messages"))
        ends = zip(self._tally.lasts, self._tally.pieces, strict=True)
        return summed_usage([usage(one, prompt, pieces=pieces) for one, pieces in ends])

    def _event(self, native: Json, choices: list[Json], more: Json) -> Event:
        model = native.get("model") or self.call.body.get("model")
        return Event({**self._head, "model": model, "choices": choices, **more})
