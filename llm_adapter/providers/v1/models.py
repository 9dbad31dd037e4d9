"""GET /models/{id}  ↔  GET /models, on servers that have the list alone.

Source: llama.cpp of 2026-10, which answers 404 "File Not Found"; lmstudio-ai/docs 3_openai-compat, which has no such
endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest
from llm_adapter.translation.errors import server_refusal
from llm_adapter.translation.reply_shapes import MODELS, reply_of


def retrieve_model(call: Call, more: Iterable[str] = ()) -> Flow:
    """The model of that name, as the list has it. Raises `Rejected`: 404 where it is not in the list.

    more: models that the server's list lacks.
    """
    reply: NativeReply = yield NativeRequest("GET", "models")
    listed: list[Json] = reply_of(reply, MODELS)["data"] or []
    listed += _missing_models(listed, more)
    names = call.settings.names(call.named)
    found = [one for name in names for one in listed if name == one["id"] or name in (one.get("aliases") or ())]
    if not found:
        known = ", ".join(one["id"] for one in listed)
        raise server_refusal(404, f"model {names[-1]!r} not found: the server lists {known or 'none'}", {})
    return found[0]


def list_models(call: Call, more: Iterable[str]) -> Flow:
    """GET /models with those that the server's list lacks."""
    reply: NativeReply = yield NativeRequest("GET", "models")
    whole = reply_of(reply, MODELS)
    listed = whole["data"] or []
    return {**whole, "data": [*listed, *_missing_models(listed, more)]}


def _missing_models(known: list[Json], more: Iterable[str]) -> list[Json]:
    """Models of names alone; all else is as the first that is known has it."""
    like = {"object": "model", "created": 0, "owned_by": "llamacpp"}
    like |= {name: known[0][name] for name in like if known and name in known[0]}
    return [{"id": name, **like} for name in more if name not in [one.get("id") for one in known]]
