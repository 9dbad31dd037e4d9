"""The fields that Ollama reads of each body, with their types: what it says of a body that it cannot read.

Sources: ollama api/types.go and openai/openai.go, responses.go, v0.24.0 and v0.32.15 (the structs by name); texts
asked of ollama 0.24.0 and 0.33.0-rc2, and the recordings bad_keep_alive, completions_list.
"""

from __future__ import annotations

import json
import re
from typing import Any

from llm_adapter.testing.personas.golang import (
    Place,
    Reader,
    array,
    boolean,
    float32,
    float64,
    integer,
    interface,
    mapping,
    mismatch,
    string,
    strings,
    struct,
    syntax,
)
from llm_adapter.testing.personas.wire import Asked

_MALFORMED = "Value looks like object, but can't find closing '}' symbol"  # of the library that keeps an object's order
_UNITS = ("ns", "us", "µs", "μs", "ms", "s", "m", "h")
_LEVELS = '"high", "medium", "low", "max", true, or false'
_SIXTY_FOUR = re.compile(r"[A-Za-z0-9+/\r\n]*")


def _think(value: Any, place: Place) -> str | None:
    """api/types.go ThinkValue."""
    match value:
        case None | bool() | "high" | "medium" | "low" | "max":
            return None
        case str():
            return f"invalid think value: {quoted(value)} (must be {_LEVELS})"
    return f"think must be a boolean or string ({_LEVELS})"


def _keep_alive(value: Any, place: Place) -> str | None:
    """api/types.go Duration: seconds, or Go's words for a time."""
    match value:
        case bool() | list() | dict():
            return f"Unsupported type: '{interface(value)}'"
        case str():
            return _duration(value)
    return None


def _duration(text: str) -> str | None:
    """What is wrong with a time; Go time/format.go ParseDuration."""
    left = text[1:] if text[:1] in ("-", "+") else text
    if left == "0":
        return None
    parts = re.findall(r"(\d*\.?\d*)([^\d.]*)", left)[:-1]  # the last one is empty
    if not parts or any(not number.strip(".") for number, _ in parts):
        return f"time: invalid duration {quoted(text)}"
    for _, unit in parts:
        if not unit:
            return f"time: missing unit in duration {quoted(text)}"
        if unit not in _UNITS:
            return f"time: unknown unit {quoted(unit)} in duration {quoted(text)}"
    return None


def quoted(text: str) -> str:
    """A text as Go quotes it (%q)."""
    return json.dumps(text, ensure_ascii=False)


def image(value: Any, place: Place) -> str | None:
    """Bytes as base64: no data URL."""
    if not isinstance(value, str):
        return None if value is None else mismatch(value, "api.ImageData", place)
    data = value.rstrip("=")
    found = _SIXTY_FOUR.match(data)
    good = found.end() if found else 0
    if good < len(data):
        return f"illegal base64 data at input byte {good}"
    return f"illegal base64 data at input byte {len(value) // 4 * 4}" if len(value) % 4 else None


def _ordered(value: Any, place: Place) -> str | None:
    return None if value is None or isinstance(value, dict) else _MALFORMED


def _property_type(value: Any, place: Place) -> str | None:
    """api/types.go PropertyType: one name, or several."""
    return None if isinstance(value, str) else strings(value, place)


def _properties(value: Any, place: Place) -> str | None:
    if not isinstance(value, dict):
        return _ordered(value, place)
    return next((wrong for one in value.values() if (wrong := _PROPERTY(one, place))), None)


def _input(value: Any, place: Place) -> str | None:
    """openai/responses.go ResponsesInput: a text, or items of known types."""
    if not isinstance(value, list):
        words = mismatch(value, "[]json.RawMessage", Place()) if not isinstance(value, (str, type(None))) else ""
        return f"input must be a string or array: {words}" if words else None
    told = ((number, _item(item)) for number, item in enumerate(value))
    return next((f"input[{number}]: {words}" for number, words in told if words), None)


