"""Models loaded before they are needed: `preload` of a profile, and `keep_alive` where chat goes over Ollama's /v1.

/v1 has no `keep_alive` (P4), but a model keeps the one it was loaded with: an empty native load says it, before the
first call for a model and again when it changes. `num_ctx` cannot be given so: the next call over /v1 loads the model
anew with the server's own, and forgets the keep_alive too (measured on 0.24.0: a load with 1024, /api/ps after a call
2048). It is warned of, and left out. Source: server/sched.go needsReload, v0.24.0; recordings: load_unload.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.local import guarded, stays
from llm_adapter.providers.ollama.missing import explained, present, told
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.parameters import AdapterWarning
from llm_adapter.translation.process_cache import register_cache

_applied: dict[tuple[str, str], Any] = register_cache({})  # server and model to what it was loaded with, over /v1
_preloaded: set[tuple[str, str]] = register_cache(set())
_lock = threading.Lock()


def load_body(settings: Settings, model: str, keep_alive: Any = None) -> Json:
    """A native request that loads a model as the profile's calls want it; another load would undo it."""
    options = {**settings.options, **({"num_ctx": settings.num_ctx} if isinstance(settings.num_ctx, int) else {})}
    keep = settings.keep_alive if keep_alive is None else keep_alive
    body = {"model": model, "stream": False, "options": options, "keep_alive": keep}
    return {name: value for name, value in body.items() if value not in (None, {})}


def loaded(body: Json) -> Steps[NativeReply]:
    """The reply to an empty load. An embedding model is loaded by an empty embedding."""
    reply: NativeReply = yield NativeRequest("POST", "/api/generate", body)
    if reply.status == 400 and b"does not support" in reply.body:
        reply = yield NativeRequest("POST", "/api/embed", {**body, "input": []})
    return reply


def load(call: Call) -> Flow:
    """POST /api/generate without a prompt: `client.models.load` and `unload`."""
    flow = told(_load) if call.body.get("keep_alive") == 0 else present(guarded(_load))
    return (yield from flow(call))


def _load(call: Call) -> Flow:
    reply = yield from loaded(call.body)
    return {"response": "", **checked(reply).json()}


def warmed(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with the first call of a profile that has models to preload."""

    def flow(call: Call) -> Flow:
        if call.settings.preload:
            yield from preloaded(call)
        return (yield from endpoint(call))

    return flow


def preloaded(call: Call) -> Steps[None]:
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
                yield from stays(about)
            checked((yield from loaded(load_body(call.settings, model))))
        except Rejected as refusal:
            message = (yield from explained(about, refusal)).error["message"]
            warnings.warn(f"`preload`: {message}", AdapterWarning, stacklevel=2)


def on_v1(endpoint: Endpoint) -> Endpoint:
    """A /v1 endpoint on an Ollama server, with what the native API has to do for it."""

    def flow(call: Call) -> Flow:
        if call.settings.preload:
            yield from preloaded(_over_v1(call))
        return (yield from present(guarded(kept))(call))

    def kept(call: Call) -> Flow:
        return (yield from endpoint((yield from _kept(call))))

    return flow


def _over_v1(call: Call) -> Call:
    """The call as the native API may see it: load-time options would have the next /v1 call load the model anew."""
    return replace(call, settings=call.settings.model_copy(update={"num_ctx": None, "options": {}}))


def _kept(call: Call) -> Steps[Call]:
    """The call without `keep_alive`, which the server has been told."""
    model = call.body.get("model")
    keep_alive = call.body.get("keep_alive", call.settings.keep_alive)
    if not isinstance(model, str):
        return call
    key = call.settings.base_url or "", model
    if call.settings.num_ctx is not None:
        _warn_of_num_ctx(key)
    if "keep_alive" in call.body:
        call = replace(call, body={name: value for name, value in call.body.items() if name != "keep_alive"})
    with _lock:
        if keep_alive is None or _applied.get(key) == keep_alive:
            return call
        _applied[key] = keep_alive
    reply = yield from loaded(load_body(_over_v1(call).settings, model, keep_alive))
    if reply.status != 200:
        with _lock:
            _applied.pop(key, None)  # the call itself will say why
    return call


_warned: set[tuple[str, str]] = register_cache(set())


def _warn_of_num_ctx(key: tuple[str, str]) -> None:
    if key not in _warned:
        _warned.add(key)
        told = (
            "`num_ctx` has no effect over the /v1 of Ollama, which loads the model anew with its own: use provider "
            f"'ollama', or client.models.create('{key[1]}-ctx', from_='{key[1]}', parameters={{'num_ctx': ...}})"
        )
        warnings.warn(told, AdapterWarning, stacklevel=2)


def forget() -> None:
    """Forget what was loaded: for tests, whose servers come and go under one name."""
    with _lock:
        _applied.clear()
        _preloaded.clear()
        _warned.clear()
