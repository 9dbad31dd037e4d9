"""What servers read of a request beyond OpenAI's parameters; a server reads over all the rest without a word.

Sources: llama.cpp tools/server/server-schema.cpp make_llama_cmpl_schema, server-common.cpp
oaicompat_chat_params_parse (006639c3), server-context.cpp, and which of them a server of 2026-10 refuses a wrong value
of; vllm entrypoints/openai/chat_completion/protocol.py ChatCompletionRequest and completion/protocol.py
CompletionRequest (002032ee); ollama openai/openai.go ChatCompletionRequest, CompletionRequest, EmbedRequest (v0.24.0).
LM Studio's source is closed, and vLLM's embeddings differ by model: there is no list of those.
"""

from __future__ import annotations

from collections.abc import Mapping


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_LLAMACPP_SAMPLING = _names(
    "top_k min_p top_n_sigma xtc_probability xtc_threshold typical_p dynatemp_range dynatemp_exponent repeat_last_n "
    "repeat_penalty dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers mirostat "
    "mirostat_tau mirostat_eta adaptive_target adaptive_decay samplers min_keep n_probs post_sampling_probs "
    "backend_sampling ignore_eos logit_bias grammar grammar_lazy grammar_triggers json_schema preserved_tokens"
)
_LLAMACPP = _LLAMACPP_SAMPLING | _names(
    "n_predict n_indent n_keep n_discard n_cmpl n_cache_reuse t_max_predict_ms cache_prompt id_slot lora "
    "return_tokens return_progress response_fields timings_per_token sse_ping_interval verbose reasoning_format "
    "reasoning_control reasoning_budget_tokens reasoning_budget_start_tag reasoning_budget_end_tag "
    "reasoning_budget_end_tags reasoning_budget_message chat_format chat_parser parse_tool_calls generation_prompt "
    "continue_final_message echo"
)
_VLLM = _names(
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
        "/chat/completions": _LLAMACPP | {"chat_template_kwargs", "add_generation_prompt"},
        "/completions": _LLAMACPP,
        "/embeddings": frozenset({"content", "embd_normalize"}),
    },
    "vllm": {
        "/chat/completions": _VLLM
        | _names(
            "include_reasoning echo add_generation_prompt continue_final_message documents chat_template "
            "chat_template_kwargs media_io_kwargs mm_processor_kwargs return_prompt_text"
        ),
        "/completions": _VLLM | {"prompt_embeds"},
    },
}
