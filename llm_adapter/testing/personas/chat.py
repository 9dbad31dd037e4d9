"""POST /v1/chat/completions and POST /v1/completions, whole and streamed, in the shape that each server gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Any

from llm_adapter.testing.personas.persona import Persona, Shape, TextShape
from llm_adapter.testing.personas.speech import Frames, Utterance, complete, prompt_tokens, streamed, total, utterance
from llm_adapter.testing.personas.wire import DONE, Answer, Json, ServerRequest, event
from llm_adapter.testing.turns import ToolCall, Turn, Usage, pieces

_ESCAPED = {letter: f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}  # Go encoding/json Marshal


def chat(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """The reply to a chat call, whole or streamed."""
    body = read(persona, request)
    many = body.get("n") if persona.shape.counts else 1
    turns = list(islice(cycle((turn, *turn.more)), many if isinstance(many, int) and many > 0 else 1))
    spoken = [_utterance(persona, request, body, one) for one in turns]
    if request.streamed:
        return streamed(turn, _chat_frames(persona, request, turn, spoken))
    return complete(turn, _completion(persona, request, body, spoken))


def read(persona: Persona, request: ServerRequest) -> Json:
    """What the server reads of a request: Ollama's /v1 drops what it does not know, without a word."""
    if persona.reads is None:
        return request.fields
    return {name: value for name, value in request.fields.items() if name in persona.reads}


def token_limit(persona: Persona, body: Json) -> Any:
    """The most tokens that a reply may have; None without a limit."""
    return next((body[name] for name in persona.limits if body.get(name) is not None), None)


def prompt_count(persona: Persona, request: ServerRequest) -> int:
    """The prompt's tokens, as far as they fit."""
    tokens = prompt_tokens(request.body)
    size = persona.context_size(request)
    return tokens if size is None else min(tokens, size)


def _stops(persona: Persona, body: Json) -> Any:
    """What ends a reply. An empty stop does so before its first word, but at OpenAI."""
    stops = body.get("stop")
    return None if persona.dialect == "openai" and stops in ("", [""]) else stops


def _utterance(persona: Persona, request: ServerRequest, body: Json, turn: Turn) -> Utterance:
    model = persona.model(request.model)
    able = model is not None and "thinking" in model.capabilities
    thinks = able and body.get("reasoning_effort") != "none"
    limit, stops = token_limit(persona, body), _stops(persona, body)
    return utterance(turn, prompt_count(persona, request), limit, stops, thinks=thinks)


def _completion(persona: Persona, request: ServerRequest, body: Json, spoken: list[Utterance]) -> Json:
    shape = persona.shape
    return {
        "id": shape.ids.format(number=request.number),
        "object": "chat.completion",
        "created": int(request.time),
        "model": persona.reply_model(request),
        "choices": [_choice(persona, request, body, one, index) for index, one in enumerate(spoken)],
        "usage": usage(shape, spoken),
        **shape.completion,
    }


def _choice(persona: Persona, request: ServerRequest, body: Json, spoken: Utterance, index: int) -> Json:
    shape = persona.shape
    message: Json = {"role": "assistant", "content": _begun(persona, request) + spoken.text, **shape.message}
    if shape.reasoning and spoken.thinking:
        message[shape.reasoning] = spoken.thought
    if spoken.calls:
        message["content"] = spoken.text or shape.no_content
        message["tool_calls"] = [_call(shape, request, call, place) for place, call in enumerate(spoken.calls)]
    choice = {"index": index, "message": message, **shape.choice, "finish_reason": spoken.finish}
    return {**choice, **probabilities(shape, body, (*spoken.thinking, *spoken.content))}


def _begun(persona: Persona, request: ServerRequest) -> str:
    """What a whole reply goes on with: the assistant's message that ends the call."""
    last = (request.items("messages") or [None])[-1]
    content = last.get("content") if isinstance(last, dict) and last.get("role") == "assistant" else None
    return content if persona.shape.repeats_last and isinstance(content, str) else ""


def _call(shape: Shape, request: ServerRequest, call: ToolCall, place: int) -> Json:
    index = call.placed(place) if shape.indexed else {}
    function = {"name": call.name, "arguments": arguments(shape, call)}
    return {"id": call_id(shape, request, call, place), **index, "type": "function", "function": function}


