"""Live probes: what a server does with everyday calls, and what it only seems to do. They spend a few hundred tokens.

A probe passes, or the call was accepted and its wish ignored, or it failed. The prompts are short, and such that the
embedded models know them too.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import jsonschema
import openai

from llm_adapter.devtools.reporting.failures import explained
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.settings.hosts import is_openai

Outcome: TypeAlias = Literal["pass", "ignored", "fail", "skipped"]

_TOKENS = 1024  # a ceiling: a thinking model needs some before its first word
# A prompt this long costs nothing where it is refused, and would cost money where it is not.
_LONGEST = 300_000  # tokens
# Source: platform.openai.com/docs/models. The others' is larger than `_LONGEST`, or not known.
_OPENAI_CONTEXT = {"gpt-4o": 128_000, "gpt-4-turbo": 128_000, "gpt-3.5": 16_385, "o1": 200_000, "o3": 200_000}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Row(NamedTuple):
    """One probe's outcome."""

    name: str
    outcome: Outcome
    line: str
    seconds: float = 0.0


class Skipped(Exception):  # noqa: N818 - it is no error
    """Why a probe does not apply."""


class Ignored(Exception):  # noqa: N818 - it is no error
    """What was accepted and not done."""


@dataclass(frozen=True)
class Subject:
    """One profile's client and the models to try."""

    client: openai.OpenAI
    chat: str | None
    embedding: str | None = None
    context: Callable[[], int | None] = lambda: None  # tokens; asked when the model is loaded
    overflow: str = "error"  # what the profile does with a prompt that does not fit
    more: Mapping[str, Any] = field(default_factory=dict)

    def ask(self, text: str, **options: Any) -> Any:
        """The completion, or the stream, of one question."""
        if self.chat is None:
            raise Skipped("no chat model is known: --model names one")
        # OpenAI's reasoning models take no temperature.
        chosen = {} if is_openai(str(self.client.base_url)) else {"temperature": 0}
        options = {"max_completion_tokens": _TOKENS, **chosen, **self.more, **options}
        messages: Any = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=self.chat, messages=messages, **options)


def models(subject: Subject) -> str:
    """The list of models."""
    count = len(list(subject.client.models.list()))
    if not count:
        raise Ignored("the list is empty")
    return f"{count} models"


def hello(subject: Subject) -> str:
    """A chat."""
    choice = subject.ask("What is the capital of France?").choices[0]
    text = (choice.message.content or "").strip()
    if not text:
        raise Ignored(f"no text came (finish_reason {choice.finish_reason!r})")
    return _short(text)


def stream(subject: Subject) -> str:
    """A stream, and whether it ends as one."""
    reasons, text = [], ""
    for chunk in subject.ask("What is the capital of France?", stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    if len(reasons) != 1:
        raise Ignored(f"it ends with {len(reasons)} finish reasons: a reply that is cut off looks complete")
    if not text.strip():
        raise Ignored(f"no text came (finish_reason {reasons[0]!r})")
    return f"ends with {reasons[0]!r}"


def usage(subject: Subject) -> str:
    """Token counts, also of a stream."""
    whole = subject.ask("What is the capital of France?").usage
    if whole is None or not whole.prompt_tokens or not whole.completion_tokens:
        raise Ignored("a reply has no token counts")
    chunks = list(subject.ask("What is the capital of France?", stream=True, stream_options={"include_usage": True}))
    streamed = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
    if streamed is None or not streamed.total_tokens:
        raise Ignored("a stream has no token counts")
    return f"{whole.prompt_tokens} + {whole.completion_tokens} tokens"


def tool_call(subject: Subject) -> str:
    """A call of a tool that is offered."""
    return _call(subject.ask("What is the weather in Paris?", tools=[WEATHER]))


def tool_choice(subject: Subject) -> str:
    """A call that is demanded where the model would not make one, and one that is forbidden where it would."""
    named = {"type": "function", "function": {"name": "get_weather"}}
    said = _call(subject.ask("What is the capital of France?", tools=[WEATHER], tool_choice=named))
    if subject.ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="none").choices[0].message.tool_calls:
        raise Ignored('"none" is ignored: a tool was called')
    return said


