"""What a check is, what it is given, and how it says what it found.

A check is a generator: it yields whatever an async client has one await, and is sent the result. So one check serves
both colours of client (see `playing`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import openai

from llm_adapter.settings.hosts import is_openai

Script: TypeAlias = Generator[Any, Any, None]
QUESTION = "What is the capital of France?"
_TOKENS = 1024  # a ceiling: a thinking model needs some before its first word


class Broken(AssertionError):  # noqa: N818 - as pytest's own failures
    """What was expected, and what came."""

    def __init__(self, expected: str, came: object) -> None:
        super().__init__(f"expected {expected}; came {short(came)}")


class Inconclusive(Exception):  # noqa: N818 - it is no error
    """Why nothing is known: the model did not do what would show it, or the wish was refused by name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the suite."""

    name: str
    script: Callable[[Case], Script]
    pain: str  # its number in the migration's list of pains
    cure: str  # what mends it, in a sentence
    needs: tuple[str, ...] = ()  # of NEEDS: what a gateway may do without

    @property
    def asks(self) -> str:
        """What it asks, in a line."""
        return (getattr(self.script, "func", self.script).__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Case:
    """The client and the models to try, and what is said beside the replies."""

    client: Any
    model: str
    embedding_model: str | None = None
    context: int | None = None  # tokens
    options: Mapping[str, Any] = field(default_factory=dict)  # of every chat call; None leaves a default out
    told: list[Any] = field(default_factory=list)  # the warnings of this check, so far

    def arguments(self, asked: Any = QUESTION, **options: Any) -> dict[str, Any]:
        """The arguments of a chat call. asked: a user's text, or messages."""
        # OpenAI's reasoning models take no temperature.
        usual = {} if is_openai(str(getattr(self.client, "base_url", ""))) else {"temperature": 0}
        limit = {} if "max_tokens" in options else {"max_completion_tokens": _TOKENS}
        merged = {**usual, **limit, **self.options, **options}
        chosen = {name: value for name, value in merged.items() if value is not None}
        messages = [user(asked)] if isinstance(asked, str) else asked
        return {"model": self.model, "messages": messages, **chosen}

    def ask(self, asked: Any = QUESTION, **options: Any) -> Any:
        """The completion, or the stream, of one call: to be yielded."""
        return self.client.chat.completions.create(**self.arguments(asked, **options))

    def embed(self, given: Any, **options: Any) -> Any:
        """The vectors of one call: to be yielded."""
        return self.client.embeddings.create(model=self.embedding_model, input=given, **options)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def expect(holds: object, expected: str, came: object) -> None:
    """Raises `Broken` where it does not hold."""
    if not holds:
        raise Broken(expected, came)


def permitted(name: str, call: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """A call's result; one that refuses a parameter by its name is not silent, and shows no more."""
    try:
        return (yield call())
    except openai.BadRequestError as error:
        if not names(error, name):
            raise
        raise Inconclusive(f"`{name}` is refused by name: {short(said(error))}") from None


def fails(call: Callable[[], Any], kind: type[openai.APIStatusError], expected: str) -> Generator[Any, Any, Any]:
    """The error that a call has to end with."""
    try:
        reply = yield call()
    except kind as error:
        return error
    except openai.APIStatusError as error:
        raise Broken(expected, f"{type(error).__name__} ({error.status_code}): {said(error)}") from None
    raise Broken(expected, f"a {type(reply).__name__}, as if all were well")


def said(error: openai.APIError) -> str:
    """The server's own words; the SDK's message may repeat the whole body."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return str(message or error.message)


def names(error: openai.APIError, parameter: str) -> bool:
    """Whether an error says which parameter it is about."""
    return error.param == parameter or parameter in str(error)


def finished(choice: Any) -> Any:
    """The choice, if it was not cut at the limit: what is in half of a reply shows nothing."""
    if choice.finish_reason == "length":
        raise Inconclusive("the reply was cut at the limit of tokens: `options` can give a higher one")
    return choice


def counted(reply: Any) -> Any:
    """The usage of a reply. A server that counts nothing fails the check `usage`, and is not judged by counts."""
    if reply.usage is None or not reply.usage.prompt_tokens:
        raise Inconclusive("the server counts no tokens")
    return reply.usage


def short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
