"""POST /completions  ↔  POST /api/generate

Source: ollama/openai/openai.go FromCompleteRequest, ToCompletion, v0.24.0, which wraps the prompt in the model's chat
template and loses the logprobs. Rule: `raw: true`, so that the model sees what the caller wrote.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from llm_adapter.errors import checked
from llm_adapter.flows import Steps, together
from llm_adapter.provider import Call, Events, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.events import Lines, Several
from llm_adapter.providers.ollama.message import FINGERPRINT
from llm_adapter.providers.ollama.params import COMPLETIONS
from llm_adapter.providers.ollama.sizing import sized
from llm_adapter.repair import INTERRUPTED
from llm_adapter.tokens import decoded


@dataclass(frozen=True)
class Asked:
    """What a call asks for beyond one text."""

    prompts: tuple[str, ...]
    count: int  # choices a prompt
    candidates: int  # texts a prompt, of which the best are the choices
    echo: bool
    logprobs: bool

    @classmethod
    def of(cls, call: Call) -> Asked:
        body = call.body
        count = body.get("n") or 1
        candidates = max(count, body.get("best_of") or count)
        asked = cls(_prompts(call), count, candidates, bool(body.get("echo")), body.get("logprobs") is not None)
        if call.stream and candidates > count:
            raise Rejected("`best_of` cannot be streamed", param="best_of", code="invalid_value")
        if asked.echo and asked.logprobs:
            raise Rejected(
                "`echo` has no logprobs of the prompt on provider 'ollama'", param="echo", code="unsupported_value"
            )
        if asked.echo:
            call.report.note("emulated", "echo")
        return asked


def flow(call: Call) -> Flow:
    """One request for each text, side by side."""
    call = yield from sized(call, call.body.get("prompt"))
    asked = Asked.of(call)
    natives = [one for prompt in asked.prompts for one in wire.seeded(request(call, asked, prompt), asked.candidates)]
    if call.stream:
        replies = yield [NativeRequest("POST", "/api/generate", one, stream=True) for one in natives]
        for reply in replies:
            checked(reply, call.path)
        return events(call, asked)
    results = yield from together([_answer(call, one) for one in natives])
    return response(call, results, asked)


def request(call: Call, asked: Asked, prompt: str) -> Json:
    """The native request for one text. Raises `Rejected`."""
    native = wire.generating(COMPLETIONS, call, {"prompt": prompt, "raw": True})
    if asked.candidates > asked.count:
        native["logprobs"] = True  # the candidates are ranked by them
    return native


def _answer(call: Call, native: Json) -> Steps[Json]:
    reply: NativeReply = yield NativeRequest("POST", "/api/generate", native)
    got: Json = checked(reply, call.path).json()
    if not got.get("done"):
        raise Rejected(INTERRUPTED, status=502, kind="api_error")
    return got


def response(call: Call, natives: list[Json], asked: Asked) -> Json:
    """The text completion of its texts' native replies, prompt by prompt."""
    groups = [natives[start : start + asked.candidates] for start in range(0, len(natives), asked.candidates)]
    best = [one for group in groups for one in sorted(group, key=_likelihood, reverse=True)[: asked.count]]
    if asked.candidates == asked.count:
        best = natives
    choices = [_whole(asked, place, native) for place, native in enumerate(best)]
    counts = usage(call, natives, asked)
    return {**_head(call, natives[0]), "choices": choices, "usage": counts, "ollama": wire.timings(*natives)}


