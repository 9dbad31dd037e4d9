"""Completions of several texts: a request for each, side by side, and one reply; the same for every backend.

Echoes are put before the texts, and the best of several candidates are those with the highest mean log probability,
which is what OpenAI's `best_of` ranks by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.parameters import unsupported
from llm_adapter.translation.reply_checks import summed_usage
from llm_adapter.translation.token_ids import decoded_texts


@dataclass(frozen=True)
class CompletionRequirements:
    """The texts that a call asks for."""

    prompts: tuple[Any, ...]  # texts, or lists of the model's own token ids
    count: int  # choices a prompt
    candidates: int  # texts a prompt, of which the best are the choices
    echo: bool
    logprobs: bool

    @classmethod
    def of(cls, call: Call, where: str, *, ids: bool = False) -> CompletionRequirements:
        """ids: whether the server takes token ids, as those of its model. Raises `Rejected`."""
        body = call.body
        count = body.get("n") or 1
        candidates = max(count, body.get("best_of") or count)
        prompts = _prompts(call, ids)
        requirements = cls(prompts, count, candidates, bool(body.get("echo")), body.get("logprobs") is not None)
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
        return {**choice, "index": place, "text": prompt + (choice.get("text") or ""), "logprobs": logs}


def combined_texts(requirements: CompletionRequirements, wholes: Sequence[Json]) -> Json:
    """One completion of the completions of all texts, prompt by prompt."""
    choices = [whole["choices"][0] for whole in wholes]
    if requirements.candidates > requirements.count:
        groups = [
            choices[start : start + requirements.candidates]
            for start in range(0, len(choices), requirements.candidates)
        ]
        choices = [
            one for group in groups for one in sorted(group, key=_likelihood, reverse=True)[: requirements.count]
        ]
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
