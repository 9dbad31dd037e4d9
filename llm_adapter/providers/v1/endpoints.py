"""Calls to servers that speak `/v1`: which dialect a server has, and what answers a call in it.

Imported with the first call that comes here: importing the package does not pay for it.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from llm_adapter import responses
from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.v1 import PATHS, chat, completions, embeddings, input_tokens, models
from llm_adapter.providers.v1.defaults import tell_unread, with_defaults
from llm_adapter.providers.v1.dialects import DIALECTS, OTHER, Dialect, recognised
from llm_adapter.providers.v1.repair import RepairDecoder, complete, repaired
from llm_adapter.translation.empty_values import telling
from llm_adapter.translation.errors import checked
from llm_adapter.translation.messages import has_speakers
from llm_adapter.translation.overflow import within_context
from llm_adapter.translation.process_cache import ExpiringCache
from llm_adapter.translation.reply_shapes import MODEL, MODELS, STREAMED, WHOLE, Shape, reply_of
from llm_adapter.translation.unavailable import (
    answered_where_there,
    passed_on_where_there,
    reason_of,
    unavailable_endpoint,
)

_FLOWS = {"/chat/completions": chat.flow, "/completions": completions.flow, "/embeddings": embeddings.flow}
# The server's address to its dialect. Believed for some minutes, and until the server cannot be reached.
_SAYS_WHAT_IT_IS = (200, 404, 405)  # a list of models, or that there is none
_recognised: ExpiringCache[tuple[str], str] = ExpiringCache(seconds=300)


def endpoint(method: str, path: str) -> Endpoint | None:
    """The translation of one call to a /v1 server."""
    if path.startswith("/api/"):
        from llm_adapter.providers.ollama import management

        return _manage_models if management.endpoint(method, path) else None
    if (method, path) == ("GET", "/models"):
        return _list_models
    if path.startswith("/models/"):
        return _ONE_MODEL.get(method)
    if responses.serves(path):
        return _responses
    if method == "POST" and path in PATHS:
        return in_servers_dialect
    return _other_endpoint if reason_of(method, path) else None


def in_servers_dialect(call: Call) -> Flow:
    """POST /chat/completions, /completions, /embeddings  ↔  the same, in the server's dialect."""
    dialect = yield from _dialect(call)
    tell_unread(call, dialect)
    return (yield from _on_server(call, dialect))


def _on_server(call: Call, dialect: Dialect) -> Flow:
    """One call in a known dialect; on Ollama with what only its native API can do: `keep_alive`, a missing model."""
    if dialect.name != "ollama":
        return (yield from in_dialect(call, dialect))
    from llm_adapter.providers.v1.ollama import on_ollama

    return (yield from on_ollama(lambda given: in_dialect(given, dialect))(call))


def _delete_model(call: Call) -> Flow:
    """DELETE /models/{id}, which Ollama's /v1 does not have (405, measured on 0.24.0)."""
    dialect = yield from _dialect(call)
    if dialect.name == "ollama":
        from llm_adapter.providers.ollama.endpoints import MODEL as NATIVE

        return (yield from NATIVE["DELETE"](call))
    if dialect.needs_repair and not dialect.accepts_any_path:
        return (yield from answered_where_there(call, MODEL, dialect.server))
    return (yield from _passed_on_where_there(call, dialect))


def _retrieve_model(call: Call) -> Flow:
    """GET /models/{id}, which is only asked for where the server has it."""
    dialect = yield from _dialect(call)
    if not dialect.has_model_endpoint:
        return (yield from models.retrieve_model(call))
    return (yield from _checked(call, dialect, MODEL))


def _other_endpoint(call: Call) -> Flow:
    """An endpoint that few servers but OpenAI's have."""
    return (yield from _passed_on_where_there(call, (yield from _dialect(call))))


def _passed_on_where_there(call: Call, dialect: Dialect) -> Flow:
    """The call as it is. Raises `Rejected` where the server does not have it."""
    if not dialect.needs_repair:
        yield NativeRequest(call.method, None, call.body or None, passthrough=True)
    if dialect.accepts_any_path:
        raise unavailable_endpoint(call, dialect.server)
    return (yield from passed_on_where_there(call, dialect.server))


