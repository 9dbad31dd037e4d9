"""POST /embeddings  ↔  the same on a /v1 server that is not OpenAI.

Token ids are OpenAI's, and no other model knows those; vectors of another length than was asked for are an error,
for llama.cpp ignores `dimensions`, and Ollama those beyond its own.
"""

from __future__ import annotations

from typing import Any

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.translation.embeddings import (
    check_dimensions,
    first_too_long,
    in_order,
    number_of_inputs,
    placed,
    vector_length,
)
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.reply_shapes import EMBEDDINGS, reply_of
from llm_adapter.translation.token_ids import decoded_texts, is_token_ids


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request; where an input is too long, more of them to find it."""
    body = dialect.body(call)
    given: Any = body.get("input")
    if given is None or given == []:
        raise Rejected("`input` must not be empty", param="input", code="invalid_value")
    known = call.settings.token_encoding or not dialect.takes_token_ids(call)
    if dialect.rows and known and is_token_ids(given):
        body = {**body, "input": decoded_texts(given, call, "input")}
    return (yield from _embeddings(call, body))


def _embeddings(call: Call, body: Json) -> Steps[Json]:
    """The list of embeddings, in the order of the inputs. Raises `Rejected`."""
    given = body.get("input")
    reply: NativeReply = yield NativeRequest("POST", None, body)
    try:
        got = reply_of(reply, EMBEDDINGS, call.path)
    except Rejected as refusal:
        caught = refusal
    else:
        data = in_order(got, number_of_inputs(given))
        check_dimensions(call, [vector_length(one["embedding"]) for one in data])
        return {**got, "data": data}
    if caught.error["code"] == "context_length_exceeded" and isinstance(given, list) and number_of_inputs(given) > 1:
        place = yield from first_too_long(given, lambda some: NativeRequest("POST", None, {**body, "input": some}))
        caught = placed(caught, place)
    raise caught
