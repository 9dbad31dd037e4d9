"""What becomes of each parameter of chat, completions and embeddings on Ollama's native API, and the requests made so.

Sources: the SDK's TypedDicts (openai-python src/openai/types, v3.52.0), against which
tests/translation/test_parameters.py holds the rows; ollama api/types.go ChatRequest, GenerateRequest, EmbedRequest and
Options, v0.24.0 and v0.33.0-rc2.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation import parameters
from llm_adapter.translation.parallel import seeded
from llm_adapter.translation.parameters import (
    AFTER_TOOLS,
    NO_LOGIT_BIAS,
    OLLAMA_CHAT,
    SPEAKERS,
    Row,
    Rows,
    check_token_limits,
    effort_as,
    emulated,
    field,
    honoured,
    option,
    stop_sequences,
    translate,
    warn_of_unknown,
)

_OPTIONS = "ollama/api/types.go Options, v0.24.0"
_LOGPROBS = "ollama/api/types.go ChatRequest, since v0.12.11"
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
    if stop := stop_sequences(value):
        native.setdefault("options", {})["stop"] = stop


def _max_tokens(value: Any, native: Json, call: Call) -> None:
    check_token_limits(call)
    native.setdefault("options", {})["num_predict"] = value


def _options(value: Any, native: Json, call: Call) -> None:
    if not isinstance(value, dict):
        raise Rejected("`options` must be an object", param="options", code="invalid_type")
    warn_of_unknown_options(call, value)
    native["options"] = {**native.get("options", {}), **value}


def warn_of_unknown_options(call: Call, options: Json) -> None:
    """Warn of options that Ollama reads over: it logs them on the server alone (api/types.go Options.FromMap)."""
    for name in sorted(options.keys() - OPTIONS):
        warn_of_unknown(call, f"options.{name}", "Ollama", [f"options.{one}" for one in OPTIONS])


def _form(value: Any, native: Json, call: Call) -> None:
    # What is a form, the endpoint's code writes: the reply is checked. The rest the server refuses.
    if not isinstance(value, dict) and value != "json":
        native["format"] = value


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
    **{
        name: option(name, source=_OPTIONS)
        for name in ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
    },
    "stop": honoured("`options.stop`", _stop, source=_OPTIONS),
    "logit_bias": NO_LOGIT_BIAS,
}

# What a model is loaded and run with, beyond OpenAI's own.
_RUNNER = (
    *("num_ctx", "num_predict", "num_keep", "top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty"),
    *("num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict"),
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

_MODEL = honoured("aliases from `models` are resolved")
_STREAM = honoured("Ollama's lines become server-sent events")

# Each has the rows that servers but OpenAI's have in common, Ollama's own over them, and its provider-only parameters.
CHAT: Rows = {
    **parameters.CHAT,
    **OLLAMA_CHAT,
    "messages": honoured(f"translated: texts, images, tool calls and their results; {SPEAKERS}"),
    "model": _MODEL,
    "stream": _STREAM,
    "stream_options": honoured("`include_usage`; `include_obfuscation` has nothing to hide here"),
    **SAMPLING,
    "max_tokens": honoured("`options.num_predict`", _max_tokens, source=_OPTIONS),
    "max_completion_tokens": honoured("`options.num_predict`", _max_tokens, source=_OPTIONS),
    "logprobs": field("logprobs", source=_LOGPROBS),
    "top_logprobs": field("top_logprobs", source=_LOGPROBS),
    "reasoning_effort": honoured(
        "`think`; minimal is sent as low, xhigh as max",
        effort_as("think", EFFORTS),
        source="openai/openai.go thinkFromReasoningEffort",
    ),
    "response_format": honoured(
        f"`format`: json, or the schema; the reply is checked, and sent back once if it is wrong; {AFTER_TOOLS}"
    ),
    **NATIVE,
    "think": field("think"),
    "format": honoured("`format`", _form),
}

COMPLETIONS: Rows = {
    **parameters.COMPLETIONS,
    "prompt": honoured("sent raw, without the model's chat template; a list as requests side by side"),
    "model": _MODEL,
    "stream": _STREAM,
    "stream_options": honoured("`include_usage`"),
    **SAMPLING,
    "max_tokens": option("num_predict", source=_OPTIONS),
    "suffix": honoured("`suffix`; the model's infill template is applied", _suffix),
    "logprobs": honoured("`logprobs` and `top_logprobs`, in the completions form", _completion_logprobs),
    **NATIVE,
    "think": field("think"),
    "format": honoured("`format`", _form),
    **{name: field(name) for name in ("raw", "system", "template", "images", "context")},
}

EMBEDDINGS: Rows = {
    **parameters.EMBEDDINGS,
    "input": honoured("a string or a list of strings; token ids need `token_encoding` in the profile"),
    "model": _MODEL,
    "dimensions": field("dimensions", "`dimensions`: cut and normalised again"),
    "encoding_format": emulated("float and base64; Ollama sends numbers, the base64 is made here"),
    **NATIVE,
}


def native_request(rows: Rows, call: Call, native: Json) -> Json:
    """The native request: the endpoint's own part, the profile's defaults, the call's parameters over them."""
    settings = call.settings
    options = dict(settings.options)
    if options:
        warn_of_unknown_options(call, options)
    if isinstance(settings.num_ctx, int):  # "auto" has become a number before (sizing.sized)
        options["num_ctx"] = settings.num_ctx
    if settings.sampling_defaults == "openai":
        # OpenAI's own defaults, for parity: Ollama's are the model's, or 0.8 and 0.9. What the profile says wins.
        options = {"temperature": 1.0, "top_p": 1.0, **options}
    native = {"model": call.body.get("model", ""), **native, "options": options}
    if settings.keep_alive is not None:
        native["keep_alive"] = settings.keep_alive
    translate(rows, call, native, where="provider 'ollama'")
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
