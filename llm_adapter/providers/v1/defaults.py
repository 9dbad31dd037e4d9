"""What a profile says for every call, as parameters of one: `options`, `think` and `sampling_defaults` over `/v1`.

A call's own parameters win. What a server has no parameter for is told: when the client is made, or here, where only
the server itself tells which kind it is.
Sources: llama.cpp tools/server/server-common.cpp oaicompat_chat_params_parse and vllm chat_completion/protocol.py for
`chat_template_kwargs`; ollama openai/openai.go FromChatRequest for `reasoning_effort` (v0.24.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from llm_adapter.provider import Call, Json
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.settings.errors import warn_caller
from llm_adapter.settings.readers import OPTIONS, OVER_V1, reader_of
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.unread import readers_of, unread_settings
from llm_adapter.translation.parameters import unsupported

_GENERATING = ("/chat/completions", "/completions", "/responses")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# OpenAI's Responses API has these, the last one by another name.
_OF_RESPONSES = {"temperature": "temperature", "top_p": "top_p", "max_completion_tokens": "max_output_tokens"}
_PARITY = {"temperature": 1.0, "top_p": 1.0}  # OpenAI's own defaults
_BY_TEMPLATE = ("llamacpp", "vllm")  # they hand `chat_template_kwargs` to the model's template
_BY_EFFORT = ("ollama", "lmstudio")  # they read `reasoning_effort`


def with_defaults(call: Call, dialect: Dialect) -> Call:
    """The call with what the profile says for every call, where the call itself says nothing."""
    settings = call.settings
    says_nothing = not settings.options and settings.think is None and settings.sampling_defaults == "model"
    if says_nothing or call.method != "POST" or call.path not in _GENERATING:
        return call
    defaults = {**(_PARITY if settings.sampling_defaults == "openai" else {}), **dict(_options(call, dialect))}
    if any(call.body.get(name) is not None for name in _LIMITS):
        defaults = {name: value for name, value in defaults.items() if name not in _LIMITS}
    defaults = {name: value for name, value in defaults.items() if call.body.get(name) is None}
    return replace(call, body={**call.body, **defaults, **_thinking(call, dialect)})


def _options(call: Call, dialect: Dialect) -> Iterator[tuple[str, Any]]:
    """The profile's options by their names on this server."""
    names: Mapping[str, str] = OPTIONS[_reader(dialect)]
    if call.path == "/responses":
        names = {name: _OF_RESPONSES[own] for name, own in names.items() if own in _OF_RESPONSES}
    elif call.path == "/completions":
        names = {**names, "num_predict": "max_tokens"}
    for name, value in call.settings.options.items():
        # Ollama's -1 and -2 are no limit at all, which is what no limit is here.
        if name in names and not (name == "num_predict" and isinstance(value, int) and value < 0):
            yield names[name], value


def _thinking(call: Call, dialect: Dialect) -> Json:
    """The parameters that mean `think`, where a call says nothing of it."""
    think, body = call.settings.think, call.body
    if think is None or call.path != "/chat/completions" or body.get("reasoning_effort") is not None:
        return {}
    if dialect.name not in (*_BY_TEMPLATE, *_BY_EFFORT):
        return {}
    call.report.note("emulated", "think")
    if dialect.name in _BY_TEMPLATE:
        switch = {"enable_thinking": think is not False}
        effort = {"reasoning_effort": think} if isinstance(think, str) else {}
        return {"chat_template_kwargs": {**switch, **effort, **(body.get("chat_template_kwargs") or {})}}
    return {"reasoning_effort": think if isinstance(think, str) else "medium" if think else "none"}


def _reader(dialect: Dialect) -> str:
    return next(iter(reader_of("openai", dialect.name)))


def tell_unread(call: Call, dialect: Dialect) -> None:
    """Say which settings a server does not read whose kind was not known when the client was made.

    Raises `Rejected` for one that would change the reply, if the policy says so.
    """
    settings = call.settings
    if settings.dialect is not None or settings.model_fields_set.isdisjoint(_partly_read()):
        return
    told = {one.name for one in unread_settings(settings, OVER_V1)}
    for one in unread_settings(settings, reader_of("openai", dialect.name)):
        if one.name in told:
            continue
        if one.changes_reply and not one.shared:
            unsupported(call, one.field, one.message, part=one.name)
        elif (one.changes_reply or not one.shared) and settings.policy(one.field) != "ignore":
            warn_caller(one.message)


@lru_cache(maxsize=1)
def _partly_read() -> frozenset[str]:
    """The settings that not all /v1 servers read."""
    return frozenset(name for name in Settings.model_fields if name == "options" or not readers_of(name) >= OVER_V1)
