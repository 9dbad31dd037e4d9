"""One side of a comparison: a client, and what it makes of a call, whole or streamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from time import perf_counter
from typing import Any, TypeAlias

import openai

from llm_adapter.client.clients import OpenAI
from llm_adapter.comparison import failure, outcome, text
from llm_adapter.devtools.endpoints import RESOURCES
from llm_adapter.devtools.explain import explanation
from llm_adapter.devtools.parity.fields import Price
from llm_adapter.devtools.parity.figures import NOT_STREAMED, Run, StreamTiming
from llm_adapter.devtools.parity.suite import Prompt
from llm_adapter.devtools.reporting.failures import explained
from llm_adapter.devtools.reporting.secrets import masked
from llm_adapter.provider import Json
from llm_adapter.routing.connection import connect
from llm_adapter.settings.hosts import hostname, is_local
from llm_adapter.settings.provider_names import PROVIDER_NAMES
from llm_adapter.settings.settings import Settings
from llm_adapter.shadow.streams import READERS

_MOST_OF_AN_ERROR = 1_200  # characters of an error
# What decides how a text is made, by OpenAI's names and Ollama's: a server may set its own where the call does not.
SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "num_predict", "max_tokens", "max_completion_tokens", "think"),
    *("max_output_tokens", "frequency_penalty", "presence_penalty", "repeat_penalty", "num_ctx", "reasoning_effort"),
)


class Unreachable(openai.OpenAIError):
    """A side that never answered."""


@dataclass
class Side:
    """Where one half of the calls goes. It is closed with its client."""

    label: str  # the profile's name, with the model that was named beside it
    client: OpenAI
    model: str | None = None  # of every call but embeddings, in the place of the suite's
    prices: Mapping[str, Price] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    answered: bool = False

    @property
    def settings(self) -> Settings:
        return self.client.settings

    @property
    def address(self) -> str:
        return "in this process" if self.settings.provider == "embedded" else str(self.client.base_url).rstrip("/")

    def body(self, prompt: Prompt) -> Json:
        """The call's arguments here."""
        return {**prompt.body, "model": self.model} if self.model and prompt.path != "/embeddings" else prompt.body

    def named(self, prompt: Prompt) -> str:
        """The model that a call names here, once the profile has mapped it."""
        return self.settings.model(str(self.body(prompt)["model"]))

    def ask(self, prompt: Prompt) -> Run:
        """One run. Raises `Unreachable` while nobody has ever answered, and nothing else that a server does."""
        body, started, pace = self.body(prompt), perf_counter(), NOT_STREAMED
        try:
            reply = attrgetter(f"{RESOURCES[prompt.path]}.create")(self.client)(**body)
            self.answered = True
            if prompt.streamed:
                reply, pace = read_stream(prompt.path, reply, started)
        except openai.APIConnectionError as error:
            if not self.answered and not isinstance(error, openai.APITimeoutError):
                raise Unreachable(f"{self.label}: {self.error_line(error)}") from None
            return self._failed(prompt, error, perf_counter() - started)
        except Exception as error:
            if not _is_a_servers(error):
                raise
            return self._failed(prompt, error, perf_counter() - started)
        return self._replied(prompt, reply, perf_counter() - started, pace)

    def _replied(self, prompt: Prompt, reply: Any, seconds: float, pace: StreamTiming) -> Run:
        # The SDK takes any JSON for a reply, and a text for itself.
        whole = reply.to_dict(mode="json", warnings=False) if isinstance(reply, openai.BaseModel) else reply
        whole = whole if isinstance(whole, dict) else {}
        found, said = outcome(prompt.path, prompt.body, whole, seconds), text(prompt.path, whole)
        cost = self._cost(prompt, found.model, found.prompt_tokens, found.completion_tokens)
        return Run(found, said, "", prompt.expect.unmet(found, said), cost, pace=pace)

    def _failed(self, prompt: Prompt, error: Exception, seconds: float) -> Run:
        self.answered = self.answered or isinstance(error, openai.APIStatusError)
        found = failure(error, seconds)
        line, unmet = _begin_and_end(self.error_line(error)), prompt.expect.unmet(found, "")
        return Run(found, "", line, unmet, awaited=prompt.expect.awaited(found))

    def _cost(self, prompt: Prompt, model: str | None, read: int | None, written: int | None) -> float | None:
        if is_local(hostname(str(self.client.base_url))):
            return 0.0
        named = (model, self.named(prompt), str(self.body(prompt)["model"]))
        price = next((self.prices[name] for name in named if name and name in self.prices), None)
        if price is None or read is None or (written is None and prompt.path != "/embeddings"):
            return None
        return (read * price.input + (written or 0) * price.output) / 1e6

    def error_line(self, error: Exception) -> str:
        """An error's line, without any key."""
        secret = self.settings.api_key
        line = explained(error) if isinstance(error, openai.OpenAIError) else f"{type(error).__name__}: {error}"
        return masked(line, [secret.get_secret_value() if secret else None], self.environ)

    def sent(self, prompt: Prompt) -> Json:
        """How the texts are made, of what would be sent: sampling, limits. Found out without sending."""
        try:
            explained = explanation(connect(self.settings, self.environ), prompt.path, self.body(prompt))
        except openai.OpenAIError:
            return {}
        return {name: value for request in explained.requests for name, value in _sampling_values(request.body or {})}


