"""The models that a server has: Ollama's own routes for them, and /v1/models.

Source: the recordings of ollama 0.24.0 and 0.32.15; server/routes.go, v0.24.0.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from llm_adapter.settings.durations import seconds as seconds_of
from llm_adapter.testing.personas.persona import EMBEDDING, Model, Persona, model_by_name, refused
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, empty, plain, stamp, streamed_lines, whole
from llm_adapter.testing.turns import Failure, Turn

_CONTEXT = 4096  # tokens; what Ollama gives a model by default on a small machine
_FOREVER = "2318-04-11T23:47:16.854775807Z"


def list_models(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /v1/models."""
    data = [persona.model_entry(request, model) for model in persona.listed_models]
    return whole({"object": "list", "data": data or persona.no_models, **persona.models_extra(persona)})


def get_model(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /v1/models/{model}."""
    name = unquote(request.path.removeprefix("/v1/models/"))
    model = persona.model(name)
    if persona.dialect == "ollama" and not Model(name).nameable:
        return refused(persona, request, Failure("invalid model name", 400))
    if model is None:
        shown = Model(name).tagged if persona.tells_capabilities else name  # recording models
        return refused(persona, request, persona.missing(shown))
    return whole({**persona.model_entry(request, model), "id": name})


def tags(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /api/tags."""
    return whole({"models": [_tag(persona, request, model) for model in persona.listed_models]})


def _tag(persona: Persona, request: ServerRequest, model: Model) -> Json:
    details = _details(model)
    known: Json = {}
    if persona.tells_capabilities:
        details |= {"context_length": model.context or _CONTEXT, "embedding_length": model.dimensions}
        known = {"capabilities": sorted(model.capabilities)}
    return {
        **_name_fields(model),
        "modified_at": stamp(request.time),
        "size": 1_000_000,
        **_digest_fields(model),
        "details": details,
    } | known


def _name_fields(model: Model) -> Json:
    return {"name": model.tagged, "model": model.tagged}


def _digest_fields(model: Model) -> Json:
    return {"digest": hashlib.sha256(model.tagged.encode()).hexdigest()}


def _details(model: Model) -> Json:
    family = "bert" if model.capabilities == EMBEDDING else "llama"
    sizes = {"parameter_size": "1B", "quantization_level": "Q4_K_M"}
    return {"parent_model": "", "format": "gguf", "family": family, "families": [family], **sizes}


def show(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/show."""
    model = persona.model(request.model) or model_by_name(request.model)
    details = _details(model)
    family = details["family"]
    info = {
        "general.architecture": family,
        "general.parameter_count": 1_000_000_000,
        f"{family}.context_length": model.context or persona.context or _CONTEXT,
        f"{family}.embedding_length": model.dimensions,
    }
    content = {
        "modelfile": f"FROM {model.tagged}\n",
        "parameters": "temperature                    0.7",
        "template": "{{ .Prompt }}",
        "details": details,
        "model_info": info,
        "tensors": [{"name": "token_embd.weight", "type": "F16", "shape": [model.dimensions, 8]}],
        "capabilities": sorted(model.capabilities),
        "modified_at": stamp(request.time),
    }
    return whole(content)


def ps(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """GET /api/ps: what is loaded, until when, and with which context."""
    running = []
    for name, (keep_alive, since, context) in persona.loaded.items():
        model = persona.model(name)
        if model is not None:
            held = {"expires_at": _expiry(keep_alive, since), "size_vram": 0}
            sizes = {"context_length": context or model.context or persona.context or _CONTEXT}
            running.append(
                {**_name_fields(model), "size": 1_000_000, **_digest_fields(model), "details": _details(model)}
                | held
                | sizes
            )
    return whole({"models": running})


def _expiry(keep_alive: Any, since: float) -> str:
    kept = seconds_of(keep_alive)
    return _FOREVER if kept < 0 else stamp(since + kept)


def version(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    return whole({"version": persona.version})


def running(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    return plain("Ollama is running")


def pull(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/pull: progress, line by line. A model that the library does not have is an error at status 200."""
    steps: list[Json] = [{"status": "pulling manifest"}]
    if persona.model(request.model) is None and request.model not in persona.library:
        steps.append({"error": "pull model manifest: file does not exist"})
    else:
        digest = "sha256:" + hashlib.sha256(request.model.encode()).hexdigest()
        layer = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 1_000_000}
        steps += [{**layer, **done} for done in ({}, {"completed": 500_000}, {"completed": 1_000_000})]
        steps += [{"status": status} for status in ("verifying sha256 digest", "writing manifest", "success")]
    return _progress(request, steps)


def push(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/push: as server/images.go PushModel tells of it. Only names of an account may be pushed."""
    name = Model(request.model).manifest
    steps: list[Json] = [{"status": "retrieving manifest"}]
    digest = hashlib.sha256(request.model.encode()).hexdigest()
    if persona.model(request.model) is None:
        path = f"registry.ollama.ai/{'' if '/' in name else 'library/'}{name.replace(':', '/')}"
        words = f"open /root/.ollama/models/manifests/{path}: no such file or directory"
        steps += [{"status": "couldn't retrieve manifest"}, {"error": words}]
    elif "/" not in name:
        steps.append({"error": "unauthorized: access denied"})
    else:
        layer = {"status": f"pushing {digest[:12]}", "digest": f"sha256:{digest}", "total": 1_000_000}
        steps += [{**layer, **done} for done in ({}, {"completed": 1_000_000})]
        steps += [{"status": status} for status in ("pushing manifest", "success")]
    return _progress(request, steps)


_DIGEST = re.compile(r"sha256[-:][0-9a-fA-F]{64}")


def has_blob(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """HEAD /api/blobs/{digest}."""
    digest = _blob(request)
    if not _DIGEST.fullmatch(digest):
        return empty(400)
    return empty(200 if digest in persona.blobs else 404)


def add_blob(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/blobs/{digest}: a file, which has to have that digest."""
    digest = _blob(request)
    if not _DIGEST.fullmatch(digest):
        return whole({"error": "invalid digest format"}, 400)
    if digest in persona.blobs:
        return empty()
    if digest != request.digest:
        return whole({"error": f'digest mismatch, expected "{digest}", got "{request.digest}"'}, 400)
    return empty(201)


def _blob(request: ServerRequest) -> str:
    return unquote(request.path.rpartition("/")[2])


def create(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/create, from a model or from files that are there."""
    source = request.fields.get("from")
    for name, digest in request.part("files").items():
        if (start := persona.blobs.get(str(digest))) is None:
            words = f"open /root/.ollama/models/blobs/{str(digest).replace(':', '-')}: no such file or directory"
            return _progress(request, [{"error": words}])
        if name.endswith(".gguf") and start != "GGUF":
            return _progress(request, [{"status": "parsing GGUF"}, {"error": "invalid file magic"}])
    if isinstance(source, str) and persona.model(source) is None:
        return _progress(
            request, [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}]
        )
    layer = "using existing layer sha256:" + hashlib.sha256(str(source).encode()).hexdigest()
    return _progress(request, [{"status": status} for status in (layer, "writing manifest", "success")])


def _progress(request: ServerRequest, steps: list[Json]) -> Answer:
    if request.streamed:
        return streamed_lines(steps)
    last = steps[-1]
    return whole(last, 500 if "error" in last else 200)


def copy(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """POST /api/copy."""
    source = request.fields.get("source")
    if persona.model(str(source)) is None:
        return whole({"error": f'model "{source}" not found'}, 404)
    return empty()


def delete(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """DELETE /api/delete."""
    if persona.model(request.model) is None:
        return whole({"error": f"model '{request.model}' not found"}, 404)
    return empty()


_TOO_LONG = (b"exceeds the context length", b"exceeds the available context size")


def after(persona: Persona, request: ServerRequest, answer: Answer) -> Persona:
    """The server after a request: other models in memory, or on its disk. Anything but Ollama stays as it is."""
    # Whether a prompt fits is known when its model is loaded (server/routes.go ChatHandler, v0.24.0).
    done = answer.status in (200, 201) or any(words in answer.body for words in _TOO_LONG)
    if persona.dialect != "ollama" or not done or b'"error":"pull' in answer.body:
        return persona
    body, have = request.fields, persona.models
    if request.digest:
        return replace(persona, blobs={**persona.blobs, request.digest: (request.text or "")[:4]})
    match request.path.rpartition("/")[2]:
        case "chat" | "generate" | "embed" | "completions" | "embeddings" | "responses":
            return replace(persona, loaded=_loaded_models(persona, request))
        case "pull" | "create" if have is not None and persona.model(request.model) is None:
            return replace(persona, models=(*have, model_by_name(request.model)))
        case "copy" if have is not None and (source := persona.model(str(body.get("source")))):
            return replace(persona, models=(*have, replace(source, name=str(body.get("destination")))))
        case "delete" if have is not None:
            gone = persona.model(request.model)
            return replace(persona, models=tuple(model for model in have if model is not gone))
    return persona


def _loaded_models(persona: Persona, request: ServerRequest) -> dict[str, tuple[Any, float, int | None]]:
    """The models in memory: this one now too, unless keep_alive 0 has sent it out."""
    name = (persona.model(request.model) or Model(request.model)).tagged
    before = persona.loaded.get(name)
    # A call without keep_alive leaves that of the loaded model: so do all of /v1 (ollama-wire: sched.go).
    keep_alive = request.fields.get("keep_alive") if request.native else None
    kept = keep_alive if keep_alive is not None else before[0] if before else None
    others = {other: held for other, held in persona.loaded.items() if other != name}
    return others if seconds_of(kept) == 0 else {**others, name: (kept, request.time, persona.context_size(request))}


def missing(name: str) -> Failure:
    """Ollama's words for a model that it does not have."""
    return Failure(f"model '{name}' not found", 404)
