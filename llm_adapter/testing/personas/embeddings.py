"""POST /v1/embeddings and POST /api/embed: the script's vectors, or vectors that are made from the input."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.personas.speech import complete, prompt_tokens
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, whole
from llm_adapter.testing.turns import Turn


def embeddings(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """OpenAI's list of vectors; as base64, where it is asked for."""
    packed = request.fields.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "embedding": _base64_vector(vector) if packed else list(vector), "index": index}
        for index, vector in enumerate(vectors(persona, request, turn))
    ]
    tokens = turn.usage.prompt_tokens if turn.usage else _tokens(persona, request)
    usage: Json = {"prompt_tokens": tokens, "total_tokens": tokens}
    head: Json = {"object": "list", "data": data, "model": persona.reply_model(request)}
    return complete(turn, {**head, **persona.vectors, "usage": {**usage, **persona.vectors.get("usage", {})}})


def embed(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """Ollama's own: the vectors, and how long it took."""
    content = {
        "model": request.model,
        "embeddings": [list(vector) for vector in vectors(persona, request, turn)],
        "total_duration": 11_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": turn.usage.prompt_tokens if turn.usage else _tokens(persona, request),
    }
    return complete(turn, content)


def embed_one(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """Ollama's old way, POST /api/embeddings: the vector of one prompt, and nothing besides."""
    [vector] = vectors(persona, replace(request, body={**request.fields, "input": request.fields.get("prompt")}), turn)
    return complete(turn, {"embedding": list(vector)})


def nothing_old(persona: Persona, request: ServerRequest) -> Answer | None:
    """Its reply without a prompt."""
    return None if request.fields.get("prompt") else whole({"embedding": []})


def nothing(persona: Persona, request: ServerRequest) -> Answer | None:
    """Ollama's reply to an input without a text: no vectors, and the model is loaded."""
    empty = request.fields.get("input") in ("", [], None)
    return whole({"model": persona.reply_model(request), "embeddings": []}) if empty else None


def inputs(given: Any) -> list[Any]:
    """The inputs of a call, each a text or a list of token ids."""
    if not isinstance(given, list) or (given and isinstance(given[0], int)):
        return [given]
    return given


def vectors(persona: Persona, request: ServerRequest, turn: Turn) -> Iterator[Sequence[float]]:
    """A vector for each input: of the script, in turns, or made from the input."""
    model = persona.model(request.model)
    wanted = request.fields.get("dimensions")
    for place, one in enumerate(inputs(request.fields.get("input"))):
        if turn.vectors:
            yield _shorten(turn.vectors[place % len(turn.vectors)], wanted)
        else:
            own = model.dimensions if model else 8
            # A model that is longer than its own vectors is OpenAI's alone; elsewhere it is ignored.
            count = wanted if isinstance(wanted, int) and (0 < wanted < own or persona.dialect == "openai") else own
            yield derived_vector(str(one), count)


def derived_vector(text: str, dimensions: int) -> tuple[float, ...]:
    """A unit vector that is the same for the same text, whatever the machine and the process."""
    drawn = hashlib.shake_256(text.encode(errors="replace")).digest(2 * dimensions)
    return _unit([part / 32768 for part in struct.unpack(f">{dimensions}h", drawn)])


def _shorten(vector: Sequence[float], wanted: Any) -> Sequence[float]:
    return _unit(vector[:wanted]) if isinstance(wanted, int) and 0 < wanted < len(vector) else vector


def _unit(vector: Sequence[float]) -> tuple[float, ...]:
    length = math.hypot(*vector) or 1.0
    return tuple(part / length for part in vector)


def _base64_vector(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _tokens(persona: Persona, request: ServerRequest) -> int:
    tokens, size = prompt_tokens({"input": request.fields.get("input")}), persona.context_size(request)
    return tokens if size is None else min(tokens, size)
