"""POST /completions  ↔  POST /api/generate

Source: ollama/openai/openai.go FromCompleteRequest, ToCompletion, v0.24.0, which wraps the prompt in the model's chat
template and loses the logprobs. Rule: `raw: true`, so that the model sees what the caller wrote.
"""

from __future__ import annotations

from llm_adapter.provider import Call, Event, Events, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.parameters import COMPLETIONS, generating_request, seeded_requests
from llm_adapter.providers.ollama.reply import FINGERPRINT, timings, usage
from llm_adapter.providers.ollama.sizing import refusal_with_counts, with_num_ctx
from llm_adapter.providers.ollama.stream import LineDecoder
from llm_adapter.translation.chat_stream import wants_usage
from llm_adapter.translation.completions import (
    CompletionRequirements,
    StreamedForm,
    asks_for_no_tokens,
    combined_texts,
    logprobs,
    prompt_to_send,
    without_generating,
)
from llm_adapter.translation.errors import checked
from llm_adapter.translation.grammar_schema import GRAMMARS
from llm_adapter.translation.overflow import LARGER_NUM_CTX, within_context
from llm_adapter.translation.parallel import SequentialStreams, Steps, together
from llm_adapter.translation.reply_checks import summed_usage, warn_only_thinking
from llm_adapter.translation.reply_shapes import NATIVE_TEXT, reply_of
from llm_adapter.translation.wire import INTERRUPTED


def flow(call: Call) -> Flow:
    """One request for each text, side by side."""
    if asks_for_no_tokens(call):
        return (yield from without_generating(call, flow, "provider 'ollama'"))
    return (yield from within_context(call, _sized, LARGER_NUM_CTX, refusal_with_counts))


def _sized(call: Call) -> Flow:
    return with_num_ctx(call, call.body.get("prompt"), _exchange)


def _exchange(call: Call) -> Flow:
    requirements = CompletionRequirements.of(call, "provider 'ollama'", fields=("format",))
    natives = [
        one
        for prompt in requirements.prompts
        for one in seeded_requests(request(call, requirements, prompt), requirements.candidates)
    ]
    if call.stream:
        replies = yield [NativeRequest("POST", "/api/generate", one, stream=True) for one in natives]
        for reply in replies:
            checked(reply, call.path)
        return decoder(call, requirements)
    wholes = yield from together(
        [
            _text_completion(call, one, requirements.prompts[place // requirements.candidates])
            for place, one in enumerate(natives)
        ]
    )
    return {**combined_texts(call, requirements, wholes), "ollama": timings(*(one["ollama"] for one in wholes))}


def request(call: Call, requirements: CompletionRequirements, prompt: str) -> Json:
    """The native request for one text. Raises `Rejected`."""
    native = generating_request(COMPLETIONS, call, {"prompt": prompt_to_send(call, prompt), "raw": True})
    if native["raw"]:
        _check_raw(native)
    if requirements.form is not None:
        native["format"] = requirements.form.format(call, GRAMMARS["ollama"])
    if requirements.candidates > requirements.count:
        native["logprobs"] = True  # the candidates are ranked by them
    return native


def _check_raw(native: Json) -> None:
    """Raises `Rejected` for what a raw prompt has no place for; Ollama's error says nothing of how to give it one."""
    for name in ("system", "template", "context"):
        if native.get(name):
            raise Rejected(
                f"`{name}` belongs to the model's chat template, and a completion's prompt is sent raw, as to OpenAI: "
                'extra_body={"raw": False} has the template, or make it a chat',
                param=name,
                code="unsupported_parameter",
            )


def _text_completion(call: Call, native: Json, prompt: str) -> Steps[Json]:
    """The text completion of one text. Raises `Rejected`."""
    reply: NativeReply = yield NativeRequest("POST", "/api/generate", native)
    got = reply_of(reply, NATIVE_TEXT, call.path)
    if not got.get("done"):
        raise Rejected(INTERRUPTED, status=502, kind="api_error")
    return response(call, got, prompt)


def response(call: Call, native: Json, prompt: str) -> Json:
    """The text completion of one text's native reply."""
    text = native.get("response") or ""
    if not text and native.get("thinking") and native.get("done_reason") == "length":
        warn_only_thinking(call)
    choice = _choice(0, text, logprobs(native.get("logprobs"), 0), str(native.get("done_reason") or "stop"))
    whole = {**_head(call, native), "choices": [{**choice, **_thinking(native)}]}
    return {**whole, "usage": usage(native, prompt, text), "ollama": timings(native)}


def decoder(call: Call, requirements: CompletionRequirements) -> Events:
    """The decoder for the streams of all texts, each a choice."""
    lasts: list[tuple[Json, int]] = []
    parts = [
        CompletionDecoder(call, requirements, place, lasts)
        for place in range(len(requirements.prompts) * requirements.count)
    ]
    return parts[0] if len(parts) == 1 else SequentialStreams(parts)


class CompletionDecoder(LineDecoder):
    """The decoder of one text. `lasts` are the last messages of all the texts, with the number of pieces before."""

    shape = NATIVE_TEXT

    def __init__(
        self, call: Call, requirements: CompletionRequirements, place: int, lasts: list[tuple[Json, int]]
    ) -> None:
        super().__init__(call)
        self._requirements, self._place, self._lasts = requirements, place, lasts
        self._echo = requirements.echoed_prompt(place)
        self._offset = 0
        self._form = StreamedForm(call, requirements.form)

    @property
    def last(self) -> bool:
        return len(self._lasts) == len(self._requirements.prompts) * self._requirements.count

    def chunks(self, native: Json) -> list[Event]:
        reason = str(native.get("done_reason") or "stop") if native.get("done") else None
        error = self._form.error({"text": native.get("response"), "finish_reason": reason})
        if error is not None:
            return self.failed(error)
        text = self._echo + (native.get("response") or "")
        self._echo = ""
        logs = logprobs(native.get("logprobs"), self._offset)
        self._offset += len(text)
        choice = {**_choice(self._place, text, logs, reason), **_thinking(native)}
        return self._last_events(native, choice) if native.get("done") else [self._event(native, [choice], {})]

    def _last_events(self, native: Json, choice: Json) -> list[Event]:
        self._lasts.append((native, self.pieces))
        if not self.last:
            return [self._event(native, [choice], {})]
        figures = {
            "ollama": timings(*(last for last, _ in self._lasts)),
            "adapter": self.call.report.json(native.get("model")),
        }
        if not wants_usage(self.call):
            return [self._event(native, [choice], figures)]
        prompts = [self._requirements.prompts[place // self._requirements.count] for place in range(len(self._lasts))]
        ends = zip(self._lasts, prompts, strict=True)
        usages = [usage(last, prompt, pieces=pieces) for (last, pieces), prompt in ends]
        counts = {"usage": summed_usage(usages, self._requirements.count)}
        return [self._event(native, [choice], {}), self._event(native, [], {**counts, **figures})]

    def _event(self, native: Json, choices: list[Json], more: Json) -> Event:
        return Event({**_head(self.call, native), "choices": choices, **more})


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
