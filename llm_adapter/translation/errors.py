"""Servers' errors in OpenAI's envelope, with OpenAI's codes.

Servers put their reason in different places: OpenAI's object, Ollama's string, llama.cpp's JSON inside Ollama's string
(recordings ollama-0.32.15), vLLM's bare object, plain text. The status stays, but for refusals that came as a 500:
the SDK repeats those twice, and the answer would be the same.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from llm_adapter.provider import Json, NativeReply, Rejected, json_bytes, parsed_json
from llm_adapter.translation import overflow
from llm_adapter.translation.wire import INTERRUPTED

_TOLD = 300  # characters that an error tells of a reply that cannot be read
PROMPT = "prompt"  # stands for the parameter that holds it
_PROMPTS = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input", "/responses": "input"}


class Meaning(NamedTuple):
    phrase: str  # in the server's message
    code: str
    param: str | None = None


# Source: the recordings of ollama 0.24.0 and 0.32.15; ollama server/routes.go v0.24.0; llama.cpp
# tools/server/server-context.cpp and server-common.cpp (2026-09); vllm entrypoints/openai/serving_engine.py and
# v1/engine/input_processor.py; sglang managers/tokenizer_manager.py; the words of lmstudio-bug-tracker's reports.
MEANINGS = (
    Meaning("exceeds the context length", "context_length_exceeded", PROMPT),
    Meaning("exceeds the available context size", "context_length_exceeded", PROMPT),
    Meaning("is too large to process. increase the physical batch size", "context_length_exceeded", PROMPT),
    Meaning("is larger than the max context size", "context_length_exceeded", PROMPT),
    Meaning("maximum context length", "context_length_exceeded", PROMPT),
    Meaning("longer than the context length", "context_length_exceeded", PROMPT),
    Meaning("longer than the model's context length", "context_length_exceeded", PROMPT),
    Meaning("longer than the maximum model length", "context_length_exceeded", PROMPT),
    Meaning("exceeds the context window", "context_length_exceeded", PROMPT),
    Meaning("is loaded with context length of only", "context_length_exceeded", PROMPT),
    Meaning("does not support tools", "unsupported_parameter", "tools"),
    Meaning("tools param requires --jinja", "unsupported_parameter", "tools"),
    Meaning("does not support thinking", "unsupported_parameter", "reasoning_effort"),
    Meaning("does not support insert", "unsupported_parameter", "suffix"),
    Meaning("does not support multimodal", "unsupported_parameter", "messages"),
    Meaning("image input is not supported", "unsupported_parameter", "messages"),
    Meaning("does not support chat", "unsupported_model", "model"),
    Meaning("does not support embeddings", "unsupported_model", "model"),
    Meaning("does not support generate", "unsupported_model", "model"),
    Meaning("must be of type", "invalid_type", "options"),
    Meaning("missing unit in duration", "invalid_value", "keep_alive"),
    Meaning("model is required", "missing_required_parameter", "model"),
)
_ABSENT = re.compile("not found|does not exist")  # a model: in Ollama's words, and in vLLM's
# Source: ollama server/sched.go ErrMaxQueue, v0.24.0.
_BUSY = "maximum pending requests exceeded"
_LESS_BUSY = (
    "; a lower `max_concurrency` sends it fewer at once, "
    "OLLAMA_NUM_PARALLEL and OLLAMA_MAX_QUEUE on the server let it take more"
)
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def checked(reply: NativeReply, path: str = "/chat/completions") -> NativeReply:
    """The reply itself. Raises `Rejected` when it is an error. path: the OpenAI call's."""
    if reply.status >= 400:
        refusal = server_refusal(reply.status, *_reason(reply))
        if refusal.error["param"] == PROMPT:
            refusal.error["param"] = _PROMPTS.get(path)
        raise overflow.worded(refusal, _PROMPTS.get(path)) if refusal.error["code"] == overflow.CODE else refusal
    return reply


