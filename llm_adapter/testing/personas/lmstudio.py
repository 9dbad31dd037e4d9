"""LM Studio: its errors are often a bare string, unknown paths are 200, and json_object is refused.

Sources: lmstudio-ai/docs 3_openai-compat and its changelog, 51c92c69; lmstudio-bug-tracker by number. Not recorded.
"""

from __future__ import annotations

from llm_adapter.testing.personas.chat import chat
from llm_adapter.testing.personas.completions import completions
from llm_adapter.testing.personas.library import listed
from llm_adapter.testing.personas.ollama_checks import overflow
from llm_adapter.testing.personas.openai import OPENAI
from llm_adapter.testing.personas.persona import EMBEDDING, Check, Model, Persona, Route, Shape, TextShape
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.vectors import embeddings, inputs
from llm_adapter.testing.personas.wire import Answer, Asked, Json, event, whole
from llm_adapter.testing.turns import Failure, Turn


def _envelope(failure: Failure) -> Json:
    """A failure with a type has OpenAI's form, every other is a string."""
    if failure.type is None:
        return {"error": failure.message}
    named = {"param": failure.param, "code": failure.code}
    return {"error": {"message": failure.message, "type": failure.type, **named}}


def _unknown(asked: Asked, known_path: bool) -> Answer:
    return whole({"error": f"Unexpected endpoint or method. ({asked.method} {asked.path})"})


def _interrupted(persona: Persona, asked: Asked, failure: Failure) -> tuple[bytes, ...]:
    """An event named error (changelog 0.3.18)."""
    return (event({"error": {"message": failure.message}}, "error"),)


def _no_model(name: str) -> Failure:
    words = f'Failed to load model "{name}". Error: Model does not exist.'
    return Failure(words, 404, "model_not_found", "invalid_request_error", "model")


def _missing(persona: Persona, asked: Asked) -> Failure | None:
    # With one model it is that one, whatever is asked for (lmstudio-bug-tracker#619).
    one = persona.models is not None and len(persona.models) == 1
    return None if one or persona.model(asked.model) is not None else persona.missing(asked.model)


def _objects(persona: Persona, asked: Asked) -> Failure | None:
    refused = asked.part("response_format").get("type") not in (None, "json_schema", "text")
    return Failure("'response_format.type' must be 'json_schema' or 'text'", 400) if refused else None


def _token_ids(persona: Persona, asked: Asked) -> Failure | None:
    taken = all(isinstance(one, str) for one in inputs(asked.fields.get("input")))
    return None if taken else Failure("'input' field must be a string or an array of strings", 400)


def _overflow(persona: Persona, asked: Asked) -> Failure | None:
    over = overflow(persona, asked)
    if over is None:
        return None
    words = (
        "Trying to keep the first {} tokens when context the overflows. However, the model is loaded with context "
        "length of only {} tokens, which is not enough. Try to load the model with a larger context length, or provide "
        "a shorter input"
    )
    return Failure(words.format(*over), 400)


def _own_list(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """GET /api/v0/models: LM Studio's own list."""
    return whole({"data": [_described(model) for model in persona.known], "object": "list"})


def _described(model: Model) -> Json:
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


def _listed(asked: Asked, model: Model) -> Json:
    return {"id": model.name, "object": "model", "owned_by": "organization_owner"}


_FITS = Check("the prompt fits", "lmstudio-bug-tracker, in its own words", _overflow)
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
        "/v1/models": {"GET": Route(listed)},
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
    listed=_listed,
    missing=_no_model,
    response=OPENAI.response,
)
