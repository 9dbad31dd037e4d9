"""Whole replies: their shape, their end, and whether what a call asks for is read."""

from __future__ import annotations

from functools import partial
from typing import Any

import openai

from llm_adapter.testing.contract.case import (
    QUESTION,
    Broken,
    Case,
    Check,
    Inconclusive,
    Script,
    expect,
    expect_longer,
    names,
    token_counts,
    unless_refused,
    user,
    whole_choice,
)

_STORY = "Tell a long story about a dog and a cat."
_LIMIT = 4  # tokens
_REASONS = ("stop", "length", "tool_calls", "content_filter")
# Any text has one of them, so no text may come whole.
_STOPS = [" ", "e", "a", "o"]
_SPEECH = "Be kind and brief in all that you say. " * 20  # 180 words
_READ_TOKENS = 90  # tokens that it adds at least, though it may take the place of a default system message


def reply(case: Case) -> Script:
    """A reply has the fields of a chat.completion."""
    got = yield case.ask()
    expect(isinstance(got.id, str) and got.id, "an id", got.id)
    expect(got.object == "chat.completion", "the object 'chat.completion'", got.object)
    expect(isinstance(got.created, int) and got.created > 0, "`created` in seconds", got.created)
    expect(isinstance(got.model, str) and got.model, "the model's name", got.model)
    expect(len(got.choices) == 1 and got.choices[0].index == 0, "one choice, of index 0", got.choices)
    choice = got.choices[0]
    expect(choice.message.role == "assistant", "the role 'assistant'", choice.message.role)
    expect(isinstance(choice.message.content, str), "a text", repr(choice.message.content))
    expect(choice.finish_reason in _REASONS, f"a finish_reason of {', '.join(_REASONS)}", choice.finish_reason)


def reply_ids(case: Case) -> Script:
    """Two replies have two ids."""
    one, two = (yield case.ask()).id, (yield case.ask()).id
    expect(one != two, "two ids", f"{one} twice")


def reply_text(case: Case) -> Script:
    """A question is answered, and the model's thoughts are not in the answer."""
    got = yield case.ask()
    _expect_answer(got.choices[0])
    expect(whole_choice(got).finish_reason == "stop", "the finish_reason 'stop'", got.choices[0].finish_reason)


def usage(case: Case) -> Script:
    """A reply has token counts that add up."""
    got = (yield case.ask()).usage
    expect(got is not None, "token counts", "none")
    expect(got.prompt_tokens and got.completion_tokens, "counts above zero", got)
    expect(got.total_tokens == got.prompt_tokens + got.completion_tokens, "a total that is the sum", got)


def _token_limit(name: str, case: Case) -> Script:
    """A limit of tokens is kept, and the finish_reason says so."""
    limits = {"max_tokens": None, "max_completion_tokens": None, name: _LIMIT}
    got = yield from unless_refused(lambda: case.ask(_STORY, **limits), name)
    choice, spent = got.choices[0], got.usage.completion_tokens if got.usage else None
    if spent is not None:
        expect(spent <= _LIMIT, f"at most {_LIMIT} tokens", f"{spent} (finish_reason {choice.finish_reason!r})")
    else:
        text = choice.message.content or ""
        expect(len(text) < 40 * _LIMIT, f"at most {_LIMIT} tokens", f"{len(text)} characters")
    if choice.finish_reason == "stop" and spent is not None and spent < _LIMIT:
        raise Inconclusive(f"the model had no more to say than {spent} tokens")
    expect(choice.finish_reason == "length", "the finish_reason 'length'", choice.finish_reason)


def _stop_sequence(stop: Any, case: Case) -> Script:
    """A stop sequence stops, and is not in the text."""
    choice = (yield from unless_refused(lambda: case.ask(_STORY, stop=stop), "stop")).choices[0]
    text = choice.message.content or ""
    expect(not any(one in text for one in stop), f"a text without {stop!r}", repr(text))
    expect(choice.finish_reason == "stop", "the finish_reason 'stop'", choice.finish_reason)


def _longer_prompt(messages: Any, case: Case, without: Any = QUESTION) -> Script:
    """Every message reaches the model: the prompt has more tokens than without it."""
    plain = token_counts((yield case.ask(without)))
    more = token_counts((yield case.ask(messages)))
    grown = more.prompt_tokens - plain.prompt_tokens
    expect_longer(grown, _READ_TOKENS)


def _leading_messages(*roles: str) -> Any:
    return [*({"role": role, "content": _SPEECH} for role in roles), user(QUESTION)]


_PARTS = [user([{"type": "text", "text": text} for text in (_SPEECH, QUESTION)])]
_TURNS = [user(_SPEECH), {"role": "assistant", "content": "I will."}, user(QUESTION)]
_SYSTEM_TWICE = partial(_longer_prompt, _leading_messages("system", "system"), without=_leading_messages("system"))