def _item(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    kind = item.get("type") or ("message" if item.get("role") else "")
    if not kind:
        return "input item missing required 'type' field"
    known = kind in ("message", "function_call", "function_call_output", "reasoning")
    return None if known or not isinstance(kind, str) else f"unknown input item type: {quoted(kind)}"


_PROPERTY = struct("api.ToolProperty", {"type": _property_type, "description": string, "required": strings}, own=True)
_PARAMETERS = {"type": string, "required": strings, "properties": _properties}
_FUNCTION = {"name": string, "description": string, "parameters": struct("api.ToolFunctionParameters", _PARAMETERS)}
_TOOL = struct("api.Tool", {"type": string, "function": struct("api.ToolFunction", _FUNCTION)})
_OPTIONS = mapping("map[string]interface {}")
_STREAM_OPTIONS = struct("openai.StreamOptions", {"include_usage": boolean})

# --- /v1 ---

_ANONYMOUS = 'struct { Name string "json:\\"name\\""; Arguments string "json:\\"arguments\\"" }'
_V1_FUNCTION = struct(_ANONYMOUS, {"name": string, "arguments": string}, short="")
_V1_CALL = struct("openai.ToolCall", {"id": string, "index": integer, "type": string, "function": _V1_FUNCTION})
_V1_MESSAGE = struct(
    "openai.Message",
    {"tool_calls": array("openai.ToolCall", _V1_CALL)}
    | dict.fromkeys(("role", "reasoning", "name", "tool_call_id"), string),
)
_FORMAT = struct("openai.ResponseFormat", {"type": string, "json_schema": struct("openai.JsonSchema", {})})
_V1_CHAT = struct(
    "openai.ChatCompletionRequest",
    {
        "model": string,
        "messages": array("openai.Message", _V1_MESSAGE),
        "stream_options": _STREAM_OPTIONS,
        "response_format": _FORMAT,
        "tools": array("api.Tool", _TOOL),
        "reasoning": struct("openai.Reasoning", {"effort": string}),
        "reasoning_effort": string,
        **dict.fromkeys(("stream", "logprobs"), boolean),
        **dict.fromkeys(("max_tokens", "seed", "top_logprobs"), integer),
        **dict.fromkeys(("temperature", "frequency_penalty", "presence_penalty", "top_p"), float64),
    },
)
_V1_TEXT = struct(
    "openai.CompletionRequest",
    {
        "stream": boolean,
        "stream_options": _STREAM_OPTIONS,
        **dict.fromkeys(("model", "prompt", "suffix"), string),
        **dict.fromkeys(("max_tokens", "seed", "logprobs"), integer),
        **dict.fromkeys(("temperature", "frequency_penalty", "presence_penalty", "top_p"), float32),
    },
)
_V1_EMBED = struct("openai.EmbedRequest", {"model": string, "dimensions": integer, "encoding_format": string})
_RESPONSES_TOOL = struct(
    "openai.ResponsesTool",
    {"type": string, "name": string, "description": string, "strict": boolean, "parameters": _OPTIONS},
)
_RESPONSES = struct(
    "openai.ResponsesRequest",
    {
        "input": _input,
        "include": strings,
        "max_output_tokens": integer,
        "reasoning": struct("openai.ResponsesReasoning", dict.fromkeys(("effort", "summary"), string)),
        "tools": array("openai.ResponsesTool", _RESPONSES_TOOL),
        **dict.fromkeys(("model", "instructions", "truncation"), string),
        **dict.fromkeys(("background", "stream"), boolean),
        **dict.fromkeys(("temperature", "top_p"), float64),
    },
)

# --- Ollama's own ---

_CALL_FUNCTION = struct("api.ToolCallFunction", {"index": integer, "name": string, "arguments": _ordered}, own=True)
_CALL = struct("api.ToolCall", {"id": string, "function": _CALL_FUNCTION}, own=True)
_MESSAGE = struct(
    "api.Alias",  # Message decodes itself, under this name
    {
        "images": array("api.ImageData", image),
        "tool_calls": array("api.ToolCall", _CALL),
        **dict.fromkeys(("role", "content", "thinking", "tool_name", "tool_call_id"), string),
    },
    own=True,
)
_MODEL = {"model": string, "options": _OPTIONS, "keep_alive": _keep_alive}
_SPOKEN = {
    **_MODEL,
    "think": _think,
    "top_logprobs": integer,
    **dict.fromkeys(("stream", "truncate", "shift", "logprobs"), boolean),
}
_NAMED = {"model": string, "name": string, "stream": boolean}
_CREATED = {**_NAMED, **dict.fromkeys(("from", "system", "template", "quantize"), string)}
_MANY_TOOLS = array("api.Tool", _TOOL)


def _tools(value: Any, place: Place) -> str | None:
    """A type with a name of its own."""
    return _MANY_TOOLS(value, place) if isinstance(value, (list, type(None))) else mismatch(value, "api.Tools", place)


def _asking(go: str, **fields: Reader) -> Reader:
    return struct(f"api.{go}", fields)


BODIES: dict[str, Reader] = {
    "/v1/chat/completions": _V1_CHAT,
    "/v1/completions": _V1_TEXT,
    "/v1/embeddings": _V1_EMBED,
    "/v1/responses": _RESPONSES,
    "/api/chat": _asking("ChatRequest", **_SPOKEN, messages=array("api.Message", _MESSAGE), tools=_tools),
    "/api/generate": _asking(
        "GenerateRequest",
        **_SPOKEN,
        **dict.fromkeys(("prompt", "suffix", "system", "template"), string),
        raw=boolean,
        context=array("int", integer),
        images=array("api.ImageData", image),
    ),
    "/api/embed": _asking("EmbedRequest", **_MODEL, truncate=boolean, dimensions=integer),
    "/api/embeddings": _asking("EmbeddingRequest", **_MODEL, prompt=string),
    "/api/show": _asking("ShowRequest", **_NAMED, verbose=boolean),
    "/api/pull": _asking("PullRequest", **_NAMED),
    "/api/push": _asking("PushRequest", **_NAMED),
    "/api/create": _asking("CreateRequest", **_CREATED, parameters=mapping("map[string]interface {}")),
    "/api/copy": _asking("CopyRequest", source=string, destination=string),
    "/api/delete": _asking("DeleteRequest", model=string, name=string),
}


def unreadable(asked: Asked) -> str | None:
    """What is wrong with the JSON or the types of a body; None, if it can be read."""
    if asked.text is not None:
        words = syntax(asked.text)
        return "missing request body" if words == "EOF" and asked.native else words
    return BODIES[asked.path](asked.body, Place())
