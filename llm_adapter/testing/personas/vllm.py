"""vLLM: every field of its types is written, null or not; what it does not know is dropped with a line in its log.

Sources: vllm entrypoints/openai/protocol.py, chat_completion/serving.py and api_server.py, 002032ee. Not recorded.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from llm_adapter.testing.personas.chat import chat, completions, prompt_count
from llm_adapter.testing.personas.embeddings import embeddings
from llm_adapter.testing.personas.models import get_model, list_models, version
from llm_adapter.testing.personas.openai import OPENAI
from llm_adapter.testing.personas.persona import Check, Model, Persona, Route, Shape, TextShape, missing_model, too_long
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.wire import DONE, Answer, Json, ServerRequest, event, part_of, whole
from llm_adapter.testing.turns import Failure, Turn

_KINDS = {400: "BadRequestError", 404: "NotFoundError", 422: "UnprocessableEntityError", 501: "NotImplementedError"}


def _envelope(failure: Failure) -> Json:
    """protocol.py ErrorResponse: its `code` is the status."""
    kind = failure.type or _KINDS.get(failure.status, "InternalServerError")
    error = {"message": failure.message, "type": kind, "param": failure.param, "code": failure.status}
    return {"error": error}


def _unknown(request: ServerRequest, known_path: bool) -> Answer:
    status = HTTPStatus.METHOD_NOT_ALLOWED if known_path else HTTPStatus.NOT_FOUND
    return whole(_envelope(Failure(status.phrase, status.value, type=status.phrase)), status.value)


def _interrupted(persona: Persona, request: ServerRequest, failure: Failure) -> tuple[bytes, ...]:
    """The error as an event, and [DONE] all the same: serving.py create_streaming_error_response."""
    return (event(_envelope(failure)), DONE)


def _no_model(name: str) -> Failure:
    return Failure(f"The model `{name}` does not exist.", 404, param="model")


def _model_entry(request: ServerRequest, model: Model) -> Json:
    head = {"id": model.name, "object": "model", "created": int(request.time), "owned_by": "vllm"}
    return {**head, "root": model.name, "parent": None, "max_model_len": model.context or 4096, "permission": []}


def _history(persona: Persona, request: ServerRequest) -> Failure | None:
    """Arguments of calls in the history are read as JSON for the template; empty ones are none."""
    try:
        for function in request.called_functions:
            if isinstance(arguments := function.get("arguments"), str) and arguments:
                json.loads(arguments)
    except ValueError as problem:
        return Failure(str(problem), 400)
    return None


def _form(request: ServerRequest) -> Any:
    """The form that covers a whole reply, with tools beside it as well."""
    form = request.part("response_format")
    return "json" if form.get("type") == "json_object" else part_of(form, "json_schema").get("schema")


def _stops(persona: Persona, request: ServerRequest) -> Failure | None:
    given = request.fields.get("stop")
    empty = given == "" or (isinstance(given, list) and "" in given)
    return Failure("stop cannot contain an empty string.", 400) if empty else None


_CALLED = (
    missing_model("vllm serving_engine.py _check_model"),
    Check("no stop is empty", "vllm sampling_params.py _verify_args", _stops),
    Check("arguments in the history are JSON", "vllm chat_utils.py _postprocess_messages; vllm#43995", _history),
    too_long(
        "vllm serving_engine.py _validate_input",
        Failure(
            "This model's maximum context length is {size} tokens. However, your request has {tokens} input tokens. "
            "Please reduce the length of the input messages.",
            400,
        ),
    ),
)
_LISTED = {"prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None}
_USAGE = {"prompt_tokens_details": None}
_FINGERPRINT = {"service_tier": None, "system_fingerprint": None}


def _tokenize(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /tokenize of messages: serve/tokenize/protocol.py TokenizeResponse."""
    tokens = prompt_count(persona, request)
    size = persona.context_size(request) or 4096
    return whole({"count": tokens, "max_model_len": size, "tokens": list(range(tokens)), "token_strs": None})


VLLM = Persona(
    name="vllm",
    dialect="vllm",
    routes={
        "/v1/chat/completions": {"POST": Route(chat, True, _CALLED)},
        "/v1/completions": {"POST": Route(completions, True, _CALLED)},
        "/v1/embeddings": {"POST": Route(embeddings, True, _CALLED, streams=False)},
        "/v1/responses": {"POST": Route(responses, True, _CALLED)},
        "/tokenize": {"POST": Route(_tokenize, checks=_CALLED)},
        "/v1/models": {"GET": Route(list_models)},
        "/v1/models/{model}": {"GET": Route(get_model)},
        "/version": {"GET": Route(version)},
    },
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    shape=Shape(
        reasoning="reasoning",
        completion={**_FINGERPRINT, **_LISTED},
        choice={"logprobs": None, "stop_reason": None, "token_ids": None},
        message={
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
            "reasoning": None,
        },
        usage=_USAGE,
        chunk_choice={"logprobs": None},
        opening={"role": "assistant", "content": ""},
        closing={"content": ""},
        counts=True,
        call_ids="chatcmpl-tool-fake{number:04d}{place:04d}",
    ),
    text_shape=TextShape(
        completion={**_FINGERPRINT, "kv_transfer_params": None},
        choice={"logprobs": None, "stop_reason": None},
        usage=_USAGE,
        counts=True,
    ),
    vectors={"id": "embd-fake", "created": 1_700_000_000, "usage": {"completion_tokens": 0, **_USAGE}},
    model_entry=_model_entry,
    missing=_no_model,
    form=_form,
    response=OPENAI.response,
    version="0.11.0",
)
