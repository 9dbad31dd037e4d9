"""Calls that build on something kept at one server: no other server could answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Arguments of a call that name, or make, what its server keeps; `keep_alive` is about a model that it holds.
KEPT_AT_SERVER = ("previous_response_id", "conversation", "background", "prompt")
_STAYS = frozenset({*KEPT_AT_SERVER, "keep_alive"})
# Fields, at any depth, that hold the id of something kept there.
_IDS = frozenset({"file_id", "file_ids", "batch_id", "vector_store_ids", "container"})


def names_state(body: Mapping[str, Any], path: str) -> bool:
    """Whether a call's arguments name something that is kept at its server."""
    # A stored prompt is a `prompt` of the Responses API; of the older endpoints it is the text itself.
    stays = _STAYS if path == "/responses" else _STAYS - {"prompt"}
    if any(body.get(name) for name in stays):
        return True
    left: list[Any] = [body]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            if one.get("type") == "item_reference" or any(_is_id(one.get(name)) for name in _IDS & one.keys()):
                return True
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    return False


def _is_id(value: Any) -> bool:
    """Whether it is an id, or several; the schema of a tool's argument with such a name is neither."""
    return bool(value) and isinstance(value, str | list)
