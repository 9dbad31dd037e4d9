"""Completions of several texts: a request for each, side by side, and one reply; the same for every backend.

Echoes are put before the texts, and the best of several candidates are those with the highest mean log probability,
which is what OpenAI's `best_of` ranks by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected, Replay
from llm_adapter.translation.chat_stream import wants_usage
from llm_adapter.translation.parameters import unsupported
from llm_adapter.translation.reply_checks import summed_usage
from llm_adapter.translation.structured_output import ReplyForm, form_in_field
from llm_adapter.translation.token_ids import decoded_texts
from llm_adapter.translation.wire import event

_OF_A_TEXT = ("max_tokens", "stream", "stream_options", "n", "best_of", "logprobs", "echo")


@dataclass(frozen=True)
class CompletionRequirements:
    """The texts that a call asks for."""

    prompts: tuple[Any, ...]  # texts, or lists of the model's own token ids
    count: int  # choices a prompt
    candidates: int  # texts a prompt, of which the best are the choices
    echo: bool
    logprobs: bool
    form: ReplyForm | None = None
    alternatives: bool = True  # `logprobs` wants more than the tokens themselves

    @classmethod
    def of(cls, call: Call, where: str, *, ids: bool = False, fields: Sequence[str] = ()) -> CompletionRequirements:
        """ids: whether the server takes token ids, as those of its model. fields: its own for a schema of the text.

        Raises `Rejected`.
        """
        body = call.body
        count = body.get("n") or 1
        candidates = max(count, body.get("best_of") or count)
        prompts = _prompts(call, ids)
        form = form_in_field(body, fields)
        logs = body.get("logprobs")
        requirements = cls(prompts, count, candidates, bool(body.get("echo")), logs is not None, form, logs != 0)
        if call.stream and candidates > count:
            raise Rejected("`best_of` cannot be streamed", param="best_of", code="invalid_value")
        if requirements.echo and requirements.logprobs:
            unsupported(call, "echo", f"`echo` has no logprobs of the prompt on {where}")
        if requirements.echo and not all(isinstance(one, str) for one in prompts):
            raise Rejected("`echo` of token ids needs `token_encoding`", param="echo", code="unsupported_value")
        if requirements.echo:
            call.report.note("emulated", "echo")
        return requirements

    def echoed_prompt(self, place: int) -> str:
        """What the text of a choice begins with: its prompt, for `echo`."""
        return str(self.prompts[place // self.count]) if self.echo else ""

    def placed(self, place: int, choice: Json) -> Json:
        """A choice with its place, and after the prompt for `echo`."""
        prompt = self.echoed_prompt(place)
        logs = choice.get("logprobs") if self.logprobs else None
        if logs and prompt:
            logs = {**logs, "text_offset": [len(prompt) + start for start in logs.get("text_offset") or ()]}
        if logs and not self.alternatives:
            logs = {**logs, "top_logprobs": None}
        return {**choice, "index": place, "text": prompt + (choice.get("text") or ""), "logprobs": logs}


def prompt_to_send(call: Call, prompt: Any) -> Any:
    """The prompt of one text. A text from nothing begins with a line break: Ollama only loads the model for "".

    llama.cpp answers "" with nothing; to OpenAI, it is the beginning of a document.
    """
    if prompt != "":
        return prompt
    call.report.note("changed", "prompt: a line break in the place of nothing")
    return "\n"


def asks_for_no_tokens(call: Call) -> bool:
    """Whether a completion may have no text, which no server knows: 0 is no limit, or one token."""
    length = call.body.get("max_tokens")
    return isinstance(length, int) and length == 0


def without_generating(call: Call, endpoint: Endpoint, where: str, *, ids: bool = False) -> Flow:
    """The reply to a completion of no tokens: its prompts where it echoes them, and their counts.

    The prompts are sent for one token each, which is left out: so a server checks them, and counts. where, ids: see
    `CompletionRequirements.of`.
    """
    requirements = CompletionRequirements.of(call, where, ids=ids)
    asked = {name: value for name, value in call.body.items() if name not in _OF_A_TEXT}
    whole: Any = yield from endpoint(replace(call, body={**asked, "max_tokens": 1}))
    call.report.note("emulated", "max_tokens")
    places = range(len(requirements.prompts) * requirements.count)
    end = {"logprobs": None, "finish_reason": "length"}
    choices = [{"index": place, "text": requirements.echoed_prompt(place), **end} for place in places]
    tokens = (whole.get("usage") or {}).get("prompt_tokens") or 0
    counts = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    whole = {**whole, "choices": choices, "usage": counts}
    return _replay(call, whole) if call.stream else whole


def _replay(call: Call, whole: Json) -> Replay:
    """A complete text completion as the stream that would have brought it."""
    head = {name: value for name, value in whole.items() if name not in ("choices", "usage")}
    chunks: list[Json] = [{**head, "choices": [choice]} for choice in whole["choices"]]
    if wants_usage(call):
        chunks.append({**head, "choices": [], "usage": whole["usage"]})
    chunks[-1]["adapter"] = call.report.json(whole.get("model"))
    return Replay(b"".join(map(event, chunks)) + b"data: [DONE]\n\n")


def check_form(call: Call, form: ReplyForm | None, choice: Json) -> None:
    """Hold a choice's text against the form that the call asks for; one that was cut is none. Raises `Rejected`."""
    if form is None or choice.get("finish_reason") in (None, "length"):
        return
    text = choice.get("text") or ""
    faults = form.faults(text)
    call.report.structured_output = {"enforced": not faults, "validated": not faults, "repaired": False}
    if faults:
        words, code = f"the text does not fit `{form.param}`: {'; '.join(faults)}", "structured_output_invalid"
        raise Rejected(words, status=422, kind="invalid_reply", code=code, raw=text, faults=faults)


