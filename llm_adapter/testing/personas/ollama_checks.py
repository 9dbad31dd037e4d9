"""What Ollama refuses, in its own words, as rows. Quotes in messages are as it writes them.

Sources: the recordings of ollama 0.24.0 and 0.32.15 by name; ollama openai/openai.go FromChatRequest, decodeImageURL,
openai/responses.go and server/routes.go, v0.24.0 and v0.32.15; what ollama 0.24.0 and 0.33.0-rc2 answered, where no
recording says it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llm_adapter.testing.personas.embeddings import inputs
from llm_adapter.testing.personas.grammar import LARGEST, Fault, faults
from llm_adapter.testing.personas.ollama_bodies import body_fault, image_fault, quoted, syntax_fault, type_name
from llm_adapter.testing.personas.persona import Check, Model, Persona, overflow
from llm_adapter.testing.personas.wire import Json, ServerRequest
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
_IMAGES = ("data:image/jpeg;", "data:image/jpg;", "data:image/png;", "data:image/webp;", "data:;")
_EFFORTS = ("high", "medium", "low", "max", "none")
_MORE_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "ultra", "max", "none")
_BY_URL = Failure("image URLs are not currently supported, please use base64 encoded data instead", 400)
_FORMAT = Failure("invalid message format", 400)
_STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama "
    "server logs for details"
)


# --- messages of /v1, and items of its Responses API


def messages(request: ServerRequest) -> list[Json]:
    """The messages of a call, or the items of a response's input; one that is null has nothing."""
    name = "input" if request.path == "/v1/responses" else "messages"
    return [message or {} for message in request.items(name) if isinstance(message, (dict, type(None)))]


def parts(request: ServerRequest) -> Iterator[Any]:
    """The parts of all contents."""
    for message in messages(request):
        if isinstance(message.get("content"), list):
            yield from message["content"]


def effort(request: ServerRequest) -> Any:
    """The effort that a call asks for, in either place."""
    if request.fields.get("reasoning") is not None:
        return request.part("reasoning").get("effort")
    return request.fields.get("reasoning_effort")


def _no_messages(persona: Persona, request: ServerRequest) -> Failure | None:
    return None if request.fields.get("messages") else Failure("[] is too short - 'messages'", 400)


def _content(persona: Persona, request: ServerRequest) -> Failure | None:
    for message in messages(request):
        content = message.get("content")
        if not isinstance(content, (str, list)) and message.get("tool_calls") is None:
            return Failure(f"invalid message content type: {type_name(content)}", 400)
    return next((wrong for part in parts(request) if (wrong := _part(part))), None)


def _part(part: Any) -> Failure | None:
    match part:
        case {"type": "text", "text": str()} | {"type": "image_url", "image_url": str() | {"url": str()}}:
            return None
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            wrong = image_fault(data)
            return Failure(f"invalid input_audio base64 data: {wrong}", 400) if wrong else None
        case {"type": "input_audio", "input_audio": dict()}:
            return Failure("invalid input_audio format: missing data", 400)
        case {"type": "input_audio"}:
            return Failure("invalid input_audio format", 400)
    return _FORMAT


def _image_url(persona: Persona, request: ServerRequest) -> Failure | None:
    given = (part.get("image_url") for part in parts(request) if isinstance(part, dict))
    urls = (one.get("url") if isinstance(one, dict) else one for one in given)
    return next((wrong for url in urls if isinstance(url, str) and (wrong := _url(url))), None)


def _url(url: str) -> Failure | None:
    if url.startswith(("http://", "https://")):
        return _BY_URL
    head, _, data = url.partition("base64,")
    return None if head in _IMAGES and image_fault(data) is None else Failure("invalid image input", 400)


def _arguments(persona: Persona, request: ServerRequest) -> Failure | None:
    written = (function.get("arguments") or "" for function in request.called_functions)
    return next((Failure("invalid tool call arguments", 400) for one in written if not _object(one)), None)


def _object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, type(None)))
    except ValueError:
        return False


def _bad_effort(persona: Persona, request: ServerRequest) -> Failure | None:
    given = effort(request)
    known = _MORE_EFFORTS if persona.tells_capabilities else _EFFORTS
    if given in (None, "", *known):
        return None
    listed = ", ".join(f'"{one}"' for one in known[:-1])
    return Failure(f'invalid reasoning value: {quoted(str(given))} (must be {listed}, or "none")', 400)


def _stops(persona: Persona, request: ServerRequest) -> Failure | None:
    wrong = [one for one in request.items("stop") if not isinstance(one, str)]
    return Failure(f"invalid type for 'stop' field: {type_name(wrong[0])}", 400) if wrong else None


