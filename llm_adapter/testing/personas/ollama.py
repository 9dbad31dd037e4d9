"""Ollama 0.24 and 0.32: its own API, and the /v1 that drops what it does not know.

Sources: the recordings of ollama 0.24.0 and 0.32.15; openai/openai.go and middleware/openai.go, v0.24.0, v0.33.0-rc2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas import library, native
from llm_adapter.testing.personas.chat import chat
from llm_adapter.testing.personas.completions import completions
from llm_adapter.testing.personas.ollama_checks import (
    CHATS,
    EMBEDS,
    GENERATES,
    INSERT,
    KEEP_ALIVE,
    LIMITS_24,
    LIMITS_32,
    MISSING,
    MODEL,
    NATIVE_CONTENT,
    OPTIONS,
    SHOWN,
    THINKING,
    TYPES,
    V1_EMBEDS,
    V1_MESSAGES,
)
from llm_adapter.testing.personas.persona import Check, Model, Persona, ResponseShape, Route, Shape, TextShape
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.vectors import embed, embeddings, nothing
from llm_adapter.testing.personas.wire import Answer, Asked, Json, event, plain, whole
from llm_adapter.testing.turns import Failure

# openai.go ChatCompletionRequest: what is not here is dropped without a word (P1-P4).
READS = frozenset(
    {"model", "messages", "stream", "stream_options", "max_tokens", "seed", "stop", "temperature", "top_p"}
    | {"frequency_penalty", "presence_penalty", "response_format", "tools", "reasoning", "reasoning_effort"}
    | {"logprobs", "top_logprobs"}
)
# openai.go NewError: everything that is neither 400 nor 404 is one kind; param and code are always null.
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def _envelope(failure: Failure) -> Json:
    kind = _TYPES.get(failure.status, "api_error")
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": None}}


def _unknown(asked: Asked, known_path: bool) -> Answer:
    return plain("405 method not allowed", 405) if known_path else plain("404 page not found", 404)


def _interrupted(persona: Persona, asked: Asked, failure: Failure) -> tuple[bytes, ...]:
    """The error is decoded as a reply without anything, and the stream ends like that (P5)."""
    if asked.path == "/v1/responses":
        return ()
    if asked.path == "/v1/completions":
        choice: Json = {"text": "", "index": 0, "finish_reason": None}
        head = {"id": persona.text_shape.ids.format(number=asked.number), "object": "text_completion"}
    else:
        choice = {"index": 0, "delta": {**persona.shape.every, "content": ""}, "finish_reason": None}
        head = {"id": persona.shape.ids.format(number=asked.number), "object": "chat.completion.chunk"}
    stamp = {"created": int(asked.time), "model": "", "system_fingerprint": "fp_ollama"}
    return (event({**head, **stamp, "choices": [choice]}),)


def _loaded_text(persona: Persona, asked: Asked) -> Answer | None:
    """/v1/completions without a prompt loads the model, and says so as a finish_reason."""
    if asked.fields.get("prompt") or asked.streamed:
        return None
    head = {"id": persona.text_shape.ids.format(number=asked.number), "object": "text_completion"}
    choice = {"text": "", "index": 0, "finish_reason": "load"}
    stamp = {"created": int(asked.time), "model": asked.model, "system_fingerprint": "fp_ollama"}
    counts = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return whole({**head, **stamp, "choices": [choice], "usage": counts})


def _listed(asked: Asked, model: Model) -> Json:
    return {"id": model.tagged, "object": "model", "created": int(asked.time), "owned_by": "library"}


def _routes(limits: tuple[Check, ...]) -> dict[str, dict[str, Route]]:
    handled = (MODEL, MISSING)
    called = (KEEP_ALIVE, *handled, OPTIONS, THINKING)
    v1_chat = Route(chat, True, (TYPES, *V1_MESSAGES, *handled, THINKING, CHATS, *limits))
    v1_text = Route(completions, True, (TYPES, *handled, INSERT, GENERATES), instead=_loaded_text)
    chats = Route(native.chat, True, (NATIVE_CONTENT, *called, CHATS, *limits), instead=native.loading)
    generates = Route(native.generate, True, (*called, INSERT, GENERATES, *limits), instead=native.loading)
    return {
        "/v1/chat/completions": {"POST": v1_chat},
        "/v1/completions": {"POST": v1_text},
        "/v1/embeddings": {"POST": Route(embeddings, True, V1_EMBEDS, streams=False)},
        "/v1/responses": {"POST": Route(responses, True, (*handled, CHATS, *limits))},
        "/v1/models": {"GET": Route(library.listed)},
        "/v1/models/{model}": {"GET": Route(library.retrieved)},
        "/api/chat": {"POST": chats},
        "/api/generate": {"POST": generates},
        "/api/embed": {"POST": Route(embed, True, EMBEDS, instead=nothing, streams=False)},
        "/api/tags": {"GET": Route(library.tags)},
        "/api/show": {"POST": Route(library.show, checks=(MODEL, SHOWN))},
        "/api/ps": {"GET": Route(library.ps)},
        "/api/version": {"GET": Route(library.version)},
        "/api/pull": {"POST": Route(library.pull)},
        "/api/create": {"POST": Route(library.create)},
        "/api/copy": {"POST": Route(library.copy)},
        "/api/delete": {"DELETE": Route(library.delete)},
        "/": {"GET": Route(library.running), "HEAD": Route(library.running)},
    }


_FINGERPRINT = {"system_fingerprint": "fp_ollama"}
_NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# openai/responses.go: what the object says besides, or repeats of the request.
_RESPONSE: dict[str, Any] = {
    "previous_response_id": None,
    "instructions": None,
    "error": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "temperature": 1,
    "reasoning": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}
_SHAPE = Shape(
    reasoning="reasoning",
    completion=_FINGERPRINT,
    chunk=_FINGERPRINT,
    fragments=False,
    indexed=True,
    no_content="",
    ids="chatcmpl-{number}",
    call_ids="call_f{number:04d}{place:03d}",
)

OLLAMA_24 = Persona(
    name="ollama@0.24",
    dialect="ollama",
    routes=_routes(LIMITS_24),
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    # Recording chat_stream: the role on every chunk, and on the last one too.
    shape=replace(_SHAPE, every={"role": "assistant", "content": ""}, closing={"role": "assistant", "content": ""}),
    text_shape=TextShape(
        completion=_FINGERPRINT,
        chunk=_FINGERPRINT,
        early_usage={"usage": _NO_USAGE},
        empty_thoughts=True,
        ids="cmpl-{number}",
    ),
    reads=READS,
    limits=("max_tokens",),
    listed=_listed,
    no_models=None,
    missing=library.missing,
    response=ResponseShape(_RESPONSE, encrypted=True, text_beside_calls=False),
    version="0.24.0",
)
OLLAMA_32 = replace(
    OLLAMA_24,
    name="ollama@0.32",
    routes=_routes(LIMITS_32),
    # Recording chat_stream: the role on the first chunk alone, the finish_reason on one of its own.
    shape=replace(_SHAPE, every={"content": ""}, role_on_first=True),
    version="0.32.15",
    tells_capabilities=True,
)
