"""Calls that go to the clients of other profiles: by a route, or when their own server cannot take them.

It is below all endpoints, where the SDK sends a request: streams, raw responses, `.parse()` and the Responses API
follow one rule. A call goes to another profile as the SDK had it, before any translation, and is translated for that
profile by a client of its own, with its own key, terms and HTTP client. Nothing is sent to a second server once the
first one's reply has begun, nor what the first one refused for the call's own fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast
from urllib.parse import urlsplit

import openai

from llm_adapter.client.fallback import FAILURES, MovableCall
from llm_adapter.client.requests import arguments
from llm_adapter.provider import in_ascii
from llm_adapter.routing.connection import Connection, credential_names
from llm_adapter.routing.profile_plan import Destination, Route, plan_of
from llm_adapter.transport.native_requests import EXTENSION
from llm_adapter.transport.round_trip import RoundTrip

if TYPE_CHECKING:
    from openai._models import FinalRequestOptions

    from llm_adapter.settings.settings import Settings

HEADER = "x-llm-adapter-fallback"
# Extensions of a request: the call as the SDK had it, and the client of the profile that a route leads to.
_ASKED, _ROUTED = "llm_adapter_asked", "llm_adapter_routed"
_NEXT = "llm_adapter_next"  # of a stream's response: its call, whose other profiles would have been next


class Try(NamedTuple):
    """Send a request; the answer is the response, or the error in its place."""

    client: Any
    request: Any
    routed: bool = False  # then the client does all that it does for a call of its own


class Read(NamedTuple):
    """Read a response to its end."""

    response: Any


Steps: TypeAlias = "Generator[Try | Read, Any, Any]"


def _follow(steps: Steps, **options: Any) -> Any:
    """Do the steps; the response. options: those of `_send_request`."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = None
        if isinstance(step, Read):
            step.response.read()
            continue
        try:
            answer = _sender(step)(step.request, **options)
        except Exception as error:
            answer = error


