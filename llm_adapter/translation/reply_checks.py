"""Whether a reply is what its call asks for, in OpenAI's shape: the same for every backend.

A reply is sent back once, with what is wrong with it, where a demanded tool call did not come, where arguments break
the schema of a strict tool, and where a text breaks `response_format`; then it is an error that carries the raw text.
A tool call that the model wrote as text becomes a tool call. Where a call has tools and a form, the tools come first:
a grammar covers a whole reply, and under it no tool would be called. Several choices that were asked for one by one
become one reply, counted as OpenAI counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.messages import joined_text
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.structured_output import ReplyForm, correction, reply_form, request_for_form, without_fence
from llm_adapter.translation.tool_calls import NO_TOOLS, ToolPlan, tool_plan
from llm_adapter.translation.wire import CHOICES, Interrupted, tool_call_id
from llm_adapter.translation.written_calls import calls_written_as_text, constrained_call

NO_CALL = "it has to be one call of an allowed tool"
# Added to a call that is sent once more because its reply did not end: a small model held to a grammar may write one
# space after another, which the grammar allows; Ollama breaks it off after thirty (llm/llama_server.go tokenRepeat,
# v0.33.0-rc2; seen on 0.32, too).
_PENALTY: Json = {"frequency_penalty": 1.0}

# Sends the conversation with these turns at its end, and with a penalty where the reply before did not end; the result
# is a completion of one choice.
Ask: TypeAlias = Callable[[list[Json], bool], Steps[Json]]


@dataclass(frozen=True)
class ReplyRequirements:
    """What a call demands of its reply, beyond being a text."""

    call: Call
    plan: ToolPlan = NO_TOOLS
    form: ReplyForm | None = None
    count: int = 1
    begun: str = ""  # what a whole reply begins with, and a streamed one does not: the call's own last message
    constrained: bool = False  # a demanded tool call comes as a text, which a grammar holds to the call's schema

    @classmethod
    def of(
        cls, call: Call, where: str, *, constrained: bool = False, others: bool = False, fields: Sequence[str] = ()
    ) -> ReplyRequirements:
        """where: what the call goes to, for messages: "provider 'ollama'". Raises `Rejected`.

        others: whether the server has forms of `response_format` that only it can judge. fields: its own for a schema.
        """
        form = reply_form(call, others=others, fields=fields)
        return cls(call, tool_plan(call, where), form, call.body.get("n") or 1, constrained=constrained)

    @property
    def judged(self) -> bool:
        """Whether a reply may be sent back to the model."""
        return self.form is not None or self.plan.forced or self.plan.strict

    @property
    def tools_first(self) -> bool:
        """Whether the form is asked for when the model calls no tool; a demanded call has no form."""
        return self.form is not None and bool(self.plan.functions) and not self.plan.forced

    @property
    def recovers(self) -> bool:
        """Whether a text is looked through for tool calls."""
        return bool(self.plan.functions) and self.call.settings.recover_tool_calls


def checked_completion(
    requirements: ReplyRequirements, ask: Ask, ask_for_form: Callable[[ReplyForm], Ask]
) -> Steps[Json]:
    """The completion of one choice, asked for until it fits or `corrections` is used up. Raises `Rejected`.

    ask_for_form: what asks with the form and without tools, where `tools_first` holds; there `ask` does it the other
    way.
    """
    if not requirements.tools_first or requirements.form is None:
        return (yield from _fitting_completion(requirements, ask))
    requirements.call.report.note("emulated", requirements.form.param)
    whole = yield from _fitting_completion(replace(requirements, form=None), ask)
    choice = whole["choices"][0] if whole["choices"] else {}
    if not _may_have_form(choice):
        return whole
    form_alone = replace(requirements, plan=NO_TOOLS)
    formed, faults = choice_and_faults(form_alone, {**choice, "finish_reason": "stop"})
    if not faults:
        note_structured_output(requirements, enforced=False, validated=True, repaired=False)
        return {**whole, "choices": [{**formed, "finish_reason": choice.get("finish_reason")}]}
    turns, ask_again = request_for_form(choice["message"]), ask_for_form(requirements.form)
    last = yield from _fitting_completion(form_alone, lambda more, penalised: ask_again([*turns, *more], penalised))
    return {**last, **_sums(whole, last)}


def _may_have_form(choice: Json) -> bool:
    """Whether a choice is a text, and not a call or a thought that used up the budget."""
    message = choice.get("message") or {}
    called = message.get("tool_calls") or message.get("function_call")
    return bool(choice) and not called and bool(message.get("content") or choice.get("finish_reason") == "stop")


def _sums(*wholes: Json) -> Json:
    """The usage of several requests for one reply, and Ollama's figures."""
    sums: Json = {}
    if all(whole.get("usage") for whole in wholes):
        sums["usage"] = summed_usage([whole["usage"] for whole in wholes], per_prompt=1)
    figures = [whole["ollama"] for whole in wholes if "ollama" in whole]
    if figures:
        names = dict.fromkeys(name for one in figures for name in one)
        sums["ollama"] = {name: sum(one.get(name, 0) for one in figures) for name in names}
    return sums


