"""A fake's script and log, for whichever driver carries the bytes: a server on loopback, or a mock in the process.

The log says what came, and its assertions what came instead. Keys are never kept.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import from_json, to_json

from llm_adapter.testing import personas
from llm_adapter.testing.personas.persona import Model, Persona
from llm_adapter.testing.personas.wire import Answer, OpenAICall, ServerRequest
from llm_adapter.testing.turns import HELLO, Failure, Turn, turned
from llm_adapter.traffic.current import HEADER, call_by_attempt

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
        self._requests: list[ServerRequest] = []
        self.was_looked_at = False  # whether somebody has seen, or judged, what came
        self._spoken: list[ServerRequest] = []
        self._statuses: dict[int, int] = {}
        self._attempts: dict[str, OpenAICall] = {}

    @property
    def requests(self) -> list[ServerRequest]:
        """All that came, as it was sent."""
        self.was_looked_at = True
        return self._requests

    @property
    def calls(self) -> list[ServerRequest]:
        """Calls of a model, without what clients ask beside them (/api/show, /v1/models ...)."""
        self.was_looked_at = True
        return list(self._spoken)

    @property
    def last(self) -> ServerRequest:
        """The last call of a model; without any, the last request."""
        if not self._requests:
            raise AssertionError("no request came")
        return self._spoken[-1] if self._spoken else self._requests[-1]

    @property
    def openai_calls(self) -> list[OpenAICall]:
        """What was called, in OpenAI's form: each attempt once, whatever the number and the form of its requests.

        Requests in Ollama's API are in it where a client of the openai SDK in this process sent them.
        """
        found: dict[Any, OpenAICall] = {}
        for request in self.requests:
            if request.openai is not None:
                found.setdefault(request.openai.attempt or request.number, request.openai)
        return list(found.values())

    def assert_sent(self, path: str, value: Any = _ABSENT) -> None:
        """Some call had this argument: `assert_sent("messages.0.content", "Hi")`. Without a value, any will do.

        It looks at OpenAI's form of the call, as the call site has it, whatever the provider: `assert_native_sent` has
        what was sent.
        """
        self._assert_had([call.body for call in self.openai_calls], "call", path, value, self._calls_summary)

    def assert_not_sent(self, path: str) -> None:
        """No call had this argument. See `assert_sent`."""
        self._assert_had_not([call.body for call in self.openai_calls], "call", path, self._calls_summary)

    def assert_called(self, path: str, times: int | None = None) -> None:
        """An endpoint of OpenAI's was called, so many times: `assert_called("/chat/completions", times=1)`.

        A call counts once, and again for each time that the client tries again. /v1 may be left out.
        """
        called = [call.path for call in self.openai_calls]
        _assert_times(called, f"/{path.lstrip('/').removeprefix('v1/')}", times, "called", self._calls_summary)

    def assert_not_called(self, path: str) -> None:
        self.assert_called(path, times=0)

    def assert_native_sent(self, path: str, value: Any = _ABSENT) -> None:
        """Some request had this field: `assert_native_sent("options.num_ctx", 8192)`. Without a value, any will do."""
        self._assert_had([request.body for request in self.requests], "request", path, value, self._log_summary)

    def assert_native_not_sent(self, path: str) -> None:
        """No request had this field."""
        self._assert_had_not([request.body for request in self.requests], "request", path, self._log_summary)

    def assert_native_called(self, path: str, times: int | None = None) -> None:
        """A path of the server was asked, so many times: `assert_native_called("/api/chat", times=1)`."""
        path = f"/{path.removeprefix('/')}"
        asked = [path if request.path == f"/v1{path}" else request.path for request in self.requests]
        _assert_times(asked, path, times, "asked", self._log_summary)

    def assert_native_not_called(self, path: str) -> None:
        self.assert_native_called(path, times=0)

    def _assert_had(self, bodies: list[Any], what: str, path: str, value: Any, summary: Callable[[], str]) -> None:
        given = [one for one in (value_at(body, path) for body in bodies) if one is not _ABSENT]
        if value is _ABSENT:
            if not given:
                raise AssertionError(f"no {what} had `{path}`{summary()}")
        elif not any(one == value for one in given):
            seen = f": it was {', '.join(f'{repr(one)[:_SHOWN]}' for one in given[-_LISTED:])}" if given else ""
            raise AssertionError(f"no {what} had `{path}` = {value!r}{seen}{summary()}")

    def _assert_had_not(self, bodies: list[Any], what: str, path: str, summary: Callable[[], str]) -> None:
        given = [one for one in (value_at(body, path) for body in bodies) if one is not _ABSENT]
        if given:
            raise AssertionError(f"a {what} had `{path}`: {repr(given[0])[:_SHOWN]}{summary()}")

    def add_request(self, request: ServerRequest, status: int, *, spoken: bool) -> None:
        """Keeps a request with what was answered to it."""
        self._requests.append(request)
        self._statuses[request.number] = status
        if spoken:
            self._spoken.append(request)

    def _log_summary(self) -> str:
        """The requests, short, as the end of a message."""
        if not self._requests:
            return "\nno request came"
        return _listed("came", [self._request_line(request) for request in self._requests])

    def _calls_summary(self) -> str:
        """The calls in OpenAI's form, short, as the end of a message; and what is to be seen in another one."""
        calls = [f"{call.method} {call.path}{_short(call.body)}" for call in self.openai_calls]
        text = _listed("was called", [f"{place}. {call}" for place, call in enumerate(calls, 1)]) if calls else ""
        others = [request for request in self._requests if request.openai is None]
        if others:
            text += _listed("came in the server's own form", [self._request_line(request) for request in others])
        if any(request.native for request in self._requests):
            text += "\nThis looks at OpenAI's form of calls: assert_native_sent and the like look at what was sent."
        return text or "\nno request came"

    def _request_line(self, request: ServerRequest) -> str:
        body = _short(request.body) if request.text is None else _shortened(request.text)
        status = self._statuses.get(request.number, 0) or "cut"
        return f"{request.number}. {request.method} {request.path} -> {status}{body}"


