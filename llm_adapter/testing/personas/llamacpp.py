"""llama.cpp's own server. It has one model, whatever is asked for, and names that one.

Source: what xllamacpp's server of 2026-11 answered (tests/test_fake_llamacpp.py holds this against it);
llama.cpp tools/server/server-common.cpp format_error_response, 006639c3, and server.cpp for an error in a stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llm_adapter.testing.personas.chat import chat, completions, prompt_count
from llm_adapter.testing.personas.embeddings import embeddings
from llm_adapter.testing.personas.grammar import LARGEST, Fault, faults
from llm_adapter.testing.personas.models import list_models
from llm_adapter.testing.personas.persona import Check, Model, Persona, ResponseShape, Route, Shape, TextShape, too_long
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, event, part_of, whole
from llm_adapter.testing.turns import Failure, Turn

_TOO_LONG = "exceed_context_size_error"
_BROKEN = "[json.exception.parse_error.101] parse error at line {}, column {}: "
_EMPTY = "attempting to parse an empty input; check that your input string or stream contains the expected JSON"
_TYPED = "[json.exception.type_error.302] type must be {}, but is {}"
_PROMPT = (
    '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, or a list of '
    "mixed strings & tokens."
)
_MEDIA = "{} input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
_SORTS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens", "seed", "n", "logprobs")
_FLAGS = ("stream", "echo")
_PARTS = ("text", "image_url", "input_audio", "video_url")
_NO_PARSER = (
    "Unable to generate parser for this template. Automatic parser generation failed: JSON schema conversion failed:\n"
)
_FORMATS = ("text", "json_object", "json_schema")
_IMAGES = ("image_url", "input_image")


def _unread(persona: Persona, request: ServerRequest) -> Failure | None:
    """Its parser says more of the text; here it is Python's place of the fault, and no more."""
    fault = None if request.text is None else _syntax(request.text)
    return Failure(fault, 400) if fault else None