def server_refusal(status: int, message: str, details: Json) -> Rejected:
    """A refusal from a server's message. details: what else its error object says; kept, nulls and codes apart."""
    meaning = next((row for row in MEANINGS if row.phrase in message.lower()), None)
    kept = {key: value for key, value in details.items() if key not in ("message", "type", "code", "param")}
    code, param = _code(details.get("code")), details.get("param")
    if meaning is not None:
        status, code, param = 400, meaning.code, meaning.param
    if code == overflow.CODE:
        kept = {**overflow.counts(message), **kept}
    elif status == 404 and code is None and "model" in message.lower() and _ABSENT.search(message):
        code, param = "model_not_found", "model"
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
    if _BUSY in message:
        message += _LESS_BUSY
    refusal = Rejected(message, param=param, code=code, status=status, kind=kind)
    refusal.error |= kept  # a server may have given any name there, our own arguments' too
    return refusal


def stream_error(error: Any) -> Json:
    """The envelope for an error inside a stream, which the SDK raises as `openai.APIError`."""
    message, details = _error_parts(error)
    return stream_envelope(server_refusal(500, message, details))


def stream_envelope(refusal: Rejected) -> Json:
    """A refusal as an error inside a stream."""
    refusal.error["param"] = None
    if refusal.error["code"] == overflow.CODE:
        overflow.worded(refusal, None)
    return refusal.envelope()


def no_reply(body: Any, why: str) -> Rejected:
    """The refusal of a 200 that is no reply, with the server's own words. why: what is wrong with it.

    Gateways answer 200 with an error's object in it, and some give the status that they mean inside (OpenRouter).
    """
    message, details = _error_parts(body["error"]) if _holds_error(body) else (f"{why}: {_words(body)}", {})
    status = details.get("code")
    meant = isinstance(status, int) and 400 <= status < 600
    return server_refusal(int(str(status)) if meant else 502, message, details)


def interrupted(strange: bytes) -> Json:
    """The envelope for a stream that stopped too early. strange: what it held that is no part of a reply."""
    if not strange.strip():
        return stream_error(INTERRUPTED)
    body = _json_or_text(strange)
    return stream_error(body["error"] if _holds_error(body) else f"{INTERRUPTED}: {_words(body)}")


def stream_error_of(data: bytes) -> Json:
    """The envelope for the data of an event that is called an error: an object, or a text."""
    body = _json_or_text(data)
    return stream_error(body["error"] if _holds_error(body) else _words(body))


def _json_or_text(data: bytes) -> Any:
    try:
        return parsed_json(data)
    except ValueError:
        return data.decode("utf-8", "replace").strip()


def _holds_error(body: Any) -> bool:
    return isinstance(body, dict) and bool(body.get("error"))


def _words(body: Any) -> str:
    """What a server says in something that is not OpenAI's error."""
    given = [body.get(name) for name in ("message", "detail", "msg")] if isinstance(body, dict) else [body]
    text = next((one for one in given if isinstance(one, str)), None)
    return (json_bytes(body).decode() if text is None else text)[:_TOLD]


def _reason(reply: NativeReply) -> tuple[str, Json]:
    try:
        body = parsed_json(reply.body)
    except ValueError:
        text = reply.body[:500].decode("utf-8", "replace").strip()
        return _message_text(reply.status, text), {}
    if not isinstance(body, dict):
        return _message_text(reply.status, str(body)), {}
    message, details = _error_parts(body.get("error", body))
    beside = {key: value for key, value in body.items() if key in ("signin_url",)}
    if beside.get("signin_url"):
        message = f"{message}: sign in at {beside['signin_url']}"
    return message or _message_text(reply.status, ""), {**details, **beside}


def _message_text(status: int, text: str) -> str:
    if status == 404 and "page not found" in text:
        return f"{text}: the server has no such endpoint; is the address right, and is it this kind of server?"
    return text or f"the server answered {status} without a reason"


def _error_parts(error: Any) -> tuple[str, Json]:
    """The message and the object around it; JSON inside a string is opened, for Ollama passes llama.cpp's on so."""
    if isinstance(error, str):
        if error.startswith("{"):
            try:
                inner = parsed_json(error.encode("utf-8", "surrogatepass"))
            except ValueError:
                inner = {}
            if _holds_error(inner):
                return _error_parts(inner["error"])
        return error, {}
    if isinstance(error, dict):
        message = error.get("message")
        return (message if isinstance(message, str) else str(message or error)), error
    return str(error), {}


def _code(code: Any) -> str | None:
    # llama.cpp repeats the status here, as a number; OpenAI's codes are words.
    return code if isinstance(code, str) else None
