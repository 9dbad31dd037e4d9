"""What becomes of each parameter of chat, completions and embeddings on servers that speak `/v1` and are not OpenAI.

Most are passed on. A server has rows for what it does otherwise, over those of `translation.parameters`.
Sources: ollama openai/openai.go, whose requests drop every field that they do not have (v0.24.0, v0.33.0-rc2);
llama.cpp tools/server/server-common.cpp (006639c3) and what a server of 2026-10 answered; vllm entrypoints/openai/
chat_completion/protocol.py and completion/protocol.py (002032ee); lmstudio-ai/docs 3_openai-compat and its changelog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_adapter.provider import Call, Json
from llm_adapter.translation.parameters import (
    AFTER_TOOLS,
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    NO_LOGIT_BIAS,
    OLLAMA_CHAT,
    PASSED,
    Rows,
    among,
    check_token_limits,
    checked_count,
    effort_as,
    emulated,
    honoured,
    only,
    refused,
    rows_of,
)

_LLAMACPP = "llama.cpp tools/server/server-common.cpp, 2026-10: read by nothing"
_VLLM = "vllm chat_completion/protocol.py, 002032ee: fields that it lacks are logged and dropped"
_LMSTUDIO = "lmstudio-ai/docs 3_openai-compat/chat-completions.md, 51c92c69"

_UNLISTED = honoured("passed on; not among the parameters that LM Studio documents", source=_LMSTUDIO)
_MESSAGES = CHAT["messages"].note


def _as_max_tokens(value: Any, body: Json, call: Call) -> None:
    check_token_limits(call)
    body.pop("max_completion_tokens", None)
    body["max_tokens"] = value


def _template(value: Any, body: Json, call: Call) -> None:
    # llama.cpp reads no `reasoning_effort`: its templates do, and all of them know the switch.
    body.pop("reasoning_effort")
    effort = {"enable_thinking": False} if value == "none" else {"reasoning_effort": value}
    body["chat_template_kwargs"] = {**effort, **(body.get("chat_template_kwargs") or {})}
    call.report.note("emulated", "reasoning_effort")


def _top(value: Any, body: Json, call: Call) -> None:
    body["top_logprobs"] = value or 1


_SAME = {effort: effort for effort in ("none", "low", "medium", "high")}
_LENGTH = honoured("`max_tokens`", _as_max_tokens)


_OLLAMA_ROWS: dict[str, Rows] = {
    "/chat/completions": {
        **OLLAMA_CHAT,
        "messages": honoured(f"{_MESSAGES}; texts in parts are joined, images fetched: Ollama takes parts apart"),
        "max_completion_tokens": _LENGTH,
        "temperature": honoured("passed on; without it, Ollama's /v1 puts 1.0 in the place of the model's own"),
        "top_p": honoured("passed on; without it, Ollama's /v1 puts 1.0 in the place of the model's own"),
        "reasoning_effort": honoured(
            "passed on; minimal is sent as low, xhigh as max",
            effort_as("reasoning_effort", {**_SAME, "minimal": "low", "xhigh": "max", "max": "max"}),
        ),
    },
    "/completions": {
        "prompt": emulated(
            "a list as requests side by side; Ollama's /v1 wraps each in the model's chat template",
            harmless=lambda prompt: isinstance(prompt, str),
        ),
        "logit_bias": NO_LOGIT_BIAS,
        "logprobs": refused("Ollama's /v1 leaves them out; its native API does not", source="openai.go ToCompletion"),
        "best_of": only(1, "Ollama's /v1 gives no logprobs to rank by; its native API does"),
    },
    "/embeddings": {"input": honoured("passed on; token ids need `token_encoding` in the profile")},
}
_LLAMACPP_ROWS: dict[str, Rows] = {
    "/chat/completions": {
        "max_completion_tokens": _LENGTH,
        "reasoning_effort": emulated(
            "given to the model's template (`chat_template_kwargs`), which need not know it; none turns thinking off",
            _template,
            source=_LLAMACPP,
        ),
        "tool_choice": emulated(
            "none withholds the tools; a named function is offered alone, and required",
            source=_LLAMACPP,
            harmless=among("auto"),
        ),
        "logprobs": honoured("passed on; llama.cpp refuses it with tools and a stream together"),
        "top_logprobs": honoured("passed on; 0 as 1, of which none is kept: llama.cpp gives no logprobs for 0", _top),
    },
    "/completions": {
        "prompt": emulated(
            "a list as requests side by side: llama.cpp counts the tokens of its first one alone",
            harmless=lambda prompt: isinstance(prompt, str),
        ),
        "suffix": refused("llama.cpp leaves it out; its /infill is another endpoint", source=_LLAMACPP),
        "logprobs": emulated("brought into the completions form"),
    },
    "/embeddings": {
        "dimensions": honoured(
            "the model's own length comes, whatever is asked; another is an error", source=_LLAMACPP
        ),
    },
}
_VLLM_ROWS: dict[str, Rows] = {
    "/chat/completions": {
        "tool_choice": honoured("passed on; of `allowed_tools`, those alone are offered; a demanded call is checked"),
        "parallel_tool_calls": PASSED,
        "n": honoured("passed on; side by side where replies are checked", checked_count),
        **rows_of("audio web_search_options verbosity moderation", refused("vLLM leaves it out", source=_VLLM)),
    },
    "/completions": {
        "prompt": PASSED,
        "suffix": refused("vLLM has no infill", source="vllm entrypoints/openai/completion/serving.py"),
        "echo": PASSED,
        "n": honoured(PASSED.note, checked_count),
    },
    "/embeddings": {},
}
_LMSTUDIO_ROWS: dict[str, Rows] = {
    "/chat/completions": {
        "messages": honoured(f"{_MESSAGES}; images fetched"),
        "max_completion_tokens": _LENGTH,
        **rows_of("logprobs top_logprobs", _UNLISTED),
        "reasoning_effort": honoured(
            "passed on; minimal is sent as low, xhigh and max as high",
            effort_as("reasoning_effort", {**_SAME, "minimal": "low", "xhigh": "high", "max": "high"}),
        ),
        "response_format": honoured(
            "passed on; json_object, which LM Studio refuses, as the schema of any object; the reply is checked;"
            f" {AFTER_TOOLS}"
        ),
        "tool_choice": emulated(
            "none withholds the tools; a named function is offered alone, and required;"
            " MLX models need not obey, so it is checked",
            harmless=among("auto"),
        ),
    },
    "/completions": rows_of("suffix logprobs", _UNLISTED) | {"best_of": only(1, "it is not documented")},
    "/embeddings": {"dimensions": EMBEDDINGS["dimensions"]},
}

_SHARED: dict[str, Rows] = {"/chat/completions": CHAT, "/completions": COMPLETIONS, "/embeddings": EMBEDDINGS}
_DIFFERENT = {"ollama": _OLLAMA_ROWS, "llamacpp": _LLAMACPP_ROWS, "vllm": _VLLM_ROWS, "lmstudio": _LMSTUDIO_ROWS}

# By dialect and path; the order of a table is the shared one's. OpenAI's own, and a server of which nothing is known,
# have none: nothing is changed there.
ROWS: dict[str, dict[str, Rows]] = {
    dialect: {path: {**shared, **different[path]} for path, shared in _SHARED.items()}
    for dialect, different in _DIFFERENT.items()
}


def _field_names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# What servers read of a request beyond OpenAI's parameters; a server reads over all the rest without a word.
# Sources: llama.cpp tools/server/server-schema.cpp make_llama_cmpl_schema, server-common.cpp
# oaicompat_chat_params_parse (006639c3), server-context.cpp, and which of them a server of 2026-10 refuses a wrong
# value of; vllm entrypoints/openai/chat_completion/protocol.py ChatCompletionRequest and completion/protocol.py
# CompletionRequest (002032ee); ollama openai/openai.go ChatCompletionRequest, CompletionRequest, EmbedRequest
# (v0.24.0). LM Studio's source is closed, and vLLM's embeddings differ by model: there is no list of those.
_LLAMACPP_SAMPLING = _field_names(
    "top_k min_p top_n_sigma xtc_probability xtc_threshold typical_p dynatemp_range dynatemp_exponent repeat_last_n "
    "repeat_penalty dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers mirostat "
    "mirostat_tau mirostat_eta adaptive_target adaptive_decay samplers min_keep n_probs post_sampling_probs "
    "backend_sampling ignore_eos logit_bias grammar grammar_lazy grammar_triggers json_schema preserved_tokens"
)
_LLAMACPP_FIELDS = _LLAMACPP_SAMPLING | _field_names(
    "n_predict n_indent n_keep n_discard n_cmpl n_cache_reuse t_max_predict_ms cache_prompt id_slot lora "
    "return_tokens return_progress response_fields timings_per_token sse_ping_interval verbose reasoning_format "
    "reasoning_control reasoning_budget_tokens reasoning_budget_start_tag reasoning_budget_end_tag "
    "reasoning_budget_end_tags reasoning_budget_message chat_format chat_parser parse_tool_calls generation_prompt "
    "continue_final_message echo"
)
_VLLM_FIELDS = _field_names(
    "use_beam_search top_k min_p repetition_penalty watermarking length_penalty stop_token_ids "
    "include_stop_str_in_output ignore_eos min_tokens skip_special_tokens spaces_between_special_tokens "
    "truncate_prompt_tokens truncation_side prompt_logprobs logprob_token_ids allowed_token_ids bad_words "
    "add_special_tokens response_format structured_outputs priority request_id session_id return_tokens_as_token_ids "
    "return_token_ids routed_experts_prompt_start return_token_offsets return_mm_kwargs cache_salt kv_transfer_params "
    "ec_transfer_params vllm_xargs repetition_detection thinking_token_budget stream_interval"
)

# By dialect and path; what has no list here is passed on unseen.
FIELDS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "ollama": {
        "/chat/completions": frozenset({"reasoning", "_debug_render_only"}),
        "/completions": frozenset({"_debug_render_only"}),
        "/embeddings": frozenset(),
    },
    "llamacpp": {
        "/chat/completions": _LLAMACPP_FIELDS | {"chat_template_kwargs", "add_generation_prompt"},
        "/completions": _LLAMACPP_FIELDS,
        "/embeddings": frozenset({"content", "embd_normalize"}),
    },
    "vllm": {
        "/chat/completions": _VLLM_FIELDS
        | _field_names(
            "include_reasoning echo add_generation_prompt continue_final_message documents chat_template "
            "chat_template_kwargs media_io_kwargs mm_processor_kwargs return_prompt_text"
        ),
        "/completions": _VLLM_FIELDS | {"prompt_embeds"},
    },
}