def _listed(what: str, lines: list[str]) -> str:
    """Lines of a log below a head, the last ones of many."""
    head = f"what {what}:" if len(lines) <= _LISTED else f"the last {_LISTED} of {len(lines)} that {what}:"
    return "".join([f"\n{head}", *(f"\n  {line}" for line in lines[-_LISTED:])])


def _short(body: Any) -> str:
    """A body in one line, with a space before it; nothing for none."""
    return "" if body is None else _shortened(json.dumps(body, ensure_ascii=False, default=str))


def _shortened(text: str) -> str:
    spaced = f" {text}" if text else ""
    return spaced if len(spaced) <= _SHOWN else spaced[:_SHOWN] + "…"


def _assert_times(found: list[str], path: str, times: int | None, verb: str, summary: Callable[[], str]) -> None:
    """A path is so many times among these; at least once where no number is given."""
    count = found.count(path)
    wanted = {None: f"have been {verb}", 0: f"not have been {verb}"}
    if not (count > 0 if times is None else count == times):
        should = wanted.get(times, f"have been {verb} {times_phrase(times or 0)}")
        raise AssertionError(f"{path} should {should}, and was {times_phrase(count)}{summary()}")


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
        self.was_looked_at = True
        return () if self._repeated else tuple(self._turns)

    def assert_all_used(self) -> None:
        """Every scripted turn was asked for, and no call came when there was none left."""
        if self.unused:
            left = "".join(f"\n  {_turn_summary(turn)}" for turn in self.unused)
            many = count_phrase(len(self.unused), "scripted turn was", "scripted turns were")
            raise AssertionError(f"{many} not asked for:{left}{self._log_summary()}")
        self.assert_sufficed()

    @property
    def complaint(self) -> str | None:
        """What is said of a fake that was never asked, by a test that has not looked whether it was; else None."""
        if self._requests or self.was_looked_at:
            return None
        many = count_phrase(len(self._turns), "turn", "turns")
        return f"was never asked{f', and its script has {many}' if self._turns else ''}"

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
            attempt = next((value for name, value in given if name.lower() == HEADER), "")
            given = [(name, value) for name, value in given if name.lower() != HEADER]
            request = ServerRequest(
                method,
                path,
                body,
                masked_headers(given),
                any(name.lower() in ("authorization", "api-key") for name, _ in given),
                len(self._requests) + 1,
                time(),
                unread,
                _digest(path, data),
                self._openai_call(method, path, body, attempt),
            )
            settled = personas.settled(self._persona, request)
            found = settled or self._turn_answer(request)
            self.add_request(request, found.status, spoken=settled is None)
            self._persona = personas.after(self._persona, request, found)
            return replace(found, headers=(*found.headers, *self._persona.headers(request)))

    def _openai_call(self, method: str, path: str, body: Any, attempt: str) -> OpenAICall | None:
        """The call that a request was sent for."""
        if attempt in self._attempts:
            return self._attempts[attempt]
        if (call := call_by_attempt(attempt)) is not None:
            # As it is now: the program may add to its list of messages.
            body = from_json(to_json(call.body, fallback=str))
            return self._attempts.setdefault(attempt, OpenAICall(call.method, call.path, body, attempt))
        return OpenAICall(method, path.removeprefix("/v1"), body) if path.startswith("/v1") else None

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


def _digest(path: str, data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}" if path.startswith("/api/blobs/") else ""


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
