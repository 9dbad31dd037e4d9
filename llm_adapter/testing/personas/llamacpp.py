"""llama.cpp's own server. It has one model, whatever is asked for, and names that one.

Source: what xllamacpp's server of 2026-11 answered (tests/test_fake_llamacpp.py holds this against it);
llama.cpp tools/server/server-common.cpp format_error_response, 006639c3, and server.cpp for an error in a stream.
"""

from __future__ import annotations

from llm_adapter.testing.personas import llamacpp_checks as checks
from llm_adapter.testing.personas.chat import chat
from llm_adapter.testing.personas.completions import completions
from llm_adapter.testing.personas.library import listed
from llm_adapter.testing.personas.llamacpp_checks import TOO_LONG
from llm_adapter.testing.personas.persona import Model, Persona, ResponseShape, Route, Shape, TextShape
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.vectors import embeddings
from llm_adapter.testing.personas.wire import GIN_JSON, Answer, Asked, Json, event, whole
from llm_adapter.testing.turns import Failure, Turn

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_TIMINGS = {
    "cache_n": 0,
    "prompt_n": 1,
    "prompt_ms": 1.5,
    "prompt_per_token_ms": 1.5,
    "prompt_per_second": 666.7,
    "predicted_n": 1,
    "predicted_ms": 2.5,
    "predicted_per_token_ms": 2.5,
    "predicted_per_second": 400.5,
}


def _envelope(failure: Failure) -> Json:
    """Its `code` is the status; an overflow says its numbers besides."""
    error: Json = {"code": failure.status, "message": failure.message}
    error["type"] = failure.type or _KINDS.get(failure.status, "server_error")
    if failure.type == TOO_LONG:
        counts = [int(word) for word in failure.message.replace("(", " ").split() if word.isdigit()]
        error |= dict(zip(("n_prompt_tokens", "n_ctx"), counts, strict=True))
    return {"error": error}


def _unknown(asked: Asked, known_path: bool) -> Answer:
    return whole(_envelope(Failure("File Not Found", 404)), 404, GIN_JSON)


def _interrupted(persona: Persona, asked: Asked, failure: Failure) -> tuple[bytes, ...]:
    return (event(_envelope(failure)),)


def _props(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """GET /props: what it was started with."""
    model = persona.known[0]
    seen = "vision" in model.capabilities
    content = {
        "default_generation_settings": {"params": {}, "n_ctx": model.context or 4096},
        "total_slots": 1,
        "model_alias": model.name,
        "model_path": f"{model.name}.gguf",
        "modalities": {"vision": seen, "video": False, "audio": False},
        "chat_template_caps": {"supports_tools": "tools" in model.capabilities},
        "build_info": "b0-fake",
    }
    return whole(content, kind=GIN_JSON)


def _health(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    return whole({"status": "ok"}, kind=GIN_JSON)


def _listed(asked: Asked, model: Model) -> Json:
    sizes = dict.fromkeys(("n_ctx", "n_ctx_train"), model.context or 4096)
    numbers = {
        "vocab_type": 2,
        "n_vocab": 768,
        **sizes,
        "n_embd": model.dimensions,
        "n_params": 1_000_000_000,
        "size": 1_000_000,
    }
    return {
        "id": model.name,
        "aliases": [model.name],
        "tags": [],
        "object": "model",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "created": int(asked.time),
        "owned_by": "llamacpp",
        "meta": {**numbers, "ftype": "Q4_K"},
    }


_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "",
    "families": [""],
    "parameter_size": "",
    "quantization_level": "",
}


def _also_listed(persona: Persona) -> Json:
    """The list in Ollama's manner that stands beside OpenAI's."""
    empty = dict.fromkeys(("modified_at", "size", "digest", "description", "parameters"), "")
    also = {"type": "model", "tags": [""], "capabilities": ["completion"], "details": _DETAILS}
    return {"models": [{"name": one.name, "model": one.name, **empty, **also} for one in persona.known]}


def _last(persona: Persona, asked: Asked) -> Json:
    return {"timings": _TIMINGS}


_CACHED = {"prompt_tokens_details": {"cached_tokens": 0}}
_FINGERPRINT = {"system_fingerprint": "b0-fake"}

LLAMACPP = Persona(
    name="llamacpp",
    dialect="llamacpp",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, checks.CHAT)},
        "/v1/completions": {"POST": Route(completions, True, checks.TEXT)},
        "/v1/embeddings": {"POST": Route(embeddings, True, checks.VECTORS, streams=False)},
        "/v1/responses": {"POST": Route(responses, True, checks.RESPONSES)},
        "/v1/models": {"GET": Route(listed)},
        "/props": {"GET": Route(_props)},
        "/health": {"GET": Route(_health)},
    },
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    shape=Shape(
        reasoning="reasoning_content",
        completion={**_FINGERPRINT, "timings": _TIMINGS},
        usage=_CACHED,
        chunk=_FINGERPRINT,
        opening={"role": "assistant", "content": None},
        no_content="",
        token={"id": 1},
        counts=True,
        call_ids="FakeCall{number:012d}{place:012d}",
        last=_last,
    ),
    text_shape=TextShape(
        completion={**_FINGERPRINT, "timings": _TIMINGS},
        choice={"logprobs": None},
        usage=_CACHED,
        chunk=_FINGERPRINT,
        own_usage=False,
        counts=True,
        ids="chatcmpl-fake{number:06d}",
    ),
    kind=GIN_JSON,
    listed=_listed,
    models_extra=_also_listed,
    own_name=True,
    response=ResponseShape(bare=True),
)
