"""POST /embeddings  ↔  POST /api/embed

Source: ollama/openai/openai.go ToEmbeddingList, v0.24.0. Rule: an input that does not fit is an error (P17).
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Sequence
from typing import Any

from llm_adapter.errors import checked
from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.params import EMBEDDINGS


def flow(call: Call) -> Flow:
    """One request for all inputs."""
    reply: NativeReply = yield NativeRequest("POST", "/api/embed", request(call))
    return response(call, checked(reply, call.path).json())


def request(call: Call) -> Json:
    """The native request. Raises `Rejected`."""
    native = {"input": _input(call.body.get("input")), "truncate": call.settings.truncate}
    return wire.request(EMBEDDINGS, call, native)


def response(call: Call, native: Json) -> Json:
    """The list of embeddings, in the order of the inputs; base64 is little-endian float32, as OpenAI sends it."""
    vectors = native.get("embeddings") or []
    wanted = 1 if isinstance(call.body["input"], str) else len(call.body["input"])
    if len(vectors) != wanted:
        raise Rejected(f"the server gave {len(vectors)} embeddings for {wanted} inputs", status=502, kind="api_error")
    encode = _base64 if call.body.get("encoding_format") == "base64" else list
    count = native.get("prompt_eval_count") or 0
    return {
        "object": "list",
        "model": native.get("model") or call.body.get("model"),
        "data": [
            {"object": "embedding", "index": place, "embedding": encode(vector)} for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": count, "total_tokens": count},
        "ollama": wire.timings(native),
    }


def _input(given: Any) -> str | list[str]:
    match given:
        case "":
            return [""]  # "" alone only loads the model (recordings: embed_empty)
        case str():
            return given
        case [str(), *_] if all(isinstance(item, str) for item in given):
            return list(given)
        case [int() | list(), *_]:
            raise Rejected(
                "`input` as token ids is not available on provider 'ollama': the ids are another model's; send text. "
                "LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)",
                param="input",
                code="unsupported_value",
            )
        case _:
            raise Rejected(
                "`input` must be a string or a list of strings, and not empty", param="input", code="invalid_value"
            )


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()
