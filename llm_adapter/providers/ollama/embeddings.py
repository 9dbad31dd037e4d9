"""POST /embeddings  ↔  POST /api/embed

Source: ollama/openai/openai.go ToEmbeddingList, v0.24.0. Rule: an input that does not fit is an error that names it,
and so are vectors of another length than was asked for.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected, Unasked
from llm_adapter.providers.ollama.parameters import EMBEDDINGS, native_request
from llm_adapter.providers.ollama.reply import timings
from llm_adapter.providers.ollama.sizing import refusal_with_counts
from llm_adapter.translation.embeddings import check_dimensions, check_number, first_too_long, placed
from llm_adapter.translation.overflow import CODE, LARGER_NUM_CTX, within_context
from llm_adapter.translation.parallel import Steps, together
from llm_adapter.translation.reply_shapes import NATIVE_EMBEDDINGS, reply_of
from llm_adapter.translation.token_count import estimate
from llm_adapter.translation.token_ids import decoded_texts

BATCH = 512  # inputs a request: one of Ollama's embeds them one after the other, and holds the whole reply in memory


def flow(call: Call) -> Flow:
    """One request, or several side by side for a large batch; their vectors in the order of the inputs."""
    return (yield from within_context(call, in_batches, LARGER_NUM_CTX, refusal_with_counts))


def in_batches(call: Call) -> Flow:
    """The same, whose refusal of an input that is too long names the server's words alone."""
    inputs = _input(call)
    batches: list[str | list[str]] = [inputs]
    if isinstance(inputs, list):
        batches = [inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH)]
    steps = [_embed(call, batch, place * BATCH) for place, batch in enumerate(batches)]
    return response(call, (yield from together(steps)))


def request(call: Call, inputs: str | list[str] | None = None) -> Json:
    """The native request. Raises `Rejected`."""
    native = {"input": _input(call) if inputs is None else inputs, "truncate": call.settings.overflow == "allow"}
    return native_request(EMBEDDINGS, call, native)


def response(call: Call, natives: list[Json]) -> Json:
    """The list of embeddings; base64 is little-endian float32, as OpenAI sends it."""
    vectors = [vector for native in natives for vector in native["embeddings"]]
    check_dimensions(call, [len(vector) for vector in vectors])
    encoding = call.body.get("encoding_format")
    encode = _base64 if encoding == "base64" and not isinstance(encoding, Unasked) else list
    counts = [native.get("prompt_eval_count") for native in natives]
    estimated = None in counts  # never a silent zero
    count = sum(map(estimate, _texts(call))) if estimated else sum(filter(None, counts))
    return {
        "object": "list",
        "model": natives[0].get("model") or call.body.get("model"),
        "data": [
            {"object": "embedding", "index": place, "embedding": encode(vector)} for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": count, "total_tokens": count, **({"estimated": True} if estimated else {})},
        "ollama": timings(*natives),
    }


def _embed(call: Call, inputs: str | list[str], first: int) -> Steps[Json]:
    """The native reply for one batch, complete. Raises `Rejected`."""
    reply: NativeReply = yield _native(call, inputs)
    try:
        got = reply_of(reply, NATIVE_EMBEDDINGS, call.path)
    except Rejected as refusal:
        if refusal.error["code"] != CODE:
            raise
        if call.settings.overflow != "truncate":
            raise (yield from _with_place(call, inputs, first, refusal)) from None
        # Ollama cuts the end of an input off, and does not say of which.
        call.report.note("changed", "input: what did not fit was cut off")
        cut = NativeRequest("POST", "/api/embed", {**request(call, inputs), "truncate": True})
        got = reply_of((yield cut), NATIVE_EMBEDDINGS, call.path)
    check_number(got, len(got["embeddings"]), 1 if isinstance(inputs, str) else len(inputs))
    return got


def _with_place(call: Call, inputs: str | list[str], first: int, refusal: Rejected) -> Steps[Rejected]:
    """The refusal of an input that is too long, with its place among several."""
    if isinstance(inputs, list) and len(inputs) > 1:
        place = yield from first_too_long(inputs, lambda some: _native(call, some))
        return placed(refusal, first + place)
    return refusal


def _native(call: Call, inputs: str | list[str]) -> NativeRequest:
    return NativeRequest("POST", "/api/embed", request(call, inputs))


def _input(call: Call) -> str | list[str]:
    given: Any = call.body.get("input")
    match given:
        case "":
            return [""]  # "" alone only loads the model (recordings: embed_empty)
        case str():
            return given
        case [str(), *_] if all(isinstance(item, str) for item in given):
            return list(given)
        case [int() | list(), *_]:
            return decoded_texts(given, call, "input")
        case _:
            raise Rejected(
                "`input` must be a string or a list of strings, and not empty", param="input", code="invalid_value"
            )


def _texts(call: Call) -> list[str]:
    given = _input(call)
    return [given] if isinstance(given, str) else given


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
