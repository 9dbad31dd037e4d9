"""The personas of the fake server, and its pure core: `answer(persona, asked, turn)`.

Drivers ask `settled` first: what is refused, loads a model or lists models needs no turn, and uses none up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas.grammar import example
from llm_adapter.testing.personas.llamacpp import LLAMACPP
from llm_adapter.testing.personas.lmstudio import LMSTUDIO
from llm_adapter.testing.personas.models import after
from llm_adapter.testing.personas.ollama import OLLAMA_24, OLLAMA_32
from llm_adapter.testing.personas.openai import OPENAI
from llm_adapter.testing.personas.persona import Model, Persona, Route, as_models, refused
from llm_adapter.testing.personas.vllm import VLLM
from llm_adapter.testing.personas.wire import Answer, ServerRequest
from llm_adapter.testing.turns import HELLO, Turn
from llm_adapter.translation.json_schema import faults

__all__ = ["PERSONAS", "after", "answer", "persona", "settled"]

PERSONAS = {one.name: one for one in (OPENAI, OLLAMA_24, OLLAMA_32, LLAMACPP, VLLM, LMSTUDIO)}


def persona(
    name: str | Persona,
    *,
    models: Iterable[str | Model] | Mapping[str, Iterable[str]] | None = None,
    context: int | None = None,
    library: Iterable[str] = (),
) -> Persona:
    """A server of this kind, with these models; without any it has every model that is asked for.

    models: names, or names with Ollama's capabilities. context: tokens; a prompt that is longer is cut or refused, as
    the server does. library: models that it can pull. Raises `ValueError` for a name that is not known.
    """
    if isinstance(name, str) and name not in PERSONAS:
        raise ValueError(f"unknown persona {name!r}: expected one of {', '.join(PERSONAS)}")
    found = PERSONAS[name] if isinstance(name, str) else name
    have = found.models if models is None else as_models(models)
    pulled = frozenset([library] if isinstance(library, str) else library) or found.library
    return replace(found, models=have, context=found.context if context is None else context, library=pulled)


def settled(persona: Persona, request: ServerRequest) -> Answer | None:
    """The answer that needs no turn: a refusal, a list, a loaded model. None: the model is to speak."""
    route = _route(persona, request)
    if isinstance(route, Answer):
        return route
    for check in route.checks:
        failure = check.refuse(persona, request)
        if failure is not None:
            return refused(persona, request, failure)
    return route.instead(persona, request) if route.spoken else route.handler(persona, request, HELLO)


def answer(persona: Persona, request: ServerRequest, turn: Turn = HELLO) -> Answer:
    """What this server answers to a request, where `turn` is what its model says."""
    done = settled(persona, request)
    if done is not None:
        return done
    route = _route(persona, request)
    assert isinstance(route, Route)
    streamed = request.streamed and route.streams
    if turn.failure is not None and (turn.failure.after is None or not streamed):
        return replace(refused(persona, request, turn.failure), wait=turn.pace.start)
    return route.handler(persona, request, _held(turn, persona.form(request)) if request.items("tools") else turn)


def _held(turn: Turn, form: Any) -> Turn:
    """A turn under a form that covers the whole reply: no tool is called, and where one was to be, the form is filled.

    It is filled with the call where that is what it asks for: so are tools demanded of a server that knows no
    `tool_choice`. Source: ollama v0.24.0 and v0.32.15, server/routes.go ChatHandler, where the grammar begins with the
    reply; asked of llama.cpp b11549; vllm chat_completion/protocol.py extract_structured_outputs, 002032ee. A thinking
    model is asked once more when it has thought, with the grammar.
    """
    if form is None or not turn.calls:
        return turn
    call = {"name": turn.calls[0].name, "arguments": turn.calls[0].parsed}
    value = call if _asks_for_call(form) and not faults(form, call) else example(form)
    said = json.dumps(value, ensure_ascii=False)
    return replace(turn, content=said, pieces=None, calls=(), finish=None)


def _asks_for_call(form: Any) -> bool:
    forms = form.get("anyOf", [form]) if isinstance(form, dict) else []
    return any({"name", "arguments"} <= set(one.get("required", ())) for one in forms if isinstance(one, dict))


def _route(persona: Persona, request: ServerRequest) -> Route | Answer:
    known = persona.routes.get(request.path)
    if known is None and request.path.startswith("/v1/models/"):
        name = request.path.removeprefix("/v1/models/").lower()
        # gin matches no slash, even if it is escaped (recording models), and no empty name.
        slashed = persona.dialect == "ollama" and (not name or "/" in name or "%2f" in name)
        known = None if slashed else persona.routes.get("/v1/models/{model}")
    if known is None and request.path.startswith("/api/blobs/"):
        known = persona.routes.get("/api/blobs/{digest}")
    return (known or {}).get(request.method) or persona.unknown(request, known is not None)
