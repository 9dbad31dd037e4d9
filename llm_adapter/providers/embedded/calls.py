"""Calls to the embedded llama.cpp: what its models need beyond the dialect of its server. No IO."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_adapter.provider import Call, Event, Flow, Json, LongWork, ObjectEvents, Rejected, Replay, Reply
from llm_adapter.providers.embedded.models import Model, configured, has_table, names, shown, with_makers_wishes
from llm_adapter.providers.embedded.names import OLLAMA
from llm_adapter.settings.read_only import read_only

if TYPE_CHECKING:
    from llm_adapter.providers.v1.dialects import Dialect

Find: TypeAlias = Callable[[Call], "Model | None"]  # the model of a call, once its server has been started
_BLIND = re.compile(r"(image|audio|video) input is not supported")


def in_dialect(call: Call, find: Find) -> Flow:
    """POST /chat/completions, /completions, /embeddings  ↔  the same, by the model that the call names."""
    from llm_adapter.providers.v1.endpoints import in_dialect

    prepared = yield from _prepared(call, find)
    try:
        reply = yield from in_dialect(prepared, dialect())
    except Rejected as refusal:
        raise _explained(refusal) from None
    return _by_its_name(call, reply)


def input_tokens(call: Call, find: Find) -> Flow:
    """How many tokens a chat's prompt has."""
    from llm_adapter.providers.v1.input_tokens import count

    return (yield from count((yield from _prepared(call, find)), dialect()))


def list_models(call: Call) -> Flow:
    """GET /models: the names that calls may give. No server is started where the profile says them all."""
    from llm_adapter.providers.v1.models import list_models

    if not has_table(call.settings):
        return (yield from list_models(call, _embedders(call)))
    return {"object": "list", "data": [_listed(name) for name in names(call.settings)]}


def retrieve_model(call: Call) -> Flow:
    """GET /models/{id}: one of the same."""
    from llm_adapter.providers.v1.models import retrieve_model

    if not has_table(call.settings):
        return (yield from retrieve_model(call, _embedders(call)))
    name = call.named
    if name not in names(call.settings):
        configured(call.settings, call.settings.model(name), embeddings=False)
    return _listed(name)


def dialect() -> Dialect:
    """What llama.cpp's server does differently from OpenAI, and what is done for it here."""
    from llm_adapter.providers.v1.dialects import DIALECTS
    from llm_adapter.translation.overflow import LARGER_NUM_CTX

    # Its server would fetch images from anywhere, and it runs as this user: they are fetched and checked here.
    return replace(DIALECTS["llamacpp"], fetches_images=False, larger_context=LARGER_NUM_CTX)


def _prepared(call: Call, find: Find) -> Any:
    """The call with what the model's maker set, where it is one of Ollama's. Raises `Rejected` for an unknown name."""
    model = call.body.get("model")
    embeddings = call.path == "/embeddings"
    name = configured(call.settings, model if isinstance(model, str) else None, embeddings=embeddings)
    if not name.startswith(OLLAMA) or embeddings:
        return call
    found = find(call)
    if found is None:
        yield LongWork(
            "Loading the model, which goes on for later calls,"
        )  # the server starts before: then it is known
        found = find(call)
    if found is None:
        return call
    options = read_only({**found.options, **call.settings.options})
    settings = call.settings.model_copy(update={"options": options}) if found.options else call.settings
    return replace(call, settings=settings, body=with_makers_wishes(call.body, found))


def _explained(refusal: Rejected) -> Rejected:
    """A refusal of what a model cannot see or hear, with the cure."""
    message = str(refusal.error.get("message"))
    if not (found := _BLIND.search(message)):
        return refusal
    return Rejected(
        f"{found[1]} input is not supported: the model has no projector. Give its makers' mmproj file, "
        "`mmproj_path` in the profile, or take a model that sees",
        param="messages",
        code="unsupported_content",
    )


def _embedders(call: Call) -> list[str]:
    """The model that embeds: it has a server of its own, which the list of the first does not know."""
    return [shown(configured(call.settings, None, embeddings=True))]


def _listed(name: str) -> Json:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llamacpp"}


# --- the name of a reply ----------------------------------------------------------------------------------------------


def _by_its_name(call: Call, reply: Reply) -> Reply:
    """The reply with the name that the call gave, where the profile has a table of names; the report has both."""
    asked, real = call.report.requested_model, call.body.get("model")
    if not has_table(call.settings) or not isinstance(asked, str):
        return reply
    call.report.model = real if isinstance(real, str) else None
    if isinstance(reply, dict):
        return {**reply, "model": asked} if "model" in reply else reply
    if isinstance(reply, Replay):
        return Replay(_MODEL.sub(partial(_with_name, json.dumps(asked).encode()), reply.data))
    if not isinstance(reply, ObjectEvents):
        return reply
    return _RenamedStreams(reply, asked) if hasattr(reply, "next_stream") else _Renamed(reply, asked)


# The model of a chunk, which stands before its report: a quotation mark within a text is written with a backslash.
_MODEL = re.compile(rb'^(data: \{(?:(?!"adapter":).)*?"model": ?)"(?:[^"\\]|\\.)*"', re.MULTILINE)


def _with_name(name: bytes, found: re.Match[bytes]) -> bytes:
    return found[1] + name


class _Renamed(ObjectEvents):
    """`Events` whose chunks carry another name of the model."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name

    def events(self, data: bytes) -> list[Event]:
        return self._new(self._inner.events(data))

    def last_events(self) -> list[Event]:
        return self._new(self._inner.last_events())

    def _new(self, events: list[Event]) -> list[Event]:
        return [
            Event({**one.value, "model": self._name}, one.event)
            if isinstance(one.value, dict) and "model" in one.value
            else one
            for one in events
        ]


class _RenamedStreams(_Renamed):
    """The same of several streams."""

    def next_stream(self) -> list[Event]:
        return self._new(self._inner.next_stream())
