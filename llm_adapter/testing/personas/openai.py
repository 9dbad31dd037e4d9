"""OpenAI itself: strict, with a key, and errors that have a param and a code.

Sources: openai/types (3.52.0) for the objects; `llm_adapter.devtools.openai_rules`, and the threads named there.
"""

from __future__ import annotations

from llm_adapter.testing.personas.chat import chat, completions
from llm_adapter.testing.personas.embeddings import embeddings
from llm_adapter.testing.personas.models import get_model, list_models
from llm_adapter.testing.personas.persona import (
    Check,
    Headers,
    Persona,
    ResponseShape,
    Route,
    Shape,
    TextShape,
    missing_model,
    too_long,
)
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, event, whole
from llm_adapter.testing.turns import Failure

_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API "
    "from your browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)
_NO_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble "
    "figuring out how to fix this, please contact us through our help center at help.openai.com.)"
)
# The kind of an error that a script gives by its status alone, and its code.
_KINDS = {429: ("requests", "rate_limit_exceeded"), 401: ("invalid_request_error", "invalid_api_key")}


def envelope(failure: Failure) -> Json:
    """OpenAI's error: message, type, param, code."""
    kind, code = _KINDS.get(
        failure.status, ("server_error" if failure.status >= 500 else "invalid_request_error", None)
    )
    named = {"param": failure.param, "code": failure.code or (code if failure.type is None else None)}
    return {"error": {"message": failure.message, "type": failure.type or kind, **named}}


def _unknown(request: ServerRequest, known_path: bool) -> Answer:
    if known_path:
        words = f"Not allowed to {request.method} on {request.path}"
        words += " (HINT: Perhaps you meant to use a different HTTP method?)"
        return whole(envelope(Failure(words, 405)), 405)
    return whole(envelope(Failure(f"Invalid URL ({request.method} {request.path})", 404)), 404)


def _interrupted(persona: Persona, request: ServerRequest, failure: Failure) -> tuple[bytes, ...]:
    """An error in the middle of a stream is an event; the Responses API has one of its own."""
    if request.path == "/v1/responses":
        told = {"type": "error", "code": failure.code, "message": failure.message, "param": failure.param}
        return (event({**told, "sequence_number": 0}, "error"),)
    return (event(envelope(failure)),)


def _key(persona: Persona, request: ServerRequest) -> Failure | None:
    # Its own type: the code of a wrong key does not go with a missing one.
    return None if request.authorized else Failure(_NO_KEY, 401, type="invalid_request_error")


def _unread(persona: Persona, request: ServerRequest) -> Failure | None:
    return Failure(_NO_JSON, 400) if request.text is not None else None


def _no_model(name: str) -> Failure:
    words = f"The model `{name}` does not exist or you do not have access to it."
    return Failure(words, 404, "model_not_found", "invalid_request_error")


def _refused(persona: Persona, request: ServerRequest) -> Failure | None:
    from llm_adapter.devtools.openai_rules import refusals  # loads the SDK, whose types are the rules

    found = refusals(request.path.removeprefix("/v1"), request.fields)
    if not found:
        return None
    error = found[0].error
    return Failure(str(error["message"]), 400, error.get("code"), "invalid_request_error", error.get("param"))


def _headers(request: ServerRequest) -> Headers:
    """What a support ticket needs, `reply._request_id` (openai-python README, "Request IDs")."""
    return (("x-request-id", f"req_fake{request.number:06d}"), ("openai-version", "2020-10-01"))


KEY = Check("a key comes with the request", "open-chat-studio#4265, and OpenAI's own words", _key)
_CALLED = (
    KEY,
    Check("a body is JSON", "NextChat#4064, OpenAI's own words", _unread),
    Check("OpenAI takes every argument", "llm_adapter.devtools.openai_rules", _refused),
    missing_model("crewAI#7205, and OpenAI's own words"),
    too_long(
        "langchaingo#1355, and OpenAI's own words",
        Failure(
            "This model's maximum context length is {size} tokens. However, your messages resulted in {tokens} tokens. "
            "Please reduce the length of the messages.",
            400,
            code="context_length_exceeded",
            type="invalid_request_error",
            param="messages",
        ),
    ),
)
_USAGE = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_FINGERPRINT = {"service_tier": "default", "system_fingerprint": "fp_fake000000"}

OPENAI = Persona(
    name="openai",
    dialect="openai",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, _CALLED)},
        "/v1/completions": {"POST": Route(completions, True, _CALLED)},
        "/v1/embeddings": {"POST": Route(embeddings, True, _CALLED, streams=False)},
        "/v1/responses": {"POST": Route(responses, True, _CALLED)},
        "/v1/models": {"GET": Route(list_models, checks=(KEY,))},
        "/v1/models/{model}": {"GET": Route(get_model, checks=(KEY,))},
    },
    envelope=envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    shape=Shape(
        completion=_FINGERPRINT,
        choice={"logprobs": None},
        message={"refusal": None, "annotations": []},
        usage=_USAGE,
        chunk=_FINGERPRINT,
        chunk_choice={"logprobs": None},
        opening={"role": "assistant", "content": "", "refusal": None},
        usage_null=True,
        counts=True,
    ),
    text_shape=TextShape(
        completion={"system_fingerprint": "fp_fake000000"},
        choice={"logprobs": None},
        chunk={"system_fingerprint": "fp_fake000000"},
        early_usage={"usage": None},
        counts=True,
    ),
    headers=_headers,
    missing=_no_model,
    response=ResponseShape(
        {
            "error": None,
            "instructions": None,
            "max_output_tokens": None,
            "max_tool_calls": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": None,
            "background": False,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": None,
            "service_tier": "default",
            "store": True,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "truncation": "disabled",
            "user": None,
        },
        cached={"cached_tokens": 0, "cache_write_tokens": 0},
    ),
)
