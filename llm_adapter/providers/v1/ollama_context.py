"""A prompt that Ollama's `/v1` would cut without a word: measured by the native API before the call is sent.

The `/v1` has no `truncate`, and its reply says nothing of what was left out (recordings: context_overflow). A short
prompt is known to fit: the model is loaded as the `/v1` loads it, and its context is asked for, once a minute. Of a
longer one the native API is asked for a single token with `truncate: false`, which refuses what does not fit. The
server keeps what it has read of the prompt, so that the call after it need not read it again. Embeddings, which are
read once, are asked of the native API itself.
A model of ollama.com is loaded by nobody here, and runs there with the whole context that POST /api/show tells of it:
only a prompt that may be longer is measured, for it is read, and counted, twice there.
Source: ollama openai/openai.go FromChatRequest, FromCompleteRequest, which wraps a prompt in the model's template, and
server/routes.go ChatHandler, GenerateHandler, EmbedHandler, v0.24.0; of models elsewhere GetModelInfo there, and
docs/context-length.mdx, v0.32.15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, NativeReply, NativeRequest, Rejected, Report
from llm_adapter.providers.ollama import chat, embeddings
from llm_adapter.providers.ollama.capabilities import known_model
from llm_adapter.providers.ollama.loading import load_body, load_reply
from llm_adapter.providers.ollama.local import is_cloud
from llm_adapter.providers.ollama.messages import with_media
from llm_adapter.providers.ollama.sizing import estimated_tokens, loaded_size, refusal_with_counts
from llm_adapter.providers.v1.dialects import DIALECTS
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.errors import checked
from llm_adapter.translation.overflow import CODE, within_context
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache
from llm_adapter.translation.token_count import estimate

_SHORT = 128  # estimated tokens: they fit into any context
_CERTAIN = 2  # an estimate is never less than half of what the server counts
_OF_A_PROMPT = ("model", "messages", "tools", "functions")  # what a chat's prompt is made of
# By server and model, the context that a call over /v1 has. It is the server's choice, and so hardly ever another.
_contexts: ExpiringCache[tuple[str, str], int] = ExpiringCache(seconds=60)


def uncut(endpoint: Endpoint) -> Endpoint:
    """The endpoint of a `/v1` call on Ollama, which gets no prompt that is too long for the model's context.

    What does not fit is refused, or shortened by us, as `overflow` says; "allow" leaves it to the server.
    """

    def flow(call: Call) -> Flow:
        if call.settings.overflow == "allow" or estimated_tokens(call) <= _SHORT:
            return (yield from endpoint(call))
        try:
            call = yield from with_media(call)  # images are fetched once
        except Rejected:  # what cannot be sent: the call itself says so
            return (yield from endpoint(call))
        context = yield from _context(call)
        measured = _if_it_fits(endpoint, context)
        if call.path == "/embeddings" and _may_be_cut(call, context):
            call, measured = without_load_options(call), embeddings.in_batches
        cure = DIALECTS["ollama"].larger_context
        return (yield from within_context(call, measured, cure, refusal_with_counts))

    return flow


def without_load_options(call: Call) -> Call:
    """The call for the native API: load-time options would make the next `/v1` call load the model anew."""
    return replace(call, settings=call.settings.model_copy(update={"num_ctx": None, "options": {}}))


def _context(call: Call) -> Steps[int]:
    """The context that the model has over /v1; 0 where the server does not say."""
    model = str(call.body.get("model"))
    key = call.settings.base_url or "", model
    if known := _contexts.get(key, call.created):
        return known
    described = yield from known_model(call)
    if described.missing:  # the call itself says so
        return 0
    if described.remote_host or is_cloud(model):
        size = described.context_length or 0
    else:
        size = yield from _loaded_context(call, model)
    if size:
        _contexts.set(key, size, call.created)
    else:
        warn_caller(
            f"the server does not tell the context length of {model!r}: over Ollama's /v1, a prompt that is longer is "
            "cut without a word"
        )
    return size


def _loaded_context(call: Call, model: str) -> Steps[int]:
    """The context of a model that is loaded for it, as a call over /v1 does; 0 where the server does not say."""
    try:
        checked((yield from load_reply(load_body(without_load_options(call).settings, model))))
    except Rejected:
        return 0
    return (yield from loaded_size(call, model))


def _may_be_cut(call: Call, context: int) -> bool:
    return bool(context) and estimated_tokens(call) * _CERTAIN > context


def _if_it_fits(endpoint: Endpoint, context: int) -> Endpoint:
    """What the endpoint answers. Raises `Rejected` for a prompt that does not fit."""

    def flow(call: Call) -> Flow:
        if _may_be_cut(call, context):
            for request in _measuring_requests(call, context):
                _raise_if_too_long((yield request), call)
        return (yield from endpoint(call))

    return flow


def _raise_if_too_long(reply: NativeReply, call: Call) -> None:
    """Raises `Rejected` for a prompt that is too long. Any other error is said by the call itself."""
    try:
        checked(reply, call.path)
    except Rejected as refusal:
        if refusal.error["code"] == CODE:
            raise


def _measuring_requests(call: Call, context: int) -> Iterator[NativeRequest]:
    """One native request for each prompt that may be too long."""
    one_token = {"stream": False, "truncate": False, "options": {"num_predict": 1}}
    if call.path == "/completions":
        suffix = {"suffix": call.body["suffix"]} if call.body.get("suffix") else {}
        for prompt in _texts(call.body.get("prompt")):
            if estimate(prompt) * _CERTAIN > context:
                native = {"model": call.body.get("model"), "prompt": prompt, **suffix, **one_token}
                yield NativeRequest("POST", "/api/generate", native)
        return
    try:
        yield NativeRequest("POST", "/api/chat", {**_chat_request(call), **one_token})
    except Rejected:  # messages that cannot be sent: the call itself says so
        return


def _chat_request(call: Call) -> Json:
    """The native form of what the prompt is made of. Raises `Rejected`."""
    settings = without_load_options(call).settings.model_copy(update={"think": None})
    body = {name: call.body[name] for name in _OF_A_PROMPT if name in call.body}
    return chat.request(replace(call, body=body, settings=settings, report=Report()))


def _texts(given: Any) -> list[str]:
    return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, str)]
