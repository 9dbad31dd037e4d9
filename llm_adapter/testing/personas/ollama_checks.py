"""What Ollama refuses, in its own words, as rows. Quotes in messages are as it writes them.

Sources: the recordings of ollama 0.24.0 and 0.32.15 by name; ollama openai/openai.go, server/routes.go, v0.24.0; what
ollama 0.24.0 and 0.33.0-rc2 answered, where no recording says it.
"""

from __future__ import annotations

import json
from typing import Any

from llm_adapter.testing.personas.ollama_fields import quoted, unreadable
from llm_adapter.testing.personas.ollama_messages import effort, messages, parts
from llm_adapter.testing.personas.persona import Check, Model, Persona
from llm_adapter.testing.personas.saying import prompt_tokens
from llm_adapter.testing.personas.vectors import inputs
from llm_adapter.testing.personas.wire import Asked
from llm_adapter.testing.turns import Failure

_FLOATS = ("temperature", "top_p", "min_p", "typical_p", "frequency_penalty", "presence_penalty", "repeat_penalty")
_INTEGERS = ("num_predict", "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread")
_OPTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_FLOATS, ("float32", (int, float))),
    **dict.fromkeys((*_INTEGERS, "seed", "top_k", "repeat_last_n", "draft_num_predict"), ("integer", (int, float))),
    "stop": ("array", (list,)),
    "use_mmap": ("boolean", (bool,)),
}
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def _options(persona: Persona, asked: Asked) -> Failure | None:
    for name, value in asked.part("options").items():
        kind, kinds = _OPTIONS.get(name, ("", ()))
        new = name == "draft_num_predict" and not persona.tells_capabilities
        if kind and not new and not _fits(value, kinds):
            return Failure(f'option "{name}" must be of type {kind}', 500)
        if name == "stop" and not all(isinstance(one, str) for one in value or ()):
            return Failure('option "stop" must be of an array of strings', 500)
    return None


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    return value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)))


def _unread(persona: Persona, asked: Asked) -> Failure | None:
    words = unreadable(asked)
    return None if words is None else Failure(words, 400)


def _no_model(persona: Persona, asked: Asked) -> Failure | None:
    return Failure("model is required", 400) if not asked.model else None


def _missing(persona: Persona, asked: Asked) -> Failure | None:
    return _unnamed(asked) or (persona.missing(asked.model) if persona.model(asked.model) is None else None)


def _missing_shown(persona: Persona, asked: Asked) -> Failure | None:
    name = Model(asked.model).tagged if persona.tells_capabilities else asked.model
    gone = persona.model(asked.model) is None
    return _unnamed(asked) or (Failure(f"model '{name}' not found", 404) if gone else None)


def _missing_embedder(persona: Persona, asked: Asked) -> Failure | None:
    found = persona.model(asked.model) is not None
    words = f'model "{asked.model}" not found, try pulling it first'
    return _unnamed(asked) or (None if found else Failure(words, 404))


def _unnamed(asked: Asked) -> Failure | None:
    """A name that is empty, or none."""
    if not asked.model:
        return Failure("model '' not found", 404)
    return None if Model(asked.model).nameable else Failure("invalid model name", 400)


def _not_pullable(persona: Persona, asked: Asked) -> Failure | None:
    return None if Model(asked.model).nameable else Failure("invalid model name", 400)


def _not_creatable(persona: Persona, asked: Asked) -> Failure | None:
    source = asked.fields.get("from")
    if not source and asked.fields.get("files") is None:
        return Failure("neither 'from' or 'files' was specified", 400)
    return Failure("invalid model name", 400) if source and not Model(str(source)).nameable else None


def _not_copyable(persona: Persona, asked: Asked) -> Failure | None:
    for name in ("source", "destination"):
        if not Model(given := asked.fields.get(name) or "").nameable:
            return Failure(f"{name} {quoted(given)} is invalid", 400)
    return None


def _not_deletable(persona: Persona, asked: Asked) -> Failure | None:
    if not asked.model:
        return Failure("model is required", 400)
    return None if Model(asked.model).nameable else Failure(f"name {quoted(asked.model)} is invalid", 400)


def _lacks(persona: Persona, asked: Asked, capability: str) -> bool:
    model = persona.model(asked.model)
    return model is not None and capability not in model.capabilities


def _full(asked: Asked) -> str:
    return f"registry.ollama.ai/library/{Model(asked.model).tagged}"


def _no_chat(persona: Persona, asked: Asked) -> Failure | None:
    return Failure(f'"{asked.model}" does not support chat', 400) if _lacks(persona, asked, "completion") else None


