"""The context that a model is loaded with, and a conversation that has to fit into it.

Another `num_ctx` makes Ollama load the model anew (server/sched.go needsReload, v0.24.0). So "auto" grows in powers of
two and never shrinks: per server and model, within this process, and never below what is loaded already.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.capabilities import installed_models, known_model
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.overflow import REPLY
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache, ForkSafeLock
from llm_adapter.translation.token_count import count_tokens

SMALLEST = 8192  # tokens: below it, the second question would load the model anew

_sizes: ExpiringCache[tuple[str, str], int] = ExpiringCache(seconds=300)
_lock = ForkSafeLock()


def with_num_ctx(call: Call, text: Any) -> Steps[Call]:
    """The call with the `num_ctx` that "auto" means for it. text: messages, or a prompt."""
    key = (call.settings.base_url or "", str(call.body.get("model")))
    options = call.body.get("options")
    own = call.body.get("num_ctx") or (options.get("num_ctx") if isinstance(options, dict) else None)
    if own is not None or call.settings.num_ctx != "auto":
        _remember_size(key, own or call.settings.num_ctx or call.settings.options.get("num_ctx"), call.created)
        return call if call.settings.num_ctx != "auto" else _with_size(call, None)
    model = yield from known_model(call)
    loaded = _sizes.get(key, call.created) or (yield from loaded_size(call, key[1]))
    limit = min(filter(None, (model.context_length, call.settings.num_ctx_max)), default=None)
    with _lock:
        size = max(_sizes.get(key, call.created) or 0, loaded, _power_of_two(_tokens_needed(call, text)))
        size = size if limit is None else min(size, max(limit, loaded))
        _sizes.set(key, size, call.created)
        return _with_size(call, size)


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
    messages = text if isinstance(text, list) else [{"role": "user", "content": str(text)}]
    reply = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or REPLY
    # The estimate is a rough one: a tenth more is cheaper than a refusal.
    return int(count_tokens("", messages, call.body.get("tools")).tokens * 1.1) + int(reply)


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
    context = _sizes.get((call.settings.base_url or "", str(call.body.get("model"))), call.created)
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
