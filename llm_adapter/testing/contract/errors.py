"""Errors: that they come, as the class that call sites catch, and say which they are."""

from __future__ import annotations

from functools import partial

import openai

from llm_adapter.devtools.reporting.failures import server_message
from llm_adapter.testing.contract.case import Broken, Case, Check, Inconclusive, Script, another_error, error_of, expect

_NO_MODEL = "no-such-model-here"
_LONGEST = 300_000  # tokens: a prompt this long costs nothing where it is refused, and money where it is not


def unknown_model(case: Case) -> Script:
    """A model that is not there is NotFoundError, with the code model_not_found."""
    asked = {**case.arguments(), "model": _NO_MODEL}
    error = yield from error_of(
        lambda: case.client.chat.completions.create(**asked), openai.NotFoundError, "NotFoundError"
    )
    expect(error.code == "model_not_found", "the code 'model_not_found'", repr(error.code))
    expect(_NO_MODEL in str(error), "a message that names the model", error.message)


def envelope(case: Case) -> Script:
    """A value of the wrong type is BadRequestError, in OpenAI's envelope."""
    error = yield from error_of(lambda: case.ask(temperature="warm"), openai.BadRequestError, "BadRequestError")
    body = error.body
    expect(isinstance(body, dict) and body.get("message"), "an error with a `message`", body)
    expect(isinstance(body, dict) and body.get("type"), "an error with a `type`", body)


def no_messages(case: Case) -> Script:
    """A call without messages is BadRequestError."""
    yield from error_of(lambda: case.ask([]), openai.BadRequestError, "BadRequestError for `messages: []`")


def overlong(case: Case) -> Script:
    """A prompt that does not fit is BadRequestError with the code context_length_exceeded, and never cut."""
    length = case.context or 0
    if length > _LONGEST:
        raise Inconclusive(f"a context of {length} tokens is too long to try")
    words = length + length // 4 + 64  # at least a token each
    prompt = " ".join(map(str, range(words)))
    try:
        got = yield case.ask(prompt, **case.limit(1))
    except openai.BadRequestError as error:
        expect(
            error.code == "context_length_exceeded",
            "the code 'context_length_exceeded'",
            f"{error.code!r}: {server_message(error)}",
        )
        return
    except openai.APIStatusError as error:
        raise Broken("BadRequestError", another_error(error)) from None
    read = (got.usage and got.usage.prompt_tokens) or 0
    if read >= words:
        raise Inconclusive(f"{words} words fit: the context is longer than `context` says")
    raise Broken("BadRequestError", f"a reply: of {words} words {read or '?'} tokens were read")


def no_endpoint(case: Case) -> Script:
    """A path that does not exist is NotFoundError."""
    call = partial(case.client.post, "/no-such-endpoint", cast_to=object, body={})
    yield from error_of(call, openai.NotFoundError, "NotFoundError")


_CODES = "set OpenAI's `code`: call sites fall back to another model, or show what to install, by it"
_CONTEXT = "refuse what does not fit, with OpenAI's `code`: a prompt that is cut loses its instructions in silence"
_CHECKED = "answer 400 in OpenAI's envelope: call sites catch BadRequestError, and the SDK tries a 500 again"
CHECKS = (
    Check("unknown_model", unknown_model, _CODES, ("unknown_models",)),
    Check("bad_request", envelope, _CHECKED),
    Check("no_messages", no_messages, _CHECKED),
    Check("overlong_prompt", overlong, _CONTEXT, ("context",)),
    Check("no_endpoint", no_endpoint, "answer 404, and not with a page"),
)
