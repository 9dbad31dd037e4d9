"""Ollama 0.24 and 0.32: its own API, and the /v1 that drops what it does not know.

Sources: the recordings of ollama 0.24.0 and 0.32.15; openai/openai.go and middleware/openai.go, v0.24.0, v0.33.0-rc2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas import models
from llm_adapter.testing.personas import ollama_checks as checks
from llm_adapter.testing.personas.chat import chat, completions, prompt_count
from llm_adapter.testing.personas.embeddings import embed, embed_one, embeddings, nothing, nothing_old
from llm_adapter.testing.personas.persona import Check, Model, Persona, ResponseShape, Route, Shape, TextShape
from llm_adapter.testing.personas.responses import responses
from llm_adapter.testing.personas.speech import Frames, Utterance, complete, streamed, utterance
from llm_adapter.testing.personas.wire import LINES, Answer, Json, ServerRequest, event, line, plain, stamp, whole
from llm_adapter.testing.turns import Failure, Turn

# --- the native API, streamed as lines of JSON unless it is asked not to

_NATIVE_CALL_IDS = "call_f{number:04d}{place:03d}"  # eight letters and digits, as Ollama's


def native_chat(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """The reply to /api/chat."""
    spoken = _native_utterance(persona, request, turn)
    if not request.streamed:
        message = _message(spoken.text, spoken.thought, _calls(request, spoken))
        return complete(turn, _end(request, spoken, "message", message, _tokens(spoken)))
    parts = (
        *((_message("", piece), piece) for piece in spoken.thinking),
        *((_message(piece), piece) for piece in spoken.content),
        *((_message("", calls=[call]), "") for call in _calls(request, spoken)),
    )
    sent = [_begin(request, "message", message, (token,)) for message, token in parts]
    return streamed(turn, _line_frames(turn, sent, _end(request, spoken, "message", _message(""))), LINES)


def generate(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """The reply to /api/generate. A raw prompt has no template: nothing thinks, and there is no context to go on."""
    spoken = _native_utterance(persona, request, turn)
    if not request.streamed:
        thought = {"thinking": spoken.thought} if spoken.thinking else {}
        end = _end(request, spoken, "response", spoken.text, _tokens(spoken), **thought)
        return complete(turn, {**end, **_context(request)})
    sent = [_begin(request, "response", "", (piece,), thinking=piece) for piece in spoken.thinking]
    sent += [_begin(request, "response", piece, (piece,)) for piece in spoken.content]
    return streamed(
        turn, _line_frames(turn, sent, {**_end(request, spoken, "response", ""), **_context(request)}), LINES
    )


def loading(persona: Persona, request: ServerRequest) -> Answer | None:
    """The reply to a call without messages or prompt: the model is loaded, or with keep_alive 0 unloaded."""
    body, chatting = request.fields, request.path == "/api/chat"
    if body.get("messages" if chatting else "prompt") or body.get("suffix"):
        return None
    reason = "unload" if body.get("keep_alive") in (0, "0", "0s") else "load"
    said_nothing: Any = _message("") if chatting else ""
    content = {**_head(request), ("message" if chatting else "response"): said_nothing, "done": True}
    return whole({**content, "done_reason": reason})


def _native_utterance(persona: Persona, request: ServerRequest, turn: Turn) -> Utterance:
    options = request.part("options")
    model = persona.model(request.model)
    able = model is not None and "thinking" in model.capabilities
    thinks = able and request.fields.get("think") is not False and not request.fields.get("raw")
    limit, stop = options.get("num_predict"), options.get("stop")
    return utterance(turn, prompt_count(persona, request), limit, stop, thinks=thinks)


def _head(request: ServerRequest) -> Json:
    return {"model": request.model, "created_at": stamp(request.time)}


def _message(content: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
    thought = {"thinking": thinking} if thinking else {}
    return {"role": "assistant", "content": content, **thought, **({"tool_calls": calls} if calls else {})}


def _calls(request: ServerRequest, spoken: Utterance) -> list[Json]:
    return [
        {
            "id": call.id or _NATIVE_CALL_IDS.format(number=request.number, place=place),
            "function": {**call.placed(place), "name": call.name, "arguments": call.parsed},
        }
        for place, call in enumerate(spoken.calls)
    ]


def _begin(request: ServerRequest, name: str, value: Any, tokens: tuple[str, ...], **more: Any) -> bytes:
    return line({**_head(request), name: value, **more, "done": False, **_logprobs(request, tokens)})


def _end(
    request: ServerRequest, spoken: Utterance, name: str, value: Any, tokens: tuple[str, ...] = (), **more: Any
) -> Json:
    """The last object, with counts and durations: nanoseconds, made up."""
    prompt, completion = spoken.usage
    reason = spoken.finish if spoken.finish != "tool_calls" else "stop"  # a word that Ollama's own API never says
    return {
        **_head(request),
        name: value,
        **more,
        "done": True,
        "done_reason": reason,
        **_logprobs(request, tokens),
        "total_duration": 1_000_000 * (3 + prompt + 2 * completion),
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": 1_000_000 * max(1, prompt),
        "eval_count": completion,
        "eval_duration": 2_000_000 * max(1, completion),
    }


def _tokens(spoken: Utterance) -> tuple[str, ...]:
    return (*spoken.thinking, *spoken.content)


def _logprobs(request: ServerRequest, tokens: tuple[str, ...]) -> Json:
    if not request.fields.get("logprobs") or not any(tokens):
        return {}
    top = request.fields.get("top_logprobs")
    return {"logprobs": [_token(token, top if isinstance(top, int) else 0) for token in tokens]}


def _token(token: str, top: int) -> Json:
    one = {"token": token, "logprob": -0.1, "bytes": list(token.encode(errors="replace"))}
    return {**one, "top_logprobs": [{**one, "logprob": -0.1 - place} for place in range(top)]} if top else one


def _context(request: ServerRequest) -> Json:
    return {} if request.fields.get("raw") else {"context": [1, 2, 3]}


def _line_frames(turn: Turn, sent: list[bytes], end: Json) -> Frames:
    broken = (line({"error": turn.failure.message}),) if turn.failure else ()
    return Frames(tuple(sent), (line(end),), broken)


# --- /v1

# openai.go ChatCompletionRequest: what is not here is dropped without a word.
READS = frozenset(
    {"model", "messages", "stream", "stream_options", "max_tokens", "seed", "stop", "temperature", "top_p"}
    | {"frequency_penalty", "presence_penalty", "response_format", "tools", "reasoning", "reasoning_effort"}
    | {"logprobs", "top_logprobs"}
)
# openai.go NewError: everything that is neither 400 nor 404 is one kind; param and code are always null.
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def _envelope(failure: Failure) -> Json:
    kind = _TYPES.get(failure.status, "api_error")
    return {"error": {"message": failure.message, "type": kind, "param": None, "code": None}}


def _unknown(request: ServerRequest, known_path: bool) -> Answer:
    return plain("405 method not allowed", 405) if known_path else plain("404 page not found", 404)


def _interrupted(persona: Persona, request: ServerRequest, failure: Failure) -> tuple[bytes, ...]:
    """The error is decoded as a reply without anything, and the stream ends like that."""
    if request.path == "/v1/responses":
        return ()
    if request.path == "/v1/completions":
        choice: Json = {"text": "", "index": 0, "finish_reason": None}
        head = {"id": persona.text_shape.ids.format(number=request.number), "object": "text_completion"}
    else:
        choice = {"index": 0, "delta": {**persona.shape.every, "content": ""}, "finish_reason": None}
        head = {"id": persona.shape.ids.format(number=request.number), "object": "chat.completion.chunk"}
    stamp = {"created": int(request.time), "model": "", "system_fingerprint": "fp_ollama"}
    return (event({**head, **stamp, "choices": [choice]}),)


def _loaded_text(persona: Persona, request: ServerRequest) -> Answer | None:
    """/v1/completions without a prompt loads the model, and says so as a finish_reason."""
    if request.fields.get("prompt") or request.streamed:
        return None
    head = {"id": persona.text_shape.ids.format(number=request.number), "object": "text_completion"}
    choice = {"text": "", "index": 0, "finish_reason": "load"}
    stamp = {"created": int(request.time), "model": request.model, "system_fingerprint": "fp_ollama"}
    counts = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return whole({**head, **stamp, "choices": [choice], "usage": counts})


def _model_entry(request: ServerRequest, model: Model) -> Json:
    return {"id": model.tagged, "object": "model", "created": int(request.time), "owned_by": "library"}


def _routes(limits: tuple[Check, ...], vectors: tuple[Check, ...] = ()) -> dict[str, dict[str, Route]]:
    return {**_spoken(limits), **_embedding(vectors), **_managing()}


def _spoken(limits: tuple[Check, ...]) -> dict[str, dict[str, Route]]:
    """What a model speaks to. Each body is read, then changed into Ollama's own, then handled."""
    v1 = (checks.PROBABLE, checks.MODEL, checks.MISSING, checks.THINKING, checks.CHATS, checks.FORMAT, *limits)
    text = (checks.STOPS, checks.PROBABLE, checks.MISSING, checks.INSERT, checks.GENERATES)
    chats = (
        checks.PROBABLE,
        checks.MODEL,
        checks.MISSING,
        checks.OPTIONS,
        checks.THINKING,
        checks.CHATS,
        checks.FORMAT,
        *limits,
    )
    generates = (
        checks.PROBABLE,
        checks.MISSING,
        checks.RAW,
        checks.OPTIONS,
        checks.THINKING,
        checks.INSERT,
        checks.GENERATES,
    )
    spoken = {
        "/v1/chat/completions": Route(chat, True, (checks.READABLE, *checks.V1_MESSAGES, *v1)),
        "/v1/completions": Route(completions, True, (checks.READABLE, *text), instead=_loaded_text),
        "/v1/responses": Route(responses, True, (checks.READABLE, *checks.ITEMS, *v1)),
        "/api/chat": Route(native_chat, True, (checks.READABLE, *chats), instead=loading),
        "/api/generate": Route(generate, True, (checks.READABLE, *generates, checks.FORMAT, *limits), instead=loading),
    }
    return {path: {"POST": route} for path, route in spoken.items()}


