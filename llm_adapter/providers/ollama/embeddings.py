"""POST /embeddings  ↔  POST /api/embed

Source: ollama/openai/openai.go ToEmbeddingList, v0.24.0. Rule: an input that does not fit is an error that names it,
and so are vectors of another length than was asked for.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.parameters import EMBEDDINGS, native_request
from llm_adapter.providers.ollama.reply import timings
from llm_adapter.providers.ollama.sizing import refusal_with_counts
from llm_adapter.translation.embeddings import check_dimensions
from llm_adapter.translation.errors import checked
from llm_adapter.translation.overflow import CODE, LARGER_NUM_CTX, within_context
from llm_adapter.translation.parallel import Steps, together
from llm_adapter.translation.token_count import estimate
from llm_adapter.translation.token_ids import decoded_texts

BATCH = 512  # inputs a request: one of Ollama's embeds them one after the other, and holds the whole reply in memory


def flow(call: Call) -> Flow:
    """One request, or several side by side for a large batch; their vectors in the order of the inputs."""
    return (yield from within_context(call, _in_batches, LARGER_NUM_CTX, refusal_with_counts))


def _in_batches(call: Call) -> Flow:
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
    encode = _base64 if call.body.get("encoding_format") == "base64" else list
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
    native = request(call, inputs)
    reply: NativeReply = yield NativeRequest("POST", "/api/embed", native)
    try:
        got: Json = checked(reply, call.path).json()
    except Rejected as refusal:
        if refusal.error["code"] != CODE:
            raise
        if call.settings.overflow != "truncate":
            raise (yield from _with_place(call, inputs, first, refusal)) from None
        # Ollama cuts the end of an input off, and does not say of which.
        call.report.note("changed", "input: what did not fit was cut off")
        got = checked((yield NativeRequest("POST", "/api/embed", {**native, "truncate": True})), call.path).json()
    vectors = got.get("embeddings") or []
    wanted = 1 if isinstance(inputs, str) else len(inputs)
    if len(vectors) != wanted:
        raise Rejected(f"the server gave {len(vectors)} embeddings for {wanted} inputs", status=502, kind="api_error")
    return got


def _with_place(call: Call, inputs: str | list[str], first: int, refusal: Rejected) -> Steps[Rejected]:
    """The refusal of an input that is too long, with its place among several."""
    if isinstance(inputs, list) and len(inputs) > 1:
        place = first + (yield from _first_too_long(call, inputs))
        refusal.error |= {"server_message": f"input[{place}]: {refusal.error['server_message']}", "index": place}
    return refusal


def _first_too_long(call: Call, inputs: list[str]) -> Steps[int]:
    """The place of the first input that does not fit: Ollama does not say, so the batch is halved until it is found."""
    start, end = 0, len(inputs)
    while end - start > 1:
        middle = (start + end) // 2
        reply = yield NativeRequest("POST", "/api/embed", request(call, inputs[start:middle]))
        start, end = (start, middle) if reply.status >= 400 else (middle, end)
    return start


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
