"""A prompt that is longer than the model's context: OpenAI's words for it, and a shorter prompt where settings want it.

Programs know this error by its text: langchain-openai looks for "context_length_exceeded" in it, CrewAI and litellm for
"maximum context length". So it is worded as OpenAI words it, on every server; the server's own words and the cure
follow. Source of the words: OpenAI's replies of /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses.

A shorter prompt is made by our own estimate, set right by what the server counted when it refused one: what is learned
so holds for the calls after, which are shortened before they are sent. It is shortened in steps of a quarter of what
fits, so that a chat that grows begins with the same messages for many calls, which the server has in its cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any, NamedTuple, TypeAlias

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.process_cache import ExpiringCache
from llm_adapter.translation.token_count import (
    count_tokens,
    estimate,
    estimated_sizes,
    system_tokens,
    without_oldest,
)
from llm_adapter.translation.token_ids import is_token_ids

CODE = "context_length_exceeded"
REPLY = 1024  # tokens kept free for a reply of which no length is asked for
UNSAID = 1.5  # times as many tokens as were thought to be enough, where a server does not say how many are needed
# The cure where the profile says how large the context is.
LARGER_NUM_CTX = "`num_ctx = {tokens}` in the profile loads the model with more"
_NO_MORE = "a model with a longer context: this one takes no more, though the profile has `num_ctx = {asked}`"
_LARGER_MAXIMUM = "`num_ctx_max = {tokens}` in the profile lets it grow so far"
_MARGIN = 0.95  # of what fits: no estimate is exact
_STEPS = 4  # a prompt is shortened by a multiple of this part of what fits


class _Fitting(NamedTuple):
    """What a server's refusals have told of what fits."""

    context: int
    ratio: float  # the tokens that the server counts for each one estimated
    with_reply: bool  # the server refuses a prompt that leaves too little for the reply that is asked for


# By server, model, and what the call has it loaded with. Believed for a while: a server may be started with more.
_learned: ExpiringCache[tuple[str, str, str], _Fitting] = ExpiringCache(seconds=600)

# Both counts, in the words of llama.cpp, vLLM and OpenAI, LM Studio, llama.cpp's embeddings, vLLM's completions.
_COUNTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"request \((?P<given>\d+) tokens\) exceeds the available context size \((?P<context>\d+)",
        r"context length (?:is|of) (?P<context>\d+) tokens.*?(?:resulted in|requested(?: a total of)?|request has) "
        r"(?P<given>\d+)",
        r"first (?P<given>\d+) tokens .*context length of only (?P<context>\d+)",
        r"input \((?P<given>\d+) tokens\) is too large .*batch size: (?P<context>\d+)",
        r"input \((?P<given>\d+) tokens\) is larger than the max context size \((?P<context>\d+)",
        r"length (?P<given>\d+)\) is longer than the maximum model length of (?P<context>\d+)",
    )
)
_READ = 2000  # characters of a message: a server may write anything, numbers of any length too
_LEFT_OUT = re.compile(r"^(messages|prompt): the (oldest|first) ")

Counted: TypeAlias = Callable[[Call, Rejected], Steps[Rejected]]


def counts(message: str) -> Json:
    """The two counts that a server's message names; none where it names none."""
    found = next((match for pattern in _COUNTS if (match := pattern.search(message[:_READ]))), None)
    return {} if found is None else {"n_prompt_tokens": int(found["given"]), "n_ctx": int(found["context"])}


def worded(refusal: Rejected, param: str | None, reply: int = 0, cure: str = "") -> Rejected:
    """The refusal in OpenAI's words; what the server itself said comes after them.

    reply: the tokens that the call asks for. cure: a whole sentence.
    """
    error = refusal.error
    said = str(error.setdefault("server_message", error["message"]))
    text = _words(error, param, reply)
    same = said.startswith("This model's maximum context length is ")
    about = CODE if same else f"{CODE}; the server: {said}"
    error["message"] = f"{text} ({about}) {cure}".rstrip()
    return refusal


