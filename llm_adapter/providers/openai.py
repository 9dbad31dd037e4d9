"""Provider `openai`: OpenAI and every server that speaks /v1. Requests stay OpenAI's; dialect rows mend the rest.

Calls to OpenAI go out and come back untouched, but for parameters that only other providers know: OpenAI answers
those with 400, so they are left out with one warning (P36).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from llm_adapter import responses
from llm_adapter.dialects import DIALECTS, Dialect, recognised
from llm_adapter.errors import checked
from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest
from llm_adapter.repair import Repair, repaired
from llm_adapter.settings import Settings

_ENDPOINTS = frozenset({"/chat/completions", "/completions", "/embeddings"})
_recognised: dict[str, str] = {}  # base URL to dialect: a server is asked once a process


class OpenAI:
    """See the module."""

    name = "openai"

    def base_url(self, settings: Settings) -> str | None:
        return settings.base_url

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if responses.serves(path):
            return _responses
        return v1 if method == "POST" and path in _ENDPOINTS else None


def v1(call: Call) -> Flow:
    """POST /chat/completions, /completions, /embeddings  ↔  the same, in the server's dialect."""
    dialect = yield from _dialect(call)

    return (yield from spoken(call, dialect))


def spoken(call: Call, dialect: Dialect) -> Flow:
    """One call in a known dialect."""
    body = dialect.body(call.body)
    if not dialect.repaired:
        yield NativeRequest("POST", None, body, untouched=True)
    reply: NativeReply = yield NativeRequest("POST", None, body, stream=call.stream)
    checked(reply, call.path)
    single = body.get("parallel_tool_calls") is False
    return Repair(call.id, single) if call.stream else repaired(reply.json(), call.id, single)


def _responses(call: Call) -> Flow:
    """The Responses API: OpenAI's own at OpenAI. Other servers' forget or refuse `previous_response_id` (P24)."""
    dialect = yield from _dialect(call)
    ours = responses.endpoint(call.method, call.path, lambda chat: spoken(chat, dialect)) if dialect.repaired else None
    if ours is None:
        yield NativeRequest(call.method, None, dialect.body(call.body) or None, untouched=True)
        raise AssertionError("an untouched exchange is not resumed")
    return (yield from ours(call))


def _dialect(call: Call) -> Generator[NativeRequest, Any, Dialect]:
    """The dialect that is configured or that the address tells, or else what the server's model list shows."""
    url = call.settings.base_url or ""
    name = call.settings.dialect or _recognised.get(url)
    if name is None:
        reply: NativeReply = yield NativeRequest("GET", "models")
        name = recognised(_json(reply))
        if reply.status == 200:
            _recognised[url] = name
    return DIALECTS[name]


def _json(reply: NativeReply) -> Any:
    return reply.json() if reply.status == 200 and reply.body[:1] == b"{" else None
