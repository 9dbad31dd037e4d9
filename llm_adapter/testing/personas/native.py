"""POST /api/chat and POST /api/generate: Ollama's own API, streamed as lines of JSON unless it is asked not to.

Source: the recordings of ollama 0.24.0 and 0.32.15; server/routes.go ChatHandler, GenerateHandler, v0.24.0.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from llm_adapter.testing.personas.chat import counted
from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.personas.saying import Frames, Said, complete, said, streamed
from llm_adapter.testing.personas.wire import GIN_JSON, LINES, Answer, Asked, Json, line, whole
from llm_adapter.testing.turns import Turn

_CALL_IDS = "call_f{number:04d}{place:03d}"  # eight letters and digits, as Ollama's


def chat(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """The reply to /api/chat."""
    spoken = _said(persona, asked, turn)
    if not asked.streamed:
        message = _message(spoken.text, spoken.thought, _calls(asked, spoken))
        return complete(turn, _end(asked, spoken, "message", message, _tokens(spoken)), GIN_JSON)
    parts = (
        *((_message("", piece), piece) for piece in spoken.thinking),
        *((_message(piece), piece) for piece in spoken.content),
        *((_message("", calls=[call]), "") for call in _calls(asked, spoken)),
    )
    sent = [_begin(asked, "message", message, (token,)) for message, token in parts]
    return streamed(turn, _frames(turn, sent, _end(asked, spoken, "message", _message(""))), LINES)


def generate(persona: Persona, asked: Asked, turn: Turn) -> Answer:
    """The reply to /api/generate. A raw prompt has no template: nothing thinks, and there is no context to go on."""
    spoken = _said(persona, asked, turn)
    if not asked.streamed:
        thought = {"thinking": spoken.thought} if spoken.thinking else {}
        end = _end(asked, spoken, "response", spoken.text, _tokens(spoken), **thought)
        return complete(turn, {**end, **_context(asked)}, GIN_JSON)
    sent = [_begin(asked, "response", "", (piece,), thinking=piece) for piece in spoken.thinking]
    sent += [_begin(asked, "response", piece, (piece,)) for piece in spoken.content]
    return streamed(turn, _frames(turn, sent, {**_end(asked, spoken, "response", ""), **_context(asked)}), LINES)


def loading(persona: Persona, asked: Asked) -> Answer | None:
    """The reply to a call without messages or prompt: the model is loaded, or with keep_alive 0 unloaded."""
    body, chatting = asked.fields, asked.path == "/api/chat"
    if body.get("messages" if chatting else "prompt") or body.get("suffix"):
        return None
    reason = "unload" if body.get("keep_alive") in (0, "0", "0s") else "load"
    said_nothing: Any = _message("") if chatting else ""
    content = {**_head(asked), ("message" if chatting else "response"): said_nothing, "done": True}
    return whole({**content, "done_reason": reason}, kind=GIN_JSON)


def _said(persona: Persona, asked: Asked, turn: Turn) -> Said:
    options = asked.part("options")
    model = persona.model(asked.model)
    able = model is not None and "thinking" in model.capabilities
    thinks = able and asked.fields.get("think") is not False and not asked.fields.get("raw")
    limit, stop = options.get("num_predict"), options.get("stop")
    return said(turn, counted(persona, asked), limit, stop, thinks=thinks)


def _head(asked: Asked) -> Json:
    return {"model": asked.model, "created_at": stamp(asked.time)}


def stamp(time: float) -> str:
    """A moment as Go writes it."""
    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _message(content: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
    thought = {"thinking": thinking} if thinking else {}
    return {"role": "assistant", "content": content, **thought, **({"tool_calls": calls} if calls else {})}


def _calls(asked: Asked, spoken: Said) -> list[Json]:
    return [
        {
            "id": call.id or _CALL_IDS.format(number=asked.number, place=place),
            "function": {**call.placed(place), "name": call.name, "arguments": call.parsed},
        }
        for place, call in enumerate(spoken.calls)
    ]


def _begin(asked: Asked, name: str, value: Any, tokens: tuple[str, ...], **more: Any) -> bytes:
    return line({**_head(asked), name: value, **more, "done": False, **_logprobs(asked, tokens)})


def _end(asked: Asked, spoken: Said, name: str, value: Any, tokens: tuple[str, ...] = (), **more: Any) -> Json:
    """The last object, with counts and durations: nanoseconds, made up."""
    prompt, completion = spoken.usage
    reason = spoken.finish if spoken.finish != "tool_calls" else "stop"  # a word that Ollama's own API never says
    return {
        **_head(asked),
        name: value,
        **more,
        "done": True,
        "done_reason": reason,
        **_logprobs(asked, tokens),
        "total_duration": 1_000_000 * (3 + prompt + 2 * completion),
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": 1_000_000 * max(1, prompt),
        "eval_count": completion,
        "eval_duration": 2_000_000 * max(1, completion),
    }


def _tokens(spoken: Said) -> tuple[str, ...]:
    return (*spoken.thinking, *spoken.content)


def _logprobs(asked: Asked, tokens: tuple[str, ...]) -> Json:
    if not asked.fields.get("logprobs") or not any(tokens):
        return {}
    top = asked.fields.get("top_logprobs")
    return {"logprobs": [_token(token, top if isinstance(top, int) else 0) for token in tokens]}


def _token(token: str, top: int) -> Json:
    one = {"token": token, "logprob": -0.1, "bytes": list(token.encode(errors="replace"))}
    return {**one, "top_logprobs": [{**one, "logprob": -0.1 - place} for place in range(top)]} if top else one


def _context(asked: Asked) -> Json:
    return {} if asked.fields.get("raw") else {"context": [1, 2, 3]}


def _frames(turn: Turn, sent: list[bytes], end: Json) -> Frames:
    broken = (line({"error": turn.failure.message}),) if turn.failure else ()
    return Frames(tuple(sent), (line(end),), broken)