def _items(persona: Persona, request: ServerRequest) -> Failure | None:
    for part in parts(request):
        if isinstance(part, dict) and part.get("type") == "input_file":
            return Failure("file inputs are not currently supported", 400)
    for item in messages(request):
        if item.get("type") == "function_call" and not _object(str(item.get("arguments"))):
            words = syntax_fault(str(item.get("arguments")))
            return Failure(f"failed to parse function call arguments: {words}", 400)
    return None


# --- the model, and what is asked of it


def _options(persona: Persona, request: ServerRequest) -> Failure | None:
    for name, value in request.part("options").items():
        kind, kinds = _OPTIONS.get(name, ("", ()))
        new = name == "draft_num_predict" and not persona.tells_capabilities
        if kind and not new and not _is_of_kind(value, kinds):
            return Failure(f'option "{name}" must be of type {kind}', 500)
        if name == "stop" and not all(isinstance(one, str) for one in value or ()):
            return Failure('option "stop" must be of an array of strings', 500)
    return None


def _is_of_kind(value: Any, kinds: tuple[type, ...]) -> bool:
    return value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)))


def _unread(persona: Persona, request: ServerRequest) -> Failure | None:
    words = body_fault(request)
    return None if words is None else Failure(words, 400)


def _no_model(persona: Persona, request: ServerRequest) -> Failure | None:
    return Failure("model is required", 400) if not request.model else None


def _missing(persona: Persona, request: ServerRequest) -> Failure | None:
    return _name_fault(request) or (persona.missing(request.model) if persona.model(request.model) is None else None)


def _missing_shown(persona: Persona, request: ServerRequest) -> Failure | None:
    name = Model(request.model).tagged if persona.tells_capabilities else request.model
    gone = persona.model(request.model) is None
    return _name_fault(request) or (Failure(f"model '{name}' not found", 404) if gone else None)


def _missing_embedder(persona: Persona, request: ServerRequest) -> Failure | None:
    found = persona.model(request.model) is not None
    words = f'model "{request.model}" not found, try pulling it first'
    return _name_fault(request) or (None if found else Failure(words, 404))


def _name_fault(request: ServerRequest) -> Failure | None:
    """A name that is empty, or none."""
    if not request.model:
        return Failure("model '' not found", 404)
    return None if Model(request.model).nameable else Failure("invalid model name", 400)


def _not_pullable(persona: Persona, request: ServerRequest) -> Failure | None:
    return None if Model(request.model).nameable else Failure("invalid model name", 400)


def _not_pushable(persona: Persona, request: ServerRequest) -> Failure | None:
    return None if request.model else Failure("model is required", 400)


def _not_creatable(persona: Persona, request: ServerRequest) -> Failure | None:
    source = request.fields.get("from")
    if not source and request.fields.get("files") is None:
        return Failure("neither 'from' or 'files' was specified", 400)
    return Failure("invalid model name", 400) if source and not Model(str(source)).nameable else None


def _not_copyable(persona: Persona, request: ServerRequest) -> Failure | None:
    for name in ("source", "destination"):
        if not Model(given := request.fields.get(name) or "").nameable:
            return Failure(f"{name} {quoted(given)} is invalid", 400)
    return None


def _not_deletable(persona: Persona, request: ServerRequest) -> Failure | None:
    if not request.model:
        return Failure("model is required", 400)
    return None if Model(request.model).nameable else Failure(f"name {quoted(request.model)} is invalid", 400)


def _lacks(persona: Persona, request: ServerRequest, capability: str) -> bool:
    model = persona.model(request.model)
    return model is not None and capability not in model.capabilities


def _full_name(request: ServerRequest) -> str:
    return f"registry.ollama.ai/library/{Model(request.model).tagged}"


def _no_chat(persona: Persona, request: ServerRequest) -> Failure | None:
    return Failure(f'"{request.model}" does not support chat', 400) if _lacks(persona, request, "completion") else None


def _no_generate(persona: Persona, request: ServerRequest) -> Failure | None:
    return (
        Failure(f'"{request.model}" does not support generate', 400) if _lacks(persona, request, "completion") else None
    )


def _no_insert(persona: Persona, request: ServerRequest) -> Failure | None:
    lacking = request.fields.get("suffix") and _lacks(persona, request, "insert")
    return Failure(f"{_full_name(request)} does not support insert", 400) if lacking else None


def _no_thinking(persona: Persona, request: ServerRequest) -> Failure | None:
    asking = request.fields.get("think") if request.native else effort(request) not in (None, "", "none")
    lacking = asking and _lacks(persona, request, "thinking")
    return Failure(f'"{request.model}" does not support thinking', 400) if lacking else None


def _no_tools_24(persona: Persona, request: ServerRequest) -> Failure | None:
    lacking = request.fields.get("tools") and _lacks(persona, request, "tools")
    return Failure(f"{_full_name(request)} does not support tools", 400) if lacking else None


