"""OpenAI's endpoints that no other server has, or only few: one error for all of them, which says why and what to do.

Where it is known beforehand nothing is sent. Else the server is asked, and its own words for a path that it does not
have are told as the same error: each has others, and LM Studio says them with status 200.
Sources: the routes of ollama/server/routes.go, v0.14.3 to v0.33.0-rc2; llama.cpp of 2026-10, every path asked for; the
paths of openai-python src/openai/resources, v3.52.0, against which tests/client/test_endpoints.py holds the table.
"""

from __future__ import annotations

import re
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest, Rejected
from llm_adapter.translation.errors import checked
from llm_adapter.translation.reply_shapes import Shape, reply_of

# The first parts of the paths of OpenAI's endpoints. Not `realtime` and `live`, which are no HTTP calls.
ENDPOINTS = frozenset(
    [
        *("assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "embeddings"),
        *("evals", "files", "fine_tuning", "images", "models", "moderations", "responses", "threads", "uploads"),
        *("vector_stores", "videos"),
    ]
)
_STORED = "chat completions are not stored; the Responses API of this client stores its own"
_NO_FILES = "no files are kept there"
_AGENTS = "no agents are run there; the Agents SDK on this client does it"
_NO_CODE = "no code is run there"
_NO_SPEECH = "no speech is made there"
_NO_SESSIONS = "there are no realtime sessions"
_ADMIN = "it administers an account at OpenAI"
_NOTHING = "there is nothing like it"

# A path, or what it begins with, to why.
UNAVAILABLE: dict[str, str] = {
    "/moderations": "nothing is moderated there; a guard model (llama-guard3, shieldgemma) does it in a chat",
    "/files": f"{_NO_FILES}; put a text into the message, an image into it as a data URL",
    "/uploads": _NO_FILES,
    "/batches": "no batches are run there; where the profile names the `dialect`, this library runs them itself",
    "/vector_stores": "no vectors are kept there; keep those of client.embeddings in an index of your own",
    "/assistants": _AGENTS,
    "/threads": _AGENTS,
    "/agents": _AGENTS,
    "/chatkit": _AGENTS,
    "/skills": _AGENTS,
    "/vaults": _AGENTS,
    "/containers": _NO_CODE,
    "/fine_tuning": "no models are trained there; adapters that were trained elsewhere are run",
    "/evals": "no evaluations are run there",
    "/realtime": _NO_SESSIONS,
    "/live": _NO_SESSIONS,
    "/videos": "no videos are made there",
    "/audio/speech": _NO_SPEECH,
    "/audio/transcriptions": "nothing is transcribed there",
    "/audio/translations": "nothing is translated there; some servers have client.audio.transcriptions",
    "/audio/voices": _NO_SPEECH,
    "/audio/voice_consents": _NO_SPEECH,
    "/images/generations": "no images are made there",
    "/images/edits": "no images are edited there",
    "/images/variations": "no images are made there",
    "/chat/completions/": _STORED,
    "/responses/compact": "there is no compaction; see `overflow`",
    "/decisions": _NOTHING,
    "/content_provenance_checks": _NOTHING,
    "/safety": _ADMIN,
    "/organization": _ADMIN,
    "/projects": _ADMIN,
    "/webhook_endpoints": _ADMIN,
    "/webhook_event_types": _ADMIN,
}
# How servers say that they have no such path, or not this method of it: Ollama and vLLM (FastAPI), llama.cpp, OpenAI,
# LM Studio.
_NO_SUCH_PATH = re.compile(
    r"(404 page |file )?not found|(405 )?method not allowed|(invalid url|unexpected endpoint|not allowed to) .*",
    re.IGNORECASE,
)


def unavailable(method: str, path: str) -> Endpoint | None:
    """The endpoint that refuses this call, or None: the call may be for the server's own /v1."""
    return refuse if reason_of(method, path) else None


def reason_of(method: str, path: str) -> str | None:
    """Why a call is not available elsewhere than at OpenAI; None for one that is, or that is not OpenAI's."""
    if method == "GET" and path == "/chat/completions":
        return _STORED
    if method == "DELETE" and path.startswith("/models/"):
        return "models are not deleted there"
    for begin, reason in UNAVAILABLE.items():
        if path == begin or path.startswith(begin if begin.endswith("/") else f"{begin}/"):
            return reason
    return None


def is_openais(path: str) -> bool:
    """Whether the SDK has calls of a path; others come by `client.post()` and its siblings alone."""
    return _first_part(path) in ENDPOINTS or reason_of("POST", path) is not None


def unsupported_endpoint(message: str) -> Rejected:
    """The SDK raises it as `openai.NotFoundError`, as for a server that answers so."""
    return Rejected(message, status=404, code="unsupported_endpoint")


def elsewhere(path: str) -> str:
    """How calls of an endpoint are made at another server, as the end of a message."""
    first = _first_part(path)
    route = f'by a route, `routes = {{ {first} = "PROFILE" }}`, ' if first in ENDPOINTS else ""
    return (
        f"make such calls with a client of another profile, client.copy(profile=...), {route}or, where they name a "
        "model, put a provider before it: model='openai/...'"
    )


def _first_part(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def unavailable_endpoint(call: Call, server: str = "") -> Rejected:
    """The refusal of a call, by its path and its provider. server: of what kind its server is, where that is known."""
    if call.report.provider == "openai":
        server = server or "a /v1 server that is not OpenAI's"
    which = f"provider {call.report.provider!r}{server and f' ({server})'}"
    reason = reason_of(call.method, call.path) or "its server has no such endpoint"
    return unsupported_endpoint(f"`{call.path}` is not available on {which}: {reason}; {elsewhere(call.path)}")


def refuse(call: Call) -> Flow:
    """An endpoint that refuses every call."""
    raise unavailable_endpoint(call)
    yield  # a generator, as every endpoint


def passed_on_where_there(call: Call, server: str = "") -> Flow:
    """The call as it is, to a server that may have the endpoint. An error is the server's own, in OpenAI's envelope."""
    body = call.body or None
    reply: NativeReply = yield NativeRequest(call.method, None, body, passthrough=True, resume_on_error=True)
    if is_path_missing(reply):
        raise unavailable_endpoint(call, server)
    raise _as_it_came(reply, call)


def answered_where_there(call: Call, shape: Shape, server: str = "") -> Flow:
    """The same of an endpoint whose answer is known: it has to be one."""
    reply: NativeReply = yield NativeRequest(call.method, None, call.body or None)
    if is_path_missing(reply):
        raise unavailable_endpoint(call, server)
    if reply.status >= 400:
        raise _as_it_came(reply, call)
    return reply_of(reply, shape, call.path)


def is_path_missing(reply: NativeReply) -> bool:
    """Whether an error says that the server has no such path, and not that it does not have what the path names."""
    return reply.status in (404, 405) and _NO_SUCH_PATH.fullmatch(_words(reply) or "not found") is not None


def _words(reply: NativeReply) -> str:
    try:
        match reply.json():
            case {"error": {"message": str() as words}} | {"error": str() as words} | {"detail": str() as words}:
                return words.strip()
    except Rejected:
        pass
    return reply.body.decode("utf-8", "replace").strip()


def _as_it_came(reply: NativeReply, call: Call) -> Rejected:
    try:
        error: Any = reply.json().get("error")
        known = {name: error.get(name) for name in ("message", "type", "param", "code")}
    except (Rejected, AttributeError):
        known = {}
    if isinstance(known.get("message"), str):
        more = {name: value for name, value in error.items() if name not in known}
        message, kind, param, code = known.values()
        return Rejected(message, status=reply.status, kind=kind, param=param, code=code, **more)
    try:
        checked(reply, call.path)
    except Rejected as refusal:
        return refusal
    raise AssertionError("a passthrough exchange is resumed with errors alone")