def _list_models(call: Call) -> Flow:
    """GET /models, which OpenAI's own dialect has as it comes."""
    return (yield from _checked(call, DIALECTS.get(call.settings.dialect or "", OTHER), MODELS))


def _checked(call: Call, dialect: Dialect, shape: Shape) -> Flow:
    """A call as it is, and its reply, which has to be one; OpenAI's own is passed on."""
    reply: NativeReply = yield NativeRequest(call.method, None, passthrough=not dialect.needs_repair)
    return reply_of(reply, shape, call.path)


_ONE_MODEL: dict[str, Endpoint] = {"GET": _retrieve_model, "DELETE": _delete_model}


def _manage_models(call: Call) -> Flow:
    """A native call of `client.models`, where the server is Ollama."""
    from llm_adapter.providers.ollama.management import endpoint, unmanaged

    dialect = yield from _dialect(call)
    if dialect.name != "ollama":
        raise unmanaged("openai", dialect.name)
    native = endpoint(call.method, call.path)
    assert native is not None
    return (yield from native(call))


def _responses(call: Call) -> Flow:
    """The Responses API: OpenAI's own at OpenAI. Other servers' forget or refuse `previous_response_id`."""
    dialect = yield from _dialect(call)
    tell_unread(call, dialect)
    if dialect.needs_repair:
        counting = partial(input_tokens.count, dialect=dialect)
        ours = responses.endpoint(call.method, call.path, partial(_on_server, dialect=dialect), counting)
    else:
        ours = None
    if ours is None:
        body = dialect.body(with_defaults(call, dialect))
        yield NativeRequest(call.method, None, body or None, passthrough=True)
        raise AssertionError("a passthrough exchange is not resumed")
    return (yield from ours(call))


def _dialect(call: Call) -> Generator[NativeRequest, Any, Dialect]:
    """The dialect that is configured or that the address tells, or else what the server's model list shows."""
    key = (call.settings.base_url or "",)
    name = call.settings.dialect or _recognised.get(key, call.created)
    if name is None:
        reply: NativeReply = yield NativeRequest("GET", "models")
        name = recognised(_json(reply))
        if reply.status in _SAYS_WHAT_IT_IS:
            _recognised.set(key, name, call.created)
    return DIALECTS[name]


def _json(reply: NativeReply) -> Any:
    try:
        return reply.json() if reply.status == 200 else None
    except Rejected:  # it does not say what it is; what it answers to the call itself is told
        return None


def in_dialect(call: Call, dialect: Dialect) -> Flow:
    """One call in a known dialect."""
    call = with_defaults(call, dialect)
    known = call.path in dialect.rows or (call.path == "/embeddings" and dialect.needs_repair)
    flow = _FLOWS[call.path] if known else _passed_on
    call = telling(call) if dialect.needs_repair else call
    return (yield from within_context(call, lambda call: flow(call, dialect), dialect.larger_context))


def _passed_on(call: Call, dialect: Dialect) -> Flow:
    """The call as it is; the reply of a server that nothing is known of is repaired."""
    body = dialect.body(call)
    if not dialect.needs_repair:
        yield NativeRequest("POST", None, body, passthrough=True)
    if has_speakers(call.body.get("messages")):
        call.report.note("unknown", "messages.name")
    reply: NativeReply = yield NativeRequest("POST", None, body, stream=call.stream)
    single = body.get("parallel_tool_calls") is False
    if not call.stream:
        whole = complete(reply_of(reply, WHOLE[call.path], call.path))
        if isinstance(body.get("n"), int) and len(whole["choices"]) < body["n"]:
            call.report.note("left_out", "n")
        return repaired(whole, call.id, single) if call.path == "/chat/completions" else whole
    checked(reply, call.path)
    return RepairDecoder(call.id, single, shape=STREAMED[call.path])
