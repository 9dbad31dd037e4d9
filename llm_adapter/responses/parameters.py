"""What becomes of each parameter of a Responses call in the chat call that answers it.

Sources: openai-python types/responses/response_create_params.py, v3.52.0; ollama openai/responses.go
FromResponsesRequest, v0.24.0, which drops most of them. What is not a parameter of OpenAI's is handed on to chat, whose
own rows judge it: `keep_alive`, `options` and the like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.responses.items import messages
from llm_adapter.responses.tools import tool_choice, tools
from llm_adapter.translation.parameters import (
    LABEL,
    PREFIX_CACHE,
    Row,
    Rows,
    among,
    emulated,
    field,
    honoured,
    ignored,
    refused,
    rows_of,
    translate,
    unsupported,
)

LOGPROBS = "message.output_text.logprobs"
# What `include` may name. Hosted tools have no results here, and nothing is encrypted: the text is in the summary.
INCLUDABLE = (
    LOGPROBS,
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
)


def _max_tokens(value: Any, native: Json, call: Call) -> None:
    native["max_completion_tokens"] = value


def _tools(value: Any, native: Json, call: Call) -> None:
    if offered := tools(call, value):
        native["tools"] = offered


def _tool_choice(value: Any, native: Json, call: Call) -> None:
    choice = tool_choice(call, value)
    if choice is not None:
        native["tool_choice"] = choice


def _text(value: Any, native: Json, call: Call) -> None:
    if not isinstance(value, dict):
        raise Rejected("`text` must be an object", param="text", code="invalid_type")
    if value.get("verbosity") not in (None, "medium"):
        unsupported(call, "text", f"`text.verbosity` is not available on provider {call.report.provider!r}")
    match value.get("format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"} as given:  # chat reads a schema beside it, too
            native["response_format"] = {key: given[key] for key in ("type", "schema") if given.get(key) is not None}
        case {"type": "json_schema", "schema": dict()} as given:
            schema = {key: value for key, value in given.items() if key != "type" and value is not None}
            native["response_format"] = {"type": "json_schema", "json_schema": schema}
        case _:
            raise Rejected(
                "`text.format` must be text, json_object, or json_schema with a schema",
                param="text",
                code="invalid_value",
            )


def _reasoning(value: Any, native: Json, call: Call) -> None:
    if not isinstance(value, dict):
        raise Rejected("`reasoning` must be an object", param="reasoning", code="invalid_type")
    if value.get("effort") is not None:
        native["reasoning_effort"] = value["effort"]
    accepted = {"mode": (None, "standard"), "context": (None, "auto")}
    for name, given in value.items():
        if name in ("effort", "summary", "generate_summary") or given in accepted.get(name, (None,)):
            continue
        unsupported(
            call, "reasoning", f"`reasoning.{name}` = {given!r} is not available on provider {call.report.provider!r}"
        )


def _include(value: Any, native: Json, call: Call) -> None:
    unknown = [name for name in value if name not in INCLUDABLE] if isinstance(value, list) else [value]
    if unknown:
        raise Rejected(f"`include` does not know {unknown[0]!r}", param="include", code="invalid_value")
    if LOGPROBS in value:
        native["logprobs"] = True


def _top_logprobs(value: Any, native: Json, call: Call) -> None:
    if value:
        native |= {"logprobs": True, "top_logprobs": value}


def _truncation(value: Any, native: Json, call: Call) -> None:
    if value not in ("auto", "disabled"):
        raise Rejected("`truncation` must be auto or disabled", param="truncation", code="invalid_value")


RESPONSES: Rows = {
    "input": honoured("items become messages; what OpenAI's own tools left behind is refused by its type, or left out"),
    "instructions": honoured("the first system message; not carried over to the next response"),
    "model": honoured("aliases from `models` are resolved"),
    "max_output_tokens": honoured("`max_completion_tokens`; a reply that was cut is `incomplete`", _max_tokens),
    "temperature": field("temperature"),
    "top_p": field("top_p"),
    "tools": honoured("functions, as in chat; hosted and custom tools are refused by name, or left out", _tools),
    "tool_choice": honoured("as in chat", _tool_choice),
    "parallel_tool_calls": field("parallel_tool_calls", "as in chat"),
    "text": honoured("`format` as `response_format`; of `verbosity` only medium", _text),
    "reasoning": honoured("`effort` as `reasoning_effort`; the summary is what the model thought", _reasoning),
    "previous_response_id": emulated("the conversation so far comes from the response store"),
    "conversation": emulated("its items come from the response store, and this turn is added to them"),
    "store": emulated("the response store keeps it, in memory or in the file that `response_store` names"),
    "include": honoured("`message.output_text.logprobs`; everything else is there anyway, or cannot be", _include),
    "top_logprobs": honoured("`logprobs` and `top_logprobs`", _top_logprobs),
    "truncation": emulated(
        '"auto" is `overflow = "truncate"` for this call, "disabled" is "error"',
        _truncation,
        harmless=among("disabled"),
    ),
    "stream": honoured("the events of the Responses API, made of chat's"),
    "stream_options": ignored("`include_obfuscation` has nothing to hide here"),
    "background": refused("a response is answered while the caller waits", harmless=lambda value: value is False),
    "background_options": refused(
        "a response is answered while the caller waits",
        harmless=lambda value: isinstance(value, dict) and value in ({}, {"completion_window": "soonest"}),
    ),
    "prompt": refused("prompt templates are kept at OpenAI"),
    "context_management": refused("there is no compaction here; see `overflow`", harmless=lambda value: value == []),
    "moderation": refused("local models are not moderated"),
    "image": refused(
        "images are not compressed here",
        harmless=lambda value: isinstance(value, dict) and value.get("context_compression") != "enabled",
    ),
    "prompt_cache_options": refused(
        "a cache cannot be warmed without a reply; everything else in it is accepted",
        harmless=lambda value: isinstance(value, dict) and not value.get("prewarm"),
    ),
    "max_tool_calls": ignored("counts calls of hosted tools, and there are none"),
    "metadata": ignored("kept with the response"),
    **rows_of("user safety_identifier service_tier access_programs", LABEL),
    **rows_of("prompt_cache_key prompt_cache_retention", PREFIX_CACHE),
}
# Chat's names for what this API calls otherwise: a call site in the midst of moving from one to the other.
RESPONSES_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning",
    "response_format": "text",
    "verbosity": "text",
    "logprobs": "include",
    "functions": "tools",
    "function_call": "tool_choice",
}
_CHATS: dict[str, Row] = {
    **{name: refused(f"the Responses API has `{ours}` for it") for name, ours in RESPONSES_NAMES.items()},
    "n": refused("a response is one answer", harmless=lambda value: value == 1),
    "personality": refused("no local model has one"),  # where tokens are counted
}


def chat_call(call: Call, history: list[Json], earlier: int = 0) -> Call:
    """The chat call that answers a Responses call. Raises `Rejected`.

    history: all items, of which so many are from earlier turns.
    """
    rows = {**RESPONSES, **_CHATS}
    known = {name: value for name, value in call.body.items() if name in rows}
    own = {name: value for name, value in call.body.items() if name not in rows}
    native: Json = {"model": call.body.get("model"), "messages": []}
    translate(rows, replace(call, body=known), native, where=f"provider {call.report.provider!r}")
    native["messages"] = messages(call, call.body.get("instructions"), history, earlier)
    if call.body.get("tools") and "tools" not in native:
        native.pop("tool_choice", None)  # what it chose from is left out
    if call.stream:
        native |= {"stream": True, "stream_options": {"include_usage": True}}
    settings = call.settings
    if call.body.get("truncation") is not None:
        overflow = "truncate" if call.body["truncation"] == "auto" else "error"
        settings = settings.model_copy(update={"overflow": overflow})
    return replace(call, path="/chat/completions", body={**native, **own}, settings=settings)
