"""llama.cpp's own server. It has one model, whatever is asked for, and names that one.

Source: what xllamacpp's server of 2026-11 answered (tests/test_fake_llamacpp.py holds this against it);
llama.cpp tools/server/server-common.cpp format_error_response, 006639c3, and server.cpp for an error in a stream.
"""

from __future__ import annotations

from llm_adapter.testing.personas.chat import chat
from llm_adapter.testing.personas.completions import completions
from llm_adapter.testing.personas.library import listed
from llm_adapter.testing.personas.ollama_checks import overflow
from llm_adapter.testing.personas.persona import Check, Model, Persona, ResponseShape, Route, Shape, TextShape
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
    if failure.type == _TOO_LONG:
        counts = [int(word) for word in failure.message.replace("(", " ").split() if word.isdigit()]
        error |= dict(zip(("n_prompt_tokens", "n_ctx"), counts, strict=True))
    return {"error": error}


def _unknown(asked: Asked, known_path: bool) -> Answer:
    return whole(_envelope(Failure("File Not Found", 404)), 404, GIN_JSON)


def _interrupted(persona: Persona, asked: Asked, failure: Failure) -> tuple[bytes, ...]:
    return (event(_envelope(failure)),)


_TOO_LONG = "exceed_context_size_error"


def _overflow(persona: Persona, asked: Asked) -> Failure | None:
    over = overflow(persona, asked)
    if over is None:
        return None
    words = "request ({} tokens) exceeds the available context size ({} tokens), try increasing it"
    return Failure(words.format(*over), 400, type=_TOO_LONG)


def _no_messages(persona: Persona, asked: Asked) -> Failure | None:
    return None if "messages" in asked.fields else Failure("'messages' is required", 400)


def _no_vision(persona: Persona, asked: Asked) -> Failure | None:
    model = persona.model(persona.named(asked))
    if model is None or "vision" in model.capabilities:
        return None
    contents = [message.get("content") for message in asked.items("messages") if isinstance(message, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    shown = any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)
    words = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    return Failure(words, 500) if shown else None


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


_OVERFLOW = Check("the prompt fits", "asked of xllamacpp's server, 2026-11", _overflow)
_CHAT = (
    Check("there are messages", "asked of xllamacpp's server, 2026-11", _no_messages),
    Check("the model sees, if there are images", "asked of xllamacpp's server, 2026-11", _no_vision),
    _OVERFLOW,
)
_CACHED = {"prompt_tokens_details": {"cached_tokens": 0}}
_FINGERPRINT = {"system_fingerprint": "b0-fake"}

LLAMACPP = Persona(
    name="llamacpp",
    dialect="llamacpp",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, _CHAT)},
        "/v1/completions": {"POST": Route(completions, True, (_OVERFLOW,))},
        "/v1/embeddings": {"POST": Route(embeddings, True, (_OVERFLOW,), streams=False)},
        "/v1/responses": {"POST": Route(responses, True)},
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
        ids="chatcmpl-fake{number:06d}",
    ),
    kind=GIN_JSON,
    listed=_listed,
    models_extra=_also_listed,
    own_name=True,
    response=ResponseShape(bare=True),
)
