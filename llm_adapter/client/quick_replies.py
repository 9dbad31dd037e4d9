"""From a whole reply's JSON to the SDK's object, without what the SDK does for replies of any other kind.

Skipped: the SDK's `APIResponse`, which is for callers who ask for it, and its construction of an object field by field.

Safe, because strict validation gives an object equal to the SDK's where it succeeds, and where it does not, or where
the caller asked for the response itself, the SDK's own way is gone.

Proved by tests/client/test_fast.py and tests/client/test_quick_replies.py. Source: openai-python _base_client.py
_process_response and _response.py APIResponse.parse, v3.54.0.
"""

from __future__ import annotations

from typing import Any

from openai._models import add_request_id
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import (
    Response,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
)
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from llm_adapter.transport.held_reply import RAW, held_json

# Replies whose strict validation gives an object equal to the SDK's field-by-field construction, which
# tests/client/test_fast.py proves: some 5 µs a chunk instead of 130.
FAST: frozenset[Any] = frozenset({ChatCompletion, ChatCompletionChunk, Completion, CreateEmbeddingResponse, Response})

CHUNKS: frozenset[Any] = frozenset({ChatCompletionChunk, Completion})  # of which streams are made
# Nearly all events of a streamed response, by their type; the SDK looks for a class among all fifty each time.
DELTAS: dict[Any, Any] = {
    "response.output_text.delta": ResponseTextDeltaEvent,
    "response.function_call_arguments.delta": ResponseFunctionCallArgumentsDeltaEvent,
    "response.reasoning_summary_text.delta": ResponseReasoningSummaryTextDeltaEvent,
}


def strictly_validated(data: object, cast_to: Any) -> Any:
    """The SDK's object of a reply's JSON; None where the SDK has to construct it."""
    if cast_to is ResponseStreamEvent:
        cast_to = DELTAS.get(data["type"]) if type(data) is dict and type(data.get("type")) is str else None
        if cast_to is None:
            return None
    elif cast_to not in FAST:
        return None
    try:
        if cast_to is CreateEmbeddingResponse and (texts := _base64_texts(data)):
            return _embeddings_of(data, texts)
        return cast_to.__pydantic_validator__.validate_python(data, strict=True)
    except ValidationError:
        return None


def _base64_texts(data: Any) -> list[str]:
    """The vectors of a list of embeddings where all are base64, which the SDK decodes later."""
    items = data.get("data") if isinstance(data, dict) else None
    vectors = [one.get("embedding") if type(one) is dict else None for one in items] if type(items) is list else []
    return vectors if frozenset({str}).issuperset(map(type, vectors)) else []  # type: ignore[return-value]


def _embeddings_of(data: Any, texts: list[str]) -> Any:
    """The object with texts where its type has lists of numbers, as the SDK has it until it decodes them."""
    empty = {**data, "data": [{**one, "embedding": []} for one in data["data"]]}
    reply = CreateEmbeddingResponse.__pydantic_validator__.validate_python(empty, strict=True)
    for one, text in zip(reply.data, texts, strict=True):
        vars(one)["embedding"] = text
    return reply


def whole_reply(client: Any, *, cast_to: Any, options: Any, response: Any, stream: bool, **_: Any) -> Any:
    """The object of a response that was read; None where it is for the SDK to make one."""
    if stream or cast_to not in FAST or client._strict_response_validation or not response.is_closed:
        return None
    if RAW in response.request.headers:
        return None
    data = held_json(response)
    if data is None:
        try:
            data = from_json(response.content)
        except ValueError:  # another encoding, or no JSON
            return None
    reply = client._process_response_data(data=data, cast_to=cast_to, response=response)
    if callable(options.post_parser):
        reply = options.post_parser(reply)
    if isinstance(reply, BaseModel):
        add_request_id(reply, response.headers.get("x-request-id"))  # type: ignore[arg-type]
    return reply