def choices(case: Case) -> Script:
    """n=2 gives two choices."""
    got = (yield from unless_refused(lambda: case.ask(n=2), "n")).choices
    expect([one.index for one in got] == [0, 1], "choices of index 0 and 1", [one.index for one in got])


def _accepted_options(options: dict[str, Any], case: Case) -> Script:
    """Everyday parameters are accepted."""
    got = yield from unless_refused(lambda: case.ask(**options), *options)
    expect(got.choices, "a reply", got)


def logprobs(case: Case) -> Script:
    """logprobs gives the tokens of the reply and their likeliest others."""
    choice = (yield from unless_refused(lambda: case.ask(logprobs=True, top_logprobs=2), "logprobs")).choices[0]
    expect(choice.logprobs is not None and choice.logprobs.content, "`logprobs.content`", choice.logprobs)
    token = choice.logprobs.content[0]
    expect(isinstance(token.token, str) and token.logprob <= 0, "a token and a log probability of at most 0", token)
    expect(0 < len(token.top_logprobs) <= 2, "one or two `top_logprobs`", token.top_logprobs)


def reasoning(case: Case) -> Script:
    """reasoning_effort is honoured or refused by name, and an answer comes."""
    got = yield from unless_refused(lambda: case.ask(reasoning_effort="low"), "reasoning_effort")
    _expect_answer(got.choices[0])


def _expect_answer(choice: Any) -> None:
    text = choice.message.content or ""
    expect("<think>" not in text, "an answer without the model's thoughts", text)
    if not text.strip() and choice.finish_reason == "length":
        raise Inconclusive("the thoughts took all tokens: `options` can give a higher limit")
    expect(text.strip(), "a text", f"none (finish_reason {choice.finish_reason!r})")


def unknown_parameter(case: Case) -> Script:
    """A parameter that the server does not know is refused, or named by a warning or on the reply."""
    try:
        got = yield case.ask(extra_body={"no_such_parameter": 1})
    except openai.APIStatusError as error:
        expect(400 <= error.status_code < 500, "a refusal", f"{error.status_code}: {error.message}")
        expect(names(error, "no_such_parameter"), "an error that names the parameter", error.message)
        return
    if not any("no_such_parameter" in str(one) for one in (*case.warned, getattr(got, "adapter", None))):
        raise Broken("a refusal of `no_such_parameter`, or a warning", "a reply as if it were not there")


def empty_turn(case: Case) -> Script:
    """An assistant's turn without a text is accepted."""
    yield case.ask([user("Hello"), {"role": "assistant", "content": ""}, user(QUESTION)])


_IDS = "give each reply an id of its own: traces, caches and stores key on it"
_LIMITS = "map it to the server's own limit: without one a small model can run for minutes"
_ROLES = "hand it on as the system message, or as the server's template prints it: instructions are lost otherwise"
_SILENCE = "answer 400 as OpenAI does: a misspelt option is found in tests and not in production"

CHECKS = (
    Check("reply", reply, "answer with OpenAI's fields: every framework reads them"),
    Check("reply_ids", reply_ids, _IDS),
    Check("reply_text", reply_text, "put thoughts in a field of their own, and answers in `content`"),
    Check("usage", usage, "count tokens: budgets, bills and context guards read them"),
    Check("max_tokens", partial(_token_limit, "max_tokens"), _LIMITS),
    Check("max_completion_tokens", partial(_token_limit, "max_completion_tokens"), _LIMITS),
    Check("stop_text", partial(_stop_sequence, " "), "hand `stop` on; a text is a list of one"),
    Check("stop_list", partial(_stop_sequence, _STOPS), "hand `stop` on; cut the text where the server does not"),
    Check("system_role", partial(_longer_prompt, _leading_messages("system")), _ROLES),
    Check("system_twice", _SYSTEM_TWICE, "join leading system messages into one"),
    Check("developer_role", partial(_longer_prompt, _leading_messages("developer")), _ROLES),
    Check("earlier_turns", partial(_longer_prompt, _TURNS), "hand all messages on"),
    Check("empty_turn", empty_turn, "take an assistant's empty text as it is"),
    Check("text_parts", partial(_longer_prompt, _PARTS), "join the text parts of a message"),
    Check("n", choices, "ask n times, or refuse `n` by name", needs=("n",)),
    Check("seed", partial(_accepted_options, {"seed": 7}), "accept `seed`"),
    Check("penalties", partial(_accepted_options, {"presence_penalty": 0.1, "frequency_penalty": 0.1}), "accept them"),
    Check("user_label", partial(_accepted_options, {"user": "contract"}), "accept `user`: it only names the caller"),
    Check("logprobs", logprobs, "hand them on, or refuse `logprobs` by name", needs=("logprobs",)),
    Check("reasoning_effort", reasoning, "map it to what the server knows", needs=("reasoning",)),
    Check("unknown_parameter", unknown_parameter, _SILENCE),
)
