"""POST /chat/completions  ↔  the same on a /v1 server that is not OpenAI, in its dialect.

Rule: what the server does itself, it does. What it would leave out without a word is made of other requests.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from llm_adapter.provider import Call, Fetch, Flow, Json, LongWork, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.messages import with_media
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.providers.v1.messages import with_adapted_messages
from llm_adapter.providers.v1.repair import complete, repaired, without_alternatives
from llm_adapter.providers.v1.stream import decoder
from llm_adapter.translation.chat_stream import replay_of
from llm_adapter.translation.errors import checked, no_reply
from llm_adapter.translation.grammar_schema import GRAMMARS
from llm_adapter.translation.images import with_inline_images
from llm_adapter.translation.messages import begun_reply, with_object_arguments
from llm_adapter.translation.parallel import Steps, seeded, together
from llm_adapter.translation.parameters import note_emulated_tools
from llm_adapter.translation.reasoning import without_thinking
from llm_adapter.translation.reply_checks import (
    Ask,
    ReplyRequirements,
    checked_completion,
    choice_and_faults,
    combined_choices,
    in_older_form,
    with_penalty,
)
from llm_adapter.translation.reply_shapes import COMPLETION, reply_of
from llm_adapter.translation.structured_output import ANY_OBJECT, ReplyForm

_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request, or one a choice, side by side; one more where a reply does not fit, and for the form after tools."""
    call = yield from with_images(call, dialect)
    while True:
        try:
            return (yield from _exchange(call, dialect))
        except Rejected as refusal:  # noqa: PERF203 - once more at most
            call = without_thinking(call, refusal)


def with_images(call: Call, dialect: Dialect) -> Generator[NativeRequest | Fetch | LongWork, Any, Call]:
    """The call with its images inline, for a server that does not fetch them."""
    if dialect.fetches_images:
        return call
    return (yield from with_media(call) if dialect.name == "ollama" else with_inline_images(call))


def _exchange(call: Call, dialect: Dialect) -> Flow:
    requirements = requirements_of(call, dialect)
    body = request(requirements, dialect)
    if dialect.repeats_last_message:
        requirements = replace(requirements, begun=begun_reply(body["messages"]))
    all_at_once = body.get("n") is not None
    bodies = seeded(body, 1 if all_at_once else requirements.count)
    forced = requirements.plan.forced and requirements.constrained
    if call.stream and not forced and not requirements.tools_first:
        replies = yield [NativeRequest("POST", None, one, stream=True) for one in bodies]
        for reply in replies:
            checked(reply)
        return decoder(requirements, len(bodies))
    if all_at_once:
        whole = _completion(requirements, (yield NativeRequest("POST", None, body)))
        checked_choices = [choice_and_faults(requirements, choice)[0] for choice in whole["choices"]]
        return {**whole, "choices": [in_older_form(requirements.plan, choice) for choice in checked_choices]}
    wholes = yield from together(
        [_checked_completion(requirements, one, place, dialect) for place, one in enumerate(bodies)]
    )
    whole = combined_choices(wholes)
    return replay_of(requirements, whole) if call.stream else whole


def requirements_of(call: Call, dialect: Dialect) -> ReplyRequirements:
    """What the reply of a call has to fulfil on this server. Raises `Rejected`."""
    constrained = dialect.tool_choice_forms == "none"
    return ReplyRequirements.of(
        call, dialect.where, constrained=constrained, others=dialect.own_forms, fields=dialect.schema_fields
    )


def request(requirements: ReplyRequirements, dialect: Dialect) -> Json:
    """The body of one choice's request, or of all where the server counts itself. Raises `Rejected`."""
    body = dialect.body(requirements.call)
    note_emulated_tools(dialect.rows["/chat/completions"], body, requirements.call)
    body = _with_response_format(requirements, with_adapted_messages(body, requirements.call, dialect), dialect)
    body = _with_tools(requirements, body, dialect)
    if "n" in body and (requirements.count == 1 or not dialect.supports_n or requirements.judged):
        if requirements.count > 1:
            requirements.call.report.note("emulated", "n")
        body = {name: value for name, value in body.items() if name != "n"}
    return body


