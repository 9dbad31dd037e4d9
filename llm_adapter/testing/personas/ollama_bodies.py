"""What Ollama refuses of a body before anything is done with it: JSON that is none, and values of another type.

The status, the field and the beginning of the words are Ollama's; where Go's decoder names its own types, plain names
stand here. Sources: ollama api/types.go, openai/openai.go and openai/responses.go, v0.24.0 and v0.32.15; the recordings
bad_keep_alive and completions_list; what ollama 0.24.0 and 0.33.0-rc2 answered.
"""

from __future__ import annotations

import json
import re
from typing import Any

from llm_adapter.testing.personas.wire import ServerRequest

_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_GO_NAMES = {str: "string", bool: "bool", int: "int", float: "float64", list: "array", dict: "object"}
_DURATION = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}")
_LEVELS = ("high", "medium", "low", "max")
_ITEMS = ("message", "function_call", "function_call_output", "reasoning")


def type_name(value: Any) -> str:
    """The type of a JSON value, in the words of Ollama's errors."""
    return "<nil>" if value is None else _NAMES[type(value)]


def quoted(text: str) -> str:
    """A text as Go quotes it (%q)."""
    return json.dumps(text, ensure_ascii=False)


def image_fault(value: Any) -> str | None:
    """What is wrong with an image: it is base64, and no data URL."""
    if value is None or (isinstance(value, str) and _BASE64.fullmatch(value) and len(value) % 4 == 0):
        return None
    return "illegal base64 data at input byte 0"


def syntax_fault(text: str) -> str:
    """The words for a text that is no JSON."""
    text = text.strip()
    if not text:
        return "EOF"
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        if problem.pos == len(text) or problem.msg.startswith("Unterminated"):
            return "unexpected EOF"
        return f"invalid character {text[problem.pos]!r} looking for beginning of value"
    return "invalid character 'N' looking for beginning of value"  # Python takes NaN for a number


def _think_fault(value: Any) -> str | None:
    """api/types.go ThinkValue."""
    if value is None or isinstance(value, bool) or value in _LEVELS:
        return None
    known = ", ".join(map(quoted, _LEVELS))
    return f"invalid think value: {json.dumps(value, ensure_ascii=False)} (must be {known}, true, or false)"


def _keep_alive_fault(value: Any) -> str | None:
    """api/types.go Duration: seconds, or Go's words for a time (time/format.go ParseDuration)."""
    if isinstance(value, (bool, list, dict)):
        return f"Unsupported type: '{type_name(value)}'"
    if not isinstance(value, str) or _DURATION.fullmatch(value):
        return None
    kind = "missing unit in" if value.strip("+-.").replace(".", "", 1).isdigit() else "invalid"
    return f"time: {kind} duration {quoted(value)}"


def _object_fault(value: Any) -> str | None:
    """An object of which Ollama keeps the order: the words are those of the library that does."""
    good = value is None or isinstance(value, dict)
    return None if good else "Value looks like object, but can't find closing '}' symbol"


def _input_fault(value: Any) -> str | None:
    """openai/responses.go ResponsesInput: a text, or items of known types."""
    if not isinstance(value, list):
        known = value is None or isinstance(value, str)
        return None if known else f"input must be a string or array: it is of type {type_name(value)}"
    for number, item in enumerate(value):
        kind = item.get("type") or ("message" if item.get("role") else "") if isinstance(item, dict) else "message"
        if not kind:
            return f"input[{number}]: input item missing required 'type' field"
        if isinstance(kind, str) and kind not in _ITEMS:
            return f"input[{number}]: unknown input item type: {quoted(kind)}"
    return None


def _mismatch(value: Any, wanted: Any, place: str) -> str | None:
    """What is wrong with a value. wanted: a type; a list of what each item is; an object's fields; a function.

    Like Go it takes null for everything, and passes over fields that it does not know.
    """
    if value is None:
        return None
    if isinstance(wanted, list) and isinstance(value, list):
        return next((fault for one in value if (fault := _mismatch(one, wanted[0], place))), None)
    if isinstance(wanted, dict) and isinstance(value, dict):
        found = (_mismatch(value[name], kind, f"{place}.{name}") for name, kind in wanted.items() if name in value)
        return next((fault for fault in found if fault), None)
    if callable(wanted) and not isinstance(wanted, type):
        own: str | None = wanted(value)
        return own
    kind = wanted if isinstance(wanted, type) else type(wanted)
    fits = type(value) is kind or (kind is float and type(value) is int)
    if fits and not (kind is int and abs(value) >= 2**63):
        return None
    number = f" {value!r}" if kind is int and isinstance(value, (int, float)) and type(value) is not bool else ""
    return f"json: cannot unmarshal {type_name(value)}{number} into Go struct field {place} of type {_GO_NAMES[kind]}"


