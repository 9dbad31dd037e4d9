"""Images and sounds of a chat, before it is translated: what the model cannot see or hear is refused, not ignored.

Source: ollama/openai/openai.go FromChatRequest, v0.24.0 (sounds go where images go, since 0.20.0); llm/media.go
AudioFormat; recordings: vision_unsupported, answered by 0.24.0 as if there were no image.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from llm_adapter.provider import Call, Fetch, Json, NativeRequest, Rejected
from llm_adapter.providers.ollama.capabilities import required
from llm_adapter.translation.images import decoded, image_url, parts, resolved

_SOUNDS = ("wav", "mp3")


def prepared(call: Call) -> Generator[NativeRequest | Fetch, Any, Call]:
    """The call with all that its images and sounds need. Raises `Rejected`."""
    found = list(parts(call.body.get("messages")))
    if not found:
        return call
    sounds = [(where, part) for where, part in found if part.get("type") == "input_audio"]
    for where, part in sounds:
        _checked(part, where)
    if any(image_url(part) is not None for _, part in found):
        yield from required(call, "vision", "an image", "messages")
    if sounds:
        yield from required(call, "audio", "sound", "messages")
    return (yield from resolved(call))


def _checked(part: Json, where: str) -> None:
    match part:
        case {"input_audio": {"data": str() as data, "format": str() as form}} if form in _SOUNDS:
            decoded(data, where, "a sound")
        case _:
            raise Rejected(
                f"{where}: `input_audio` holds `data`, in base64, and `format`, one of {', '.join(_SOUNDS)}",
                param="messages",
                code="invalid_value",
            )