def _with_tools(requirements: ReplyRequirements, body: Json, dialect: Dialect) -> Json:
    """The body with the tools and the choice that mean to this server what the call means."""
    if not any(name in body for name in _ABOUT_TOOLS):
        return body
    plan, choice = requirements.plan, body.get("tool_choice")
    bare = {name: value for name, value in body.items() if name not in _ABOUT_TOOLS}
    if not plan.functions:
        return body if dialect.tool_choice_forms == "named" and choice == "none" else bare
    if requirements.constrained and plan.forced:
        # A thinking model would think first, and not be constrained while it does. The whole call is checked, so
        # there is nothing to stream.
        form = {
            "type": "json_schema",
            "json_schema": {"name": "call", "schema": plan.format(requirements.call, dialect.grammar)},
        }
        forced = {"response_format": form, "reasoning_effort": "none", "stream": False}
        bare.pop("stream_options", None)
        return {**bare, "tools": plan.folded, **forced}
    as_it_is = choice in (None, "auto", "required") or (
        dialect.tool_choice_forms == "named" and choice["type"] == "function"
    )
    if as_it_is and not plan.legacy:
        tools = _tools(requirements, body["tools"], dialect)
        return body if tools == body.get("tools") else {**body, "tools": tools}
    single = {"parallel_tool_calls": False} if plan.named else {}
    known = [one for one in body.get("tools") or () if one["function"]["name"] in plan.parameters]
    tools = _tools(requirements, known or plan.tools, dialect)
    return {**bare, "tools": tools, "tool_choice": "required" if plan.forced else "auto", **single}


def _tools(requirements: ReplyRequirements, tools: list[Json], dialect: Dialect) -> list[Json]:
    """The tools as this server shows them to a model, and builds a grammar of them."""
    if not dialect.accepts_content_parts:
        return requirements.plan.folded
    # Of a server that is none of the known ones, it is not known whether tools reach a grammar.
    known = dialect.name in GRAMMARS
    return requirements.plan.in_grammar(requirements.call, tools, dialect.grammar) if known else tools


def _with_response_format(requirements: ReplyRequirements, body: Json, dialect: Dialect) -> Json:
    """The body with a `response_format` that the server takes; without one where tools come first, or alone."""
    if requirements.form is None:
        return body
    if not requirements.plan.functions:
        return _in_form(requirements.form, requirements.call, body, dialect)
    left_out = (requirements.form.param, *(("stream_options",) if requirements.tools_first else ()))
    whole = {"stream": False} if requirements.tools_first and requirements.call.stream else {}
    return {**{name: value for name, value in body.items() if name not in left_out}, **whole}


def _in_form(form: ReplyForm, call: Call, body: Json, dialect: Dialect) -> Json:
    """The body with the form as this server takes it."""
    given = call.body[form.param]
    if form.param != "response_format":
        return form.in_its_field(call, {**body, form.param: given}, dialect.grammar)
    any_object = given["type"] == "json_object" and form.schema == ANY_OBJECT
    taken = given if any_object and dialect.supports_json_object else form.response_format(call, dialect.grammar)
    return {**body, "response_format": taken}


def _checked_completion(requirements: ReplyRequirements, body: Json, place: int, dialect: Dialect) -> Steps[Json]:
    """The completion of one choice."""

    def ask_for_form(form: ReplyForm) -> Ask:
        bare = {name: value for name, value in body.items() if name not in _ABOUT_TOOLS}
        return _asker(requirements, _in_form(form, requirements.call, bare, dialect), place)

    return checked_completion(requirements, _asker(requirements, body, place), ask_for_form)


def _asker(requirements: ReplyRequirements, body: Json, place: int) -> Ask:
    """What sends the request for one choice."""

    def ask(turns: list[Json], penalised: bool) -> Steps[Json]:
        again = with_penalty(requirements.call, body) if penalised else body
        added = with_object_arguments(turns, requirements.call)
        more = {"messages": [*(body.get("messages") or ()), *added]} if turns else {}
        return _completion(requirements, (yield NativeRequest("POST", None, {**again, **more})), place)

    return ask


def _completion(requirements: ReplyRequirements, reply: NativeReply, place: int = 0) -> Json:
    """The completion that a reply holds, repaired. Raises `Rejected`."""
    whole = repaired(reply_of(reply, COMPLETION), requirements.call.id, first=place)
    if any(isinstance(choice["message"].get("content"), list) for choice in whole["choices"]):
        raise no_reply(whole, "the content of the server's reply is not a text")
    for choice in whole["choices"] if requirements.call.body.get("top_logprobs") == 0 else ():
        without_alternatives(choice)
    return complete(whole)
