"""POST /completions  ↔  the same on a /v1 server that is not OpenAI: one request a text, side by side.

Ollama's /v1 takes one prompt and no `n`; llama.cpp takes several and counts the tokens of the first alone, and leaves
`echo`, `best_of` and `suffix` out in silence (measured on llama.cpp of 2026-10). vLLM does it all but `best_of`.
"""

from __future__ import annotations

from functools import partial

from llm_adapter.provider import Call, Events, Flow, Json, NativeReply, NativeRequest
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.providers.v1.repair import complete
from llm_adapter.providers.v1.stream import StreamDecoder, Tally
from llm_adapter.translation.completions import (
    CompletionRequirements,
    StreamedForm,
    asks_for_no_tokens,
    check_form,
    combined_texts,
    logprobs,
    prompt_to_send,
    without_generating,
)
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parallel import SequentialStreams, Steps, seeded, together
from llm_adapter.translation.reply_shapes import TEXT_COMPLETION, reply_of
from llm_adapter.translation.structured_output import ReplyForm, form_in_field
from llm_adapter.translation.token_ids import is_token_ids

_OURS = ("n", "best_of", "echo", "prompt")


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request for each text, or one for all where the server counts itself."""
    if asks_for_no_tokens(call) and not (dialect.supports_n and call.body.get("echo")):
        again = partial(flow, dialect=dialect)
        return (yield from without_generating(call, again, dialect.where, ids=dialect.takes_token_ids(call)))
    body = dialect.body(call)
    fields = (*dialect.schema_fields, *(("response_format",) if dialect.own_forms else ()))
    form = form_in_field(body, fields)
    if form is not None:
        body = form.in_its_field(call, body, dialect.grammar)
    if dialect.supports_n and (body.get("best_of") or 0) <= (body.get("n") or 1):
        body = {name: body[name] for name in body if name != "best_of"}
        return (yield from _one_request(call, form, body, ids=dialect.takes_token_ids(call)))
    requirements = CompletionRequirements.of(call, dialect.where, ids=dialect.takes_token_ids(call), fields=fields)
    bodies = [
        one
        for prompt in requirements.prompts
        for one in seeded(_body_of_one(call, requirements, body, prompt), requirements.candidates)
    ]
    if call.stream:
        replies = yield [NativeRequest("POST", None, one, stream=True) for one in bodies]
        for reply in replies:
            checked(reply, call.path)
        return decoder(call, requirements)
    return combined_texts(call, requirements, (yield from together([_text_completion(call, one) for one in bodies])))


def _one_request(call: Call, form: ReplyForm | None, body: Json, *, ids: bool) -> Flow:
    """The call as the server takes it; token ids of a declared encoding are the text that they mean."""
    if (call.settings.token_encoding or not ids) and is_token_ids(body.get("prompt")):
        prompts = CompletionRequirements.of(call, "").prompts
        body = {**body, "prompt": list(prompts)}
    reply: NativeReply = yield NativeRequest("POST", None, body, stream=call.stream)
    if not call.stream:
        whole = complete(reply_of(reply, TEXT_COMPLETION, call.path))
        for choice in whole["choices"] if form is not None else ():
            check_form(call, form, choice)
        return whole
    checked(reply, call.path)
    prompt = body.get("prompt")
    several = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    return PassedStream(call, form, Tally(1, several * (body.get("n") or 1), 1))


def _body_of_one(call: Call, requirements: CompletionRequirements, body: Json, prompt: object) -> Json:
    own = {name: value for name, value in body.items() if name not in _OURS}
    if requirements.candidates > requirements.count or "logprobs" in own:
        own["logprobs"] = own.get("logprobs") or 1  # llama.cpp gives none for 0
    return {**own, "prompt": prompt_to_send(call, prompt)}


def _text_completion(call: Call, body: Json) -> Steps[Json]:
    """The text completion of one text. Raises `Rejected`."""
    reply: NativeReply = yield NativeRequest("POST", None, body)
    got = complete(reply_of(reply, TEXT_COMPLETION, call.path))
    choice = got["choices"][0]
    return {**got, "choices": [{**choice, "logprobs": _logprobs(choice, 0)}]}


def _logprobs(choice: Json, offset: int) -> Json | None:
    """A choice's logprobs in the completions form: llama.cpp gives chat's."""
    given: Json | None = choice.get("logprobs")
    return logprobs(given["content"], offset) if given and "content" in given else given


def decoder(call: Call, requirements: CompletionRequirements) -> Events:
    """The decoder of the streams of all texts."""
    count = len(requirements.prompts) * requirements.count
    tally = Tally(count, count, requirements.count)
    make = partial(CompletionDecoder, call, requirements=requirements, tally=tally)
    return make(0) if count == 1 else SequentialStreams([make(place) for place in range(count)])


class PassedStream(StreamDecoder):
    """The decoder of a stream whose choices are passed on as they are."""

    def __init__(self, call: Call, form: ReplyForm | None, tally: Tally) -> None:
        super().__init__(call, 0, tally, everything=form is not None)
        self._forms: dict[int, StreamedForm] = {}  # by choice
        self._form = form

    def _choice(self, choice: Json) -> Json | None:
        form = self._forms.setdefault(choice["index"], StreamedForm(self._call, self._form))
        return form.error(choice)


class CompletionDecoder(StreamDecoder):
    """The decoder of one text's stream."""

    def __init__(self, call: Call, place: int, requirements: CompletionRequirements, tally: Tally) -> None:
        super().__init__(
            call, place, tally, everything=requirements.echo or requirements.logprobs or requirements.form is not None
        )
        self._echo = requirements.echoed_prompt(place)
        self._alternatives = requirements.alternatives
        self._offset = 0
        self._form = StreamedForm(call, requirements.form)

    def _choice(self, choice: Json) -> Json | None:
        error = self._form.error(choice)
        text = self._echo + (choice.get("text") or "")
        if choice.get("logprobs"):
            logs = _logprobs(choice, self._offset + len(self._echo))
            choice["logprobs"] = logs if self._alternatives or logs is None else {**logs, "top_logprobs": None}
        choice["text"], self._echo = text, ""
        self._offset += len(text)
        return error
