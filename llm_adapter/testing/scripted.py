"""A fake's script and log, for whichever driver carries the bytes: a server on loopback, or a mock in the process.

The log says what came, and its assertions what came instead. Keys are never kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_adapter.testing import personas
from llm_adapter.testing.personas.persona import Model, Persona
from llm_adapter.testing.personas.wire import Answer, ServerRequest
from llm_adapter.testing.turns import HELLO, Failure, Turn, turned

if TYPE_CHECKING:
    from llm_adapter import Settings

Matcher: TypeAlias = Callable[[ServerRequest], "Turn | str | None"]
_SECRET = ("authorization", "api-key", "x-api-key", "cookie", "proxy-authorization")
_SHOWN = 300  # characters of a request's body in a message
_LISTED = 10  # requests in a message
_ABSENT = object()


def masked_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by names in small letters; of those that carry a key, the scheme alone."""
    found = {}
    for name, value in headers:
        scheme, space, _ = value.partition(" ")
        hidden = f"{scheme} ***" if space else "***"
        found[name.lower()] = hidden if name.lower() in _SECRET else value
    return found


def value_at(body: Any, path: str) -> Any:
    """What stands at a dotted path, `messages.0.content`; `_ABSENT` if nothing does."""
    for name in path.split("."):
        if isinstance(body, Mapping) and name in body:
            body = body[name]
        elif isinstance(body, list) and name.lstrip("-").isdigit() and -len(body) <= int(name) < len(body):
            body = body[int(name)]
        else:
            return _ABSENT
    return body


def count_phrase(many: int, one: str, several: str) -> str:
    """A number with its noun: "1 call", "2 calls"."""
    return f"{many} {one if many == 1 else several}"


def times_phrase(times: int) -> str:
    return {0: "not", 1: "once"}.get(times, f"{times} times")


class Log:
    """The requests in their order. `calls` are those that asked a model to speak, or to embed."""

    def __init__(self) -> None:
        self.requests: list[ServerRequest] = []
        self._spoken: list[ServerRequest] = []
        self._statuses: dict[int, int] = {}

    @property
    def calls(self) -> list[ServerRequest]:
        """Calls of a model, without what clients ask beside them (/api/show, /v1/models ...)."""
        return list(self._spoken)

    @property
    def last(self) -> ServerRequest:
        """The last call of a model; without any, the last request."""
        if not self.requests:
            raise AssertionError("no request came")
        return self._spoken[-1] if self._spoken else self.requests[-1]

    def assert_sent(self, path: str, value: Any = _ABSENT) -> None:
        """Some request had this field: `assert_sent("options.num_ctx", 8192)`. Without a value, any will do."""
        found = [value_at(request.body, path) for request in self.requests]
        given = [one for one in found if one is not _ABSENT]
        if value is _ABSENT:
            if not given:
                raise AssertionError(f"no request had `{path}`{self._log_summary()}")
        elif not any(one == value for one in given):
            seen = f": it was {', '.join(f'{repr(one)[:_SHOWN]}' for one in given[-_LISTED:])}" if given else ""
            raise AssertionError(f"no request had `{path}` = {value!r}{seen}{self._log_summary()}")

    def assert_not_sent(self, path: str) -> None:
        """No request had this field."""
        given = [one for one in (value_at(request.body, path) for request in self.requests) if one is not _ABSENT]
        if given:
            raise AssertionError(f"a request had `{path}`: {repr(given[0])[:_SHOWN]}{self._log_summary()}")

    def assert_called(self, path: str, times: int | None = None) -> None:
        """A path was asked, so many times: `assert_called("/api/chat", times=1)`. /v1 may be left out."""
        path = "/" + path.removeprefix("/")
        count = sum(request.path in (path, f"/v1{path}") for request in self.requests)
        wanted = {None: "have been asked", 0: "not have been asked"}.get(
            times, f"have been asked {times_phrase(times or 0)}"
        )
        fits = count > 0 if times is None else count == times
        if not fits:
            raise AssertionError(f"{path} should {wanted}, and was {times_phrase(count)}{self._log_summary()}")

    def assert_not_called(self, path: str) -> None:
        self.assert_called(path, times=0)

    def add_request(self, request: ServerRequest, status: int, *, spoken: bool) -> None:
        """Keeps a request with what was answered to it."""
        self.requests.append(request)
        self._statuses[request.number] = status
        if spoken:
            self._spoken.append(request)

    def _log_summary(self) -> str:
        """The requests, short, as the end of a message."""
        if not self.requests:
            return "\nno request came"
        count = len(self.requests)
        head = "what came:" if count <= _LISTED else f"the last {_LISTED} of {count} that came:"
        return "".join([f"\n{head}", *(f"\n  {self._request_line(request)}" for request in self.requests[-_LISTED:])])

    def _request_line(self, request: ServerRequest) -> str:
        body = json.dumps(request.body, ensure_ascii=False, default=str) if request.text is None else request.text
        body = "" if body in ("", "null") else f" {body}"
        short = body if len(body) <= _SHOWN else body[:_SHOWN] + "…"
        status = self._statuses.get(request.number, 0) or "cut"
        return f"{request.number}. {request.method} {request.path} -> {status}{short}"