class StreamedForm:
    """The check of a streamed text at its end."""

    def __init__(self, call: Call, form: ReplyForm | None) -> None:
        self._call, self._form = call, form
        self._text = ""

    def error(self, choice: Json) -> Json | None:
        """The envelope that ends the stream, where the whole text is not what was asked for."""
        if self._form is None:
            return None
        self._text += choice.get("text") or ""
        try:
            check_form(self._call, self._form, {**choice, "text": self._text})
        except Rejected as refusal:
            return refusal.envelope()
        return None


def combined_texts(call: Call, requirements: CompletionRequirements, wholes: Sequence[Json]) -> Json:
    """One completion of the completions of all texts, prompt by prompt. Raises `Rejected`."""
    choices = [whole["choices"][0] for whole in wholes]
    if requirements.candidates > requirements.count:
        groups = [
            choices[start : start + requirements.candidates]
            for start in range(0, len(choices), requirements.candidates)
        ]
        choices = [
            one for group in groups for one in sorted(group, key=_likelihood, reverse=True)[: requirements.count]
        ]
    for choice in choices:
        check_form(call, requirements.form, choice)
    usages = [whole["usage"] for whole in wholes if whole.get("usage")]
    counts = {"usage": summed_usage(usages, requirements.candidates)} if len(usages) == len(wholes) else {}
    return {**wholes[0], "choices": [requirements.placed(place, one) for place, one in enumerate(choices)], **counts}


def logprobs(given: Any, offset: int) -> Json | None:
    """The parallel lists of the completions form, or None. given: chat's form; offset: where the first token begins."""
    if not given:
        return None
    tokens = [one["token"] for one in given]
    return {
        "tokens": tokens,
        "token_logprobs": [one["logprob"] for one in given],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in one.get("top_logprobs") or ()} for one in given
        ],
        "text_offset": [offset + sum(map(len, tokens[:place])) for place in range(len(tokens))],
    }


def _likelihood(choice: Json) -> float:
    given = [one for one in (choice.get("logprobs") or {}).get("token_logprobs") or () if one is not None]
    return sum(given) / len(given) if given else float("-inf")


def _prompts(call: Call, ids: bool) -> tuple[Any, ...]:
    match call.body.get("prompt"):
        case str() as prompt:
            return (prompt,)
        case [str(), *_] as prompts if all(isinstance(one, str) for one in prompts):
            if len(prompts) > 1:
                call.report.note("emulated", "prompt")
            return tuple(prompts)
        case [int() | list(), *_] as tokens:
            if ids and call.settings.token_encoding is None:
                return tuple(tokens) if isinstance(tokens[0], list) else (tokens,)
            return tuple(decoded_texts(tokens, call, "prompt"))
        case None:
            raise Rejected("`prompt` is required", param="prompt", code="missing_required_parameter")
        case _:
            raise Rejected("`prompt` must be a string or a list of strings", param="prompt", code="invalid_value")
