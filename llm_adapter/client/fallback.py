"""One call that another profile may answer: when that is, which servers are left alone, and what is said of it.

Reasons, in the words of the setting `fallback_on`:

refused         no connection came about: at once, for another attempt would only wait; the server is left alone then
busy            429 or 503, when the SDK would not try again; for as long as Retry-After says, the server is left alone
missing_model   404 with OpenAI's code for it, and no other 404: at once
load_timeout    the response did not begin within the profile's `load_timeout`: at once
context         400 with OpenAI's code for a prompt that does not fit: at once
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import openai

from llm_adapter.client.requests import arguments
from llm_adapter.provider import parsed_json
from llm_adapter.routing import cool_downs
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.profile_plan import Destination, ProfilePlan
from llm_adapter.transport.body import http_library
from llm_adapter.transport.round_trip import RoundTrip, timeout_error

if TYPE_CHECKING:
    from openai._models import FinalRequestOptions

FAILURES = "llm_adapter_failures"  # the extension of a response that says what the other profiles answered
_UNREACHED = frozenset({"ConnectError", "ConnectTimeout"})  # by name, for they are of either HTTP library
_CODES = {(404, "model_not_found"): "missing_model", (400, "context_length_exceeded"): "context"}
_LONGEST = 60.0  # seconds of Retry-After that are believed, as the SDK does
_TOLD = 300  # characters of what a server said

_log = logging.getLogger("llm_adapter")


class MovableCall:
    """A call that may go to other profiles."""

    def __init__(self, options: FinalRequestOptions, connection: Connection, plan: ProfilePlan) -> None:
        """options: the call as the SDK had it. connection: where it goes first. plan: its own profile's."""
        self.options = options
        self.connection = connection
        self._plan = plan
        self._settings = plan.settings
        self._model = options.json_data.get("model") if isinstance(options.json_data, Mapping) else None
        self.answered_by: str | None = None  # the name of another profile
        self.tries_again = False  # it is the one that finds out whether a server can be reached again
        self._failures: list[str] = []

    @cached_property
    def others(self) -> Sequence[Destination]:
        """The profiles that it may go to; asked for when it has to move, for all of the call is looked at."""
        options = self.options
        if options.files:  # they have been read by now
            return ()
        path = urlsplit(options.url).path
        return self._plan.candidates(self.connection, options.method, path, arguments(options))

    def cooling(self, connection: Connection) -> str | None:
        """Why a server is left alone now, where it is."""
        address = connection.address
        return cool_downs.reason(address) or cool_downs.reason((address, self._model))

    def left_alone(self) -> str | None:
        """The same of the call's own server: only for what this profile falls back on."""
        self.tries_again = cool_downs.may_try(self.connection.address, self._settings.fallback_cooldown)
        return None if self.tries_again else self._left_alone()

    def _left_alone(self) -> str | None:
        found = self.cooling(self.connection)
        return found if found in self._settings.fallback_on else None

    def check(self, request: Any) -> None:
        """Raises the HTTP library's ConnectError where the server was found dead while the call waited for its slot."""
        if not self.tries_again and self._left_alone() == "refused":
            raise http_library(request).ConnectError("another call could not connect just now", request=request)

    def reason(self, client: Any, trip: RoundTrip, answer: Any) -> str | None:
        """Why another profile is asked after this response or error of the call's own server; None: it is not."""
        found = _reason(client, trip, answer)
        return found if found in self._settings.fallback_on else None

    def begin_cool_down(self, client: Any, answer: Any, why: str) -> bool:
        """Leave a server alone, where that is due. Whether a line for the log is due: one for each time and cause."""
        seconds, address = self._settings.fallback_cooldown, self.connection.address
        if why == "refused":
            return cool_downs.begin(address, seconds, why)
        told = cool_downs.begin((address, self._model, why), seconds, why)
        waits = client._parse_retry_after_header(answer.headers) if why == "busy" else None
        if waits and seconds:
            cool_downs.begin((address, self._model), min(waits, _LONGEST), why)
        return told

    def answered(self) -> None:
        """Its own server has answered, though it could not be reached before."""
        cool_downs.end(self.connection.address)

    def tell(self, answer: Any, why: str) -> None:
        """One line for the log: which server could not take a call, why, and who answered."""
        seconds, to = self._settings.fallback_cooldown, self.answered_by
        end = f"fallback profile {to!r} answered" if to else f"no fallback answered: {'; '.join(self._failures)}"
        if why == "refused" and seconds:
            end += f"; for {seconds:g} s (`fallback_cooldown`) that server is asked last"
        name, address = self._settings.name, self.connection.address
        _log.warning("profile %r at %s: %s (%s); %s", name, address, why, _words(answer), end)

    def failed(self, to: Destination, answer: Any) -> None:
        """Another profile did not answer either."""
        if _is_unreached(answer):
            cool_downs.begin(to.connection.address, self._settings.fallback_cooldown, "refused")
        self._failures.append(f"fallback profile {to.name!r}: {_words(answer)}")

    def outcome(self, answer: Any, request: Any, *, last: bool) -> Any:
        """The response of the call's own server. Raises its error, with what others said where it is the last one."""
        more = "; ".join(self._failures)
        if not isinstance(answer, Exception):
            if more:
                answer.extensions[FAILURES] = f". {more}"
            return answer
        if more and isinstance(answer, openai.APIConnectionError):
            answer.message = f"{answer.message.rstrip('.')}; {more}"
            answer.args = (answer.message,)
        elif more and last and type(answer).__name__ == "ConnectTimeout":
            raise timeout_error(request, f"Request timed out; {more}") from answer
        elif more and last and _is_unreached(answer):
            raise openai.APIConnectionError(message=f"Connection error; {more}", request=request) from answer
        raise answer


def _reason(client: Any, trip: RoundTrip, answer: Any) -> str | None:
    if isinstance(answer, Exception):
        return "refused" if _is_unreached(answer) else "load_timeout" if trip.load_timed_out else None
    status = answer.status_code
    if status in (429, 503):
        return "busy" if trip.last or not client._should_retry(answer) else None
    return _CODES.get((status, str(_error(answer).get("code")))) if status in (400, 404) else None


def _is_unreached(answer: Any) -> bool:
    """Whether it is the error of a connection that did not come about."""
    return isinstance(answer, Exception) and any(type(one).__name__ in _UNREACHED for one in (answer, answer.__cause__))


def _error(response: Any) -> dict[str, Any]:
    """OpenAI's error object in a response that was read; empty where there is none."""
    with suppress(ValueError):
        body = parsed_json(response.content)
        error = body.get("error") if isinstance(body, dict) else None
        return error if isinstance(error, dict) else {}
    return {}


def _words(answer: Any) -> str:
    """What an error, or a response that is one, says."""
    if isinstance(answer, Exception):
        cause = answer.__cause__ if _is_unreached(answer) and answer.__cause__ is not None else answer
        return f"{type(cause).__name__}: {cause}"[:_TOLD]
    said = _error(answer).get("message") or answer.content.decode("utf-8", "replace")
    return f"status {answer.status_code}: {said}"[:_TOLD]