def _inner(status: int, message: str, kind: str, **more: Any) -> Failure:
    """What llama.cpp's server said, as JSON in the text of Ollama's own error."""
    error = {"code": status, "message": message, "type": kind, **more}
    return Failure(json.dumps({"error": error}, separators=(",", ":")), status)


def _no_tools_32(persona: Persona, request: ServerRequest) -> Failure | None:
    lacking = request.fields.get("tools") and _lacks(persona, request, "tools")
    return _inner(500, "tools param requires --jinja flag", "server_error") if lacking else None


def _no_vision_32(persona: Persona, request: ServerRequest) -> Failure | None:
    images = request.fields.get("images") or any(message.get("images") for message in messages(request))
    images = images or any(isinstance(part, dict) and part.get("type") in _SEEN for part in parts(request))
    words = "Multimodal data provided, but model does not support multimodal requests."
    return _inner(400, words, "invalid_request_error") if images and _lacks(persona, request, "vision") else None


def _too_probable(persona: Persona, request: ServerRequest) -> Failure | None:
    top = request.fields.get("logprobs" if request.path == "/v1/completions" else "top_logprobs")
    wrong = isinstance(top, int) and not 0 <= top <= 20
    return Failure("top_logprobs must be between 0 and 20", 400) if wrong else None


def _raw(persona: Persona, request: ServerRequest) -> Failure | None:
    also = request.fields.get("raw") and any(request.fields.get(name) for name in ("template", "system", "context"))
    return Failure("raw mode does not support template, system, or context", 400) if also else None


def form(request: ServerRequest) -> Any:
    """The form that covers a whole reply: a schema, or "json"."""
    if request.native:
        return request.fields.get("format")
    responding = request.path == "/v1/responses"
    match request.part("text").get("format") if responding else request.fields.get("response_format"):
        case {"type": "json_schema", "schema": schema} if responding:
            return schema
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case {"type": "json_object"} if not responding:  # openai/responses.go knows no json_object
            return "json"
    return None


def _grammar_24(persona: Persona, request: ServerRequest) -> Failure | None:
    """A schema is turned into a grammar in the server itself, and the grammar is read by the model's runner."""
    found = set(faults(form(request)))
    if Fault.GROUP in found:
        return Failure("the server has died of it", 0)
    if found & {Fault.UNANCHORED, Fault.BOOLEAN}:
        return Failure("invalid JSON schema in format", 500)
    return Failure(_STOPPED, 500) if found else None


def _grammar_32(persona: Persona, request: ServerRequest) -> Failure | None:
    found = set(faults(form(request), LARGEST - 1)) - {Fault.GROUP}  # such a group is passed over
    if wrong := found & {Fault.UNANCHORED, Fault.BOOLEAN}:
        words = f'"json_schema": JSON schema conversion failed:\n{min(one.value for one in wrong)}'
        return _inner(400, words, "invalid_request_error")
    words = "Failed to initialize samplers: failed to parse grammar"
    return _inner(400, words, "invalid_request_error") if found else None


def _format(persona: Persona, request: ServerRequest) -> Failure | None:
    """A format is looked at when the answer begins: a model that still thinks has none yet."""
    given = form(request)
    if request.path != "/api/generate" and _thinking(persona, request):
        return None
    if given not in (None, "", "json") and not isinstance(given, dict):
        words = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
        return Failure(f'invalid format: {quoted(words)}; expected "json" or a valid JSON Schema object', 500)
    kind = given.get("type") if isinstance(given, dict) and not persona.tells_capabilities else None
    wrong = isinstance(kind, str) and kind not in _SCHEMA_TYPES
    return Failure("invalid JSON schema in format", 500) if wrong else None


def _thinking(persona: Persona, request: ServerRequest) -> bool:
    off = request.fields.get("think") is False if request.native else effort(request) == "none"
    return not off and not _lacks(persona, request, "thinking")


def _overflow_24(persona: Persona, request: ServerRequest) -> Failure | None:
    over = request.native and request.fields.get("truncate") is False and overflow(persona, request)
    return Failure("the input length exceeds the context length", 400) if over else None


def _overflow_32(persona: Persona, request: ServerRequest) -> Failure | None:
    over = overflow(persona, request)
    if not request.native or request.fields.get("truncate") is not False or over is None:
        return None
    tokens, size = over
    words = f"request ({tokens} tokens) exceeds the available context size ({size} tokens), try increasing it"
    return _inner(400, words, "exceed_context_size_error", n_prompt_tokens=tokens, n_ctx=size)


def _no_shift_32(persona: Persona, request: ServerRequest) -> Failure | None:
    words = (
        "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
        "context length in settings, or use a model with a longer context length"
    )
    whole = request.native and request.fields.get("shift") is False and request.fields.get("truncate") is not False
    return Failure(words, 400) if whole and overflow(persona, request) else None


