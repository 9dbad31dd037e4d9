"""Whether embeddings have the length that a call or its profile asks for, and which ones can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from llm_adapter.provider import Call, Rejected


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