def usage(call: Call, natives: list[Json], asked: Asked) -> Json:
    """Every prompt once, every text that was generated, as OpenAI counts them."""
    counts = [
        wire.usage(native, asked.prompts[place // asked.candidates], native.get("response") or "")
        for place, native in enumerate(natives)
    ]
    prompt = sum(one["prompt_tokens"] for one in counts[:: asked.candidates])
    completion = sum(one["completion_tokens"] for one in counts)
    return {**counts[0], "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _likelihood(native: Json) -> float:
    """The mean log probability of a text's tokens: what OpenAI's `best_of` ranks by."""
    given = [one["logprob"] for one in native.get("logprobs") or ()]
    return sum(given) / len(given) if given else float("-inf")


def _whole(asked: Asked, place: int, native: Json) -> Json:
    before = asked.prompts[place // asked.count] if asked.echo else ""
    logs = logprobs(native, len(before)) if asked.logprobs else None
    text = before + (native.get("response") or "")
    return {**_choice(place, text, logs, str(native.get("done_reason") or "stop")), **_thinking(native)}


def logprobs(native: Json, offset: int) -> Json | None:
    """The parallel lists of the completions form, or None. offset: where in the text the first token begins."""
    given = native.get("logprobs")
    if not given:
        return None
    tokens = [one["token"] for one in given]
    starts = [offset + sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [one["logprob"] for one in given],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in one.get("top_logprobs") or ()} for one in given
        ],
        "text_offset": starts,
    }


def events(call: Call, asked: Asked) -> Events:
    """The decoder for the streams of all texts, each a choice."""
    lasts: list[Json] = []
    parts = [Text(call, asked, place, lasts) for place in range(len(asked.prompts) * asked.count)]
    return parts[0] if len(parts) == 1 else Several(parts)


class Text(Lines):
    """The decoder of one text. `lasts` are the last messages of all the texts."""

    def __init__(self, call: Call, asked: Asked, place: int, lasts: list[Json]) -> None:
        super().__init__(call)
        self._asked, self._place, self._lasts = asked, place, lasts
        self._before = asked.prompts[place // asked.count] if asked.echo else ""
        self._offset = 0

    @property
    def last(self) -> bool:
        return len(self._lasts) == len(self._asked.prompts) * self._asked.count

    def chunks(self, native: Json) -> bytes:
        text = self._before + (native.get("response") or "")
        self._before = ""
        logs = logprobs(native, self._offset)
        self._offset += len(text)
        reason = str(native.get("done_reason") or "stop") if native.get("done") else None
        choice = {**_choice(self._place, text, logs, reason), **_thinking(native)}
        return self._end(native, choice) if native.get("done") else self._event(native, [choice], {})

    def _end(self, native: Json, choice: Json) -> bytes:
        self._lasts.append(native)
        if not self.last:
            return self._event(native, [choice], {})
        figures = {"ollama": wire.timings(*self._lasts), "adapter": self.call.report.json(native.get("model"))}
        if not wire.include_usage(self.call):
            return self._event(native, [choice], figures)
        counts = {"usage": usage(self.call, self._lasts, self._asked)}
        return self._event(native, [choice], {}) + self._event(native, [], {**counts, **figures})

    def _event(self, native: Json, choices: list[Json], more: Json) -> bytes:
        return b"data: " + json.dumps({**_head(self.call, native), "choices": choices, **more}).encode() + b"\n\n"


def _prompts(call: Call) -> tuple[str, ...]:
    match call.body.get("prompt"):
        case str() as prompt:
            return (prompt,)
        case [str(), *_] as prompts if all(isinstance(one, str) for one in prompts):
            if len(prompts) > 1:
                call.report.note("emulated", "prompt")
            return tuple(prompts)
        case [int() | list(), *_] as tokens:
            return tuple(decoded(tokens, call, "prompt"))
        case None:
            raise Rejected("`prompt` is required", param="prompt", code="missing_required_parameter")
        case _:
            raise Rejected("`prompt` must be a string or a list of strings", param="prompt", code="invalid_value")


def _head(call: Call, native: Json) -> Json:
    return {
        "id": f"cmpl-{call.id}",
        "object": "text_completion",
        "created": call.created,
        "model": native.get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
    }


def _choice(place: int, text: str, logs: Json | None, reason: str | None) -> Json:
    return {"index": place, "text": text, "logprobs": logs, "finish_reason": reason}


def _thinking(native: Json) -> Json:
    return {"reasoning": native["thinking"]} if native.get("thinking") else {}
