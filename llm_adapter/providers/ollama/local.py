"""`local_only`: no call is sent to a model of ollama.com, though a local Ollama would pass it on.

A local Ollama sends calls for a cloud model to ollama.com by itself. Such a model is known by its name, or, where it
was copied or made from one, by what POST /api/show says of it, which is believed for a few seconds: a name may lead to
another model at any time. What cannot be known is refused.
Source: ollama/server/routes.go ChatHandler, internal/modelref, v0.24.0; docs/cloud.mdx.
"""

from __future__ import annotations

import re

from llm_adapter.provider import Call, Endpoint, Flow, NativeRequest, Rejected
from llm_adapter.providers.ollama.capabilities import known_model
from llm_adapter.translation.parallel import Steps

_CLOUD = re.compile(r"[:-]cloud$", re.IGNORECASE)
_BELIEVED = 3.0  # seconds
_MODELS = ("model", "from", "source")  # the fields that name one


def local_only(endpoint: Endpoint) -> Endpoint:
    """The endpoint, which refuses a call that would leave the server, if the profile says `local_only`."""

    def flow(call: Call) -> Flow:
        if call.settings.local_only:
            yield from check_local(call)
        return (yield from endpoint(call))

    return flow


def local_only_by_name(endpoint: Endpoint) -> Endpoint:
    """The same by the names of models alone: for calls that only manage models, and carry no prompt."""

    def flow(call: Call) -> Flow:
        if call.settings.local_only:
            _check_names(call)
        return (yield from endpoint(call))

    return flow


def check_local(call: Call) -> Steps[None]:
    """Raises `Rejected` unless the call's model runs on the server itself."""
    _check_names(call)
    model = yield from known_model(call, _BELIEVED)
    name = call.body.get("model")
    if model.remote_host:
        raise _local_only_refusal(call, f"model {name!r} runs at {model.remote_host}")
    if name and not model.told and not model.missing:
        raise _local_only_refusal(call, f"the server does not tell where model {name!r} runs")


def passed_on_if_local(call: Call) -> Flow:
    """The endpoint of a call that is not translated, which must stay on the server, too."""
    yield from check_local(call)
    yield NativeRequest(call.method, None, call.body or None, passthrough=True)
    raise AssertionError("a passthrough exchange is not resumed")


def is_cloud(name: str) -> bool:
    """Whether a model's name says that it runs at ollama.com: "x:cloud", "x:120b-cloud"."""
    return _CLOUD.search(name) is not None


def _check_names(call: Call) -> None:
    for field in _MODELS:
        name = call.body.get(field)
        if isinstance(name, str) and is_cloud(name):
            raise _local_only_refusal(call, f"model {name!r} runs at ollama.com")


def _local_only_refusal(call: Call, why: str) -> Rejected:
    return Rejected(
        f"{why}, and {call.settings.why_local}: use a model that is installed here, or another profile",
        param="model",
        code="local_only",
        status=403,
        kind="permission_error",
    )