async def _afollow(steps: Steps, **options: Any) -> Any:
    """The same in an event loop."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = None
        if isinstance(step, Read):
            await step.response.aread()
            continue
        try:
            answer = await _sender(step)(step.request, **options)
        except Exception as error:
            answer = error


def _sender(step: Try) -> Callable[..., Any]:
    found: Callable[..., Any] = step.client._send_request if step.routed else step.client._send_own
    return found


class OtherProfiles:
    """The other profiles of one client, and the clients for them, which are made when they are needed."""

    def __init__(self, settings: Settings, make: Callable[[Destination], Any]) -> None:
        """make: makes a client for a destination. Raises `SettingsError` for settings that could not be followed."""
        self._plan = plan_of(settings)
        self._make = make
        self._clients: dict[int, Any] = {}  # by the destination's identity

    # --- routes ---

    def routed(self, connection: Connection, options: FinalRequestOptions) -> tuple[Any, Route] | None:
        """The client that a route leads a call to; None: it stays."""
        path = urlsplit(options.url).path
        if not self._plan.routes or connection.is_programs_own or not path.startswith("/") or path.startswith("/api/"):
            return None
        route = self._plan.route(path, arguments(options).get("model"))
        return None if route is None else (self._client(route.to), route)

    def build_routed(self, found: tuple[Any, Route], options: FinalRequestOptions, retries_taken: int) -> Any:
        """The request of a call that a route leads elsewhere."""
        client, route = found
        request = client._build_request(without_credentials(options), retries_taken=retries_taken)
        _report(request, options).route = {"to": route.to.name, "by": route.key}
        request.extensions[_ROUTED] = client
        return request

    # --- fallback ---

    def send(self, client: Any, request: Any, **options: Any) -> Any:
        """The response of whichever server answers. options: those of `_send_request`."""
        return _follow(self._steps(client, request), **options)

    def asend(self, client: Any, request: Any, **options: Any) -> Any:
        """The same in an event loop, to be awaited."""
        return _afollow(self._steps(client, request), **options)

    def failures(self, response: Any) -> str:
        """What the other profiles answered to a call whose own server's error this is, as the end of a message."""
        return cast("str", response.extensions.get(FAILURES, ""))

    def keep(self, options: FinalRequestOptions, request: Any) -> None:
        """Keep the call as the SDK has it, where it may have to go elsewhere."""
        if self._plan.fallback:
            request.extensions[_ASKED] = options

    def _steps(self, client: Any, request: Any) -> Steps:
        """What to do until the call has its response, which the generator returns."""
        if (routed := request.extensions.pop(_ROUTED, None)) is not None:
            return _only(Try(routed, request, routed=True))
        asked = request.extensions.pop(_ASKED, None)
        if asked is None:
            return _only(Try(client, request))
        trip: RoundTrip = request.extensions[EXTENSION]
        return self._with_fallback(client, request, trip, MovableCall(asked, trip.connection, self._plan))

    def _with_fallback(self, client: Any, request: Any, trip: RoundTrip, call: MovableCall) -> Steps:
        why = None if trip.is_answered else call.left_alone()
        if why is not None and (response := (yield from self._others(call, why))) is not None:
            trip.discard()
            return response
        if why is None:
            trip.before_sending = call.check
        own = yield Try(client, request)
        if (why is not None or call.tries_again) and not isinstance(own, Exception):
            call.answered()
        try:
            if why is None and (reason := (yield from _reason(client, trip, call, own))) is not None and call.others:
                due = call.begin_cool_down(client, own, reason)
                response = yield from self._others(call, reason)
                if due:
                    call.tell(own, reason)
                if response is not None:
                    return response
            if not isinstance(own, Exception) and not own.is_closed:
                own.extensions[_NEXT] = call
            return call.outcome(own, request, last=trip.last)
        finally:
            del own  # an error's traceback would keep all of this alive

    def _others(self, call: MovableCall, why: str) -> Steps:
        """The first response of another profile, or None; those that are left alone now are asked last."""
        for one in sorted(call.others, key=lambda one: call.cooling(one.connection) is not None):
            try:
                client = self._client(one)
                request = client._build_request(without_credentials(call.options))
            except openai.OpenAIError as error:
                call.failed(one, error)
                continue
            about = {"from": self._plan.settings.name, "to": one.name, "reason": why}
            _report(request, call.options).fallback = about
            request.extensions[EXTENSION].last = True
            answer = yield Try(client, request)
            if not isinstance(answer, Exception) and answer.status_code < 400:
                answer.headers[HEADER] = "; ".join(f"{name}={in_ascii(value)}" for name, value in about.items())
                call.answered_by = one.name
                return answer
            if not isinstance(answer, Exception):
                yield Read(answer)
            call.failed(one, answer)
        return None

    def named_next(self, reply: Any, response: Any) -> Any:
        """The reply; a stream's errors say which profile would have been next, had the reply not begun."""
        call: MovableCall | None = response.extensions.get(_NEXT)
        if call is not None and isinstance(reply, openai.Stream):
            reply._iterator = _named(reply._iterator, call)
        elif call is not None and isinstance(reply, openai.AsyncStream):
            reply._iterator = _anamed(reply._iterator, call)
        return reply

    def _client(self, to: Destination) -> Any:
        """The client for another profile."""
        return self._clients.get(id(to)) or self._clients.setdefault(id(to), self._make(to))


def _only(step: Try) -> Steps:
    answer = yield step
    if isinstance(answer, Exception):
        raise answer
    return answer


def _reason(client: Any, trip: RoundTrip, call: MovableCall, answer: Any) -> Steps:
    """Why another profile is asked next, or None. A response that says why has been read then."""
    if not isinstance(answer, Exception) and answer.status_code in (400, 404, 429, 503):
        yield Read(answer)
    return call.reason(client, trip, answer)


def _report(request: Any, options: FinalRequestOptions) -> Any:
    """The report of a call that goes to another profile."""
    report = request.extensions[EXTENSION].report()
    report.requested_model = arguments(options).get("model")
    return report


def without_credentials(options: FinalRequestOptions) -> FinalRequestOptions:
    """A copy of a call's options without credentials, which are for its own server."""
    changes = {}
    for name in ("headers", "params"):
        given = getattr(options, name)
        secret = credential_names(given) if isinstance(given, dict) else ()
        if secret:
            changes[name] = {key: value for key, value in given.items() if key not in secret}
    return options.model_copy(update=changes)


def _named(events: Iterator[Any], call: MovableCall) -> Iterator[Any]:
    try:
        yield from events
    except Exception as error:
        _name_next(error, call)
        raise


async def _anamed(events: AsyncIterator[Any], call: MovableCall) -> AsyncIterator[Any]:
    try:
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                yield event
    except Exception as error:
        _name_next(error, call)
        raise


def _name_next(error: Exception, call: MovableCall) -> None:
    if not call.others:
        return
    more = f"; the reply had begun, so that fallback profile {call.others[0].name!r} was not asked"
    error.args = (f"{str(error).rstrip('.')}{more}", *error.args[1:])
    if isinstance(error, openai.APIError):
        error.message = f"{error.message.rstrip('.')}{more}"
