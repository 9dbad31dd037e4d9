"""Models loaded by a request without a prompt: `client.models.load`, `unload`, and `preload` of a profile.

Source: ollama/server/routes.go GenerateHandler, v0.24.0; recordings: load_unload.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.local import local_only
from llm_adapter.providers.ollama.missing import adds_cures, pulls_missing
from llm_adapter.settings.errors import warn_caller
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache
from llm_adapter.translation.reply_shapes import ANSWER, reply_of

# Until the server cannot be reached: one that is started anew has nothing loaded.
_preloaded: ExpiringCache[tuple[str, str], bool] = ExpiringCache(seconds=math.inf)
_refused: ExpiringCache[tuple[str, str], bool] = ExpiringCache(seconds=30)  # not tried again with every call


def load_body(settings: Settings, model: str, keep_alive: Any = None) -> Json:
    """A native request that loads a model as the profile's calls want it; another load would undo it."""
    options = {**settings.options, **({"num_ctx": settings.num_ctx} if isinstance(settings.num_ctx, int) else {})}
    keep = settings.keep_alive if keep_alive is None else keep_alive
    body = {"model": model, "stream": False, "options": options, "keep_alive": keep}
    return {name: value for name, value in body.items() if value not in (None, {})}


def load_reply(body: Json) -> Steps[NativeReply]:
    """The reply to an empty load. An embedding model is loaded by an empty embedding."""
    reply: NativeReply = yield NativeRequest("POST", "/api/generate", body)
    if reply.status == 400 and b"does not support" in reply.body:
        reply = yield NativeRequest("POST", "/api/embed", {**body, "input": []})
    return reply


def load(call: Call) -> Flow:
    """POST /api/generate without a prompt: `client.models.load` and `unload`."""
    flow = adds_cures(_load) if call.body.get("keep_alive") == 0 else pulls_missing(local_only(_load))
    return (yield from flow(call))


def _load(call: Call) -> Flow:
    reply = yield from load_reply(call.body)
    return {"response": "", **reply_of(reply, ANSWER)}


def preloads(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with the first call of a profile that has models to preload."""

    def flow(call: Call) -> Flow:
        if call.settings.preload:
            yield from preload(call)
        return (yield from endpoint(call))

    return flow


def preload(call: Call) -> Generator[Any, Any, None]:
    """Load the profile's models, each once. One that cannot be is warned of: the call may be for another."""
    for name in call.settings.preload:
        model = call.settings.model(name)
        key = call.settings.base_url or "", model
        if not (_preloaded.get(key, call.created) or _refused.get(key, call.created)):
            yield from _preload_one(call, key)


def _preload_one(call: Call, key: tuple[str, str]) -> Generator[Any, Any, None]:
    _preloaded.set(key, True, call.created)  # at once: calls side by side load it once
    loaded = False
    try:
        yield from load(replace(call, path="/api/generate", body=load_body(call.settings, key[1])))
        loaded = True
    except Rejected as refusal:
        _refused.set(key, True, call.created)
        warn_caller(f"`preload`: {refusal.error['message']}")
    finally:
        if not loaded:  # also where the server could not be reached, and this generator is closed
            _preloaded.drop(key)