def _words(error: Json, param: str | None, reply: int) -> str:
    given, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    noun = "messages" if param is None else param
    if not isinstance(context, int) or not isinstance(given, int):
        about = f" of about {given} tokens" if isinstance(given, int) else ""
        known = "This model's maximum context length"
        return f"{known} is less than your {noun}{about}. Please reduce the length of the {noun}."
    limit, total = f"This model's maximum context length is {context} tokens", given + reply
    if noun != "messages":
        parts = f"({given} in your prompt; {reply} for the completion)"
        return (
            f"{limit}, however you requested {total} tokens {parts}. Please reduce your prompt; or completion length."
        )
    if given <= context < total:
        parts = f"({given} in the messages, {reply} in the completion)"
        asked = f"However, you requested {total} tokens {parts}"
        return f"{limit}. {asked}. Please reduce the length of the messages or completion."
    return f"{limit}. However, your messages resulted in {given} tokens. Please reduce the length of the messages."


def in_responses_words(message: str) -> str:
    """The message of a chat in the words of the Responses API, whose own ones name no numbers."""
    own = "Your input exceeds the context window of this model. Please adjust your input and try again."
    return f"{own} {message.replace('your messages', 'your input').replace('the messages', 'the input')}"


def within_context(call: Call, attempt: Endpoint, cure: str, counted: Counted | None = None) -> Flow:
    """What the attempt answers; where the prompt is too long and settings want it shorter, for a shorter one.

    cure: how this server gets a larger context, with {tokens} for how large; empty where nothing is known.
    counted: adds to a refusal the counts that the server does not give.
    """
    asked, truncates = call, call.settings.overflow == "truncate" and call.path != "/embeddings"
    if truncates:
        call = _shortened(asked, _room(asked)) or asked
    for more in (2, 1, 0):
        try:
            return (yield from attempt(call))
        except Rejected as refusal:  # noqa: PERF203 - once or twice
            if refusal.error["code"] != CODE:
                raise
            if counted is not None:
                refusal = yield from counted(call, refusal)
            worded(refusal, refusal.error["param"], _reply_tokens(call), _cure(call, refusal.error, cure))
            if not truncates or not more:
                raise refusal from None
            _learn(call, refusal)
            shorter = _shortened(asked, _room(asked), below=call)
            if shorter is None:
                raise refusal from None
            call = shorter
    raise AssertionError("the last attempt returns or raises")


def _reply_tokens(call: Call) -> int:
    asked = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    return asked if isinstance(asked, int) and asked > 0 else 0


def _cure(call: Call, error: Json, larger: str) -> str:
    needed = (error.get("n_prompt_tokens") or 0) + (_reply_tokens(call) or REPLY)
    tokens = 1 << max(needed - 1, 1).bit_length()
    shorter = call.settings.overflow != "truncate" and call.path != "/embeddings"
    asked = call.settings.num_ctx
    if larger == LARGER_NUM_CTX and asked == "auto":  # it has grown to the model's own, or to this
        larger = _LARGER_MAXIMUM if call.settings.num_ctx_max else ""
    elif larger == LARGER_NUM_CTX and isinstance(asked, int) and asked > error.get("n_ctx", asked):
        larger = _NO_MORE.format(asked=asked)
    cures = [larger.format(tokens=tokens)] if larger else []
    cures += ['`overflow = "truncate"` in the profile leaves out what is oldest'] if shorter else []
    return f"What helps: {'; or '.join(cures)}." if cures else ""


