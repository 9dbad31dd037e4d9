"""POST /v1/responses: one reply as items, whole or as events.

Source: the recordings of ollama 0.24.0 and 0.32.15; what llama.cpp of 2026-11 answered; openai/types/responses, 3.52.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llm_adapter.testing.personas.chat import arguments, call_id, prompt_count
from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.personas.speech import Frames, Utterance, complete, streamed, utterance
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, event
from llm_adapter.testing.turns import Turn, Usage, pieces

# What the events and objects of a bare server are without (llama.cpp).
_PLACES = ("output_index", "content_index", "summary_index", "logprobs")
_STATE = ("id", "object", "status")


def responses(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """The reply to a call of the Responses API. Nothing is kept: the fake has no memory of responses."""
    spoken = utterance(turn, prompt_count(persona, request), request.fields.get("max_output_tokens"))
    if spoken.calls and not persona.response.text_beside_calls:
        spoken = replace(spoken, content=())
    if request.streamed:
        return streamed(turn, _frames(persona, request, turn, spoken))
    return complete(turn, _response(persona, request, spoken))


def _response(persona: Persona, request: ServerRequest, spoken: Utterance) -> Json:
    return _response_object(persona, request, [item for item, _ in _output_items(persona, request, spoken)], spoken)


def _response_object(
    persona: Persona, request: ServerRequest, output: list[Json], spoken: Utterance | None = None
) -> Json:
    """The response object; without `spoken`, as it is when it begins."""
    cut = spoken is not None and spoken.finish == "length" and persona.dialect == "openai"
    details = {} if persona.response.bare else {"incomplete_details": {"reason": "max_output_tokens"} if cut else None}
    return {
        "id": f"resp_fake{request.number:06d}",
        "object": "response",
        "created_at": int(request.time),
        "completed_at": int(request.time) if spoken else None,
        "status": "in_progress" if spoken is None else "incomplete" if cut else "completed",
        **details,
        "model": persona.reply_model(request),
        "output": output,
        **_echoed_fields(persona, request),
        "usage": _usage(persona, spoken.usage) if spoken else None,
    }


def _echoed_fields(persona: Persona, request: ServerRequest) -> Json:
    """What the object repeats of the request."""
    if persona.response.bare:
        return {}
    body, base = request.fields, persona.response.base
    shown = base.keys() if persona.response.echoes is None else persona.response.echoes
    given = {name: body[name] for name in base if name in shown and body.get(name) is not None}
    tools = [{**persona.response.tool, **tool} for tool in request.items("tools") if isinstance(tool, dict)]
    return {**base, **given, "tools": tools}


def _usage(persona: Persona, usage: Usage) -> Json:
    counts = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens, "total_tokens": sum(usage)}
    thought = {} if persona.response.bare else {"output_tokens_details": {"reasoning_tokens": 0}}
    return {**counts, "input_tokens_details": persona.response.cached, **thought}


def _output_items(
    persona: Persona, request: ServerRequest, spoken: Utterance
) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """The items of a reply, with the pieces in which a stream gives them."""
    number = request.number
    if spoken.thinking:
        hidden = {"encrypted_content": spoken.thought} if persona.response.encrypted else {}
        summary = [{"type": "summary_text", "text": spoken.thought}]
        yield {"id": f"rs_fake{number:06d}", "type": "reasoning", "summary": summary, **hidden}, spoken.thinking
    thought = request.streamed and persona.response.silent_thoughts and bool(spoken.thinking)
    if spoken.content or not (spoken.calls or thought):
        part = {"type": "output_text", "text": spoken.text, "annotations": [], "logprobs": []}
        role = {"status": "completed", "role": "assistant"}
        yield {"id": f"msg_fake{number:06d}", "type": "message", **role, "content": [part]}, spoken.content
    for place, call in enumerate(spoken.calls):
        written = arguments(persona.shape, call)
        called = {"call_id": call_id(persona.shape, request, call, place), "name": call.name, "arguments": written}
        item = {"id": f"fc_fake{number:06d}_{place}", "type": "function_call", "status": "completed", **called}
        yield item, pieces(written) if persona.shape.fragments else (written,)


def _frames(persona: Persona, request: ServerRequest, turn: Turn, spoken: Utterance) -> Frames:
    begun = _response_object(persona, request, [])
    events: list[Json] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for place, (item, parts) in enumerate(_output_items(persona, request, spoken)):
        events += [{**one, "output_index": place} for one in _ITEM_EVENTS[item["type"]](item, parts)]
    whole = _response(persona, request, spoken)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    sent = [_event(persona, request, number, one) for number, one in enumerate(events)]
    # The pieces that a script counts are the deltas: what is before the first one opens, what follows the last closes.
    deltas = [number for number, one in enumerate(events) if one["type"].endswith(".delta")] or [len(sent) - 1]
    first, last = deltas[0], deltas[-1] + 1
    broken = persona.interrupted(persona, request, turn.failure) if turn.failure else ()
    return Frames(tuple(sent[first:last]), tuple(sent[last:]), broken, tuple(sent[:first]))


def _event(persona: Persona, request: ServerRequest, number: int, content: Json) -> bytes:
    kind = content["type"]
    if not persona.response.bare:
        return event({**content, "sequence_number": number}, kind)
    told = {name: value for name, value in content.items() if name not in _PLACES}
    if kind in ("response.created", "response.in_progress"):
        told["response"] = {name: told["response"][name] for name in _STATE}
    elif kind == "response.content_part.added":
        told["part"] = {name: told["part"][name] for name in ("type", "text")}
    elif kind == "response.completed":
        told["response"] = {name: value for name, value in told["response"].items() if name != "completed_at"}
        told |= persona.shape.last(persona, request) if persona.shape.last else {}
    return event(told, kind)


def _message(item: Json, parts: tuple[str, ...]) -> Iterator[Json]:
    [part] = item["content"]
    where = {"item_id": item["id"], "content_index": 0}
    yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
    for piece in parts:
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _reasoning(item: Json, parts: tuple[str, ...]) -> Iterator[Json]:
    where = {"item_id": item["id"], "summary_index": 0}
    begun = {name: value for name, value in item.items() if name != "encrypted_content"}
    yield {"type": "response.output_item.added", "item": {**begun, "summary": []}}
    for piece in parts:
        yield {"type": "response.reasoning_summary_text.delta", **where, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **where, "text": item["summary"][0]["text"]}
    yield {"type": "response.output_item.done", "item": item}


def _function_call(item: Json, parts: tuple[str, ...]) -> Iterator[Json]:
    yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "arguments": ""}}
    for piece in parts:
        yield {"type": "response.function_call_arguments.delta", "item_id": item["id"], "delta": piece}
    done: dict[str, Any] = {"item_id": item["id"], "name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **done}
    yield {"type": "response.output_item.done", "item": item}


_ITEM_EVENTS = {"message": _message, "reasoning": _reasoning, "function_call": _function_call}