def _syntax(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        words = "syntax error while parsing value" if text.strip() else _EMPTY
        return _BROKEN.format(problem.lineno, problem.colno) + words
    return None


def _wrong_types(persona: Persona, request: ServerRequest) -> Failure | None:
    for name, value in request.fields.items():
        # A boolean is a number to it, and not the other way round.
        taken = (bool, int, float) if name in _NUMBERS else (bool,) if name in _FLAGS else ()
        if taken and value is not None and not isinstance(value, taken):
            wanted = "boolean" if name in _FLAGS else "number"
            return Failure(f"Field '{name}': {_TYPED.format(wanted, _SORTS[type(value)])}", 400)
    return None


def _no_messages(persona: Persona, request: ServerRequest) -> Failure | None:
    if "messages" not in request.fields:
        return Failure("'messages' is required", 400)
    listed = isinstance(request.fields["messages"], list)
    return None if listed else Failure("Expected 'messages' to be an array", 400)


def _content(persona: Persona, request: ServerRequest) -> Failure | None:
    for message in request.items("messages"):
        fields = message if isinstance(message, dict) else {}
        if "content" not in fields and fields.get("role") != "assistant":
            return Failure("All non-assistant messages must contain 'content'", 400)
        if not isinstance(fields.get("content"), (str, list, type(None))):
            return Failure("Expected 'content' to be a string or an array", 400)
    wrong = [part for part in _parts(request) if not isinstance(part, dict) or part.get("type") not in _PARTS]
    return Failure("unsupported content[].type", 400) if wrong else None


def _parts(request: ServerRequest) -> Iterator[Any]:
    for message in (*request.items("messages"), *request.items("input")):
        content = message.get("content") if isinstance(message, dict) else None
        yield from content if isinstance(content, list) else ()


def _no_media(persona: Persona, request: ServerRequest) -> Failure | None:
    kinds = [part.get("type") for part in _parts(request) if isinstance(part, dict)]
    if "input_audio" in kinds:
        return Failure(_MEDIA.format("audio"), 500)
    model = persona.model(persona.reply_model(request))
    blind = model is not None and "vision" not in model.capabilities
    return Failure(_MEDIA.format("image"), 500) if blind and any(kind in _IMAGES for kind in kinds) else None


def _choice(persona: Persona, request: ServerRequest) -> Failure | None:
    choice, form = request.fields.get("tool_choice"), request.part("response_format").get("type", "text")
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return Failure(f"Invalid tool_choice: {choice}", 400)
    if form not in _FORMATS:
        return Failure(f'response_format type must be one of "text" or "json_object", but got: {form}', 400)
    alone = request.fields.get("top_logprobs") and not request.fields.get("logprobs")
    return Failure("top_logprobs requires logprobs to be set to true", 400) if alone else None


def _form(request: ServerRequest) -> Any:
    """The form that covers a whole reply: on /v1/responses it is passed over (asked of b11549)."""
    if request.path != "/v1/chat/completions":
        return None
    form = request.part("response_format")
    schema = form.get("schema") if form.get("type") == "json_object" else part_of(form, "json_schema").get("schema")
    given = schema if schema is not None else request.fields.get("json_schema")
    return "json" if given is None and form.get("type") == "json_object" else given


def _grammar(persona: Persona, request: ServerRequest) -> Failure | None:
    """A grammar is built of the form, and of the tools."""
    tools = request.items("tools") if request.fields.get("tool_choice") != "none" else []
    if tools and "grammar" in request.fields:
        return Failure("Cannot use custom grammar constraints with tools.", 400)
    schemas = [
        _form(request),
        *((part_of(tool, "function") or tool).get("parameters") for tool in tools if isinstance(tool, dict)),
    ]
    found = {fault for schema in schemas for fault in faults(schema, LARGEST - 1)} - {Fault.GROUP}  # passed over
    if wrong := found & {Fault.UNANCHORED, Fault.BOOLEAN}:
        return Failure(_NO_PARSER + min(one.value for one in wrong), 400)
    return Failure("Failed to initialize samplers: failed to parse grammar", 400) if found else None


def _history(persona: Persona, request: ServerRequest) -> Failure | None:
    """Arguments of calls in the history are read as JSON for the template; any JSON will do."""
    written = (function.get("arguments") for function in request.called_functions)
    found = (fault for one in written if isinstance(one, str) and (fault := _syntax(one)))
    return next((Failure(f"Failed to parse tool call arguments as JSON: {fault}", 500) for fault in found), None)


def _end(persona: Persona, request: ServerRequest) -> Failure | None:
    roles = [message.get("role") for message in request.items("messages") if isinstance(message, dict)]
    twice = roles[-2:] == ["assistant", "assistant"]
    return Failure("Cannot have 2 or more assistant messages at the end of the list.", 400) if twice else None


def _no_prompt(persona: Persona, request: ServerRequest) -> Failure | None:
    if "prompt" not in request.fields:
        return Failure("[json.exception.out_of_range.403] key 'prompt' not found", 400)
    return None if request.fields["prompt"] is not None else Failure(_PROMPT, 400)


def _no_items(persona: Persona, request: ServerRequest) -> Failure | None:
    if request.fields.get("previous_response_id"):
        return Failure("llama.cpp does not support 'previous_response_id'.", 400)
    if "input" not in request.fields:
        return Failure("'input' is required", 400)
    listed = isinstance(request.fields["input"], (str, list))
    filed = any(isinstance(part, dict) and part.get("type") == "input_file" for part in _parts(request))
    words = "'input_file' is not supported by llamacpp at this moment"
    return (
        Failure(words if listed else "'input' must be a string or array of objects", 400)
        if filed or not listed
        else None
    )


def _no_input(persona: Persona, request: ServerRequest) -> Failure | None:
    if "input" not in request.fields:
        return Failure('"input" or "content" must be provided', 400)
    given, form = request.fields["input"], request.fields.get("encoding_format", "float")
    if given == []:
        return Failure('"input" must not be empty', 400)
    if not isinstance(given, (str, list)) or (isinstance(given, list) and None in given):
        return Failure(_PROMPT, 400)
    if not isinstance(form, (str, type(None))):
        return Failure(_TYPED.format("string", _SORTS[type(form)]), 400)
    words = "The format to return the embeddings in. Can be either float or base64"
    return Failure(words, 400) if form not in ("float", "base64", None) else None


_SOURCE = "asked of xllamacpp's server, 2026-11"
_READABLE = Check("a body is JSON", _SOURCE, _unread)
_OVERFLOW = too_long(
    _SOURCE,
    Failure(
        "request ({tokens} tokens) exceeds the available context size ({size} tokens), try increasing it",
        400,
        type=_TOO_LONG,
    ),
)
_TYPES = Check("fields have their types", _SOURCE, _wrong_types)
_SEES = Check("the model sees, if there are images", _SOURCE, _no_media)
_READ = Check("arguments in the history are JSON", f"{_SOURCE}, and of b11549", _history)
_ENDS = Check("one assistant message at most is at the end", f"{_SOURCE}, and of b11549", _end)
_HELD = Check("a grammar holds the form and the tools", "llama.cpp#16714, openclaw#113562; grammar.py", _grammar)
_CHAT = (
    _READABLE,
    Check("there are messages", _SOURCE, _no_messages),
    Check("messages have content", _SOURCE, _content),
    _SEES,
    Check("choices are known", _SOURCE, _choice),
    _TYPES,
    _READ,
    _ENDS,
    _HELD,
    _OVERFLOW,
)
_TEXT = (_READABLE, Check("there is a prompt", _SOURCE, _no_prompt), _TYPES, _OVERFLOW)
_RESPONSES = (
    _READABLE,
    Check("there is an input to respond to", _SOURCE, _no_items),
    _SEES,
    _TYPES,
    _READ,
    _HELD,
    _OVERFLOW,
)
_VECTORS = (_READABLE, Check("there is an input to embed", _SOURCE, _no_input), _OVERFLOW)

# --- replies

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


def _unknown(request: ServerRequest, known_path: bool) -> Answer:
    return whole(_envelope(Failure("File Not Found", 404)), 404)


def _interrupted(persona: Persona, request: ServerRequest, failure: Failure) -> tuple[bytes, ...]:
    return (event(_envelope(failure)),)


def _props(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /props: what it was started with."""
    model = persona.listed_models[0]
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
    return whole(content)


def _input_tokens(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /v1/chat/completions/input_tokens: the prompt's tokens, without a reply."""
    return whole({"input_tokens": prompt_count(persona, request), "object": "response.input_tokens"})


def _health(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    return whole({"status": "ok"})


def _model_entry(request: ServerRequest, model: Model) -> Json:
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
        "created": int(request.time),
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


def _ollama_list(persona: Persona) -> Json:
    """The list in Ollama's manner that stands beside OpenAI's."""
    empty = dict.fromkeys(("modified_at", "size", "digest", "description", "parameters"), "")
    also = {"type": "model", "tags": [""], "capabilities": ["completion"], "details": _DETAILS}
    return {"models": [{"name": one.name, "model": one.name, **empty, **also} for one in persona.listed_models]}


def _last(persona: Persona, request: ServerRequest) -> Json:
    return {"timings": _TIMINGS}


_CACHED = {"prompt_tokens_details": {"cached_tokens": 0}}
_FINGERPRINT = {"system_fingerprint": "b0-fake"}

LLAMACPP = Persona(
    name="llamacpp",
    dialect="llamacpp",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, _CHAT)},
        "/v1/chat/completions/input_tokens": {"POST": Route(_input_tokens, checks=_CHAT)},
        "/v1/completions": {"POST": Route(completions, True, _TEXT)},
        "/v1/embeddings": {"POST": Route(embeddings, True, _VECTORS, streams=False)},
        "/v1/responses": {"POST": Route(responses, True, _RESPONSES)},
        "/v1/models": {"GET": Route(list_models)},
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
        repeats_last=True,
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
    model_entry=_model_entry,
    models_extra=_ollama_list,
    own_name=True,
    form=_form,
    response=ResponseShape(bare=True),
)