# --- what both forms of a chat completion are made of: ids of calls, counts, log probabilities


def call_id(shape: Shape, request: ServerRequest, call: ToolCall, place: int) -> str:
    return call.id or shape.call_ids.format(number=request.number, place=place)


def arguments(shape: Shape, call: ToolCall) -> str:
    """The arguments of a call, as OpenAI has them: JSON in a string. Ollama writes them anew, in Go's manner."""
    if not shape.rewrites:
        return call.text
    written = json.dumps(call.parsed, ensure_ascii=False, separators=(",", ":"))
    return "".join(_ESCAPED.get(letter, letter) for letter in written)


def usage(shape: Shape, spoken: list[Utterance]) -> Json:
    return {**counts(total(spoken)), **shape.usage}


def counts(usage: Usage) -> Json:
    """OpenAI's three numbers."""
    prompt, completion = usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def probabilities(shape: Shape, body: Json, tokens: tuple[str, ...]) -> Json:
    """Made-up log probabilities, one for each piece, where they are asked for."""
    if not body.get("logprobs"):
        return {}
    top = body.get("top_logprobs")
    places = range(top if isinstance(top, int) else 0)

    def one(token: str, place: int = 0) -> Json:
        return {**shape.token, "token": token, "logprob": -0.1 - place, "bytes": list(token.encode(errors="replace"))}

    content = [{**one(token), "top_logprobs": [one(token, place) for place in places]} for token in tokens]
    if not places and not shape.no_top:
        content = [one(token) for token in tokens]
    return {"logprobs": {"content": content}}


# --- a chat completion as chunks: what opens it, thoughts, text and calls, the finish_reason, the usage, [DONE]


def _chat_frames(persona: Persona, request: ServerRequest, turn: Turn, spoken: list[Utterance]) -> Frames:
    """The chunks of a reply, one choice after the other."""
    shape, counted = persona.shape, bool(request.part("stream_options").get("include_usage"))
    nulls = {"usage": None} if counted and shape.usage_null else {}

    def chunks(choices: Iterable[Json]) -> tuple[bytes, ...]:
        return tuple(event({**_chunk_head(persona, request), "choices": [choice], **nulls}) for choice in choices)

    opening = [_chunk_choice(shape, index, shape.opening) for index, _ in enumerate(spoken)] if shape.opening else []
    said = [choice for index, one in enumerate(spoken) for choice in _spoken_choices(shape, request, one, index)]
    closing = [_chunk_choice(shape, index, shape.closing, one.finish) for index, one in enumerate(spoken)]
    last = _last_chunks(persona, request, closing.pop(), usage(shape, spoken) if counted else None, nulls)
    broken = persona.interrupted(persona, request, turn.failure) if turn.failure else ()
    return Frames(chunks(said), (*chunks(closing), *last, DONE), broken, chunks(opening))


def _chunk_head(persona: Persona, request: ServerRequest) -> Json:
    return {
        "id": persona.shape.ids.format(number=request.number),
        "object": "chat.completion.chunk",
        "created": int(request.time),
        "model": persona.reply_model(request),
        **persona.shape.chunk,
    }


def _last_chunks(
    persona: Persona, request: ServerRequest, choice: Json, usage: Json | None, nulls: Json
) -> Iterator[bytes]:
    """The chunk with the finish_reason, and the one with the usage; what the server adds stands in the very last."""
    head = _chunk_head(persona, request)
    more = persona.shape.last(persona, request) if persona.shape.last else {}
    yield event({**head, "choices": [choice], **nulls, **({} if usage else more)})
    if usage:
        yield event({**head, "choices": [], "usage": usage, **more})


def _chunk_choice(shape: Shape, index: int, delta: Json, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, **shape.chunk_choice, "finish_reason": finish}


