"""What llama.cpp's own server refuses, in its own words, as rows.

Source: what xllamacpp's server of 2026-11 answered; tests/test_fake_llamacpp.py holds these against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from llm_adapter.testing.personas.ollama_checks import overflow
from llm_adapter.testing.personas.persona import Check, Persona
from llm_adapter.testing.personas.wire import Asked
from llm_adapter.testing.turns import Failure

TOO_LONG = "exceed_context_size_error"
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
_FORMATS = ("text", "json_object", "json_schema")
_IMAGES = ("image_url", "input_image")


def _unread(persona: Persona, asked: Asked) -> Failure | None:
    """Its parser says more of the text; here it is Python's place of the fault, and no more."""
    if asked.text is None:
        return None
    try:
        json.loads(asked.text)
    except json.JSONDecodeError as problem:
        words = "syntax error while parsing value" if asked.text.strip() else _EMPTY
        return Failure(_BROKEN.format(problem.lineno, problem.colno) + words, 400)
    return None


def _typed(persona: Persona, asked: Asked) -> Failure | None:
    for name, value in asked.fields.items():
        # A boolean is a number to it, and not the other way round.
        taken = (bool, int, float) if name in _NUMBERS else (bool,) if name in _FLAGS else ()
        if taken and value is not None and not isinstance(value, taken):
            wanted = "boolean" if name in _FLAGS else "number"
            return Failure(f"Field '{name}': {_TYPED.format(wanted, _SORTS[type(value)])}", 400)
    return None


def _no_messages(persona: Persona, asked: Asked) -> Failure | None:
    if "messages" not in asked.fields:
        return Failure("'messages' is required", 400)
    listed = isinstance(asked.fields["messages"], list)
    return None if listed else Failure("Expected 'messages' to be an array", 400)


def _content(persona: Persona, asked: Asked) -> Failure | None:
    for message in asked.items("messages"):
        fields = message if isinstance(message, dict) else {}
        if "content" not in fields and fields.get("role") != "assistant":
            return Failure("All non-assistant messages must contain 'content'", 400)
        if not isinstance(fields.get("content"), (str, list, type(None))):
            return Failure("Expected 'content' to be a string or an array", 400)
    wrong = [part for part in _parts(asked) if not isinstance(part, dict) or part.get("type") not in _PARTS]
    return Failure("unsupported content[].type", 400) if wrong else None


def _parts(asked: Asked) -> Iterator[Any]:
    for message in (*asked.items("messages"), *asked.items("input")):
        content = message.get("content") if isinstance(message, dict) else None
        yield from content if isinstance(content, list) else ()


def _no_media(persona: Persona, asked: Asked) -> Failure | None:
    kinds = [part.get("type") for part in _parts(asked) if isinstance(part, dict)]
    if "input_audio" in kinds:
        return Failure(_MEDIA.format("audio"), 500)
    model = persona.model(persona.named(asked))
    blind = model is not None and "vision" not in model.capabilities
    return Failure(_MEDIA.format("image"), 500) if blind and any(kind in _IMAGES for kind in kinds) else None


def _choice(persona: Persona, asked: Asked) -> Failure | None:
    choice, form = asked.fields.get("tool_choice"), asked.part("response_format").get("type", "text")
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return Failure(f"Invalid tool_choice: {choice}", 400)
    if form not in _FORMATS:
        return Failure(f'response_format type must be one of "text" or "json_object", but got: {form}', 400)
    alone = asked.fields.get("top_logprobs") and not asked.fields.get("logprobs")
    return Failure("top_logprobs requires logprobs to be set to true", 400) if alone else None


def _no_prompt(persona: Persona, asked: Asked) -> Failure | None:
    if "prompt" not in asked.fields:
        return Failure("[json.exception.out_of_range.403] key 'prompt' not found", 400)
    return None if asked.fields["prompt"] is not None else Failure(_PROMPT, 400)


def _no_items(persona: Persona, asked: Asked) -> Failure | None:
    if asked.fields.get("previous_response_id"):
        return Failure("llama.cpp does not support 'previous_response_id'.", 400)
    if "input" not in asked.fields:
        return Failure("'input' is required", 400)
    listed = isinstance(asked.fields["input"], (str, list))
    filed = any(isinstance(part, dict) and part.get("type") == "input_file" for part in _parts(asked))
    words = "'input_file' is not supported by llamacpp at this moment"
    return (
        Failure(words if listed else "'input' must be a string or array of objects", 400)
        if filed or not listed
        else None
    )


def _no_input(persona: Persona, asked: Asked) -> Failure | None:
    if "input" not in asked.fields:
        return Failure('"input" or "content" must be provided', 400)
    given, form = asked.fields["input"], asked.fields.get("encoding_format", "float")
    if given == []:
        return Failure('"input" must not be empty', 400)
    if not isinstance(given, (str, list)) or (isinstance(given, list) and None in given):
        return Failure(_PROMPT, 400)
    if not isinstance(form, (str, type(None))):
        return Failure(_TYPED.format("string", _SORTS[type(form)]), 400)
    words = "The format to return the embeddings in. Can be either float or base64"
    return Failure(words, 400) if form not in ("float", "base64", None) else None


def _overflow(persona: Persona, asked: Asked) -> Failure | None:
    over = overflow(persona, asked)
    if over is None:
        return None
    words = "request ({} tokens) exceeds the available context size ({} tokens), try increasing it"
    return Failure(words.format(*over), 400, type=TOO_LONG)


_SOURCE = "asked of xllamacpp's server, 2026-11"
READABLE = Check("a body is JSON", _SOURCE, _unread)
OVERFLOW = Check("the prompt fits", _SOURCE, _overflow)
_TYPES = Check("fields have their types", _SOURCE, _typed)
_SEES = Check("the model sees, if there are images", _SOURCE, _no_media)
CHAT = (
    READABLE,
    Check("there are messages", _SOURCE, _no_messages),
    Check("messages have content", _SOURCE, _content),
    _SEES,
    Check("choices are known", _SOURCE, _choice),
    _TYPES,
    OVERFLOW,
)
TEXT = (READABLE, Check("there is a prompt", _SOURCE, _no_prompt), _TYPES, OVERFLOW)
RESPONSES = (READABLE, Check("there is an input to respond to", _SOURCE, _no_items), _SEES, _TYPES, OVERFLOW)
VECTORS = (READABLE, Check("there is an input to embed", _SOURCE, _no_input), OVERFLOW)