def _room(call: Call) -> float | None:
    """How many estimated tokens of a prompt fit; None where nothing was learned, or no prompt would be short enough."""
    known, reply = _learned.get(_key(call), call.created), _reply_tokens(call)
    if known is None or (known.with_reply and reply >= known.context):  # where the reply alone is too long
        return None
    if not known.with_reply:  # the reply may be as long as what is left, be it less than is asked for
        reply = min(reply or REPLY, known.context // 4)
    return _MARGIN * (known.context - reply) / known.ratio


def _learn(call: Call, refusal: Rejected) -> None:
    """Remember what a refusal tells. Where it gives no counts, half of the prompt is thought to fit."""
    key, estimated = _key(call), max(_estimated_prompt(call), 1)
    before = _learned.get(key, call.created)
    context, given = refusal.error.get("n_ctx"), refusal.error.get("n_prompt_tokens")
    if not isinstance(context, int) or not isinstance(given, int) or min(context, given) <= 0:
        context, given = estimated, 2 * estimated
    with_reply = (before is not None and before.with_reply) or given <= context < given + _reply_tokens(call)
    if refusal.error.get("estimated") and given <= context:  # by the server's count it is more than that
        given, with_reply = int(context * UNSAID), False
    _learned.set(key, _Fitting(context, given / estimated, with_reply), call.created)


def _key(call: Call) -> tuple[str, str, str]:
    """The server, the model, and what the call has it loaded with."""
    options = call.body.get("options")
    own = call.body.get("num_ctx") or (options.get("num_ctx") if isinstance(options, dict) else None)
    return call.settings.base_url or "", str(call.body.get("model")), str(own or call.settings.num_ctx)


def _estimated_prompt(call: Call) -> int:
    """The tokens of the call's prompt, or of its longest."""
    if isinstance(call.body.get("messages"), list):
        return count_tokens("", call.body["messages"], call.body.get("tools")).tokens
    return max(map(_tokens, _texts(call.body.get("prompt"))), default=0)


def _shortened(asked: Call, room: float | None, below: Call | None = None) -> Call | None:
    """The call with as much of its prompt as there is room for, and a note of it; None where nothing goes.

    room: estimated tokens. below: a call that was refused, of whose prompt less has to be left.
    """
    if room is None:
        return None
    shorten = _without_oldest if isinstance(asked.body.get("messages"), list) else _without_beginning
    name = "messages" if shorten is _without_oldest else "prompt"
    given, before = asked.body.get(name), (below or asked).body.get(name)
    kept = shorten(asked, room)
    if below is not None and _length(kept, name) >= _length(before, name):
        kept = shorten(asked, 0)
    if not 0 < _length(kept, name) < _length(before, name):
        return None
    gone = _length(given, name) - _length(kept, name)
    parts = "tokens" if is_token_ids(kept) else "characters"
    note = (
        f"messages: the oldest {gone} left out" if name == "messages" else f"prompt: the first {gone} {parts} left out"
    )
    # One note for all attempts: each leaves out more of what the one before kept.
    changed = [one for one in asked.report.notes.get("changed", ()) if not _LEFT_OUT.match(one)]
    asked.report.notes["changed"] = [*changed, note]
    return replace(asked, body={**asked.body, name: kept})


def _in_steps(tokens: int, room: float) -> float:
    """How many of the tokens stay: what goes is a multiple of a quarter of the room, and the same for many calls."""
    step = max(room / _STEPS, 1.0)
    return tokens - step * ceil(max(tokens - room, 0) / step)


def _without_oldest(call: Call, room: float) -> list[Any]:
    """The messages that there is room for beside the tools."""
    messages = call.body["messages"]
    sizes = estimated_sizes(messages)
    fixed = system_tokens(messages, sizes)
    tools = count_tokens("", [], call.body.get("tools")).tokens
    return without_oldest(messages, int(fixed + _in_steps(sum(sizes) - fixed, room - fixed - tools)), sizes)


def _without_beginning(call: Call, room: float) -> Any:
    """The prompt, or each of several, without its beginning, so that none is longer than there is room for."""
    prompt = call.body.get("prompt")
    texts = _texts(prompt)
    cut = [_end(text, _in_steps(_tokens(text), room)) for text in texts]
    return cut if texts is prompt else cut[0] if cut else prompt


def _texts(prompt: Any) -> list[Any]:
    """The prompts of a call: texts, or lists of token ids."""
    if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int)):
        return prompt
    return [] if prompt is None else [prompt]


def _tokens(text: Any) -> int:
    return estimate(text) if isinstance(text, str) else len(text)


def _end(text: Any, tokens: float) -> Any:
    """The end of a text, or of token ids, of so many tokens."""
    length = _tokens(text)
    return text if length <= tokens else text[len(text) - int(len(text) * tokens / length) :]


def _length(prompt: Any, name: str) -> int:
    return len(prompt) if name == "messages" else sum(map(len, _texts(prompt)))