def _fitting_completion(requirements: ReplyRequirements, ask: Ask) -> Steps[Json]:
    """The completion of one choice, of a call that has tools or a form, or neither."""
    turns: list[Json] = []
    wholes: list[Json] = []
    penalised = False
    corrections = requirements.call.settings.corrections
    for attempt in range(corrections + 1):
        try:
            whole = yield from ask(turns, penalised)
        except Interrupted:
            if not requirements.judged or attempt == corrections:
                raise
            penalised = True
            continue
        if not whole["choices"]:  # whatever the server means by that, it is no reply to hold against anything
            return whole
        wholes.append(whole)
        message = whole["choices"][0]["message"]
        choice, faults = choice_and_faults(requirements, whole["choices"][0])
        if faults and attempt < corrections:
            turns = [*turns, *correction(message, faults)]
            continue
        if requirements.form is not None and not requirements.plan.forced:
            first = attempt == 0
            note_structured_output(
                requirements, enforced=first and not faults, validated=not faults, repaired=not first
            )
        if faults:
            raise invalid_reply(requirements, message, faults)
        sums = _sums(*wholes) if len(wholes) > 1 else {}
        return {**whole, **sums, "choices": [in_older_form(requirements.plan, choice)]}
    raise AssertionError("the last attempt returns or raises")


def with_penalty(call: Call, sampling: Json) -> Json:
    """The sampling with a penalty against endless repetition, noted in the report; the caller's own penalty stands."""
    if sampling.get("frequency_penalty") is not None:
        return sampling
    call.report.note("changed", "frequency_penalty")
    return {**sampling, **_PENALTY}


def choice_and_faults(requirements: ReplyRequirements, choice: Json) -> tuple[Json, list[str]]:
    """The choice with its tool calls and text as they are meant, and what is wrong with it.

    Of a reply that was cut off nothing is demanded.
    """
    choice = _without_beginning(requirements, choice)
    plan, message = requirements.plan, choice.get("message") or {}
    text = joined_text(message.get("content")) or ""
    whole = choice.get("finish_reason") != "length"
    if not whole and not text and message.get("reasoning"):
        warn_only_thinking(requirements.call)
    given = message.get("tool_calls") or calls_in_text(requirements, text)
    if plan.forced:
        given = given or [one for one in (constrained_call(text),) if one]
    only_one = (requirements.constrained and plan.forced) or not plan.parallel
    calls = given[:1] if only_one else given
    if len(calls) < len(given):  # the reply that is left was not cut
        choice, whole = {**choice, "finish_reason": "stop"}, True
    if plan.forced:
        judged = calls if whole or requirements.constrained else []
        faults = [fault for one in judged for fault in plan.faults(one)] if calls else [NO_CALL]
        return _choice_with_calls(requirements, choice, calls, ""), faults
    if calls:
        judged = calls if whole and plan.functions else []
        faults = [fault for one in judged for fault in plan.faults(one, strict_only=True)]
        return _choice_with_calls(requirements, choice, calls, text if message.get("tool_calls") else ""), faults
    if requirements.form is None:
        return choice, []
    text = without_fence(text)
    return {**choice, "message": {**message, "content": text}}, requirements.form.faults(text) if whole else []


def _without_beginning(requirements: ReplyRequirements, choice: Json) -> Json:
    """The choice without the call's own last message. With a form it stays: the reply has to fit as it is."""
    message = choice.get("message") or {}
    if not requirements.begun or requirements.form is not None or not isinstance(message.get("content"), str):
        return choice
    return {**choice, "message": {**message, "content": message["content"].removeprefix(requirements.begun)}}


def warn_only_thinking(call: Call) -> None:
    """Warn that the budget went into thinking: the reply is empty, and there is no error."""
    call.report.note("changed", "thinking used the whole of max_tokens")
    warn_caller("thinking used the whole of `max_tokens`: the content is empty")