def _embedding(vectors: tuple[Check, ...]) -> dict[str, dict[str, Route]]:
    v1, embeds, old = (
        (checks.READABLE, *some, *vectors) for some in (checks.V1_EMBEDS, checks.EMBEDS, checks.OLD_EMBEDS)
    )
    return {
        "/v1/embeddings": {"POST": Route(embeddings, True, v1, streams=False)},
        "/api/embed": {"POST": Route(embed, True, embeds, instead=nothing, streams=False)},
        "/api/embeddings": {"POST": Route(embed_one, True, old, instead=nothing_old, streams=False)},
    }


def _managing() -> dict[str, dict[str, Route]]:
    tags, version, running = Route(models.tags), Route(models.version), Route(models.running)
    return {
        "/v1/models": {"GET": Route(models.list_models)},
        "/v1/models/{model}": {"GET": Route(models.get_model)},
        "/api/tags": {"HEAD": tags, "GET": tags},
        "/api/show": {"POST": Route(models.show, checks=(checks.READABLE, checks.MODEL, checks.SHOWN))},
        "/api/ps": {"GET": Route(models.ps)},
        "/api/version": {"HEAD": version, "GET": version},
        "/api/pull": {"POST": Route(models.pull, checks=(checks.READABLE, checks.PULLABLE))},
        "/api/push": {"POST": Route(models.push, checks=(checks.READABLE, checks.PUSHABLE))},
        "/api/blobs/{digest}": {"HEAD": Route(models.has_blob), "POST": Route(models.add_blob)},
        "/api/create": {"POST": Route(models.create, checks=(checks.READABLE, checks.PULLABLE, checks.CREATABLE))},
        "/api/copy": {"POST": Route(models.copy, checks=(checks.READABLE, checks.COPYABLE))},
        "/api/delete": {"DELETE": Route(models.delete, checks=(checks.READABLE, checks.DELETABLE))},
        "/": {"HEAD": running, "GET": running},
    }