def _spoken_choices(shape: Shape, request: ServerRequest, spoken: Utterance, index: int) -> Iterator[Json]:
    """The choices of a reply's pieces. Ollama begins a reply even if it is empty."""
    deltas = list(_deltas(shape, request, spoken)) or [({"content": ""}, "")] * shape.role_on_first
    for place, (delta, token) in enumerate(deltas):
        role = {"role": "assistant"} if shape.role_on_first and place == 0 else {}
        choice = _chunk_choice(shape, index, {**role, **delta})
        yield {**choice, **probabilities(shape, request.fields, (token,))} if token else choice


def _deltas(shape: Shape, request: ServerRequest, spoken: Utterance) -> Iterator[tuple[Json, str]]:
    """The deltas of thoughts, text and calls, with their tokens."""
    for piece in spoken.thinking if shape.reasoning else ():
        yield {**shape.every, str(shape.reasoning): piece}, piece
    for piece in spoken.content:
        yield {**shape.every, "content": piece}, piece
    for place, call in enumerate(spoken.calls):
        for delta in _call_deltas(shape, call, place, call_id(shape, request, call, place)):
            yield delta, ""


def _call_deltas(shape: Shape, call: ToolCall, place: int, name: str) -> Iterator[Json]:
    """One call: in a single chunk, or begun and then written piece by piece."""
    first = "" if shape.fragments else arguments(shape, call)
    function = {"name": call.name, "arguments": first}
    index = call.placed(place)
    yield {**shape.every, "tool_calls": [{**index, "id": name, "type": "function", "function": function}]}
    for part in pieces(call.text) if shape.fragments else ():
        yield {"tool_calls": [{**index, "function": {"arguments": part}}]}


# --- text completions


def completions(persona: Persona, request: ServerRequest, turn: Turn) -> Answer:
    """The reply to a completions call: a choice for every prompt and every `n`, where the server knows them."""
    body, shape = request.fields, persona.text_shape
    many = _many(body) if shape.counts else 1
    turns = islice(cycle((turn, *turn.more)), many)
    limit = token_limit(persona, body)
    spoken = [utterance(one, prompt_count(persona, request), limit, _stops(persona, body)) for one in turns]
    if request.streamed:
        return streamed(turn, _text_frames(persona, request, turn, spoken))
    choices = [{"text": one.text, "index": place, "finish_reason": one.finish} for place, one in enumerate(spoken)]
    head = {**_text_head(persona, request), "choices": [{**choice, **shape.choice} for choice in choices]}
    return complete(turn, {**head, "usage": _text_usage(shape, spoken), **shape.completion})


def _many(body: Json) -> int:
    prompt, n = body.get("prompt"), body.get("n")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts * (n if isinstance(n, int) and n > 0 else 1)


def _text_head(persona: Persona, request: ServerRequest) -> Json:
    name = persona.text_shape.ids.format(number=request.number)
    return {
        "id": name,
        "object": "text_completion",
        "created": int(request.time),
        "model": persona.reply_model(request),
    }


def _text_usage(shape: TextShape, spoken: list[Utterance]) -> Json:
    return {**counts(total(spoken)), **shape.usage}


def _text_frames(persona: Persona, request: ServerRequest, turn: Turn, spoken: list[Utterance]) -> Frames:
    shape = persona.text_shape
    wanted = bool(request.part("stream_options").get("include_usage"))
    early = shape.early_usage if wanted else {}

    def chunk(text: str, index: int, finish: str | None = None, **more: Any) -> bytes:
        choice = {"text": text, "index": index, "finish_reason": finish, **shape.choice}
        return event({**_text_head(persona, request), **shape.chunk, "choices": [choice], **early, **more})

    sent, closing = [], []
    for index, one in enumerate(spoken):
        thoughts = ("",) * len(one.thinking) if shape.empty_thoughts else ()
        sent += [chunk(piece, index) for piece in (*thoughts, *one.content)]
        last = {} if shape.own_usage else {"usage": _text_usage(shape, spoken), **shape.completion}
        closing.append(chunk("", index, one.finish, **last))
    if wanted and shape.own_usage:
        whole = {**_text_head(persona, request), **shape.chunk, "choices": [], "usage": _text_usage(shape, spoken)}
        closing.append(event(whole))
    broken = persona.interrupted(persona, request, turn.failure) if turn.failure else ()
    return Frames(tuple(sent), (*closing, DONE), broken)
