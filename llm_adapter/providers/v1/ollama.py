"""A `/v1` call on an Ollama server, with what only the native API can do for it: load, keep and pull a model.

Ollama's `/v1` has no `keep_alive`, but a model keeps the one it was loaded with: an empty native load gives it, before
the first call for a model and again when it changes. `num_ctx` cannot be given so: the next call over `/v1` loads the
model anew with the server's own, and forgets the `keep_alive` too (measured on 0.24.0: a load with 1024, /api/ps after
a call 2048). So a call has it left out with a warning.
Source: server/sched.go needsReload, v0.24.0; recordings: load_unload.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow
from llm_adapter.providers.ollama.loading import load_body, load_reply, preload
from llm_adapter.providers.ollama.local import local_only
from llm_adapter.providers.ollama.missing import pulls_missing
from llm_adapter.providers.v1.ollama_context import uncut, without_load_options
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.forks import ForkSafeLock
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache

# By server and model, what it was last loaded with. Believed for a minute: it may have been unloaded since.
_keep_alives: ExpiringCache[tuple[str, str], Any] = ExpiringCache(seconds=60)
_lock = ForkSafeLock()


def on_ollama(endpoint: Endpoint) -> Endpoint:
    """The endpoint of a `/v1` call, on an Ollama server."""

    def flow(call: Call) -> Flow:
        if call.settings.preload:
            yield from preload(without_load_options(call))
        return (yield from pulls_missing(local_only(with_keep_alive))(call))

    def with_keep_alive(call: Call) -> Flow:
        call = yield from _keep_alive_given(call)
        return (yield from uncut(endpoint)(call))

    return flow


def _keep_alive_given(call: Call) -> Steps[Call]:
    """The call without `keep_alive`, which the server has been given in a load."""
    model = call.body.get("model")
    keep_alive = call.body.get("keep_alive", call.settings.keep_alive)
    if not isinstance(model, str):
        return call
    key = call.settings.base_url or "", model
    if call.settings.num_ctx is not None:
        _warn_of_num_ctx(model)
    if "keep_alive" in call.body:
        call = replace(call, body={name: value for name, value in call.body.items() if name != "keep_alive"})
    with _lock:
        if keep_alive is None or _keep_alives.get(key, call.created) == keep_alive:
            return call
        _keep_alives.set(key, keep_alive, call.created)
    loaded = False
    try:
        reply = yield from load_reply(load_body(without_load_options(call).settings, model, keep_alive))
        loaded = reply.status == 200
    finally:
        if not loaded:
            _keep_alives.drop(key)  # the call itself will say why
    return call


def _warn_of_num_ctx(model: str) -> None:
    warn_caller(
        "`num_ctx` has no effect over the /v1 of Ollama, which loads the model anew with its own: use provider "
        f"'ollama', or client.models.create('{model}-ctx', from_='{model}', parameters={{'num_ctx': ...}})"
    )
