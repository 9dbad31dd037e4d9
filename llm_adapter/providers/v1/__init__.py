"""Servers that speak /v1 and are not OpenAI: their own endpoints, in their dialect.

Source: the recordings' /v1 side; the sources of `dialect_rows`. Rule: what can be given by another request, or by
several, is given by the same code as on Ollama's native API; what cannot, the rows refuse.
"""

from __future__ import annotations

from llm_adapter.dialects import Dialect
from llm_adapter.errors import checked
from llm_adapter.provider import Call, Flow, NativeReply, NativeRequest
from llm_adapter.repair import Repair, repaired

PATHS = frozenset({"/chat/completions", "/completions", "/embeddings"})


def spoken(call: Call, dialect: Dialect) -> Flow:
    """One call in a known dialect."""
    if call.path not in dialect.rows:
        return (yield from _plain(call, dialect))
    # Imported with the first call that comes here: applications that only talk to OpenAI do not pay for it.
    from llm_adapter.providers.v1 import chat, completions, embeddings

    flows = {
        "/chat/completions": chat.flow,
        "/completions": completions.flow,
        "/embeddings": embeddings.flow,
    }
    return (yield from flows[call.path](call, dialect))


def _plain(call: Call, dialect: Dialect) -> Flow:
    """The call as it is, and, from a server that nothing is known of, a reply that is mended."""
    body = dialect.body(call)
    if not dialect.repaired:
        yield NativeRequest("POST", None, body, untouched=True)
    reply: NativeReply = yield NativeRequest("POST", None, body, stream=call.stream)
    checked(reply, call.path)
    single = body.get("parallel_tool_calls") is False
    return Repair(call.id, single) if call.stream else repaired(reply.json(), call.id, single)
