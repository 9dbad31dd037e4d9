"""GET /models/{id}  ↔  GET /models, on servers that have the list alone.

Source: llama.cpp of 2026-10, which answers 404 "File Not Found"; lmstudio-ai/docs 3_openai-compat, which has no such
endpoint.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from llm_adapter.errors import checked, rejected
from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest


def retrieved(call: Call) -> Flow:
    """The model of that name, as the list has it. Raises `Rejected`: 404 where it is not in the list."""
    name = call.settings.model(unquote(call.path.removeprefix("/models/")))
    reply: NativeReply = yield NativeRequest("GET", "models")
    listed = [one for one in _data(checked(reply).json()) if isinstance(one, dict)]
    found = next((one for one in listed if name == one.get("id") or name in (one.get("aliases") or ())), None)
    if found is None:
        known = ", ".join(str(one.get("id")) for one in listed)
        raise rejected(404, f"model {name!r} not found: the server lists {known or 'none'}", {})
    return found


def _data(models: Any) -> list[Json]:
    return (models.get("data") or []) if isinstance(models, dict) else []