def calls_in_text(requirements: ReplyRequirements, text: str) -> list[Json]:
    """The tool calls that the model wrote as a text, if the settings have them looked for. They have no ids."""
    calls = calls_written_as_text(text, requirements.plan.parameters) if requirements.recovers else []
    if calls and not requirements.plan.forced:
        requirements.call.report.note("changed", "tool_calls")  # they came as a text
    return calls


def with_ids(requirements: ReplyRequirements, calls: Sequence[Json], choice: int, first: int = 0) -> list[Json]:
    """The calls with ids, where they have none."""
    return [
        one if one.get("id") else {"id": tool_call_id(requirements.call.id, choice * CHOICES + place), **one}
        for place, one in enumerate(calls, first)
    ]


def _choice_with_calls(requirements: ReplyRequirements, choice: Json, calls: list[Json], content: str) -> Json:
    if not calls:
        return choice
    kept = with_ids(requirements, calls, choice.get("index") or 0)
    message = {**choice["message"], "content": content or None, "tool_calls": kept}
    return {
        **choice,
        "message": message,
        "finish_reason": finish_reason_of_calls(requirements.plan, choice.get("finish_reason")),
    }


def finish_reason_of_calls(requirements: ToolPlan, reason: Any) -> Any:
    """OpenAI's finish reason of a reply that calls a tool.

    It is "stop" for a function that the caller named: calling it was no decision of the model's.
    """
    if reason not in ("stop", "tool_calls", "function_call", None):
        return reason
    if requirements.named:
        return "stop"
    return "function_call" if requirements.legacy else "tool_calls"


def in_older_form(requirements: ToolPlan, choice: Json) -> Json:
    """The same choice in the form before `tools`, where the call has that form."""
    calls = choice["message"].get("tool_calls")
    if not (requirements.legacy and calls):
        return choice
    kept = {name: value for name, value in choice["message"].items() if name != "tool_calls"}
    return {**choice, "message": {**kept, "function_call": calls[0]["function"]}}


def note_structured_output(requirements: ReplyRequirements, *, enforced: bool, validated: bool, repaired: bool) -> None:
    """Note in the report what became of `response_format`, for all choices of the call together."""
    before = requirements.call.report.structured_output or {"enforced": True, "validated": True, "repaired": False}
    requirements.call.report.structured_output = {
        "enforced": before["enforced"] and enforced,
        "validated": before["validated"] and validated,
        "repaired": before["repaired"] or repaired,
    }


def invalid_reply(requirements: ReplyRequirements, message: Json, faults: list[str]) -> Rejected:
    """The error of a reply that still is not what was asked for: 422, not repeated by the SDK, with the raw text."""
    if requirements.plan.forced or message.get("tool_calls"):
        what, code = "the model did not call a tool as it was asked to", "tool_call_invalid"
    else:
        form = requirements.form.param if requirements.form is not None else "response_format"
        what, code = f"the reply does not fit `{form}`", "structured_output_invalid"
    text, raw = f"{what}: {'; '.join(faults)}", message.get("content") or ""
    return Rejected(text, status=422, kind="invalid_reply", code=code, raw=raw, faults=faults)


def combined_choices(wholes: Sequence[Json]) -> Json:
    """One completion of several that have one choice each, for the same prompt."""
    first = wholes[0]
    if len(wholes) == 1:
        return first
    choices = [{**whole["choices"][0], "index": place} for place, whole in enumerate(wholes)]
    usages = [whole["usage"] for whole in wholes if whole.get("usage")]
    return {**first, "choices": choices, **({"usage": summed_usage(usages)} if usages else {})}


def summed_usage(usages: Sequence[Json], per_prompt: int | None = None) -> Json:
    """The usage of several replies: a prompt once, what was generated for it in full.

    per_prompt: how many replies in a row share one; all of them by default.
    """
    prompts = usages[:: per_prompt or len(usages)]
    prompt = sum(one.get("prompt_tokens") or 0 for one in prompts)
    completion = sum(one.get("completion_tokens") or 0 for one in usages)
    details = {
        "prompt_tokens_details": _summed_details(prompts, "prompt_tokens_details"),
        "completion_tokens_details": _summed_details(usages, "completion_tokens_details"),
    }
    marked = {"estimated": True} if any(one.get("estimated") for one in usages) else {}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**usages[0], **counts, **{name: one for name, one in details.items() if one}, **marked}


def _summed_details(usages: Sequence[Json], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in usages:
        for kind, tokens in (one.get(name) or {}).items():
            sums[kind] = sums.get(kind, 0) + (tokens or 0)
    return sums
