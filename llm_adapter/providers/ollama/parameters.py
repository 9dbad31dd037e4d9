"""Every parameter of chat, completions and embeddings, as a row, for Ollama's native API.

Sources: the SDK's TypedDicts (openai-python src/openai/types, v3.52.0; tests/test_rows.py holds the rows against them);
ollama api/types.go ChatRequest, GenerateRequest, EmbedRequest and Options, v0.24.0 and v0.33.0-rc2.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.parallel import seeded
from llm_adapter.translation.parameters import (
    BEST,
    ECHO,
    MANY,
    Row,
    Rows,
    agreed_length,
    among,
    emulated,
    field,
    honoured,
    ignored,
    only,
    option,
    passed_on,
    refused,
    translate,
)

_NO_FIELD = "ollama/api/types.go ChatRequest has no such field"
_OPTIONS = "ollama/api/types.go Options, v0.24.0"
_LABEL = "only labels the request at OpenAI; the reply is the same"
# OpenAI's seven efforts on Ollama's scale (openai/openai.go thinkFromReasoningEffort, v0.33.0-rc2).
EFFORTS: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def _stop(value: Any, native: Json, call: Call) -> None:
    # A list, always: a string is answered with 500 (recordings: bad_option_type).
    stop = [value] if isinstance(value, str) else value
    if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop):
        raise Rejected("`stop` must be a string or a list of strings", param="stop", code="invalid_type")
    native.setdefault("options", {})["stop"] = stop


def _max_tokens(value: Any, native: Json, call: Call) -> None:
    agreed_length(call)
    native.setdefault("options", {})["num_predict"] = value


def _think(value: Any, native: Json, call: Call) -> None:
    if value not in EFFORTS:
        raise Rejected(
            f"`reasoning_effort` must be one of {', '.join(EFFORTS)}, not {value!r}",
            param="reasoning_effort",
            code="invalid_value",
        )
    native["think"] = EFFORTS[value]


def _options(value: Any, native: Json, call: Call) -> None:
    if not isinstance(value, dict):
        raise Rejected("`options` must be an object", param="options", code="invalid_type")
    look_over(call, value)
    native["options"] = {**native.get("options", {}), **value}


def look_over(call: Call, options: Json) -> None:
    """Tell of options that Ollama passes over (api/types.go Options.FromMap logs them, on the server alone)."""
    for name in sorted(options.keys() - OPTIONS):
        passed_on(call, f"options.{name}", "Ollama", [f"options.{one}" for one in OPTIONS])


def _keep_alive(value: Any, native: Json, call: Call) -> None:
    # "300" has no unit and is answered with 400; the number 300 means seconds (recordings: bad_keep_alive).
    bare = isinstance(value, str) and value.lstrip("+-").isdigit()
    native["keep_alive"] = int(value) if bare else value


def _completion_logprobs(value: Any, native: Json, call: Call) -> None:
    native["logprobs"] = True
    native["top_logprobs"] = value


def _suffix(value: Any, native: Json, call: Call) -> None:
    # The infill template belongs to the model, so the prompt cannot be raw (server/routes.go GenerateHandler, v0.24.0).
    native["suffix"] = value
    native["raw"] = False


SAMPLING: dict[str, Row] = {
    "temperature": option("temperature", source=_OPTIONS),
    "top_p": option("top_p", source=_OPTIONS),
    "seed": option("seed", source=_OPTIONS),
    "frequency_penalty": option("frequency_penalty", source=_OPTIONS),
    "presence_penalty": option("presence_penalty", source=_OPTIONS),
    "stop": honoured("`options.stop`", _stop, source=_OPTIONS),
    "logit_bias": refused("Ollama's sampler has no per-token bias", source=_OPTIONS, harmless=lambda bias: bias == {}),
}

# What a model is loaded and run with, beyond OpenAI's own.
_RUNNER = (
    "num_ctx",
    "num_predict",
    "num_keep",
    "top_k",
    "min_p",
    "typical_p",
    "repeat_last_n",
    "repeat_penalty",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "num_thread",
    "draft_num_predict",
)
OPTIONS = frozenset(_RUNNER) | (SAMPLING.keys() - {"logit_bias"})

# Provider-only parameters: per call in `extra_body`, for every call in the profile.
NATIVE: dict[str, Row] = {
    "keep_alive": honoured("`keep_alive`", _keep_alive),
    "options": honoured("merged into `options`", _options),
    "truncate": field("truncate"),
    "shift": field("shift"),
    **{name: option(name) for name in _RUNNER},
}

CHAT: Rows = {
    "messages": honoured("translated: texts, images, tool calls and their results"),
    "model": honoured("aliases from `models` are resolved"),
    "stream": honoured("Ollama's lines become server-sent events"),
    "stream_options": honoured("`include_usage`; `include_obfuscation` has nothing to hide here"),
    **SAMPLING,
    "max_tokens": honoured("`options.num_predict`", _max_tokens, source=_OPTIONS),
    "max_completion_tokens": honoured("`options.num_predict`", _max_tokens, source=_OPTIONS),
    "logprobs": field("logprobs", source="ollama/api/types.go ChatRequest, since v0.12.11"),
    "top_logprobs": field("top_logprobs", source="ollama/api/types.go ChatRequest, since v0.12.11"),
    "reasoning_effort": honoured(
        "`think`; minimal is sent as low, xhigh as max", _think, source="openai/openai.go thinkFromReasoningEffort"
    ),
    "response_format": honoured(
        "`format`: json, or the schema; the reply is checked, and sent back once if it is wrong"
    ),
    "tools": honoured("`tools`; what Ollama would drop of a schema is inlined, or told in descriptions"),
    "tool_choice": emulated(
        "none withholds the tools; required and a named function constrain the reply by `format`, with thinking off",
        source=_NO_FIELD,
        harmless=among("auto"),
    ),
    "parallel_tool_calls": emulated("false keeps the first call", source=_NO_FIELD, harmless=among(True)),
    "n": MANY,
    "audio": refused("Ollama gives no audio"),
    "modalities": only(["text"], "Ollama gives text only"),
    "function_call": emulated("the form before `tools`, as `tool_choice`", harmless=among("auto")),
    "functions": emulated("the form before `tools`, as `tools`; the reply is in the old form"),
    "web_search_options": refused("Ollama's chat does not search"),
    "verbosity": refused("no local model knows it"),
    "prediction": ignored("only makes OpenAI faster; the reply is the same"),
    "moderation": refused("Ollama does not moderate"),
    "metadata": ignored(_LABEL),
    "store": ignored(_LABEL),
    "user": ignored(_LABEL),
    "safety_identifier": ignored(_LABEL),
    "service_tier": ignored(_LABEL),
    "prompt_cache_key": ignored("Ollama caches by prefix on its own"),
    "prompt_cache_options": ignored("Ollama caches by prefix on its own"),
    "prompt_cache_retention": ignored("Ollama caches by prefix on its own"),
    **NATIVE,
    "think": field("think"),
    "format": field("format"),
}

COMPLETIONS: Rows = {
    "prompt": honoured("sent raw, without the model's chat template; a list as requests side by side"),
    "model": honoured("aliases from `models` are resolved"),
    "stream": honoured("Ollama's lines become server-sent events"),
    "stream_options": honoured("`include_usage`"),
    **SAMPLING,
    "max_tokens": option("num_predict", source=_OPTIONS),
    "suffix": honoured("`suffix`; the model's infill template is applied", _suffix),
    "logprobs": honoured("`logprobs` and `top_logprobs`, in the completions form", _completion_logprobs),
    "best_of": BEST,
    "echo": ECHO,
    "n": MANY,
    "user": ignored(_LABEL),
    **NATIVE,
    "think": field("think"),
    "format": field("format"),
    "raw": field("raw"),
    "system": field("system"),
    "template": field("template"),
    "images": field("images"),
    "context": field("context"),
}

EMBEDDINGS: Rows = {
    "input": honoured("a string or a list of strings; token ids need `token_encoding` in the profile"),
    "model": honoured("aliases from `models` are resolved"),
    "dimensions": field("dimensions", "`dimensions`: cut and normalised again"),
    "encoding_format": emulated("float and base64; Ollama sends numbers, the base64 is made here"),
    "user": ignored(_LABEL),
    **NATIVE,
}


def native_request(rows: Rows, call: Call, native: Json) -> Json:
    """The native request: the endpoint's own part, the profile's defaults, the call's parameters over them."""
    settings = call.settings
    options = dict(settings.options)
    if options:
        look_over(call, options)
    if isinstance(settings.num_ctx, int):  # "auto" has become a number before (sizing.sized)
        options["num_ctx"] = settings.num_ctx
    if settings.sampling_defaults == "openai":
        # OpenAI's own defaults, for parity: Ollama's are the model's, or 0.8 and 0.9. What the profile says wins.
        options = {"temperature": 1.0, "top_p": 1.0, **options}
    native = {"model": call.body.get("model", ""), **native, "options": options}
    if settings.keep_alive is not None:
        native["keep_alive"] = settings.keep_alive
    translate(rows, call, native, provider="ollama")
    if not native["options"]:
        del native["options"]
    return native


def generating_request(rows: Rows, call: Call, native: Json) -> Json:
    """The same for the endpoints that generate: an over-long prompt is an error, thinking as the profile says."""
    settings = call.settings
    native = {**native, "stream": call.stream, "truncate": settings.overflow == "allow"}
    if settings.shift is not None:
        native["shift"] = settings.shift
    if settings.think is not None:
        native["think"] = settings.think
    return native_request(rows, call, native)


def seeded_requests(native: Json, count: int) -> list[Json]:
    """The requests for `count` choices."""
    options = native.get("options")
    return [{**native, "options": one} for one in seeded(options, count)] if options else [native] * count