def _no_generate(persona: Persona, asked: Asked) -> Failure | None:
    return Failure(f'"{asked.model}" does not support generate', 400) if _lacks(persona, asked, "completion") else None


def _no_insert(persona: Persona, asked: Asked) -> Failure | None:
    lacking = asked.fields.get("suffix") and _lacks(persona, asked, "insert")
    return Failure(f"{_full(asked)} does not support insert", 400) if lacking else None


def _no_thinking(persona: Persona, asked: Asked) -> Failure | None:
    asking = asked.fields.get("think") if asked.native else effort(asked) not in (None, "", "none")
    lacking = asking and _lacks(persona, asked, "thinking")
    return Failure(f'"{asked.model}" does not support thinking', 400) if lacking else None


def _no_tools_24(persona: Persona, asked: Asked) -> Failure | None:
    lacking = asked.fields.get("tools") and _lacks(persona, asked, "tools")
    return Failure(f"{_full(asked)} does not support tools", 400) if lacking else None


def _inner(status: int, message: str, kind: str, **more: Any) -> Failure:
    """What llama.cpp's server said, as JSON in the text of Ollama's own error."""
    error = {"code": status, "message": message, "type": kind, **more}
    return Failure(json.dumps({"error": error}, separators=(",", ":")), status)


def _no_tools_32(persona: Persona, asked: Asked) -> Failure | None:
    lacking = asked.fields.get("tools") and _lacks(persona, asked, "tools")
    return _inner(500, "tools param requires --jinja flag", "server_error") if lacking else None


def _no_vision_32(persona: Persona, asked: Asked) -> Failure | None:
    images = asked.fields.get("images") or any(message.get("images") for message in messages(asked))
    images = images or any(isinstance(part, dict) and part.get("type") in _SEEN for part in parts(asked))
    words = "Multimodal data provided, but model does not support multimodal requests."
    return _inner(400, words, "invalid_request_error") if images and _lacks(persona, asked, "vision") else None


def overflow(persona: Persona, asked: Asked) -> tuple[int, int] | None:
    """The prompt's tokens and the context, when they are too many for it."""
    size, tokens = persona.size(asked), prompt_tokens(asked.body)
    return (tokens, size) if size is not None and tokens > size else None


def _too_probable(persona: Persona, asked: Asked) -> Failure | None:
    top = asked.fields.get("logprobs" if asked.path == "/v1/completions" else "top_logprobs")
    wrong = isinstance(top, int) and not 0 <= top <= 20
    return Failure("top_logprobs must be between 0 and 20", 400) if wrong else None


def _raw(persona: Persona, asked: Asked) -> Failure | None:
    also = asked.fields.get("raw") and any(asked.fields.get(name) for name in ("template", "system", "context"))
    return Failure("raw mode does not support template, system, or context", 400) if also else None


def _format(persona: Persona, asked: Asked) -> Failure | None:
    """A format is looked at when the answer begins: a model that still thinks has none yet."""
    wanted = asked.part("response_format").get("json_schema") if not asked.native else asked.fields.get("format")
    given = wanted.get("schema") if isinstance(wanted, dict) and not asked.native else wanted
    if asked.path != "/api/generate" and _thinking(persona, asked):
        return None
    if given not in (None, "", "json") and not isinstance(given, dict):
        words = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
        return Failure(f'invalid format: {quoted(words)}; expected "json" or a valid JSON Schema object', 500)
    kind = given.get("type") if isinstance(given, dict) and not persona.tells_capabilities else None
    wrong = isinstance(kind, str) and kind not in _SCHEMA_TYPES
    return Failure("invalid JSON schema in format", 500) if wrong else None


def _thinking(persona: Persona, asked: Asked) -> bool:
    off = asked.fields.get("think") is False if asked.native else effort(asked) == "none"
    return not off and not _lacks(persona, asked, "thinking")


def _overflow_24(persona: Persona, asked: Asked) -> Failure | None:
    over = asked.native and asked.fields.get("truncate") is False and overflow(persona, asked)
    return Failure("the input length exceeds the context length", 400) if over else None


def _overflow_32(persona: Persona, asked: Asked) -> Failure | None:
    over = overflow(persona, asked)
    if not asked.native or asked.fields.get("truncate") is not False or over is None:
        return None
    tokens, size = over
    words = f"request ({tokens} tokens) exceeds the available context size ({size} tokens), try increasing it"
    return _inner(400, words, "exceed_context_size_error", n_prompt_tokens=tokens, n_ctx=size)