def side(name: str, prices: Mapping[str, Price], environ: Mapping[str, str] | None = None, **options: Any) -> Side:
    """The side that `NAME` or `NAME:MODEL` means, a profile or a provider. Raises `SettingsError`, `OpenAIError`."""
    environ = os.environ if environ is None else environ
    profile, _, model = name.partition(":")
    if name in (known := Settings.profiles(environ)):
        profile, model = name, ""
    elsewhere = profile in PROVIDER_NAMES and profile not in known
    settings = Settings.load(environ, **({"provider": profile} if elsewhere else {"profile": profile}))
    return Side(name, OpenAI(settings=settings, **options), model or None, prices, environ)


def _begin_and_end(line: str) -> str:
    """A long line without its middle: what helps against an error stands at its end."""
    half = _MOST_OF_AN_ERROR // 2
    return line if len(line) <= _MOST_OF_AN_ERROR else f"{line[:half]} ... {line[-half:]}"


def _is_a_servers(error: Exception) -> bool:
    """Whether a server's doing: the SDK's errors, a cut connection, and a reply that is none."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, (openai.OpenAIError, ValueError)) or package.startswith("http")


def _sampling_values(body: Json) -> Iterator[tuple[str, Any]]:
    options = body.get("options")
    for name, value in {**body, **(options if isinstance(options, dict) else {})}.items():
        if name in SAMPLING and value is not None:
            yield name, value


_ANSWER_FIELDS = ("content", "refusal", "tool_calls", "function_call", "text")
_REASONING_FIELDS = ("reasoning", "reasoning_content")
_TimedChunks: TypeAlias = "Sequence[tuple[float, Json]]"  # seconds since the call began, and the chunk


def read_stream(
    path: str, stream: Any, since: float, clock: Callable[[], float] = perf_counter
) -> tuple[Json, StreamTiming]:
    """The reply of a stream of the SDK's as it would have been without `stream`, and when its pieces came.

    Replies are put together as shadow mode does it, so that all that is compared is of one form.
    since: when the call began, by the clock. Raises what the stream raises, and ValueError for chunks that are none.
    """
    with stream:  # the chunks are looked at afterwards: that takes time which is not the server's
        came = [(clock() - since, chunk) for chunk in stream]
    try:
        timed = [(when, chunk.to_dict(mode="json", warnings=False)) for when, chunk in came]
        # Of /responses: the SDK hands on what it raises elsewhere.
        if event := next((chunk for _, chunk in timed if chunk.get("type") == "error"), None):
            raise openai.APIError(str(event.get("message")), stream.response.request, body=event)
        return READERS[path](chunk for _, chunk in timed), stream_timing(timed)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("the stream holds what is no chunk of OpenAI's") from error


def stream_timing(timed: _TimedChunks) -> StreamTiming:
    """When the first piece of the answer came, and the mean time between pieces, those of the reasoning among them."""
    answer = [when for when, chunk in timed if any(_parts(chunk, _ANSWER_FIELDS))]
    pieces = [when for when, chunk in timed if any(_parts(chunk, (*_ANSWER_FIELDS, *_REASONING_FIELDS)))]
    between = (pieces[-1] - pieces[0]) / (len(pieces) - 1) if len(pieces) > 1 else None
    return StreamTiming(answer[0] if answer else None, between)


def _parts(chunk: Json, names: Sequence[str]) -> Iterator[Any]:
    """The values that a chunk has under these names; an event of /responses has one, its `delta`."""
    if str(chunk.get("type")).endswith(".delta"):
        yield chunk.get("delta") and ("reasoning" in names or "reasoning" not in chunk["type"])
    for choice in chunk.get("choices") or ():
        parts = {**choice, **(choice.get("delta") or {})}
        yield from (parts.get(name) for name in names)
