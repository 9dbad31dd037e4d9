"""What Ollama's /v1 refuses of messages and of a response's items, in its own words, as rows.

Sources: ollama openai/openai.go FromChatRequest, decodeImageURL, openai/responses.go, v0.24.0 and v0.32.15; recordings
by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llm_adapter.testing.personas.golang import Place, interface, syntax
from llm_adapter.testing.personas.ollama_fields import image, quoted
from llm_adapter.testing.personas.persona import Check, Persona
from llm_adapter.testing.personas.wire import Asked, Json
from llm_adapter.testing.turns import Failure

_IMAGES = ("data:image/jpeg;", "data:image/jpg;", "data:image/png;", "data:image/webp;", "data:;")
_EFFORTS = ("high", "medium", "low", "max", "none")
_MORE_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "ultra", "max", "none")
_BY_URL = Failure("image URLs are not currently supported, please use base64 encoded data instead", 400)
_FORMAT = Failure("invalid message format", 400)


def messages(asked: Asked) -> list[Json]:
    """The messages of a call, or the items of a response's input; one that is null has nothing."""
    name = "input" if asked.path == "/v1/responses" else "messages"
    return [message or {} for message in asked.items(name) if isinstance(message, (dict, type(None)))]


def parts(asked: Asked) -> Iterator[Any]:
    """The parts of all contents."""
    for message in messages(asked):
        if isinstance(message.get("content"), list):
            yield from message["content"]


def effort(asked: Asked) -> Any:
    """The effort that a call asks for, in either place."""
    if asked.fields.get("reasoning") is not None:
        return asked.part("reasoning").get("effort")
    return asked.fields.get("reasoning_effort")


def _no_messages(persona: Persona, asked: Asked) -> Failure | None:
    return None if asked.fields.get("messages") else Failure("[] is too short - 'messages'", 400)


def _content(persona: Persona, asked: Asked) -> Failure | None:
    for message in messages(asked):
        content = message.get("content")
        if not isinstance(content, (str, list)) and message.get("tool_calls") is None:
            return Failure(f"invalid message content type: {interface(content)}", 400)
    return next((wrong for part in parts(asked) if (wrong := _part(part))), None)


def _part(part: Any) -> Failure | None:
    match part:
        case {"type": "text", "text": str()} | {"type": "image_url", "image_url": str() | {"url": str()}}:
            return None
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            wrong = image(data, Place())
            return Failure(f"invalid input_audio base64 data: {wrong}", 400) if wrong else None
        case {"type": "input_audio", "input_audio": dict()}:
            return Failure("invalid input_audio format: missing data", 400)
        case {"type": "input_audio"}:
            return Failure("invalid input_audio format", 400)
    return _FORMAT


def _image_url(persona: Persona, asked: Asked) -> Failure | None:
    given = (part.get("image_url") for part in parts(asked) if isinstance(part, dict))
    urls = (one.get("url") if isinstance(one, dict) else one for one in given)
    return next((wrong for url in urls if isinstance(url, str) and (wrong := _url(url))), None)


def _url(url: str) -> Failure | None:
    if url.startswith(("http://", "https://")):
        return _BY_URL
    head, _, data = url.partition("base64,")
    return None if head in _IMAGES and image(data, Place()) is None else Failure("invalid image input", 400)


def _arguments(persona: Persona, asked: Asked) -> Failure | None:
    calls = (message.get("tool_calls") for message in messages(asked))
    functions = (call.get("function") or {} for some in calls for call in some or () if isinstance(call, dict))
    written = (function.get("arguments") or "" for function in functions)
    return next((Failure("invalid tool call arguments", 400) for one in written if not _object(one)), None)


def _object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, type(None)))
    except ValueError:
        return False


def _bad_effort(persona: Persona, asked: Asked) -> Failure | None:
    given = effort(asked)
    known = _MORE_EFFORTS if persona.tells_capabilities else _EFFORTS
    if given in (None, "", *known):
        return None
    # 0.24 quotes it in another way in each of its two places.
    shown = quoted(given) if persona.tells_capabilities or asked.path == "/v1/responses" else f"'{given}'"
    listed = ", ".join(f'"{one}"' for one in known[:-1])
    return Failure(f'invalid reasoning value: {shown} (must be {listed}, or "none")', 400)


def _stops(persona: Persona, asked: Asked) -> Failure | None:
    wrong = [one for one in asked.items("stop") if not isinstance(one, str)]
    return Failure(f"invalid type for 'stop' field: {interface(wrong[0])}", 400) if wrong else None


def _items(persona: Persona, asked: Asked) -> Failure | None:
    for part in parts(asked):
        if isinstance(part, dict) and part.get("type") == "input_file":
            return Failure("file inputs are not currently supported", 400)
    for item in messages(asked):
        if item.get("type") == "function_call" and not _object(str(item.get("arguments"))):
            words = syntax(str(item.get("arguments")))
            words = "unexpected end of JSON input" if words.endswith("EOF") else words
            return Failure(f"failed to parse function call arguments: {words}", 400)
    return None


_FROM = "ollama openai/openai.go FromChatRequest, v0.24.0"
_EFFORT = Check("the effort is known", f"{_FROM}; its words in 0.32: v0.32.15", _bad_effort, "parsed")
_DATA = Check("images come as data", "recording vision_url", _image_url, "parsed")
V1_MESSAGES = (
    Check("there are messages", _FROM, _no_messages, "parsed"),
    Check("contents are of known kinds", _FROM, _content, "parsed"),
    _DATA,
    Check("arguments in the history are an object", "recording tools_arguments_empty", _arguments, "parsed"),
    _EFFORT,
)
STOPS = Check("stop sequences are text", "ollama openai/openai.go FromCompleteRequest, v0.24.0", _stops, "parsed")
ITEMS = (
    Check("items can be used", "ollama openai/responses.go FromResponsesRequest, v0.24.0", _items, "parsed"),
    _DATA,
    _EFFORT,
)
