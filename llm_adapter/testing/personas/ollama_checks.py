"""What Ollama refuses, in its own words, as rows. Quotes in messages are as it writes them.

Sources: the recordings of ollama 0.24.0 and 0.32.15 by name; ollama openai/openai.go, server/routes.go, v0.24.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from llm_adapter.testing.personas.persona import Check, Model, Persona
from llm_adapter.testing.personas.saying import prompt_tokens
from llm_adapter.testing.personas.vectors import inputs
from llm_adapter.testing.personas.wire import Asked, Json
from llm_adapter.testing.turns import Failure

_FLOATS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_GO: dict[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_FLOATS, ("float64", (int, float))),
    **dict.fromkeys(("max_tokens", "seed"), ("int", (int,))),
    "prompt": ("string", (str,)),
    "model": ("string", (str,)),
}
_STRUCTS = {"/v1/chat/completions": "ChatCompletionRequest", "/v1/completions": "CompletionRequest"}
_OPTION_FLOATS = (*_FLOATS, "min_p", "typical_p", "repeat_penalty")
_OPTION_INTS = ("num_predict", "num_ctx", "num_keep", "seed", "top_k", "repeat_last_n", "num_gpu", "num_thread")
_OPTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_OPTION_FLOATS, ("float32", (int, float))),
    **dict.fromkeys(_OPTION_INTS, ("integer", (int, float))),
    "stop": ("array", (list,)),
}
_IMAGES = ("data:image/jpeg;", "data:image/jpg;", "data:image/png;", "data:image/webp;", "data:;")
_EFFORTS = ("high", "medium", "low", "max", "none")


def _kind(value: Any) -> str:
    """What Go calls a JSON value."""
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names[type(value)]


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    return value is None or (isinstance(value, kinds) and not isinstance(value, bool))


def _unmarshalled(persona: Persona, asked: Asked) -> Failure | None:
    struct = _STRUCTS.get(asked.path, "ChatRequest")
    for name, (go, kinds) in _GO.items():
        value = asked.fields.get(name)
        if (name != "prompt" or struct == "CompletionRequest") and not _fits(value, kinds):
            field = f"Go struct field {struct}.{name} of type {go}"
            return Failure(f"json: cannot unmarshal {_kind(value)} into {field}", 400)
    return None


def _options(persona: Persona, asked: Asked) -> Failure | None:
    for name, value in asked.part("options").items():
        kind, kinds = _OPTIONS.get(name, ("", ()))
        if kind and not _fits(value, kinds):
            return Failure(f'option "{name}" must be of type {kind}', 500)
    return None


def _no_model(persona: Persona, asked: Asked) -> Failure | None:
    return Failure("model is required", 400) if not asked.model else None


def _missing(persona: Persona, asked: Asked) -> Failure | None:
    return persona.missing(asked.model) if persona.model(asked.model) is None else None


def _missing_shown(persona: Persona, asked: Asked) -> Failure | None:
    name = Model(asked.model).tagged if persona.tells_capabilities else asked.model
    return Failure(f"model '{name}' not found", 404) if persona.model(asked.model) is None else None


def _missing_embedder(persona: Persona, asked: Asked) -> Failure | None:
    found = persona.model(asked.model) is not None
    return None if found else Failure(f'model "{asked.model}" not found, try pulling it first', 404)


def _keep_alive(persona: Persona, asked: Asked) -> Failure | None:
    value = asked.fields.get("keep_alive")
    bare = isinstance(value, str) and re.fullmatch(r"-?[\d.]+", value) and float(value) != 0
    return Failure(f'time: missing unit in duration "{value}"', 400) if bare else None


def _messages(asked: Asked) -> list[Json]:
    return [message for message in asked.items("messages") if isinstance(message, dict)]


def _parts(asked: Asked) -> Iterator[Any]:
    for message in _messages(asked):
        if isinstance(message.get("content"), list):
            yield from message["content"]


def _no_messages(persona: Persona, asked: Asked) -> Failure | None:
    return None if asked.fields.get("messages") else Failure("[] is too short - 'messages'", 400)


def _content(persona: Persona, asked: Asked) -> Failure | None:
    for message in _messages(asked):
        content = message.get("content")
        if content is None and message.get("tool_calls") is None:
            return Failure("invalid message content type: <nil>", 400)
        for part in content if isinstance(content, list) else []:
            if not isinstance(part, dict) or part.get("type") not in ("text", "image_url", "input_audio"):
                return Failure("invalid message format", 400)
    return None


def _image_url(persona: Persona, asked: Asked) -> Failure | None:
    for part in _parts(asked):
        if isinstance(part, dict) and part.get("type") == "image_url":
            given = part.get("image_url")
            url = str(given.get("url") if isinstance(given, dict) else given)
            if url.startswith(("http://", "https://")):
                words = "image URLs are not currently supported, please use base64 encoded data instead"
                return Failure(words, 400)
            if not url.startswith(_IMAGES):
                return Failure("invalid image input", 400)
    return None


def _arguments(persona: Persona, asked: Asked) -> Failure | None:
    for message in _messages(asked):
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            try:
                parsed = json.loads(call["function"]["arguments"])
            except (KeyError, TypeError, ValueError):
                parsed = None
            if not isinstance(parsed, dict):
                return Failure("invalid tool call arguments", 400)
    return None


def _list_content(persona: Persona, asked: Asked) -> Failure | None:
    field = "Go struct field ChatRequest.messages.content of type string"
    listed = any(isinstance(message.get("content"), list) for message in _messages(asked))
    return Failure(f"json: cannot unmarshal array into {field}", 400) if listed else None


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
    asking = asked.fields.get("think") if asked.native else _effort(asked) not in (None, "none")
    lacking = asking and _lacks(persona, asked, "thinking")
    return Failure(f'"{asked.model}" does not support thinking', 400) if lacking else None


def _effort(asked: Asked) -> Any:
    return asked.part("reasoning").get("effort") or asked.fields.get("reasoning_effort")


def _bad_effort(persona: Persona, asked: Asked) -> Failure | None:
    effort = _effort(asked)
    known = (*_EFFORTS, *(("minimal", "xhigh", "ultra") if persona.tells_capabilities else ()))
    words = f'invalid reasoning value: \'{effort}\' (must be "high", "medium", "low", "max", or "none")'
    return Failure(words, 400) if effort is not None and effort not in known else None


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
    images = any(message.get("images") for message in _messages(asked)) or any(
        isinstance(part, dict) and part.get("type") == "image_url" for part in _parts(asked)
    )
    words = "Multimodal data provided, but model does not support multimodal requests."
    return _inner(400, words, "invalid_request_error") if images and _lacks(persona, asked, "vision") else None


def overflow(persona: Persona, asked: Asked) -> tuple[int, int] | None:
    """The prompt's tokens and the context, when they are too many for it."""
    size, tokens = persona.size(asked), prompt_tokens(asked.body)
    return (tokens, size) if size is not None and tokens > size else None


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


