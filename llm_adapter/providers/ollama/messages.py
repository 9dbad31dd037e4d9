"""OpenAI's messages  →  Ollama's: one native message for each of OpenAI's, with all its parts.

Source: ollama/openai/openai.go FromChatRequest, v0.24.0, which makes a message of every content part and loses a tool
result's id; api/types.go Message. Text parts are joined by a line break, as llama.cpp and vLLM join them.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from llm_adapter.provider import Call, Fetch, Json, LongWork, NativeRequest, Rejected
from llm_adapter.providers.ollama.capabilities import require_capability
from llm_adapter.translation.images import decoded_base64, image_url, is_long, parts, with_inline_images
from llm_adapter.translation.messages import (
    messages_of,
    note_begun_reply,
    with_object_arguments,
    with_one_system_message,
    with_speakers,
)

# Ollama takes sounds where it takes images (openai/openai.go, since 0.20.0; llm/media.go AudioFormat).
_SOUNDS = ("wav", "mp3")


def with_media(call: Call) -> Generator[NativeRequest | Fetch | LongWork, Any, Call]:
    """The call with its images inline. Raises `Rejected` for an image or a sound that the model cannot take.

    0.24.0 answers a model that cannot see as if there were no image (recordings: vision_unsupported).
    """
    found = list(parts(call.body.get("messages")))
    if not found:
        return call
    sounds = [(where, part) for where, part in found if part.get("type") == "input_audio"]
    for where, part in sounds:
        if is_long(part):
            yield LongWork()
        _check_sound(part, where)
    if any(image_url(part) is not None for _, part in found):
        yield from require_capability(call, "vision", "an image", "messages")
    if sounds:
        yield from require_capability(call, "audio", "sound", "messages")
    return (yield from with_inline_images(call))


def _check_sound(part: Json, where: str) -> None:
    match part:
        case {"input_audio": {"data": str() as data, "format": str() as form}} if form in _SOUNDS:
            decoded_base64(data, where, "a sound")
        case _:
            raise Rejected(
                f"{where}: `input_audio` holds `data`, in base64, and `format`, one of {', '.join(_SOUNDS)}",
                param="messages",
                code="invalid_value",
            )


def messages(call: Call) -> list[Json]:
    """The native messages. The leading system and developer messages become one: templates keep only the first.

    Raises `Rejected` for a message or a part that cannot be sent.
    """
    names: dict[str, str] = {}  # tool names by call id
    given = with_object_arguments(with_speakers(messages_of(call.body), call), call)
    note_begun_reply(given, call)
    native = [_message(message, place, names) for place, message in enumerate(given)]
    return with_one_system_message(native)


def natives_of(turns: list[Json], call: Call) -> list[Json]:
    """Native messages of turns that are added to a conversation."""
    names: dict[str, str] = {}
    return [_message(message, place, names) for place, message in enumerate(with_object_arguments(turns, call))]


def _message(message: Any, place: int, names: dict[str, str]) -> Json:
    where = f"messages[{place}]"
    match message:
        case {"role": "system" | "developer", "content": content}:
            return {"role": "system", **_content(content, where, images=False)}
        case {"role": "user", "content": content}:
            return {"role": "user", **_content(content, where)}
        case {"role": "assistant"}:
            return _assistant(message, where, names)
        case {"role": "tool", "content": content, "tool_call_id": str() as call_id}:
            # Ollama names a tool result by its tool, OpenAI by the call's id (openai.go nameFromToolCallID, v0.24.0).
            name = message.get("name") or names.get(call_id)
            result = {"role": "tool", **_content(content, where), "tool_call_id": call_id}
            return {**result, "tool_name": name} if name else result
        case {"role": "function", "name": str() as name, "content": content}:  # the form before `tools`
            return {"role": "tool", **_content(content, where), "tool_name": name}
        case {"role": str() as role}:
            raise Rejected(
                f"{where}: a message of role {role!r} needs more than it has, or is unknown", param="messages"
            )
        case _:
            raise Rejected(f"{where}: a message is an object with a role and content", param="messages")


def _assistant(message: Json, where: str, names: dict[str, str]) -> Json:
    if message.get("audio"):
        raise Rejected(f"{where}: `audio` is not available on provider 'ollama'", param="messages")
    content = message.get("content")
    native: Json = {"role": "assistant", **_content("" if content is None else content, where, images=False)}
    if message.get("refusal") and not native["content"]:
        native["content"] = message["refusal"]
    thinking = message.get("reasoning") or message.get("reasoning_content")
    if thinking:
        native["thinking"] = thinking
    calls = message.get("tool_calls") or [{"function": one} for one in (message.get("function_call"),) if one]
    if calls:
        native["tool_calls"] = [_tool_call(one, where, names) for one in calls]
    return native


def _tool_call(tool_call: Any, where: str, names: dict[str, str]) -> Json:
    match tool_call:
        case {"function": {"name": str() as name} as function}:
            call_id = tool_call.get("id") or ""
            names[call_id] = name
            native = {"function": {"name": name, "arguments": json.loads(function["arguments"])}}
            return {"id": call_id, **native} if call_id else native
        case _:
            raise Rejected(f"{where}: only function tool calls are available on provider 'ollama'", param="messages")


def _content(content: Any, where: str, *, images: bool = True) -> Json:
    if isinstance(content, str):
        return {"content": content}
    if not isinstance(content, list):
        raise Rejected(f"{where}: content must be a string or a list of parts", param="messages", code="invalid_type")
    texts, pictures = [], []
    for part in content:
        match part:
            case {"type": "text", "text": str() as text} | {"type": "refusal", "refusal": str() as text}:
                texts.append(text)
            case {"type": "image_url", "image_url": ({"url": str() as url} | (str() as url))} if images:
                pictures.append(_image(url, where))
            case {"type": "input_audio", "input_audio": {"data": str() as data}} if images:
                pictures.append(data)  # Ollama takes sounds in the same place, and tells them by their first bytes
            case {"type": kind}:
                raise Rejected(
                    f"{where}: content part {kind!r} is not available on provider 'ollama'", param="messages"
                )
            case _:
                raise Rejected(f"{where}: a content part is an object with a type", param="messages")
    native: Json = {"content": "\n".join(texts)}
    return {**native, "images": pictures} if pictures else native


def _image(url: str, where: str) -> str:
    """The base64 of a data URL: Ollama takes it bare."""
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise Rejected(
            f"{where}: an image must be a base64 data URL; image URLs are not available on provider 'ollama'",
            param="messages",
            code="unsupported_image",
        )
    return data
