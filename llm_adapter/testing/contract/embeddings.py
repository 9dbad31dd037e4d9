"""Embeddings: one vector for each text, in order, in both encodings, of the length that was asked for."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from functools import partial
from typing import Any

import openai

from llm_adapter.testing.contract.case import Case, Check, Script, error_of, expect, unless_refused

_TEXTS = ["A dog in the garden", "A proof of a theorem", "Rain in November"]
_TOLERANCE = 1e-3  # of a component: servers compute batches in another order
_TOKENS = [[15339, 1917]]  # "hello world" in cl100k_base


def one(case: Case) -> Script:
    """A text has a vector."""
    got = yield case.embed(_TEXTS[0])
    expect(got.object == "list" and len(got.data) == 1, "a list of one vector", got.object)
    expect(got.data[0].object == "embedding" and got.data[0].index == 0, "an embedding of index 0", got.data[0].index)
    expect(_is_vector(got.data[0].embedding), "numbers", got.data[0].embedding)
    expect(got.model, "the model's name", got.model)


def usage(case: Case) -> Script:
    """Vectors have token counts."""
    got = (yield case.embed(_TEXTS)).usage
    expect(got is not None and got.prompt_tokens > 0, "token counts", got)
    expect(got.total_tokens >= got.prompt_tokens, "a total of at least the prompt's", got)


def order(case: Case) -> Script:
    """A list's vectors come in its order, the same as each text's own."""
    data = (yield case.embed(_TEXTS)).data
    expect([item.index for item in data] == [0, 1, 2], "vectors of index 0, 1, 2", [item.index for item in data])
    expect(len({tuple(item.embedding) for item in data}) == 3, "three vectors that differ", "the same one again")
    for text, item in zip(_TEXTS, data, strict=True):
        alone = (yield case.embed(text)).data[0].embedding
        near = _cosine(alone, item.embedding)
        expect(near > 0.99, f"the vector of {text!r}, as it is alone", f"one with a cosine of {near:.3f} to it")


def encodings(case: Case) -> Script:
    """base64 and float give the same vector."""
    floats = (yield case.embed(_TEXTS[0], encoding_format="float")).data[0].embedding
    expect(_is_vector(floats), "numbers, for `float`", floats)
    packed = (yield case.embed(_TEXTS[0], encoding_format="base64")).data[0].embedding
    expect(isinstance(packed, str), "a text in base64, for `base64`", f"a {type(packed).__name__}")
    raw = base64.b64decode(packed)
    expect(len(raw) == 4 * len(floats), f"{len(floats)} floats of four bytes", f"{len(raw)} bytes")
    unpacked = struct.unpack(f"<{len(floats)}f", raw)
    apart = max(abs(a - b) for a, b in zip(floats, unpacked, strict=True))
    expect(apart < _TOLERANCE, "the same vector", f"one that is {apart:.3g} apart")


def shorter(case: Case) -> Script:
    """dimensions gives vectors of that length, or is refused by name."""
    whole = len((yield case.embed(_TEXTS[0])).data[0].embedding)
    asked = whole // 2
    got = yield from unless_refused(lambda: case.embed(_TEXTS[0], dimensions=asked), "dimensions")
    expect(len(got.data[0].embedding) == asked, f"{asked} dimensions", f"{len(got.data[0].embedding)}")


def longer(case: Case) -> Script:
    """dimensions above the model's own is refused, and not ignored."""
    whole = len((yield case.embed(_TEXTS[0])).data[0].embedding)
    call = partial(case.embed, _TEXTS[0], dimensions=whole * 2)
    yield from error_of(call, openai.BadRequestError, f"BadRequestError: the model has {whole} dimensions")


def empty(case: Case) -> Script:
    """An empty list is BadRequestError."""
    yield from error_of(lambda: case.embed([]), openai.BadRequestError, "BadRequestError for `input: []`")


def tokens(case: Case) -> Script:
    """Token ids, as LangChain sends them, give a vector or are refused with a 400."""
    try:
        got = yield case.embed(_TOKENS)
    except openai.BadRequestError:
        return
    expect(len(got.data) == 1 and _is_vector(got.data[0].embedding), "one vector", f"{len(got.data)}")


def unknown_model(case: Case) -> Script:
    """An embedding model that is not there is NotFoundError, with the code model_not_found."""
    call = partial(case.client.embeddings.create, model="no-such-model-here", input="A dog")
    error = yield from error_of(call, openai.NotFoundError, "NotFoundError")
    expect(error.code == "model_not_found", "the code 'model_not_found'", repr(error.code))


def _is_vector(vector: Any) -> bool:
    return isinstance(vector, list) and bool(vector) and all(isinstance(number, (int, float)) for number in vector)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    norms = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


_ORDER = "keep the order of the input: an index that is built of mixed vectors finds the wrong texts"
_LENGTH = "cut and normalise, or refuse `dimensions` by name: an index takes one length"
_VECTORS = ("embeddings",)
CHECKS = (
    Check("embedding", one, "answer with OpenAI's fields", _VECTORS),
    Check("embedding_usage", usage, "count tokens", _VECTORS),
    Check("embedding_order", order, _ORDER, _VECTORS),
    Check("embedding_encodings", encodings, "send float32, little-endian: the SDK asks for base64", _VECTORS),
    Check("embedding_dimensions", shorter, _LENGTH, _VECTORS),
    Check("embedding_dimensions_above", longer, _LENGTH, _VECTORS),
    Check("embedding_empty", empty, "refuse it: a stored vector of nothing is near to everything", _VECTORS),
    Check("embedding_tokens", tokens, "decode them, or say that texts are wanted", _VECTORS),
    Check(
        "embedding_unknown_model",
        unknown_model,
        "answer 404 with OpenAI's `code`",
        (*_VECTORS, "unknown_models"),
    ),
)
