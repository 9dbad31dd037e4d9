"""POST /embeddings  ↔  the same on a /v1 server that is not OpenAI.

Token ids are OpenAI's, and no other model knows those; vectors of another length than was asked for are an error,
for llama.cpp ignores `dimensions`, and Ollama those beyond its own.
"""

from __future__ import annotations

import base64
from typing import Any

from llm_adapter.provider import Call, Flow, NativeReply, NativeRequest
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.providers.v1.repair import repaired
from llm_adapter.translation.embeddings import check_dimensions
from llm_adapter.translation.errors import checked
from llm_adapter.translation.token_ids import decoded_texts, is_token_ids


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request."""
    body = dialect.body(call)
    given: Any = body.get("input")
    if is_token_ids(given) and (call.settings.token_encoding or not dialect.accepts_token_ids):
        body = {**body, "input": decoded_texts(given, call, "input")}
    reply: NativeReply = yield NativeRequest("POST", None, body)
    got = repaired(checked(reply, call.path).json(), call.id)
    check_dimensions(call, [_length(one.get("embedding")) for one in got.get("data") or ()])
    return got


def _length(embedding: object) -> int:
    if isinstance(embedding, str):
        return len(base64.b64decode(embedding)) // 4  # float32
    return len(embedding) if isinstance(embedding, list) else 0
