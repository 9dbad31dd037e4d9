"""Whether embeddings are those that a call or its profile asks for, and which ones can be compared."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from llm_adapter.provider import Call, Json, NativeRequest, Rejected
from llm_adapter.translation.errors import no_reply
from llm_adapter.translation.parallel import Steps


def number_of_inputs(given: Any) -> int:
    """How many vectors an `input` asks for: a text and a list of token ids are one."""
    return len(given) if isinstance(given, list) and not (given and isinstance(given[0], int)) else 1


def check_number(reply: Any, got: int, wanted: int) -> None:
    """Raises `Rejected` where a reply has not one vector for each input."""
    if got != wanted:
        raise no_reply(reply, f"the server gave {got} embeddings for {wanted} inputs")


def in_order(reply: Json, wanted: int) -> list[Json]:
    """The data of a reply in the order of the inputs. Raises `Rejected` where a vector is missing or there twice.

    A server need not answer in their order: each vector has its place. Where none has one, they are as they came.
    """
    data = reply["data"]
    check_number(reply, len(data), wanted)
    places = [one.get("index") for one in data]
    if all(place is None for place in places):
        return [{**one, "index": place} for place, one in enumerate(data)]
    if set(places) != set(range(wanted)):
        raise no_reply(reply, f"the server's embeddings have the places {places[:10]}, not one for each input")
    return sorted(data, key=lambda one: int(one["index"]))


def vector_length(embedding: str | list[float]) -> int:
    """The dimensions of a vector, as numbers or as base64 of float32. Raises `Rejected` for a text that is none."""
    if isinstance(embedding, list):
        return len(embedding)
    try:
        size = len(base64.b64decode(embedding))
    except ValueError:
        size = 0
    if not size or size % 4:
        raise no_reply(embedding, "the server's embedding is no base64 of numbers")
    return size // 4


def first_too_long(inputs: Sequence[Any], request: Callable[[Any], NativeRequest]) -> Steps[int]:
    """The place of the first input that does not fit. Servers do not say it, so they are halved until it is found.

    request: the request that embeds some of the inputs.
    """
    start, end = 0, len(inputs)
    while end - start > 1:
        middle = (start + end) // 2
        reply = yield request(inputs[start:middle])
        start, end = (start, middle) if reply.status >= 400 else (middle, end)
    return start


def placed(refusal: Rejected, place: int) -> Rejected:
    """The refusal of the input at this place."""
    name, error = f"input[{place}]", refusal.error
    said = "server_message" if "server_message" in error else "message"
    error |= {said: f"{name}: {error[said]}", "param": name, "index": place}
    return refusal


def check_dimensions(call: Call, lengths: Sequence[int]) -> None:
    """Raises `Rejected` where the vectors do not have the length that is wanted.

    Servers ignore `dimensions` that they cannot give; an index built on a guess is found out much later.
    """
    asked, expected = call.body.get("dimensions"), call.settings.expected_dimensions
    for wanted, param in ((asked, "dimensions"), (None if asked else expected, "model")):
        got = next((length for length in lengths if length != wanted), None)
        if wanted is not None and got is not None:
            raise Rejected(
                f"the model gives embeddings of {got} dimensions, not {wanted}: use another model, or build the index "
                f"anew with {got}",
                param=param,
                code="embedding_dimensions_mismatch",
            )


def embedding_fingerprint(reply: Any, model: Any = None) -> str:
    """A text that is equal for vectors that can be compared, and differs for all others: model, dimensions, build.

    reply: what `client.embeddings.create` gave. model: what `client.models.retrieve` gave; without it, two builds
    under one name are taken for the same.
    """
    vector = reply.data[0].embedding
    length = len(vector) if isinstance(vector, list) else len(vector) * 3 // 16  # base64 of float32
    extra = getattr(model, "model_extra", None) or {}
    build = (extra.get("ollama") or {}).get("digest") or (str(model.created) if model is not None else "")
    return fingerprint(reply.model, length, build)


def fingerprint(model: str, length: int, build: str = "") -> str:
    """The fingerprint of its parts. build: what tells one build of the model from another; empty is any."""
    short = hashlib.sha256(build.encode()).hexdigest()[:12] if build else "any"
    return f"{model}:{length}:{short}"