class Scripted(Log):
    """Answers requests in the manner of a persona, out of a script.

    Turns are used up one by one, by calls of a model alone, and each by a call of its kind: one for embeddings leaves a
    text to the next chat. Without any script every call gets a friendly text. A script that has no turn left for a call
    answers 400 and says so: a loop that asks once too often is a finding.
    """

    def __init__(
        self,
        persona: str | Persona = "openai",
        *,
        models: Iterable[str | Model] | Mapping[str, Iterable[str]] | None = None,
        context: int | None = None,
        library: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._given: dict[str, Any] = {"models": models, "context": context, "library": library}
        self._persona = personas.persona(persona, **self._given)
        self._lock = threading.RLock()  # a matcher may add to the script
        self._matchers: list[Matcher] = []
        self._turns: list[Turn] = []
        self._scripted = self._repeat = self._repeated = False
        self.overrun = 0  # calls that the script had no turn for
        self._problem: Exception | None = None  # the first that a matcher, or a turn that cannot be sent, raised

    # --- the script ---

    def script(self, *turns: Turn | str, repeat: bool = False) -> None:
        """Puts turns at the end of the script; a string is a text. repeat: its last turn answers all that follows."""
        given = [turned(one) for one in turns]
        with self._lock:
            self._turns += given
            self._scripted, self._repeat, self._repeated = True, repeat, False

    def on(self, matcher: Matcher) -> Matcher:
        """Asks this first: a turn or a text answers the call, None leaves it to the others, and then to the script."""
        self._matchers.append(matcher)
        return matcher

    @property
    def unused(self) -> tuple[Turn, ...]:
        """Scripted turns that no call has asked for."""
        return () if self._repeated else tuple(self._turns)

    def assert_all_used(self) -> None:
        """Every scripted turn was asked for, and no call came when there was none left."""
        if self.unused:
            left = "".join(f"\n  {_turn_summary(turn)}" for turn in self.unused)
            many = count_phrase(len(self.unused), "scripted turn was", "scripted turns were")
            raise AssertionError(f"{many} not asked for:{left}{self._log_summary()}")
        self.assert_sufficed()

    def assert_sufficed(self) -> None:
        """The script had a turn for every call, and no matcher has failed."""
        if self._problem is not None:
            raise AssertionError(
                f"a matcher or a turn failed: {self._problem!r}{self._log_summary()}"
            ) from self._problem
        if self.overrun:
            many = count_phrase(self.overrun, "call", "calls")
            raise AssertionError(f"{many} came when the script had ended{self._left_over()}{self._log_summary()}")

    def _left_over(self) -> str:
        """The turns of other kinds that are left, as a part of a message."""
        kinds = dict.fromkeys(_KINDS[turn.answers] for turn in self._turns)
        return f" for calls of their kind: what is left is for {' and '.join(kinds)}" if kinds else ""

    # --- the server that it plays ---

    @property
    def persona(self) -> Persona:
        return self._persona

    @persona.setter
    def persona(self, persona: str | Persona) -> None:
        self._persona = personas.persona(persona, **self._given)

    @property
    def models(self) -> tuple[Model, ...] | None:
        """The models that the server has; None: any that is asked for."""
        return self._persona.models

    @models.setter
    def models(self, models: Iterable[str | Model] | Mapping[str, Iterable[str]] | None) -> None:
        self._given["models"] = models
        self.persona = self._persona.having(models=None)

    @property
    def context(self) -> int | None:
        """Tokens that a prompt may have; None: any number."""
        return self._persona.context

    @context.setter
    def context(self, tokens: int | None) -> None:
        self._given["context"] = tokens
        self._persona = self._persona.having(context=tokens)

    # --- answering ---

    def answer(self, method: str, path: str, headers: Iterable[tuple[str, str]], data: bytes) -> Answer:
        """What goes back for a request. path: with /v1 or /api, and without a query. Threads may ask side by side."""
        given = list(headers)
        with self._lock:
            body, unread = _decode_body(data)
            request = ServerRequest(
                method,
                path,
                body,
                masked_headers(given),
                any(name.lower() in ("authorization", "api-key") for name, _ in given),
                len(self.requests) + 1,
                time(),
                unread,
            )
            settled = personas.settled(self._persona, request)
            found = settled or self._turn_answer(request)
            self.add_request(request, found.status, spoken=settled is None)
            self._persona = personas.after(self._persona, request, found)
            return replace(found, headers=(*found.headers, *self._persona.headers(request)))

    def _turn_answer(self, request: ServerRequest) -> Answer:
        """What a turn makes of the answer. A turn that cannot be sent, arguments that are no JSON for one, is told."""
        turn = self._next_turn(request)
        try:
            return personas.answer(self._persona, request, turn)
        except (TypeError, ValueError) as problem:
            self._problem = self._problem or problem
            words = f"a turn cannot be sent: {problem!r}"
            return personas.answer(self._persona, request, _fake_failure(words, "turn_failed"))

    def _next_turn(self, request: ServerRequest) -> Turn:
        try:
            matched = next((turn for matcher in self._matchers if (turn := matcher(request)) is not None), None)
            if matched is not None:
                return _fitting(turned(matched), request)
        except Exception as problem:
            self._problem = self._problem or problem
            return _fake_failure(f"a matcher raised {problem!r}", "matcher_failed")
        if not self._scripted:
            return HELLO
        place = next((place for place, turn in enumerate(self._turns) if _fits(turn, request)), None)
        if place is None:
            self.overrun += 1
            words = f"the script has no turn left for {request.method} {request.path}, request {request.number}"
            return _fake_failure(f"{words}{self._left_over()}", "script_ended")
        if self._repeat and place == len(self._turns) - 1:
            self._repeated = len(self._turns) == 1
            return self._turns[place]
        return self._turns.pop(place)

    # --- for llm_adapter's clients ---

    def settings_at(self, root: str, **fields: Any) -> Settings:
        """Settings that send llm_adapter's clients to this fake, where it is reached at `root`."""
        from llm_adapter import Settings

        if self._persona.dialect == "ollama":
            return Settings(**{"provider": "ollama", "host": root, **fields})
        base = {"provider": "openai", "base_url": f"{root}/v1", "dialect": self._persona.dialect, "api_key": "fake"}
        return Settings(**{**base, **fields})


_KINDS = {"text": "chats, responses and completions", "embeddings": "embeddings", "any": "any call"}


def _fits(turn: Turn, request: ServerRequest) -> bool:
    """Whether a turn is an answer to what is asked for. A text completion has no place for calls of tools."""
    if turn.answers == "any":
        return True
    if request.asks_for == "embeddings":
        return turn.answers == "embeddings"
    return turn.answers == "text" and not (turn.calls and request.asks_for == "completion")


def _fitting(turn: Turn, request: ServerRequest) -> Turn:
    """The turn of a matcher. Raises `ValueError` for one of another kind than the call's."""
    if not _fits(turn, request):
        raise ValueError(f"{_turn_summary(turn)}: that is no answer to {request.method} {request.path}")
    return turn


def _fake_failure(words: str, code: str) -> Turn:
    """An answer about the fake itself, with a status that no client tries again."""
    return Turn(failure=Failure(f"fake_llm: {words}", 400, code, "invalid_request_error"))


def _turn_summary(turn: Turn) -> str:
    """What a turn does, in a few words."""
    failure, told = turn.failure, [f"calls {call.name}({call.text})" for call in turn.calls]
    if turn.content and (failure is None or failure.after is not None):
        told.insert(0, f"says {turn.content!r}")
    if turn.thinking:
        told.insert(0, f"thinks {turn.thinking!r}")
    if turn.vectors is not None:
        told.append(f"embeds as {turn.vectors!r}")
    if failure is not None:
        late = "" if failure.after is None else f" after {count_phrase(failure.after, 'piece', 'pieces')}"
        told.append(f"fails with {failure.status} {failure.message!r}{late}")
    if turn.cut is not None:
        told.append(f"is cut after {count_phrase(turn.cut, 'piece', 'pieces')}")
    return (", ".join(told) or "says nothing")[:200]


def _decode_body(data: bytes) -> tuple[Any, str | None]:
    """The JSON of a body, or the text that is none. What follows the JSON is not read, as Go does not."""
    text = data.decode("utf-8", "replace")
    try:
        return json.JSONDecoder(parse_constant=_no_number).raw_decode(text.lstrip(" \t\r\n"))[0], None
    except ValueError:
        return None, text
    except RecursionError:
        return None, text


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