def _typed(kind: Any, *names: str) -> dict[str, Any]:
    return dict.fromkeys(names, kind)


_PROPERTIES = {"type": str, "required": [str], "properties": _object_fault}
_FUNCTION = {"name": str, "description": str, "parameters": _PROPERTIES}
_TOOLS = [{"type": str, "function": _FUNCTION}]
_STREAM = {"stream": bool, "stream_options": {"include_usage": bool}}
_SAMPLING = _typed(float, "temperature", "top_p", "frequency_penalty", "presence_penalty")
_V1_CALL = {"id": str, "index": int, "type": str, "function": _typed(str, "name", "arguments")}
_V1_MESSAGE = {"tool_calls": [_V1_CALL], **_typed(str, "role", "reasoning", "name", "tool_call_id")}
_CALL = {"id": str, "function": {"index": int, "name": str, "arguments": _object_fault}}
_MESSAGE = {
    **_typed(str, "role", "content", "thinking", "tool_name", "tool_call_id"),
    "images": [image_fault],
    "tool_calls": [_CALL],
}
_MODEL = {"model": str, "options": dict, "keep_alive": _keep_alive_fault}
_SPOKEN = {
    **_MODEL,
    "think": _think_fault,
    "top_logprobs": int,
    **_typed(bool, "stream", "truncate", "shift", "logprobs"),
}
_NAMED = {"model": str, "name": str, "stream": bool}
# path -> the name of Ollama's struct, and the fields that it reads with their types.
_BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/chat/completions": (
        "ChatCompletionRequest",
        {
            "model": str,
            "messages": [_V1_MESSAGE],
            "response_format": {"type": str, "json_schema": dict},
            "tools": _TOOLS,
            "reasoning": {"effort": str},
            "reasoning_effort": str,
            "logprobs": bool,
            **_typed(int, "max_tokens", "seed", "top_logprobs"),
            **_STREAM,
            **_SAMPLING,
        },
    ),
    "/v1/completions": (
        "CompletionRequest",
        {
            **_typed(str, "model", "prompt", "suffix"),
            **_typed(int, "max_tokens", "seed", "logprobs"),
            **_STREAM,
            **_SAMPLING,
        },
    ),
    "/v1/embeddings": ("EmbedRequest", {"model": str, "dimensions": int, "encoding_format": str}),
    "/v1/responses": (
        "ResponsesRequest",
        {
            "input": _input_fault,
            "include": [str],
            "max_output_tokens": int,
            "reasoning": _typed(str, "effort", "summary"),
            "tools": [{**_typed(str, "type", "name", "description"), "strict": bool, "parameters": dict}],
            **_typed(str, "model", "instructions", "truncation"),
            **_typed(bool, "background", "stream"),
            **_typed(float, "temperature", "top_p"),
        },
    ),
    "/api/chat": ("ChatRequest", {**_SPOKEN, "messages": [_MESSAGE], "tools": _TOOLS}),
    "/api/generate": (
        "GenerateRequest",
        {
            **_SPOKEN,
            **_typed(str, "prompt", "suffix", "system", "template"),
            "raw": bool,
            "context": [int],
            "images": [image_fault],
        },
    ),
    "/api/embed": ("EmbedRequest", {**_MODEL, "truncate": bool, "dimensions": int}),
    "/api/embeddings": ("EmbeddingRequest", {**_MODEL, "prompt": str}),
    "/api/show": ("ShowRequest", {**_NAMED, "verbose": bool}),
    "/api/pull": ("PullRequest", _NAMED),
    "/api/push": ("PushRequest", _NAMED),
    "/api/create": (
        "CreateRequest",
        {**_NAMED, **_typed(str, "from", "system", "template"), "parameters": dict, "files": dict, "adapters": dict},
    ),
    "/api/copy": ("CopyRequest", _typed(str, "source", "destination")),
    "/api/delete": ("DeleteRequest", _typed(str, "model", "name")),
}


def body_fault(request: ServerRequest) -> str | None:
    """What is wrong with the JSON or the types of a body; None, if it can be read."""
    if request.text is not None:
        words = syntax_fault(request.text)
        return "missing request body" if words == "EOF" and request.native else words
    name, fields = _BODIES[request.path]
    return _mismatch({} if request.body is None else request.body, fields, name)
