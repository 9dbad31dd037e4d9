"""Replies held against what their call asks for, in OpenAI's shape: the same for every backend.

A demanded tool call that did not come, arguments that break a strict tool's schema, a text that breaks its form: sent
back once with what is wrong, and then an error that carries the raw text (P2, P9). Calls that came as text are calls
(P10). Several choices that were asked for one by one become one reply, counted as OpenAI counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.parameters import AdapterWarning
from llm_adapter.translation.structured_output import Wanted, correction, unfenced, wanted
from llm_adapter.translation.tool_calls import NO_TOOLS, Plan, forced_call, plan, recovered
from llm_adapter.translation.wire import CHOICES, Interrupted, tool_call_id

NO_CALL = "it has to be one call of an allowed tool"
# What ends a reply that would not end: a small model in a grammar writes one space after another, which the grammar
# allows and Ollama breaks off after thirty (llm/llama_server.go tokenRepeat, v0.33.0-rc2; seen on it with 0.32's line).
_PENALTY: Json = {"frequency_penalty": 1.0}

# Sends the conversation with these turns at its end, `steadied` where the reply before did not end; the result is a
# completion of one choice.
Ask: TypeAlias = Callable[[list[Json], bool], Steps[Json]]


@dataclass(frozen=True)
class ReplyRequirements:
    """What a call asks for beyond text."""

    call: Call
    plan: Plan = NO_TOOLS
    form: Wanted | None = None
    count: int = 1
    constrained: bool = False  # a demanded tool call comes as a text that is held to its form

    @classmethod
    def of(cls, call: Call, where: str, *, constrained: bool = False, others: bool = False) -> ReplyRequirements:
        """where: what the call goes to, for messages: "provider 'ollama'". Raises `Rejected`.

        others: whether there are forms that only the server knows.
        """
        return cls(call, plan(call, where), wanted(call, others=others), call.body.get("n") or 1, constrained)

    @property
    def judged(self) -> bool:
        """Whether a reply may have to be sent back."""
        return self.form is not None or self.plan.forced or self.plan.strict

    @property
    def recovers(self) -> bool:
        """Whether a text may be a tool call."""
        return bool(self.plan.functions) and self.call.settings.recover_tool_calls


def answered(requirements: ReplyRequirements, ask: Ask) -> Steps[Json]:
    """The completion of one choice, checked. Raises `Rejected`."""
    turns: list[Json] = []
    steady = False
    corrections = requirements.call.settings.corrections
    for attempt in range(corrections + 1):
        try:
            whole = yield from ask(turns, steady)
        except Interrupted:
            if not requirements.judged or attempt == corrections:
                raise
            steady = True
            continue
        if not whole["choices"]:  # whatever the server means by that, it is no reply to hold against anything
            return whole
        said = whole["choices"][0]["message"]
        choice, found = examined(requirements, whole["choices"][0])
        if found and attempt < corrections:
            turns = [*turns, *correction(said, found)]
            continue
        if requirements.form is not None:
            note_structured_output(
                requirements, enforced=attempt == 0 and not found, validated=not found, repaired=attempt > 0
            )
        if found:
            raise invalid_reply(requirements, said, found)
        return {**whole, "choices": [older(requirements.plan, choice)]}
    raise AssertionError("the last attempt returns or raises")


def steadied(call: Call, sampling: Json) -> Json:
    """The sampling of what is asked once more, told on the reply; a penalty of the call's or the profile's stands."""
    if sampling.get("frequency_penalty") is not None:
        return sampling
    call.report.note("changed", "frequency_penalty")
    return {**sampling, **_PENALTY}


def examined(requirements: ReplyRequirements, choice: Json) -> tuple[Json, list[str]]:
    """A choice as it is meant, and what is wrong with it. A reply that was cut is not held against anything."""
    said = choice.get("message") or {}
    text = said.get("content") or ""
    whole = choice.get("finish_reason") != "length"
    if not whole and not text and said.get("reasoning"):
        only_thought(requirements.call)
    given = said.get("tool_calls") or calls_in(requirements, text)
    if requirements.plan.forced:
        given = given or [one for one in (forced_call(text),) if one]
    calls = (
        given[:1]
        if (requirements.constrained and requirements.plan.forced) or not requirements.plan.parallel
        else given
    )
    if len(calls) < len(given):  # the reply that is left was not cut
        choice, whole = {**choice, "finish_reason": "stop"}, True
    if requirements.plan.forced:
        found = (
            [fault for one in calls for fault in requirements.plan.faults(one)]
            if whole or requirements.constrained
            else []
        )
        return _called(requirements, choice, calls, ""), found if calls else [NO_CALL]
    if calls:
        content = text if said.get("tool_calls") else ""
        strict = [fault for one in calls for fault in requirements.plan.faults(one, strict_only=True)]
        return _called(requirements, choice, calls, content), strict if requirements.plan.functions and whole else []
    if requirements.form is None or not whole:
        return choice, []
    return {**choice, "message": {**said, "content": unfenced(text)}}, requirements.form.faults(unfenced(text))


def only_thought(call: Call) -> None:
    """P6: the budget went into thinking, and the reply is empty without an error."""
    call.report.note("changed", "thinking used the whole of max_tokens")
    warnings.warn("thinking used the whole of `max_tokens`: the content is empty", AdapterWarning, stacklevel=3)


def calls_in(requirements: ReplyRequirements, text: str) -> list[Json]:
    """The tool calls that a text is, where that is wanted. They have no ids."""
    calls = recovered(text, requirements.plan.parameters) if requirements.recovers else []
    if calls and not requirements.plan.forced:
        requirements.call.report.note("changed", "tool_calls")  # they came as text
    return calls


def identified(requirements: ReplyRequirements, calls: Sequence[Json], choice: int, first: int = 0) -> list[Json]:
    """The calls with ids, where they have none."""
    return [
        one if one.get("id") else {"id": tool_call_id(requirements.call.id, choice * CHOICES + place), **one}
        for place, one in enumerate(calls, first)
    ]


def _called(requirements: ReplyRequirements, choice: Json, calls: list[Json], content: str) -> Json:
    if not calls:
        return choice
    kept = identified(requirements, calls, choice.get("index") or 0)
    message = {**choice["message"], "content": content or None, "tool_calls": kept}
    return {
        **choice,
        "message": message,
        "finish_reason": called_reason(requirements.plan, choice.get("finish_reason")),
    }


def called_reason(requirements: Plan, reason: Any) -> Any:
    """OpenAI's finish reason of a reply that calls a tool.

    It is "stop" for a function that the caller named: calling it was no decision of the model's.
    """
    if reason not in ("stop", "tool_calls", "function_call", None):
        return reason
    if requirements.named:
        return "stop"
    return "function_call" if requirements.legacy else "tool_calls"


def older(requirements: Plan, choice: Json) -> Json:
    """The same choice in the form before `tools`, where the call has that form."""
    calls = choice["message"].get("tool_calls")
    if not (requirements.legacy and calls):
        return choice
    kept = {name: value for name, value in choice["message"].items() if name != "tool_calls"}
    return {**choice, "message": {**kept, "function_call": calls[0]["function"]}}


def note_structured_output(requirements: ReplyRequirements, *, enforced: bool, validated: bool, repaired: bool) -> None:
    """Note what became of the form that was asked for; of several choices, of all of them."""
    told = requirements.call.report.structured_output or {"enforced": True, "validated": True, "repaired": False}
    requirements.call.report.structured_output = {
        "enforced": told["enforced"] and enforced,
        "validated": told["validated"] and validated,
        "repaired": told["repaired"] or repaired,
    }


def invalid_reply(requirements: ReplyRequirements, message: Json, faults: list[str]) -> Rejected:
    """The error of a reply that still is not what was asked for: 422, not repeated by the SDK, with the raw text."""
    if requirements.plan.forced or message.get("tool_calls"):
        what, code = "the model did not call a tool as it was asked to", "tool_call_invalid"
    else:
        what, code = "the reply does not fit `response_format`", "structured_output_invalid"
    text, raw = f"{what}: {'; '.join(faults)}", message.get("content") or ""
    return Rejected(text, status=422, kind="invalid_reply", code=code, raw=raw, faults=faults)


def combined(wholes: Sequence[Json]) -> Json:
    """One completion of several that have one choice each, for the same prompt."""
    first = wholes[0]
    if len(wholes) == 1:
        return first
    choices = [{**whole["choices"][0], "index": place} for place, whole in enumerate(wholes)]
    usages = [whole["usage"] for whole in wholes if whole.get("usage")]
    return {**first, "choices": choices, **({"usage": summed(usages)} if usages else {})}


def summed(usages: Sequence[Json], per_prompt: int | None = None) -> Json:
    """The usage of several replies: a prompt once, what was generated for it in full.

    per_prompt: how many replies in a row share one; all of them by default.
    """
    prompt = sum(one.get("prompt_tokens") or 0 for one in usages[:: per_prompt or len(usages)])
    completion = sum(one.get("completion_tokens") or 0 for one in usages)
    details: dict[str, int] = {}
    for one in usages:
        for name, tokens in (one.get("completion_tokens_details") or {}).items():
            details[name] = details.get(name, 0) + (tokens or 0)
    marked = {"estimated": True} if any(one.get("estimated") for one in usages) else {}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**usages[0], **counts, **({"completion_tokens_details": details} if details else {}), **marked}