def _no_shift_32(persona: Persona, asked: Asked) -> Failure | None:
    words = (
        "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
        "context length in settings, or use a model with a longer context length"
    )
    whole = asked.native and asked.fields.get("shift") is False and asked.fields.get("truncate") is not False
    return Failure(words, 400) if whole and overflow(persona, asked) else None


def _no_vectors_32(persona: Persona, asked: Asked) -> Failure | None:
    words = "This server does not support embeddings. Start it with `--embeddings`"
    status = 500 if asked.path == "/api/embeddings" else 501
    # Where any model is there that is asked for, one that is to embed does so, whatever its name is.
    given = persona.models is not None and (asked.fields.get("input") or asked.fields.get("prompt"))
    return Failure(words, status) if given and _lacks(persona, asked, "embedding") else None


def _longer_prompt(persona: Persona, asked: Asked) -> Failure | None:
    over = overflow(persona, asked)
    return Failure("the input length exceeds the context length", 500) if over else None


def _encoding(persona: Persona, asked: Asked) -> Failure | None:
    given = asked.fields.get("encoding_format")
    known = given in (None, "") or str(given).lower() in ("float", "base64")
    words = f"Invalid value for 'encoding_format' = {given}. Supported values: ['float', 'base64']."
    return None if known else Failure(words, 400)


def _token_ids(persona: Persona, asked: Asked) -> Failure | None:
    given = inputs(asked.fields.get("input"))
    nothing = asked.fields.get("input") is None
    return None if nothing or all(isinstance(one, str) for one in given) else Failure("invalid input type", 400)


def _no_input(persona: Persona, asked: Asked) -> Failure | None:
    return Failure("invalid input", 400) if asked.fields.get("input") in (None, []) else None


_ROUTES = "ollama server/routes.go, v0.24.0"
_ASKED = "asked of ollama 0.24.0 and 0.33.0-rc2"
_SEEN = ("image_url", "input_image", "input_audio")
MODEL = Check("a model is named", "recording model_empty", _no_model)
MISSING = Check("the model is there", "recording model_missing", _missing)
SHOWN = Check("the model is there to be shown", "recording models", _missing_shown)
READABLE = Check("a body can be read", "recordings bad_keep_alive, completions_list; ollama_fields", _unread, "parsed")
OPTIONS = Check("options have their types", "recording bad_option_type", _options)
THINKING = Check("the model thinks, if it is told to", "recording think_unsupported", _no_thinking)
INSERT = Check("the model fills in, with a suffix", "recording completions_suffix_unsupported", _no_insert)
FORMAT = Check("a format is json or a schema", f"{_ASKED}: format", _format, "run")
PROBABLE = Check("top_logprobs is 20 at most", f"{_ROUTES} ChatHandler", _too_probable)
RAW = Check("a raw prompt stands alone", f"{_ROUTES} GenerateHandler", _raw)
PULLABLE = Check("a name to pull is one", f"{_ASKED}: pull", _not_pullable)
CREATABLE = Check("a model is made from something", f"{_ASKED}: create", _not_creatable, "begun")
COPYABLE = Check("names to copy are some", f"{_ASKED}: copy", _not_copyable)
DELETABLE = Check("a name to delete is one", f"{_ASKED}: delete", _not_deletable)
CHATS = Check("the model chats", "recording chat_embedding_model", _no_chat)
GENERATES = Check("the model generates", f"{_ROUTES} GenerateHandler", _no_generate)

EMBEDDER = Check("the model to embed with is there", "recording embed_missing", _missing_embedder)
EMBEDS = (
    Check("an input is text", "recording embed_tokens", _token_ids),
    EMBEDDER,
    OPTIONS,
    Check("an input fits, if it may not be cut", "recording embed_overflow", _overflow_24),
)
V1_EMBEDS = (
    Check("there is an input", "recording embed_empty", _no_input, "parsed"),
    Check("an encoding is known", "ollama middleware/openai.go EmbeddingsMiddleware, v0.24.0", _encoding, "parsed"),
    *EMBEDS,
)
OLD_EMBEDS = (MODEL, EMBEDDER, OPTIONS, Check("a prompt fits", f"{_ASKED}: embeddings", _longer_prompt))
VECTORS_32 = (Check("the model embeds", "asked of ollama 0.33.0-rc2", _no_vectors_32),)
LIMITS_24 = (
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_24),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_24, "run"),
)
LIMITS_32 = (
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_32, "run"),
    Check("the model sees, if there are images", "recording vision_unsupported", _no_vision_32, "run"),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_32, "run"),
    Check("a prompt fits, if it may not be shifted", "llm/llama_server.go, v0.32.15", _no_shift_32, "run"),
)
