"""GET /models/{id}  ↔  GET /models, on servers that have the list alone.

Source: llama.cpp of 2026-10, which answers 404 "File Not Found"; lmstudio-ai/docs 3_openai-compat, which has no such
endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest
from llm_adapter.translation.errors import checked, server_refusal


def retrieve_model(call: Call, more: Iterable[str] = ()) -> Flow:
    """The model of that name, as the list has it. Raises `Rejected`: 404 where it is not in the list.

    more: models that the server's list lacks.
    """
    reply: NativeReply = yield NativeRequest("GET", "models")
    listed = [one for one in _data(checked(reply).json()) if isinstance(one, dict)]
    listed += _missing_models(listed, more)
    names = call.settings.names(call.named)
    found = [one for name in names for one in listed if name == one.get("id") or name in (one.get("aliases") or ())]
    if not found:
        known = ", ".join(str(one.get("id")) for one in listed)
        raise server_refusal(404, f"model {names[-1]!r} not found: the server lists {known or 'none'}", {})
    return found[0]


def list_models(call: Call, more: Iterable[str]) -> Flow:
    """GET /models with those that the server's list lacks."""
    reply: NativeReply = yield NativeRequest("GET", "models")
    whole: Json = checked(reply).json()
    return {**whole, "data": [*_data(whole), *_missing_models(_data(whole), more)]}


def _missing_models(known: list[Json], more: Iterable[str]) -> list[Json]:
    """Models of names alone; all else is as the first that is known has it."""
    like = {"object": "model", "created": 0, "owned_by": "llamacpp"}
    like |= {name: known[0][name] for name in like if known and name in known[0]}
    return [{"id": name, **like} for name in more if name not in [one.get("id") for one in known]]


def _data(models: Any) -> list[Json]:
    return (models.get("data") or []) if isinstance(models, dict) else []
