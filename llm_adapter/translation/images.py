"""The images of a call's messages, in a form that a server takes: fetched, checked, converted. Pure but for Pillow.

Servers take base64 alone and few formats: Ollama jpeg, png and webp (openai/openai.go decodeImageURL, v0.24.0).
Of what is nothing like an image, a server's error would name neither the part nor the reason.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Collection, Generator, Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote

from llm_adapter.provider import Call, Fetch, Json, LongWork, NativeReply, Rejected
from llm_adapter.translation.addresses import refused_address

ACCEPTED = frozenset({"jpeg", "png", "webp"})
# OpenAI's own limits are 500 images and 50 MB a request; every address here may cost seconds.
MOST_URLS = 100
MOST_BYTES = 50 << 20
AT_ONCE = 4
MOST_PIXELS = 64_000_000  # a few bytes can hold more pixels than memory does

_QUICK = 200_000  # characters of base64: so many are checked in a millisecond

_SIGNATURES = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
}
# Those of Pillow's that only decode pixels: its list also has formats that start other programs, such as EPS.
_CONVERTED = ("GIF", "BMP", "TIFF", "ICO", "AVIF", "JPEG2000", "PPM", "TGA")


class Part(NamedTuple):
    """A content part and its place."""

    where: str  # "messages[0]"
    part: Json


def parts(messages: Any) -> Iterator[Part]:
    """Every content part of a conversation that is an object. What has another shape is not judged here."""
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield Part(f"messages[{place}]", part)


def image_url(part: Any) -> str | None:
    """The address of an image part, in OpenAI's form or as the bare string of Ollama's guides; None for other parts."""
    match part:
        case {"type": "image_url", "image_url": {"url": str() as url} | (str() as url)}:
            return url
        case _:
            return None


def with_inline_images(
    call: Call, accepted: Collection[str] = ACCEPTED
) -> Generator[Fetch | LongWork, list[NativeReply], Call]:
    """The call with every image as a base64 data URL of an accepted format. Raises `Rejected`."""
    messages = call.body.get("messages")
    places = {url: where for where, part in parts(messages) if (url := image_url(part)) is not None}
    if not places:
        return call
    remote = [url for url in places if _is_remote(url)]
    if remote:
        _check_addresses(call, places[remote[0]], len(remote))
    inline: dict[str, str] = {}
    for url in places:
        if not _is_remote(url):
            # Before each one: a call that is over by then is left there.
            if len(url) > _QUICK or not _is_accepted(url, accepted):
                yield LongWork()
            inline[url] = _inlined_url(call, url, places[url], accepted)
    size = 0
    for start in range(0, len(remote), AT_ONCE):
        batch = remote[start : start + AT_ONCE]
        replies = yield Fetch(tuple(batch), call.settings.image_hosts)
        call.report.note("emulated", "image_url")
        size += sum(len(reply.body) for reply in replies)
        if size > MOST_BYTES:
            raise _image_refusal(places[batch[0]], f"the call's images together are larger than {MOST_BYTES} bytes")
        for url, reply in zip(batch, replies, strict=True):
            yield LongWork()
            inline[url] = _data_url(*_format_and_bytes(call, reply.body, places[url], accepted))
    return replace(call, body={**call.body, "messages": [_message_with(message, inline) for message in messages or ()]})


def decoded_base64(data: str, where: str, what: str = "an image") -> bytes:
    """The bytes of base64 text. Raises `Rejected`: a server's error would not name the part."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejected(
            f"{where}: the data of {what} is not valid base64: {error}", param="messages", code="invalid_value"
        ) from None


def is_long(sound: Json) -> bool:
    """Whether checking the data of a sound part takes a while."""
    match sound:
        case {"input_audio": {"data": str() as data}}:
            return len(data) > _QUICK
        case _:
            return False


def _is_remote(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def _check_addresses(call: Call, where: str, count: int) -> None:
    if call.settings.image_urls == "refuse":
        raise refused_address(call.settings, where)
    if count > MOST_URLS:
        raise _image_refusal(where, f"a call may name {MOST_URLS} images by their address, not {count}")


def _is_accepted(url: str, accepted: Collection[str]) -> bool:
    """Whether the first bytes of a data URL say that the image needs no conversion."""
    try:
        return _format(base64.b64decode(url.partition(",")[2][:24])) in accepted
    except (binascii.Error, ValueError):
        return False


def _inlined_url(call: Call, url: str, where: str, accepted: Collection[str]) -> str:
    head, comma, data = url.partition(",")
    if not (comma and head[:5].lower() == "data:" and head[-7:].lower() == ";base64"):
        raise _image_refusal(where, "an image is a base64 data URL, or an http(s) address")
    if "%" in data or any(space in data for space in " \r\n\t"):
        data = "".join(unquote(data).split())
    raw = decoded_base64(data, where)
    kind, kept = _format_and_bytes(call, raw, where, accepted)
    return f"data:image/{kind};base64,{data}" if kept is raw else _data_url(kind, kept)


def _format_and_bytes(call: Call, raw: bytes, where: str, accepted: Collection[str]) -> tuple[str, bytes]:
    """The format and the bytes of an image, as they are if a server takes them so."""
    kind = _format(raw)
    if kind in accepted:
        return kind or "", raw
    call.report.note("changed", "image format")
    return "png", _png(raw, where, kind)


def _format(raw: bytes) -> str | None:
    return next((kind for kind, signature in _SIGNATURES.items() if signature.match(raw)), None)


def _png(raw: bytes, where: str, kind: str | None) -> bytes:
    """Another format's first picture as PNG. Raises `Rejected`."""
    try:
        from PIL import Image
    except ImportError:
        raise _image_refusal(
            where,
            f"an image is {'of format ' + kind if kind else 'neither jpeg, png nor webp'}, which has to be converted: "
            "install the extra with  pip install 'llm_adapter[images]'",
        ) from None
    Image.init()
    try:
        with Image.open(io.BytesIO(raw), formats=[name for name in _CONVERTED if name in Image.OPEN]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            plain = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")
            out = io.BytesIO()
            plain.save(out, "PNG", compress_level=1)  # the server unpacks it at once
            return out.getvalue()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _image_refusal(where, f"an image has more than {MOST_PIXELS} pixels") from None
    except Exception:  # a decoder fed with anything at all raises anything at all
        raise _image_refusal(where, "an image is of no format that can be read") from None


def _data_url(kind: str, raw: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"


def _message_with(message: Any, inline: dict[str, str]) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {**message, "content": [_part_with(part, inline) for part in content]}


def _part_with(part: Any, inline: dict[str, str]) -> Any:
    url = image_url(part)
    if url is None:
        return part
    given = part["image_url"]
    return {**part, "image_url": {**(given if isinstance(given, dict) else {}), "url": inline[url]}}


def _image_refusal(where: str, reason: str) -> Rejected:
    return Rejected(f"{where}: {reason}", param="messages", code="unsupported_image")
