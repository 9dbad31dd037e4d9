"""The context that a model is loaded with, and a conversation that has to fit into it.

Another `num_ctx` makes Ollama load the model anew (server/sched.go needsReload, v0.24.0). So "auto" grows in powers of
two and never shrinks: per server and model, within this process, and never below what is loaded already. A prompt
that was estimated too short makes it grow once more, to what the server says is needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.capabilities import Model, installed_models, known_model
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.forks import ForkSafeLock
from llm_adapter.translation.overflow import CODE, REPLY, UNSAID
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache
from llm_adapter.translation.token_count import count_tokens

SMALLEST = 8192  # tokens: below it, the second question would load the model anew


_sizes: ExpiringCache[tuple[str, str], int] = ExpiringCache(seconds=300)
# What "auto" has come to, by server, model and when the model was made: another one under its name begins anew.
_grown: ExpiringCache[tuple[str, str, str], int] = ExpiringCache(seconds=300)
_lock = ForkSafeLock()


def with_num_ctx(call: Call, text: Any, attempt: Endpoint) -> Flow:
    """What the attempt answers with the `num_ctx` that "auto" means for the call. text: messages, or a prompt.

    Where the prompt is too long for it, once more with the `num_ctx` that the server says is needed.
    """
    if _own_num_ctx(call) is not None or call.settings.num_ctx != "auto":
        size = _own_num_ctx(call) or call.settings.num_ctx or call.settings.options.get("num_ctx")
        _remember_size(_key(call), size, call.created)
        return (yield from attempt(call if call.settings.num_ctx != "auto" else _with_size(call, None)))
    model = yield from known_model(call)
    key = (*_key(call), model.modified_at)
    loaded = _grown.get(key, call.created) or (yield from loaded_size(call, key[1]))
    size = _grow(call, model, loaded, _tokens_needed(call, text))
    try:
        return (yield from attempt(_with_size(call, size)))
    except Rejected as refusal:
        if refusal.error["code"] != CODE:
            raise
        larger = _grow(call, model, loaded, _tokens_refused(call, text, size, refusal))
        if larger <= size:
            raise
    return (yield from attempt(_with_size(call, larger)))


def _grow(call: Call, model: Model, loaded: int, needed: int) -> int:
    """The context for so many tokens: never less than before, nor more than the model or the profile allows."""
    key = (*_key(call), model.modified_at)
    with _lock:
        size = max(_grown.get(key, call.created) or 0, loaded, _power_of_two(needed))
        if call.settings.num_ctx_max is not None:
            size = min(size, max(call.settings.num_ctx_max, loaded))
        if model.context_length is not None:
            size = min(size, model.context_length)
        _grown.set(key, size, call.created)
        _sizes.set(key[:2], size, call.created)
        return size


def _key(call: Call) -> tuple[str, str]:
    return call.settings.base_url or "", str(call.body.get("model"))


def _own_num_ctx(call: Call) -> Any:
    """What the call itself says."""
    options = call.body.get("options")
    return call.body.get("num_ctx") or (options.get("num_ctx") if isinstance(options, dict) else None)


def _remember_size(key: tuple[str, str], size: Any, now: float) -> None:
    """Remember what a model is loaded with, and say when a call changes it: that costs a load, each way."""
    with _lock:
        before = _sizes.get(key, now)
        if size is not None:
            _sizes.set(key, size, now)
    if size is not None and before not in (None, size):
        message = f"`num_ctx` of {key[1]!r} changes from {before} to {size}: Ollama loads the model anew for it"
        warn_caller(message)


def _with_size(call: Call, num_ctx: int | None) -> Call:
    return replace(call, settings=call.settings.model_copy(update={"num_ctx": num_ctx}))


def _tokens_needed(call: Call, text: Any) -> int:
    # The estimate is a rough one: a tenth more is cheaper than a refusal.
    return int(_estimated_tokens(call, text) * 1.1) + _reply_tokens(call)


def _tokens_refused(call: Call, text: Any, size: int, refusal: Rejected) -> int:
    """The tokens of a call that was refused with a context of this size: the server's count, or a good deal more."""
    given = refusal.error.get("n_prompt_tokens")
    if not isinstance(given, int):
        given = int(max(_estimated_tokens(call, text), size) * UNSAID)
    return given + _reply_tokens(call)


def _estimated_tokens(call: Call, text: Any) -> int:
    messages = text if isinstance(text, list) else [{"role": "user", "content": str(text)}]
    return count_tokens("", messages, call.body.get("tools")).tokens


def _reply_tokens(call: Call) -> int:
    return int(call.body.get("max_completion_tokens") or call.body.get("max_tokens") or REPLY)


def _power_of_two(tokens: int) -> int:
    size = SMALLEST
    while size < tokens:
        size *= 2
    return size


def loaded_size(call: Call, model: str) -> Steps[int]:
    """The context that the model is loaded with; 0 where it is not, or the server does not say."""
    reply: NativeReply = yield NativeRequest("GET", "/api/ps")
    names = (model, f"{model}:latest")
    lengths = [one.get("context_length") for one in installed_models(reply) if one.get("model") in names]
    return max((length for length in lengths if isinstance(length, int)), default=0)


def refusal_with_counts(call: Call, refusal: Rejected) -> Steps[Rejected]:
    """The refusal of a prompt that is too long, with both counts.

    0.24 gives no counts: the context is asked for, the prompt is estimated and marked so.
    """
    error = refusal.error
    if "n_ctx" in error:
        return refusal
    context = _sizes.get(_key(call), call.created)
    if context is None:
        context = yield from loaded_size(call, str(call.body.get("model")))
    prompt = estimated_tokens(call)
    error |= {"n_prompt_tokens": prompt, "n_ctx": context or None, "estimated": True}
    return refusal


def estimated_tokens(call: Call) -> int:
    """The tokens of the longest prompt of a call."""
    body = call.body
    if isinstance(body.get("messages"), list):
        return count_tokens("", body["messages"], body.get("tools")).tokens
    given = body.get("prompt") or body.get("input")
    texts = given if isinstance(given, list) else [given]
    return max((count_tokens("", one).tokens for one in texts if isinstance(one, str)), default=0)
