"""Models loaded by a request without a prompt: `client.models.load`, `unload`, and `preload` of a profile.

Source: ollama/server/routes.go GenerateHandler, v0.24.0; recordings: load_unload.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.local import check_local, local_only
from llm_adapter.providers.ollama.missing import adds_cures, pulls_missing, refusal_with_cure
from llm_adapter.settings.errors import warn_caller
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import register_cache

_preloaded: set[tuple[str, str]] = register_cache(set())
_lock = threading.Lock()


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
    return {"response": "", **checked(reply).json()}


def preloads(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with the first call of a profile that has models to preload."""

    def flow(call: Call) -> Flow:
        if call.settings.preload:
            yield from preload(call)
        return (yield from endpoint(call))

    return flow


def preload(call: Call) -> Steps[None]:
    """Load the profile's models, once a process. One that cannot be is warned of: the call may be for another."""
    for name in call.settings.preload:
        model = call.settings.model(name)
        key = call.settings.base_url or "", model
        with _lock:
            if key in _preloaded:
                continue
            _preloaded.add(key)
        try:
            about = replace(call, body={"model": model})
            if call.settings.local_only:
                yield from check_local(about)
            checked((yield from load_reply(load_body(call.settings, model))))
        except Rejected as refusal:
            message = (yield from refusal_with_cure(about, refusal)).error["message"]
            warn_caller(f"`preload`: {message}")
