"""What a check is, what it is given, and how it says what it found.

A check is a generator: it yields what a call of the client gives, and is sent the result. With an async client that is
awaited in between, so one check serves sync and async clients (see `player`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import openai

from llm_adapter.devtools.reporting.failures import server_message
from llm_adapter.settings.hosts import is_openai

Script: TypeAlias = Generator[Any, Any, None]
QUESTION = "What is the capital of France?"
_TOKENS = 1024  # the limit of a reply: a thinking model needs some tokens before its first word


class Broken(AssertionError):  # noqa: N818 - as pytest's own failures
    """What was expected, and what came."""

    def __init__(self, expected: str, came: object) -> None:
        super().__init__(f"expected {expected}; came {excerpt(came)}")


class Inconclusive(Exception):  # noqa: N818 - it is no error
    """Why nothing is known: the model did not do what would show it, or the server refused a parameter by its name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a client and its server."""

    name: str
    script: Callable[[Case], Script]  # its docstring says what has to hold
    cure: str  # what the server has to do where it does not hold, in a sentence
    needs: tuple[str, ...] = ()  # of NEEDS: what a gateway may do without

    @property
    def asks(self) -> str:
        """What has to hold, in a line."""
        return (getattr(self.script, "func", self.script).__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Case:
    """The client and the models to try, and the warnings that came beside the replies."""

    client: Any
    model: str
    embedding_model: str | None = None
    context: int | None = None  # tokens
    options: Mapping[str, Any] = field(default_factory=dict)  # of every chat call; None leaves a default out
    warned: list[Any] = field(default_factory=list)  # the warnings of this check, so far

    def arguments(self, asked: Any = QUESTION, **options: Any) -> dict[str, Any]:
        """The arguments of a chat call. asked: a user's text, or messages."""
        # OpenAI's reasoning models take no temperature.
        usual = {} if is_openai(str(getattr(self.client, "base_url", ""))) else {"temperature": 0}
        limit = {} if "max_tokens" in options else {"max_completion_tokens": _TOKENS}
        merged = {**usual, **limit, **self.options, **options}
        chosen = {name: value for name, value in merged.items() if value is not None}
        messages = [user(asked)] if isinstance(asked, str) else asked
        return {"model": self.model, "messages": messages, **chosen}

    def limit(self, tokens: int) -> dict[str, int | None]:
        """A limit of tokens, by the name that the calls of this run use for it."""
        name = "max_tokens" if self.options.get("max_tokens") else "max_completion_tokens"
        return {"max_tokens": None, "max_completion_tokens": None, name: tokens}

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


def expect_longer(grown: int, least: int) -> None:
    """The tokens by which a text lengthens a prompt show that it reached the model. Raises `Broken` if they are few."""
    expect(grown >= least, f"a prompt longer by at least {least} tokens, for the text that was added", f"{grown} more")


def unless_refused(call: Callable[[], Any], *parameters: str) -> Generator[Any, Any, Any]:
    """A call's result. A server that refuses one of the parameters by its name is not silent, and shows no more."""
    try:
        return (yield call())
    except openai.BadRequestError as error:
        refused = [name for name in parameters if names(error, name)]
        if not refused:
            raise
        raise Inconclusive(f"`{refused[0]}` is refused by name: {excerpt(server_message(error))}") from None


def error_of(call: Callable[[], Any], kind: type[openai.APIStatusError], expected: str) -> Generator[Any, Any, Any]:
    """The error that a call has to end with."""
    try:
        reply = yield call()
    except kind as error:
        return error
    except openai.APIStatusError as error:
        raise Broken(expected, another_error(error)) from None
    raise Broken(expected, f"a {type(reply).__name__}, as if all were well")


def another_error(error: openai.APIStatusError) -> str:
    return f"{type(error).__name__} ({error.status_code}): {server_message(error)}"


def names(error: openai.APIError, parameter: str) -> bool:
    """Whether an error says which parameter it is about."""
    return error.param == parameter or parameter in str(error)


def whole_choice(reply: Any) -> Any:
    """The first choice, if it was not cut at the limit of tokens: what is in half of a reply shows nothing."""
    choice = reply.choices[0]
    if choice.finish_reason == "length":
        raise Inconclusive("the reply was cut at the limit of tokens: `options` can give a higher one")
    return choice


def token_counts(reply: Any) -> Any:
    """The usage of a reply. A server that counts nothing error_of the check `usage`, and is not judged by counts."""
    if reply.usage is None or not reply.usage.prompt_tokens:
        raise Inconclusive("the server counts no tokens")
    return reply.usage


def excerpt(value: object) -> str:
    """One line of at most 200 characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
