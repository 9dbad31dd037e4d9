"""What a model can do: POST /api/show, remembered for a minute.

Some servers answer a request that their model cannot do with 200 and leave out what it cannot (recordings:
vision_unsupported), others with an error that names no parameter. Source: ollama/api/types.go ShowResponse,
types/model/capability.go, v0.24.0; `capabilities` came with v0.6.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_adapter.provider import Call, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model; None is unknown, and no reason to refuse anything."""

    capabilities: frozenset[str] | None = None  # of completion, tools, insert, vision, embedding, thinking, audio
    context_length: int | None = None  # what it was trained for, in tokens
    remote_host: str | None = None  # where a call for it goes on to, from the server
    told: bool = False  # the server has described it; it does not where the model is missing
    missing: bool = False
    modified_at: str = ""  # when it was made, in the server's words

    def lacks(self, capability: str) -> bool:
        """Whether it is certain that the model cannot do this."""
        return self.capabilities is not None and capability not in self.capabilities


UNKNOWN = Model()
_models: ExpiringCache[tuple[str, str], Model] = ExpiringCache(seconds=60)


def known_model(call: Call, max_age: float | None = None) -> Steps[Model]:
    """The call's model. A server that does not say is asked again next time, unless it has no such endpoint.

    max_age: seconds, where an answer that is older is not good enough.
    """
    key = _key(call)
    if not key[1]:
        return UNKNOWN
    found = _models.get(key, call.created, max_age)
    if found is None:
        reply: NativeReply = yield NativeRequest("POST", "/api/show", {"model": key[1]})
        found = _model(reply)
        if reply.status == 200 or _lacks_endpoint(reply):
            _models.set(key, found, call.created)
    return found


def require_capability(call: Call, capability: str, what: str, param: str) -> Steps[None]:
    """Raises `Rejected`, naming installed models that can, if it is certain that the model cannot do this.

    what: the thing that needs it, for the message: "an image".
    """
    model = yield from known_model(call)
    if not model.lacks(capability):
        return
    reply: NativeReply = yield NativeRequest("GET", "/api/tags")
    names = models_with_capability(reply, capability)
    hint = f"; installed models that can: {', '.join(names[:5])}" if names else ""
    raise Rejected(
        f"model {_key(call)[1]!r} cannot take {what}: it lacks the capability {capability!r}{hint}",
        param=param,
        code="unsupported_parameter",
    )


def forget(model: str) -> None:
    """Ask again about a model that was created, pulled or deleted, on all servers."""
    for key in _models.keys():  # noqa: SIM118 - a copy, for others write meanwhile
        if _with_tag(key[1]) == _with_tag(model):
            _models.drop(key)


def _key(call: Call) -> tuple[str, str]:
    model = call.body.get("model")
    return call.settings.base_url or call.settings.host or "", model if isinstance(model, str) else ""


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _lacks_endpoint(reply: NativeReply) -> bool:
    """Whether the server has no such endpoint: where a model is missing, it answers in JSON."""
    return reply.status in (405, 501) or (reply.status == 404 and not reply.body.lstrip().startswith(b"{"))


def _model(reply: NativeReply) -> Model:
    shown = _reply_object(reply)
    capabilities = shown.get("capabilities")
    info = shown.get("model_info")
    info = info if isinstance(info, dict) else {}
    length = info.get(f"{info.get('general.architecture')}.context_length")
    return Model(
        frozenset(map(str, capabilities)) if isinstance(capabilities, list) else None,
        length if isinstance(length, int) and length > 0 else None,
        str(shown.get("remote_host") or shown.get("remote_model") or "") or None,
        told=reply.status == 200,
        missing=reply.status == 404 and not _lacks_endpoint(reply),
        modified_at=str(shown.get("modified_at") or ""),
    )


def installed_models(reply: NativeReply) -> list[Json]:
    """The models of a reply to GET /api/tags, or to GET /api/ps; none where there is something else."""
    models: Any = _reply_object(reply).get("models")
    return [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []


def models_with_capability(reply: NativeReply, capability: str) -> list[str]:
    """The names of the installed models that can; servers before 0.30 do not list what a model can."""
    return [str(one.get("name")) for one in installed_models(reply) if capability in _listed(one)]


def _listed(model: Json) -> list[Any]:
    capabilities = model.get("capabilities")
    return capabilities if isinstance(capabilities, list) else []


def _reply_object(reply: NativeReply) -> Json:
    """The reply's object; an empty one for anything else."""
    try:
        body = reply.json() if reply.status == 200 else None
    except Rejected:
        body = None
    return body if isinstance(body, dict) else {}