def _token_ids(persona: Persona, asked: Asked) -> Failure | None:
    given = inputs(asked.fields.get("input"))
    return None if all(isinstance(one, (str, type(None))) for one in given) else Failure("invalid input type", 400)


def _no_input(persona: Persona, asked: Asked) -> Failure | None:
    return Failure("invalid input", 400) if asked.fields.get("input") in (None, []) else None


_ROUTES = "ollama server/routes.go, v0.24.0"
_OPENAI_GO = "ollama openai/openai.go, v0.24.0"
MODEL = Check("a model is named", "recording model_empty", _no_model)
MISSING = Check("the model is there", "recording model_missing", _missing)
SHOWN = Check("the model is there to be shown", "recording models", _missing_shown)
KEEP_ALIVE = Check("a keep_alive has its unit", "recording bad_keep_alive", _keep_alive, "parsed")
OPTIONS = Check("options have their types", "recording bad_option_type", _options)
TYPES = Check("fields have their types", "recordings bad_option_type, completions_list", _unmarshalled, "parsed")
THINKING = Check("the model thinks, if it is told to", "recording think_unsupported", _no_thinking)
INSERT = Check("the model fills in, with a suffix", "recording completions_suffix_unsupported", _no_insert)
CHATS = Check("the model chats", "recording chat_embedding_model", _no_chat)
GENERATES = Check("the model generates", f"{_ROUTES} GenerateHandler", _no_generate)

V1_MESSAGES = (
    Check("there are messages", f"{_OPENAI_GO} FromChatRequest", _no_messages, "parsed"),
    Check("contents are of known kinds", f"{_OPENAI_GO} FromChatRequest", _content, "parsed"),
    Check("images come as data", "recording vision_url", _image_url, "parsed"),
    Check("arguments in the history are an object", "recording tools_arguments_empty", _arguments, "parsed"),
    Check("the effort is known", f"{_OPENAI_GO} FromChatRequest", _bad_effort, "parsed"),
)
NATIVE_CONTENT = Check("content is one text", "ollama#10255", _list_content, "parsed")
EMBEDS = (
    Check("an input is text", "recording embed_tokens", _token_ids),
    Check("the model to embed with is there", "recording embed_missing", _missing_embedder),
    Check("an input fits, if it may not be cut", "recording embed_overflow", _overflow_24),
)
V1_EMBEDS = (Check("there is an input", "recording embed_empty", _no_input, "parsed"), *EMBEDS)
LIMITS_24 = (
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_24),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_24, "run"),
)
LIMITS_32 = (
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_32, "run"),
    Check("the model sees, if there are images", "recording vision_unsupported", _no_vision_32, "run"),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_32, "run"),
)
