"""GET /models, GET and DELETE /models/{id}  ↔  GET /api/tags, POST /api/show, DELETE /api/delete

Source: ollama/openai/openai.go ToListCompletion, ToModel, v0.24.0. A name with "/" in it works here, not on Ollama's
/v1 (recordings: models).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest
from llm_adapter.providers.ollama.capabilities import forget, installed_models
from llm_adapter.translation.errors import checked
from llm_adapter.translation.reply_shapes import NATIVE_MODEL, NATIVE_MODELS, reply_of


def list_flow(call: Call) -> Flow:
    reply: NativeReply = yield NativeRequest("GET", "/api/tags")
    models = reply_of(reply, NATIVE_MODELS)["models"] or []
    return {"object": "list", "data": [_model(one.get("model") or one.get("name") or "", one) for one in models]}


def retrieve_flow(call: Call) -> Flow:
    """The model of that name, or else the one that "*" has answer to it; the digest is in the list alone."""
    for name in call.settings.names(call.named):
        reply: NativeReply = yield NativeRequest("POST", "/api/show", {"model": name})
        if reply.status != 404:
            break
    shown = reply_of(reply, NATIVE_MODEL)
    listed: NativeReply = yield NativeRequest("GET", "/api/tags")
    installed = installed_models(listed)  # a gateway may have no list: the model was found all the same
    same: Json = next((one for one in installed if one.get("model") in (name, f"{name}:latest")), {})
    return _model(name, {**same, **shown})


def delete_flow(call: Call) -> Flow:
    name = call.named  # as it is written: what an alias stands for is not what was to be deleted
    reply: NativeReply = yield NativeRequest("DELETE", "/api/delete", {"model": name})
    checked(reply)
    forget(name)
    return {"id": name, "object": "model", "deleted": True}


# What OpenAI's model has no field for: `model.ollama["digest"]` tells one build of a model from another.
_MORE = ("digest", "size", "details", "capabilities", "remote_model", "remote_host")


def _model(name: str, native: Json) -> Json:
    model = {"id": name, "object": "model", "created": _unix(native.get("modified_at")), "owned_by": _owner(name)}
    more = {key: native[key] for key in _MORE if native.get(key)}
    return {**model, "ollama": more} if more else model


def _owner(name: str) -> str:
    """The namespace, or "library" as Ollama's registry calls its own."""
    namespace = name.rpartition("/")[0]
    return namespace.rpartition("/")[2] or "library"


def _unix(modified_at: Any) -> int:
    """Seconds of an RFC 3339 time. Go writes nanoseconds, which Python 3.10 does not read: they are cut off."""
    if not isinstance(modified_at, str) or not modified_at:
        return 0
    whole, dot, rest = modified_at.partition(".")
    zone = rest.lstrip("0123456789") if dot else ""
    try:
        return int(datetime.fromisoformat((whole + zone).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):  # a gateway's own time: the model is there all the same
        return 0
