"""A name for the space that embeddings live in, to store with an index.

Vectors of two models cannot be compared, also where their lengths are the same: the ranking is noise, and nothing says
so (P15). An index that carries the fingerprint can be checked before it is searched.
"""

from __future__ import annotations

import hashlib
from typing import Any


def embedding_fingerprint(reply: Any, model: Any = None) -> str:
    """The same for vectors that can be compared, and for no others: model, dimensions, build.

    reply: what `client.embeddings.create` gave. model: what `client.models.retrieve` gave; without it, two builds
    under one name are taken for the same.
    """
    vector = reply.data[0].embedding
    length = len(vector) if isinstance(vector, list) else len(vector) * 3 // 16  # base64 of float32
    extra = getattr(model, "model_extra", None) or {}
    build = (extra.get("ollama") or {}).get("digest") or (str(model.created) if model is not None else "")
    return fingerprint(reply.model, length, build)


def fingerprint(model: str, length: int, build: str = "") -> str:
    """The name of a space. build: what tells one build of the model from another; empty is any."""
    short = hashlib.sha256(build.encode()).hexdigest()[:12] if build else "any"
    return f"{model}:{length}:{short}"
