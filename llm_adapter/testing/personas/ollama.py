"""Ollama 0.24 and 0.32: its own API, and the /v1 that drops what it does not know.

Sources: the recordings of ollama 0.24.0 and 0.32.15; openai/openai.go and middleware/openai.go, v0.24.0, v0.33.0-rc2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas import library, native
from llm_adapter.testing.personas import ollama_checks as checks
from llm_adapter.testing.personas.chat import chat
from llm_adapter.testing.personas.completions import completions
from llm_adapter.testing.personas.ollama_checks import MISSING, MODEL, READABLE, THINKING
from llm_adapter.testing.personas.ollama_messages import ITEMS, STOPS, V1_MESSAGES
from llm_adapter.testing.personas.persona import Check, Model, Persona, ResponseShape, Route, Shape, TextShape
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.vectors import embed, embed_one, embeddings, nothing, nothing_old
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


def _redirected(persona: Persona, asked: Asked) -> Answer | None:
    """gin sends a path with a slash too many to the one that it is nearly: asked of ollama 0.24.0 and 0.33.0-rc2."""
    path = "/" + "/".join(part for part in asked.path.split("/") if part)
    if path == asked.path or path not in persona.routes:
        return None
    where = ("location", path)
    if asked.method != "GET":
        return Answer(307, (where,), ())
    moved = plain(f'<a href="{path}">Moved Permanently</a>.\n\n', 301, "text/html; charset=utf-8")
    return replace(moved, headers=(*moved.headers, where))


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


def _routes(limits: tuple[Check, ...], vectors: tuple[Check, ...] = ()) -> dict[str, dict[str, Route]]:
    return {**_spoken(limits), **_embedding(vectors), **_managing()}


def _spoken(limits: tuple[Check, ...]) -> dict[str, dict[str, Route]]:
    """What a model speaks to. Each body is read, then changed into Ollama's own, then handled."""
    v1 = (checks.PROBABLE, MODEL, MISSING, THINKING, checks.CHATS, checks.FORMAT, *limits)
    text = (STOPS, checks.PROBABLE, MISSING, checks.INSERT, checks.GENERATES)
    chats = (checks.PROBABLE, MODEL, MISSING, checks.OPTIONS, THINKING, checks.CHATS, checks.FORMAT, *limits)
    generates = (checks.PROBABLE, MISSING, checks.RAW, checks.OPTIONS, THINKING, checks.INSERT, checks.GENERATES)
    spoken = {
        "/v1/chat/completions": Route(chat, True, (READABLE, *V1_MESSAGES, *v1)),
        "/v1/completions": Route(completions, True, (READABLE, *text), instead=_loaded_text),
        "/v1/responses": Route(responses, True, (READABLE, *ITEMS, *v1)),
        "/api/chat": Route(native.chat, True, (READABLE, *chats), instead=native.loading),
        "/api/generate": Route(
            native.generate, True, (READABLE, *generates, checks.FORMAT, *limits), instead=native.loading
        ),
    }
    return {path: {"POST": route} for path, route in spoken.items()}


def _embedding(vectors: tuple[Check, ...]) -> dict[str, dict[str, Route]]:
    v1, embeds, old = ((READABLE, *some, *vectors) for some in (checks.V1_EMBEDS, checks.EMBEDS, checks.OLD_EMBEDS))
    return {
        "/v1/embeddings": {"POST": Route(embeddings, True, v1, streams=False)},
        "/api/embed": {"POST": Route(embed, True, embeds, instead=nothing, streams=False)},
        "/api/embeddings": {"POST": Route(embed_one, True, old, instead=nothing_old, streams=False)},
    }


def _managing() -> dict[str, dict[str, Route]]:
    tags, version, running = Route(library.tags), Route(library.version), Route(library.running)
    return {
        "/v1/models": {"GET": Route(library.listed)},
        "/v1/models/{model}": {"GET": Route(library.retrieved)},
        "/api/tags": {"HEAD": tags, "GET": tags},
        "/api/show": {"POST": Route(library.show, checks=(READABLE, MODEL, checks.SHOWN))},
        "/api/ps": {"GET": Route(library.ps)},
        "/api/version": {"HEAD": version, "GET": version},
        "/api/pull": {"POST": Route(library.pull, checks=(READABLE, checks.PULLABLE))},
        "/api/create": {"POST": Route(library.create, checks=(READABLE, checks.PULLABLE, checks.CREATABLE))},
        "/api/copy": {"POST": Route(library.copy, checks=(READABLE, checks.COPYABLE))},
        "/api/delete": {"DELETE": Route(library.delete, checks=(READABLE, checks.DELETABLE))},
        "/": {"HEAD": running, "GET": running},
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
_ECHOED = frozenset(
    {"instructions", "truncation", "text", "top_p", "temperature", "reasoning", "max_output_tokens", "background"}
)
_RESPONSE_TOOL: dict[str, Any] = {"name": "", "description": None, "strict": None, "parameters": None}
_SHAPE = Shape(
    reasoning="reasoning",
    completion=_FINGERPRINT,
    chunk=_FINGERPRINT,
    fragments=False,
    indexed=True,
    rewrites=True,
    no_content="",
    no_top=False,
    ids="chatcmpl-{number}",
    call_ids="call_f{number:04d}{place:03d}",
)

OLLAMA_24 = Persona(
    name="ollama@0.24",
    dialect="ollama",
    routes=_routes(checks.LIMITS_24),
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    redirected=_redirected,
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
    response=ResponseShape(
        _RESPONSE, echoes=_ECHOED, tool=_RESPONSE_TOOL, encrypted=True, text_beside_calls=False, silent_thoughts=True
    ),
    version="0.24.0",
)
OLLAMA_32 = replace(
    OLLAMA_24,
    name="ollama@0.32",
    routes=_routes(checks.LIMITS_32, checks.VECTORS_32),
    # Recording chat_stream: the role on the first chunk alone, the finish_reason on one of its own.
    shape=replace(_SHAPE, every={"content": ""}, role_on_first=True),
    version="0.32.15",
    tells_capabilities=True,
)
