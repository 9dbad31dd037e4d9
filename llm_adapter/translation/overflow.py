"""A prompt that is longer than the model's context: OpenAI's words for it, and a shorter prompt where settings want it.

Programs know this error by its text: langchain-openai looks for "context_length_exceeded" in it, CrewAI and litellm for
"maximum context length". So it is worded as OpenAI words it, on every server; the server's own words and the cure
follow. Source of the words: OpenAI's replies of /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected
from llm_adapter.translation.parallel import Steps
from llm_adapter.translation.token_count import estimate, estimated_sizes, without_oldest
from llm_adapter.translation.token_ids import is_token_ids

CODE = "context_length_exceeded"
REPLY = 1024  # tokens kept free for a reply of which no length is asked for
# The cure where the profile says how large the context is.
LARGER_NUM_CTX = "set `num_ctx` in the profile to {tokens} or more"
# What of a prompt each attempt keeps at most: five more attempts, the last with nothing but the last turn.
_SHARES = (0.95, 0.75, 0.5, 0.25, 0.0)

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
    asked = call
    shares = iter(_SHARES)
    while True:
        try:
            return (yield from attempt(call))
        except Rejected as refusal:  # noqa: PERF203 - a few times at most
            if refusal.error["code"] != CODE:
                raise
            if counted is not None:
                refusal = yield from counted(call, refusal)
            worded(refusal, refusal.error["param"], _reply_tokens(call), _cure(call, refusal.error, cure))
            share = next(shares, None)
            if share is None or call.settings.overflow != "truncate":
                raise refusal from None
            call = _shortened(asked, call, refusal, share)


def _reply_tokens(call: Call) -> int:
    asked = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    return asked if isinstance(asked, int) and asked > 0 else 0


def _cure(call: Call, error: Json, larger: str) -> str:
    needed = (error.get("n_prompt_tokens") or 0) + (_reply_tokens(call) or REPLY)
    tokens = 1 << max(needed - 1, 1).bit_length()
    shorter = call.settings.overflow != "truncate" and call.path != "/embeddings"
    cures = [larger.format(tokens=tokens)] if larger else []
    cures += ['`overflow = "truncate"` in the profile leaves out what is oldest'] if shorter else []
    return f"What helps: {'; or '.join(cures)}." if cures else ""


def _shortened(asked: Call, call: Call, refusal: Rejected, share: float) -> Call:
    """The call with less of its prompt, and a note of it. asked: as the caller made it. Raises the refusal itself."""
    share = min(share, _fitting_share(call, refusal))
    if isinstance(call.body.get("messages"), list):
        name, kept = "messages", _without_oldest(call.body["messages"], share)
        gone = len(asked.body[name]) - len(kept)
        note = f"messages: the oldest {gone} left out"
        less = len(kept) < len(call.body[name])
    else:
        name, kept = "prompt", _without_beginning(call.body.get("prompt"), share)
        gone = _length(asked.body.get(name)) - _length(kept)
        note = f"prompt: the first {gone} {'tokens' if is_token_ids(kept) else 'characters'} left out"
        less = 0 < _length(kept) < _length(call.body.get(name))
    if not less:
        raise refusal
    # One note for all attempts: each leaves out more of what the one before kept.
    changed = [one for one in call.report.notes.get("changed", ()) if not _LEFT_OUT.match(one)]
    call.report.notes["changed"] = [*changed, note]
    return replace(call, body={**call.body, name: kept})


def _fitting_share(call: Call, refusal: Rejected) -> float:
    """What part of the prompt fits, by the server's counts. Raises the refusal where the reply alone is too long."""
    context, given = refusal.error.get("n_ctx"), refusal.error.get("n_prompt_tokens")
    if not isinstance(context, int) or not isinstance(given, int) or given <= 0:
        return 1.0
    reply = _reply_tokens(call)
    if given > context:  # a reply may be as long as what is left; some servers refuse it in a second error
        return 0.95 * (context - min(reply or REPLY, context // 4)) / given
    if reply >= context:
        raise refusal
    return 0.95 * (context - reply) / given if given + reply > context else 1.0


def _without_oldest(messages: list[Any], share: float) -> list[Any]:
    sizes = estimated_sizes(messages)
    return without_oldest(messages, int(sum(sizes) * share), sizes)


def _without_beginning(prompt: Any, share: float) -> Any:
    """The prompt, or each of several, without its beginning: the longest keeps this share, and none is longer."""
    texts = _texts(prompt)
    longest = max(map(_tokens, texts), default=0)
    cut = [_end(text, longest * share) for text in texts]
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


def _length(prompt: Any) -> int:
    return sum(map(len, _texts(prompt)))
