"""POST /responses  ↔  the backend's own POST /chat/completions."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, cast

from llm_adapter.provider import (
    Call,
    Endpoint,
    Events,
    Flow,
    Json,
    LongWork,
    NativeRequest,
    Rejected,
    Replay,
    Reply,
    rendered,
)
from llm_adapter.responses.events import ResponseDecoder
from llm_adapter.responses.history import Turn, reading
from llm_adapter.responses.output import response
from llm_adapter.responses.parameters import RESPONSES_NAMES, chat_call
from llm_adapter.responses.store import store_of
from llm_adapter.translation import overflow
from llm_adapter.translation.empty_values import telling
from llm_adapter.translation.reasoning import with_reasoning_fields
from llm_adapter.translation.token_count import estimated_count

_INDEXED = re.compile(r"\bmessages\[\d+\]")
_QUOTED = re.compile(rf"`({'|'.join(RESPONSES_NAMES)})`")


def create(call: Call, chat: Endpoint) -> Flow:
    """A response, stored unless the caller wants it otherwise."""
    call = telling(call)
    turn = yield from _turn(call)
    asked = chat_call(call, turn.history, len(turn.before))
    chat = with_reasoning_fields(chat) if call.settings.reasoning_fields == "none" else chat
    try:
        reply = yield from _at_chat_path(chat(asked))
    except Rejected as refusal:
        raise in_responses_words(refusal) from None
    if isinstance(reply, Replay):
        events = ResponseDecoder(turn)
        told = [*events.take(reply.data), *events.last_events()]
        if events.long_work:
            yield turn.saving
            told += events.long_work()
        return Replay(rendered(told))
    if not isinstance(reply, dict):
        return ResponseDecoder(turn, cast("Events", reply))
    whole = response(call, turn.first, reply)
    if turn.waits:
        yield turn.saving
    turn.keep(whole)
    return whole


def _turn(call: Call) -> Generator[LongWork, Any, Turn]:
    store = store_of(call.settings)
    yield from reading(call, store)
    return Turn.of(call, store)


def count(call: Call, counting: Endpoint) -> Flow:
    """POST /responses/input_tokens: how many tokens the model would be shown. Nothing is answered, nothing stored."""
    call = telling(call)
    turn = yield from _turn(call)
    try:
        counted: Any = yield from counting(chat_call(call, turn.history, len(turn.before)))
    except Rejected as refusal:
        raise in_responses_words(refusal) from None
    return {"object": "response.input_tokens", **counted}


def estimated(call: Call) -> Flow:
    """The count of a chat call's prompt on a server that does not count."""
    return estimated_count(call.body)
    yield  # a generator, as every endpoint


def _at_chat_path(flow: Flow) -> Flow:
    """The flow of a chat endpoint, whose requests to the call's own path go to chat's."""
    reply: Any = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as stop:
            answer: Reply = stop.value
            return answer
        reply = yield [_request_at_chat(one) for one in step] if isinstance(step, Sequence) else _request_at_chat(step)


def _request_at_chat(step: Any) -> Any:
    here = isinstance(step, NativeRequest) and step.path is None
    return replace(step, path="chat/completions") if here else step


def in_responses_words(refusal: Rejected) -> Rejected:
    """A chat endpoint's refusal in the words of this API."""
    error: Json = dict(refusal.error)
    error["param"] = RESPONSES_NAMES.get(error["param"], error["param"])
    text = _INDEXED.sub("input", str(error["message"])).replace("/chat/completions", "/responses")
    text = overflow.in_responses_words(text) if error["code"] == overflow.CODE else text
    error["message"] = _QUOTED.sub(lambda found: f"`{RESPONSES_NAMES[found[1]]}`", text)
    told = Rejected(error["message"], status=refusal.status)
    told.error = error
    return told
