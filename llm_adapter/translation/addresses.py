"""Addresses that a call hands to its server to fetch: images and files in messages, servers of tools.

A server that fetches them tells the host of the address who asks, and what for: `local_only` refuses that, as
`image_urls = "refuse"` does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llm_adapter.provider import Json, Rejected

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

# Fields in which servers look for one: OpenAI's, and vLLM's (vllm/entrypoints/chat_utils.py, v0.11).
_FETCHED = frozenset({"image_url", "video_url", "audio_url", "file_url", "server_url"})
# With a scheme, or only without one. Neither the data itself nor a file that the server has.
_ADDRESS = r"(?i)[\x00-\x20]*(?!data:|file:)([a-z][a-z0-9+.-]*:|[\\/]{2})"


def refusal_of_addresses(body: Json, settings: Settings) -> Rejected | None:
    """The refusal of a call with such an address, where the settings do not allow it; or None."""
    if settings.image_urls != "refuse":
        return None
    for name in ("messages", "input", "tools"):
        given = body.get(name)
        for place, item in enumerate(given if isinstance(given, list) else ()):
            if (field := _field_with_address(item)) is not None:
                return refused_address(settings, f"{name}[{place}]", field, name)
    return None


def refused_address(settings: Settings, where: str, field: str = "image_url", param: str = "messages") -> Rejected:
    """The refusal of one address. where: "messages[0]". field: the one that holds the address."""
    why = settings.why_local if settings.local_only else '`image_urls = "refuse"` is set'
    what = "images given by an address are" if field == "image_url" else f"an address in `{field}` is"
    cure = "offer functions of your own" if field == "server_url" else "send a data URL"
    return Rejected(f"{where}: {what} refused, because {why}: {cure}", param=param, code="unsupported_image")


def _field_with_address(item: Any) -> str | None:
    """The name of the field, at any depth, that holds an address."""
    left = [item]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            for name in _FETCHED & one.keys():
                url = one[name].get("url") if isinstance(one[name], dict) else one[name]
                if isinstance(url, str) and re.match(_ADDRESS, url):
                    return name
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    return None
