"""The native calls of `client.models`: as they are, but for errors, which say what to do.

Source: ollama/server/routes.go GenerateRoutes, v0.24.0 and v0.33.0-rc2; recordings: manage, models, load_unload.
"""

from __future__ import annotations

from functools import partial

from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.loading import load
from llm_adapter.providers.ollama.local import local_only_by_name
from llm_adapter.providers.ollama.missing import adds_cures
from llm_adapter.translation.errors import checked
from llm_adapter.translation.reply_shapes import ANSWER, NATIVE_RUNNING, NATIVE_VERSION, Shape, reply_of
from llm_adapter.translation.unavailable import unsupported_endpoint

BLOBS = "/api/blobs/"


def native(call: Call) -> Flow:
    """A reply as it comes, an error in OpenAI's envelope."""
    body = call.body or None
    reply: NativeReply = yield NativeRequest(call.method, call.path, body, passthrough=True, resume_on_error=True)
    checked(reply, call.path)
    raise AssertionError("a passthrough exchange is resumed with errors alone")


def told(call: Call, shape: Shape) -> Flow:
    """What the server tells, which has to be that."""
    return reply_of((yield NativeRequest(call.method, call.path)), shape, call.path)


def show(call: Call) -> Flow:
    """POST /api/show, with the name that was asked for, which the reply lacks."""
    reply: NativeReply = yield NativeRequest("POST", "/api/show", call.body)
    return {**reply_of(reply, ANSWER, call.path), "model": call.body["model"]}


def blob(call: Call) -> Flow:
    """HEAD /api/blobs/{digest}: whether the server has a file; its 404 is an answer."""
    reply: NativeReply = yield NativeRequest("HEAD", call.path)
    if reply.status != 404:
        checked(reply)
    return {"held": reply.status != 404}


NATIVE: dict[tuple[str, str], Endpoint] = {
    ("GET", "/api/version"): partial(told, shape=NATIVE_VERSION),
    ("GET", "/api/ps"): partial(told, shape=NATIVE_RUNNING),
    ("POST", "/api/show"): adds_cures(show),
    ("POST", "/api/copy"): local_only_by_name(adds_cures(native)),
    ("POST", "/api/pull"): local_only_by_name(adds_cures(native)),
    ("POST", "/api/push"): local_only_by_name(adds_cures(native)),
    ("POST", "/api/create"): local_only_by_name(adds_cures(native)),
    ("POST", "/api/generate"): load,
}


def endpoint(method: str, path: str) -> Endpoint | None:
    """The endpoint of a native path."""
    return blob if method == "HEAD" and path.startswith(BLOBS) else NATIVE.get((method, path))


def unmanaged(provider: str, dialect: str | None = None) -> Rejected:
    """The refusal of a provider that has no management."""
    which = f"{provider!r}" + (f" (a {dialect} server)" if dialect not in (None, "openai") else "")
    return unsupported_endpoint(
        f"models are not managed on provider {which}: pull, push, create, copy, show, ps, load, unload and version are "
        "Ollama's; use a profile whose server it is"
    )
