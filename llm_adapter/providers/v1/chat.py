"""POST /chat/completions  ↔  the same on a /v1 server that is not OpenAI, in its dialect.

Rule: what the server does itself, it does; what it would leave out in silence is made of other requests (P2, P9, P20).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from llm_adapter.provider import Call, Fetch, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama.messages import with_media
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.providers.v1.messages import adapted
from llm_adapter.providers.v1.repair import repaired
from llm_adapter.providers.v1.stream import decoder
from llm_adapter.translation.chat_stream import replayed
from llm_adapter.translation.errors import checked
from llm_adapter.translation.images import with_inline_images
from llm_adapter.translation.parallel import Steps, seeded, together
from llm_adapter.translation.parameters import note_emulated_tools
from llm_adapter.translation.reasoning import without_thinking
from llm_adapter.translation.reply_checks import Ask, ReplyRequirements, answered, combined, examined, older, steadied
from llm_adapter.translation.structured_output import ANY_OBJECT
from llm_adapter.translation.wire import Interrupted

_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request, or one a choice, side by side; where a reply has to be checked and does not fit, one more."""
    call = yield from _given(call, dialect)
    while True:
        try:
            return (yield from _exchange(call, dialect))
        except Rejected as refusal:  # noqa: PERF203 - once more at most
            call = without_thinking(call, refusal)


def _given(call: Call, dialect: Dialect) -> Generator[NativeRequest | Fetch, Any, Call]:
    """The call with its images at hand, for a server that does not fetch them."""
    if dialect.fetches_images:
        return call
    return (yield from with_media(call) if dialect.name == "ollama" else with_inline_images(call))


def _exchange(call: Call, dialect: Dialect) -> Flow:
    constrained = dialect.tool_choice_forms == "none"
    requirements = ReplyRequirements.of(
        call, dialect.where, constrained=constrained, others=not dialect.anchored_patterns_only
    )
    body = request(requirements, dialect)
    together_asked = body.get("n") is not None
    bodies = seeded(body, 1 if together_asked else requirements.count)
    if call.stream and not (requirements.plan.forced and constrained):
        replies = yield [NativeRequest("POST", None, one, stream=True) for one in bodies]
        for reply in replies:
            checked(reply)
        return decoder(requirements, len(bodies))
    if together_asked:
        whole = _whole(requirements, (yield NativeRequest("POST", None, body)))
        return {
            **whole,
            "choices": [older(requirements.plan, examined(requirements, choice)[0]) for choice in whole["choices"]],
        }
    wholes = yield from together(
        [answered(requirements, _ask(requirements, one, place)) for place, one in enumerate(bodies)]
    )
    whole = combined(wholes)
    return replayed(requirements, whole) if call.stream else whole


def request(requirements: ReplyRequirements, dialect: Dialect) -> Json:
    """The body of one choice's request, or of all where the server counts itself. Raises `Rejected`."""
    body = dialect.body(requirements.call)
    note_emulated_tools(dialect.rows["/chat/completions"], body, requirements.call)
    body = _formed(requirements, _tooled(requirements, adapted(body, dialect), dialect), dialect)
    if "n" in body and (requirements.count == 1 or not dialect.supports_n or requirements.judged):
        if requirements.count > 1:
            requirements.call.report.note("emulated", "n")
        body = {name: value for name, value in body.items() if name != "n"}
    return body


def _tooled(requirements: ReplyRequirements, body: Json, dialect: Dialect) -> Json:
    """The body with the tools and the choice that mean to this server what the call means."""
    if not any(name in body for name in _OF_TOOLS):
        return body
    plan, choice = requirements.plan, body.get("tool_choice")
    bare = {name: value for name, value in body.items() if name not in _OF_TOOLS}
    if not plan.functions:
        return body if dialect.tool_choice_forms == "named" and choice == "none" else bare
    if requirements.constrained and plan.forced:
        # A thinking model would think first, and not be constrained while it does. The whole call is checked, so
        # there is nothing to stream.
        form = {"type": "json_schema", "json_schema": {"name": "call", "schema": plan.format}}
        forced = {"response_format": form, "reasoning_effort": "none", "stream": False}
        bare.pop("stream_options", None)
        return {**bare, "tools": plan.folded, **forced}
    as_it_is = choice in (None, "auto", "required") or (
        dialect.tool_choice_forms == "named" and choice["type"] == "function"
    )
    if as_it_is and not plan.legacy:
        return body if dialect.accepts_content_parts else {**body, "tools": plan.folded}
    single = {"parallel_tool_calls": False} if plan.named else {}
    known = [one for one in body.get("tools") or () if one["function"]["name"] in plan.parameters]
    tools = (known or plan.tools) if dialect.accepts_content_parts else plan.folded
    return {**bare, "tools": tools, "tool_choice": "required" if plan.forced else "auto", **single}


def _formed(requirements: ReplyRequirements, body: Json, dialect: Dialect) -> Json:
    """The body with a `response_format` that the server takes."""
    if requirements.form is None or (requirements.constrained and requirements.plan.forced):
        return body
    given = requirements.form.response_format
    anything = requirements.form.schema == ANY_OBJECT and body["response_format"]["type"] == "json_object"
    if anything:
        return body if dialect.supports_json_object else {**body, "response_format": given}
    return {**body, "response_format": given} if dialect.anchored_patterns_only else body


def _ask(requirements: ReplyRequirements, body: Json, place: int) -> Ask:
    """This server's way of asking for one choice."""

    def ask(turns: list[Json], steady: bool) -> Steps[Json]:
        again = steadied(requirements.call, body) if steady else body
        more = {"messages": [*(body.get("messages") or ()), *turns]} if turns else {}
        return _whole(requirements, (yield NativeRequest("POST", None, {**again, **more})), place)

    return ask


def _whole(requirements: ReplyRequirements, reply: NativeReply, place: int = 0) -> Json:
    """The completion that a reply holds, mended. Raises `Rejected`."""
    got = repaired(checked(reply).json(), requirements.call.id, first=place)
    choices = got.get("choices") if isinstance(got, dict) else None
    sound = isinstance(choices, list) and all(isinstance(one.get("message"), dict) for one in choices)
    if not sound or (not choices and (requirements.judged or requirements.count > 1)):
        raise Rejected(f"the server's reply has no choices: {reply.body[:200]!r}", status=502, kind="api_error")
    if requirements.constrained and choices and choices[0].get("finish_reason") is None:
        raise Interrupted
    return got