def _no_vectors_32(persona: Persona, request: ServerRequest) -> Failure | None:
    words = "This server does not support embeddings. Start it with `--embeddings`"
    status = 500 if request.path == "/api/embeddings" else 501
    # Where any model is there that is asked for, one that is to embed does so, whatever its name is.
    given = persona.models is not None and (request.fields.get("input") or request.fields.get("prompt"))
    return Failure(words, status) if given and _lacks(persona, request, "embedding") else None


def _longer_prompt(persona: Persona, request: ServerRequest) -> Failure | None:
    over = overflow(persona, request)
    return Failure("the input length exceeds the context length", 500) if over else None


def _encoding(persona: Persona, request: ServerRequest) -> Failure | None:
    given = request.fields.get("encoding_format")
    known = given in (None, "") or str(given).lower() in ("float", "base64")
    words = f"Invalid value for 'encoding_format' = {given}. Supported values: ['float', 'base64']."
    return None if known else Failure(words, 400)


def _token_ids(persona: Persona, request: ServerRequest) -> Failure | None:
    given = inputs(request.fields.get("input"))
    nothing = request.fields.get("input") is None
    return None if nothing or all(isinstance(one, str) for one in given) else Failure("invalid input type", 400)


def _no_input(persona: Persona, request: ServerRequest) -> Failure | None:
    return Failure("invalid input", 400) if request.fields.get("input") in (None, []) else None


_FROM = "ollama openai/openai.go FromChatRequest, v0.24.0"
_EFFORT = Check("the effort is known", f"{_FROM}; its words in 0.32: v0.32.15", _bad_effort)
_DATA = Check("images come as data", "recording vision_url", _image_url)
V1_MESSAGES = (
    Check("there are messages", _FROM, _no_messages),
    Check("contents are of known kinds", _FROM, _content),
    _DATA,
    Check("arguments in the history are an object", "recording tools_arguments_empty", _arguments),
    _EFFORT,
)
STOPS = Check("stop sequences are text", "ollama openai/openai.go FromCompleteRequest, v0.24.0", _stops)
ITEMS = (
    Check("items can be used", "ollama openai/responses.go FromResponsesRequest, v0.24.0", _items),
    _DATA,
    _EFFORT,
)

_ROUTES = "ollama server/routes.go, v0.24.0"
_ASKED = "asked of ollama 0.24.0 and 0.33.0-rc2"
_SEEN = ("image_url", "input_image", "input_audio")
MODEL = Check("a model is named", "recording model_empty", _no_model)
MISSING = Check("the model is there", "recording model_missing", _missing)
SHOWN = Check("the model is there to be shown", "recording models", _missing_shown)
READABLE = Check("a body can be read", "recordings bad_keep_alive, completions_list; ollama_bodies", _unread)
OPTIONS = Check("options have their types", "recording bad_option_type", _options)
THINKING = Check("the model thinks, if it is told to", "recording think_unsupported", _no_thinking)
INSERT = Check("the model fills in, with a suffix", "recording completions_suffix_unsupported", _no_insert)
FORMAT = Check("a format is json or a schema", f"{_ASKED}: format", _format)
PROBABLE = Check("top_logprobs is 20 at most", f"{_ROUTES} ChatHandler", _too_probable)
RAW = Check("a raw prompt stands alone", f"{_ROUTES} GenerateHandler", _raw)
PULLABLE = Check("a name to pull is one", f"{_ASKED}: pull", _not_pullable)
PUSHABLE = Check("a name to push is given", f"{_ASKED}: push", _not_pushable)
CREATABLE = Check("a model is made from something", f"{_ASKED}: create", _not_creatable)
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
    Check("there is an input", "recording embed_empty", _no_input),
    Check("an encoding is known", "ollama middleware/openai.go EmbeddingsMiddleware, v0.24.0", _encoding),
    *EMBEDS,
)
OLD_EMBEDS = (MODEL, EMBEDDER, OPTIONS, Check("a prompt fits", f"{_ASKED}: embeddings", _longer_prompt))
VECTORS_32 = (Check("the model embeds", "asked of ollama 0.33.0-rc2", _no_vectors_32),)
LIMITS_24 = (
    Check("a grammar holds the format", "ollama llm/server.go Completion, v0.24.0; grammar.py", _grammar_24),
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_24),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_24),
)
LIMITS_32 = (
    Check("a grammar holds the format", "ollama llm/llama_server.go Completion, v0.32.15; grammar.py", _grammar_32),
    Check("the model has tools, if there are any", "recording tools_unsupported", _no_tools_32),
    Check("the model sees, if there are images", "recording vision_unsupported", _no_vision_32),
    Check("a prompt fits, if it may not be cut", "recording context_overflow", _overflow_32),
    Check("a prompt fits, if it may not be shifted", "llm/llama_server.go, v0.32.15", _no_shift_32),
)