_FINGERPRINT = {"system_fingerprint": "fp_ollama"}
_NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# openai/responses.go: what the object says besides, or repeats of the request.
_RESPONSE: dict[str, Any] = {
    "previous_response_id": None,
    "instructions": None,
    "error": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "temperature": 1,
    "reasoning": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}
_ECHOED = frozenset(
    {"instructions", "truncation", "text", "top_p", "temperature", "reasoning", "max_output_tokens", "background"}
)
_RESPONSE_TOOL: dict[str, Any] = {"name": "", "description": None, "strict": None, "parameters": None}
_SHAPE = Shape(
    reasoning="reasoning",
    completion=_FINGERPRINT,
    chunk=_FINGERPRINT,
    fragments=False,
    indexed=True,
    rewrites=True,
    no_content="",
    no_top=False,
    ids="chatcmpl-{number}",
    call_ids="call_f{number:04d}{place:03d}",
)

OLLAMA_24 = Persona(
    name="ollama@0.24",
    dialect="ollama",
    routes=_routes(checks.LIMITS_24),
    envelope=_envelope,
    unknown=_unknown,
    interrupted=_interrupted,
    # Recording chat_stream: the role on every chunk, and on the last one too.
    shape=replace(_SHAPE, every={"role": "assistant", "content": ""}, closing={"role": "assistant", "content": ""}),
    text_shape=TextShape(
        completion=_FINGERPRINT,
        chunk=_FINGERPRINT,
        early_usage={"usage": _NO_USAGE},
        empty_thoughts=True,
        ids="cmpl-{number}",
    ),
    reads=READS,
    limits=("max_tokens",),
    form=checks.form,
    model_entry=_model_entry,
    no_models=None,
    missing=models.missing,
    response=ResponseShape(
        _RESPONSE, echoes=_ECHOED, tool=_RESPONSE_TOOL, encrypted=True, text_beside_calls=False, silent_thoughts=True
    ),
    version="0.24.0",
)
OLLAMA_32 = replace(
    OLLAMA_24,
    name="ollama@0.32",
    routes=_routes(checks.LIMITS_32, checks.VECTORS_32),
    # Recording chat_stream: the role on the first chunk alone, the finish_reason on one of its own.
    shape=replace(_SHAPE, every={"content": ""}, role_on_first=True),
    version="0.32.15",
    tells_capabilities=True,
)
