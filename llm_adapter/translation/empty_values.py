"""Values that say nothing: they mean to OpenAI what a parameter means that is not given, and no server is told them.

Servers understand some of them in their own way: an empty `stop` ends every reply of llama.cpp before its first word,
and takes the place of the model's own at Ollama; an empty `suffix` is infill; a length of 0 is no limit at Ollama.
Source of what they mean: the recordings, llama.cpp of 2026-10, ollama server/routes.go and api/types.go, v0.24.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected

# By parameter, of any endpoint. Null says nothing anywhere, and is not in the lists.
NOT_GIVEN: Mapping[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "stop": ("", []),
    "tools": ([],),
    "functions": ([],),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "stream_options": ({},),
    "instructions": ("",),
    "reasoning": ({},),
    "text": ({}, {"format": {"type": "text"}}),
    "include": ([],),
    **dict.fromkeys(("metadata", "options", "chat_template_kwargs"), ({},)),
    **dict.fromkeys(("user", "safety_identifier", "prompt_cache_key"), ("",)),
}
# What is about tools says nothing where there are none; "required" and a name are wrong there, and stay.
_ABOUT_TOOLS: Mapping[str, tuple[Any, ...]] = {
    "tool_choice": ("auto", "none"),
    "function_call": ("auto", "none"),
    "parallel_tool_calls": (True, False),
}
_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def without_empty_values(endpoint: Endpoint) -> Endpoint:
    """The endpoint, for the call without the values that say nothing."""

    def flow(call: Call) -> Flow:
        return (yield from endpoint(telling(call)))

    return flow


def telling(call: Call) -> Call:
    """The call without the values that say nothing; the same object where there are none.

    Raises `Rejected` for a length of 0, which only a completion may have: OpenAI refuses it of the others.
    """
    body = {name: value for name, given in call.body.items() if not _says_nothing(name, value := _clean(name, given))}
    if not (body.get("tools") or body.get("functions")):
        body = {name: value for name, value in body.items() if value not in _ABOUT_TOOLS.get(name, ())}
    if body.get("top_logprobs") == 0 and not body.get("logprobs") and call.path == "/chat/completions":
        del body["top_logprobs"]
    _check_lengths(call, body)
    return call if body == call.body else replace(call, body=body)


def _clean(name: str, value: Any) -> Any:
    """The value; of several stops, those that are a text."""
    return [one for one in value if one != ""] if name == "stop" and isinstance(value, list) else value


def _says_nothing(name: str, value: Any) -> bool:
    return value is None or value in NOT_GIVEN.get(name, ())


def _check_lengths(call: Call, body: Json) -> None:
    for name in _LENGTHS:
        value = body.get(name)
        if isinstance(value, int) and value == 0 and call.path != "/completions":
            raise Rejected(f"`{name}` must be 1 or more, and not 0", param=name, code="integer_below_min_value")