def _call(completion: Any) -> str:
    choice = completion.choices[0]
    if not choice.message.tool_calls:
        raise Ignored(f"no tool was called, but said: {_short(choice.message.content or '')!r}")
    function = choice.message.tool_calls[0].function
    try:
        jsonschema.validate(json.loads(function.arguments), WEATHER["function"]["parameters"])
    except (ValueError, jsonschema.ValidationError):
        raise Ignored(f"the arguments do not fit the tool: {_short(function.arguments)}") from None
    return f"{function.name}({_short(function.arguments)})"


def schema(subject: Subject) -> str:
    """A reply in a form."""
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    text = (
        subject.ask("Return JSON for a person named Ana aged 30.", response_format=form).choices[0].message.content
        or ""
    )
    try:
        jsonschema.validate(json.loads(text), PERSON)
    except (ValueError, jsonschema.ValidationError):
        raise Ignored(f"the reply does not fit the schema: {_short(text)!r}") from None
    return _short(text)


def overflow(subject: Subject) -> str:
    """A prompt that does not fit: it has to be an error, not a shorter prompt."""
    if subject.overflow != "error":
        raise Skipped(f'`overflow = "{subject.overflow}"`: it is not to be an error')
    length = _context(subject)
    if length is None:
        raise Skipped("the server does not tell its context: --context names it")
    if length > _LONGEST:
        raise Skipped(f"its context of {length} tokens is too long to try")
    words = length + length // 4 + 64  # at least a token each
    try:
        completion = subject.ask(" hello" * words, max_completion_tokens=1)
    except openai.BadRequestError as error:
        if error.code == "context_length_exceeded" or "context" in str(error):
            return f"{words} words in {length} tokens: {error.code or 'an error'}"
        raise
    read = completion.usage.prompt_tokens if completion.usage else "?"
    raise Ignored(f"{words} words went into {length} tokens without an error; {read} tokens were read")


def _context(subject: Subject) -> int | None:
    if (known := subject.context()) is not None:
        return known
    if not is_openai(str(subject.client.base_url)):
        return None
    return next((length for name, length in _OPENAI_CONTEXT.items() if (subject.chat or "").startswith(name)), None)


def embedding(subject: Subject) -> str:
    """Vectors: one for each text, and not all the same."""
    if subject.embedding is None:
        raise Skipped("no embedding model is known: --embedding-model names one")
    data = subject.client.embeddings.create(
        model=subject.embedding, input=["A dog", "A proof"], encoding_format="float"
    ).data
    if len(data) != 2 or not data[0].embedding or data[0].embedding == data[1].embedding:
        raise Ignored("two texts did not give two vectors")
    return f"{len(data[0].embedding)} dimensions"


# The eight of `doctor --deep`.
PROBES: Mapping[str, Callable[[Subject], str]] = {
    "hello": hello,
    "stream ends": stream,
    "usage": usage,
    "tool call": tool_call,
    "tool_choice": tool_choice,
    "JSON schema": schema,
    "over-long prompt": overflow,
    "embedding": embedding,
}


def probed(subject: Subject, probes: Mapping[str, Callable[[Subject], str]], tell: Tell = silent) -> list[Row]:
    """The rows of some probes, one after the other. tell: is told each one's name before it runs.

    A server that is gone is not asked on: each question would take its full time.
    """
    return list(_rows(subject, probes.items(), tell))


def _rows(subject: Subject, probes: Iterable[tuple[str, Callable[[Subject], str]]], tell: Tell) -> Iterator[Row]:
    gone: str | None = None
    for name, probe in probes:
        if gone is not None:
            yield Row(name, "fail", gone)
            continue
        tell(name)
        since = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome: tuple[Outcome, str] = "pass", probe(subject)
        except Skipped as reason:
            outcome = "skipped", str(reason)
        except Ignored as what:
            outcome = "ignored", str(what)
        except openai.OpenAIError as error:
            outcome = "fail", explained(error)
            gone = f"not tried: {outcome[1]}" if isinstance(error, openai.APIConnectionError) else None
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            # The SDK takes any JSON for a reply: choices may be missing.
            outcome = "fail", f"the reply is not OpenAI's ({type(error).__name__}: {error})"
        except Exception as error:
            # A stream that is cut raises the HTTP library's own error, before the SDK's version 3.
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpcore"):
                raise
            outcome = "fail", f"the connection was lost: {error or type(error).__name__}"
        yield Row(name, *outcome, time.monotonic() - since)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
