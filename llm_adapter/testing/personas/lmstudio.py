"""LM Studio: its errors are often a bare string, unknown paths are 200, and json_object is refused.

Sources: lmstudio-ai/docs 3_openai-compat and its changelog, 51c92c69; lmstudio-bug-tracker by number. Not recorded.
"""

from __future__ import annotations

from llm_adapter.testing.personas.chat import chat, completions
from llm_adapter.testing.personas.embeddings import embeddings, inputs
from llm_adapter.testing.personas.models import list_models
from llm_adapter.testing.personas.openai import OPENAI
from llm_adapter.testing.personas.persona import (
    EMBEDDING,
    Check,
    Model,
    Persona,
    Route,
    Shape,
    TextShape,
    too_long,
)
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, event, whole
from llm_adapter.testing.turns import Failure, Turn


def _envelope(failure: Failure) -> Json:
    """A failure with a type has OpenAI's form, every other is a string."""
    if failure.type is None:
        return {"error": failure.message}
    named = {"param": failure.param, "code": failure.code}
    return {"error": {"message": failure.message, "type": failure.type, **named}}


def _unknown(request: ServerRequest, known_path: bool) -> Answer:
    return whole({"error": f"Unexpected endpoint or method. ({request.method} {request.path})"})


def _interrupted(persona: Persona, request: ServerRequest, failure: Failure) -> tuple[bytes, ...]:
    """An event named error (changelog 0.3.18)."""
    return (event({"error": {"message": failure.message}}, "error"),)


def _no_model(name: str) -> Failure:
    words = f'Failed to load model "{name}". Error: Model does not exist.'
    return Failure(words, 404, "model_not_found", "invalid_request_error", "model")


def _missing(persona: Persona, request: ServerRequest) -> Failure | None:
    # With one model it is that one, whatever is asked for (lmstudio-bug-tracker#619).
    one = persona.models is not None and len(persona.models) == 1
    return None if one or persona.model(request.model) is not None else persona.missing(request.model)


def _objects(persona: Persona, request: ServerRequest) -> Failure | None:
    refused = request.part("response_format").get("type") not in (None, "json_schema", "text")
    return Failure("'response_format.type' must be 'json_schema' or 'text'", 400) if refused else None


def _token_ids(persona: Persona, request: ServerRequest) -> Failure | None:
    taken = all(isinstance(one, str) for one in inputs(request.fields.get("input")))
    return None if taken else Failure("'input' field must be a string or an array of strings", 400)


def _own_list(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /api/v0/models: LM Studio's own list."""
    return whole({"data": [_model_description(model) for model in persona.listed_models], "object": "list"})


def _model_description(model: Model) -> Json:
    kind = "embeddings" if model.capabilities == EMBEDDING else "vlm" if "vision" in model.capabilities else "llm"
    length = model.context or 4096
    return {
        "id": model.name,
        "object": "model",
        "type": kind,
        "publisher": "fake",
        "arch": "llama",
        "compatibility_type": "gguf",
        "quantization": "Q4_K_M",
        "state": "loaded",
        "max_context_length": length,
        "loaded_context_length": length,
        "capabilities": ["tool_use"] if "tools" in model.capabilities else [],
    }


def _model_entry(request: ServerRequest, model: Model) -> Json:
    return {"id": model.name, "object": "model", "owned_by": "organization_owner"}


_FITS = too_long(
    "lmstudio-bug-tracker, in its own words",
    Failure(
        "Trying to keep the first {tokens} tokens when context the overflows. However, the model is loaded with "
        "context length of only {size} tokens, which is not enough. Try to load the model with a larger context "
        "length, or provide a shorter input",
        400,
    ),
)
_THERE = Check("the model is there, if there are several", "lmstudio-bug-tracker#619", _missing)
_CALLED = (Check("an object has its schema", "lmstudio-bug-tracker#189, #307", _objects), _THERE, _FITS)
_TEXTS = Check("an input is text", "LM Studio provider#35, langchain's token ids", _token_ids)

LMSTUDIO = Persona(
    name="lmstudio",
    dialect="lmstudio",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, _CALLED)},
        "/v1/completions": {"POST": Route(completions, True, (_THERE, _FITS))},
        "/v1/embeddings": {"POST": Route(embeddings, True, (_TEXTS, _THERE, _FITS), streams=False)},
        "/v1/responses": {"POST": Route(responses, True, (_THERE, _FITS))},
        "/v1/models": {"GET": Route(list_models)},
        "/api/v0/models": {"GET": Route(_own_list)},
    },
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    shape=Shape(
        reasoning="reasoning_content",
        completion={"stats": {}, "system_fingerprint": "fake-model"},
        choice={"logprobs": None},
        message={"tool_calls": []},
        chunk={"system_fingerprint": "fake-model"},
        chunk_choice={"logprobs": None},
        every={"role": "assistant"},
        no_content="",
        call_ids="{number:05d}{place:04d}",
    ),
    text_shape=TextShape(choice={"logprobs": None}, completion={"stats": {}}),
    model_entry=_model_entry,
    missing=_no_model,
    response=OPENAI.response,
)
