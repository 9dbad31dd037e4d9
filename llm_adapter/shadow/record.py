"""A call that is compared: it is sent to the second profile too, and a record says how the two replies differ.

The second profile is asked without `stream`, for what is compared is the structure of whole replies; and without
`store`, so that its server keeps nothing. A record holds no free text: names in it (tools, arguments, error codes) are
names that the call itself offered, or look like names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

import openai
from pydantic_core import from_json

from llm_adapter.comparison import Outcome, ToolCall, differences, failure, outcome
from llm_adapter.provider import Json
from llm_adapter.routing.connection import Connection
from llm_adapter.shadow.journal import warn_once
from llm_adapter.shadow.streams import BrokenStreamError, whole

VERSION = 1  # of the records
LARGEST = 4 << 20  # bytes of a call's body, and of its reply; with worker.PENDING it limits the memory of waiting calls
PATIENCE = 120.0  # seconds for a shadow's reply, where its profile does not say
OTHER = "(other)"  # in the place of what may not be a name
_NAME = re.compile(r"[\w.:/@+-]{1,200}(, [\w.:/@+-]{1,200})*")
_NOT_COPIED = ("stream", "stream_options", "store")
_DONE = b"data: [DONE]"
OutcomeAndReply: TypeAlias = tuple[Outcome, Json]  # and the reply, if there was one


@dataclass(frozen=True, eq=False)
class Destinations:
    """The two destinations of one client: the one that answers it, and the one that gets copies."""

    first: Connection
    second: Connection
    make: Callable[..., openai.OpenAI]  # makes a client; handed in, for clients import this package

    @property
    def log(self) -> str | None:
        return self.first.configured.shadow_log


@dataclass(frozen=True)
class Job:
    """A call and its reply, both as bytes: what the background thread compares."""

    shadow: Destinations
    path: str
    body: bytes
    streamed: bool
    seconds: float  # until the caller had all of the reply
    ended: float  # unix seconds
    http: Any  # the HTTP library of the reply
    error: BaseException | None = None  # instead of a reply
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    encoded: bool = False  # the content is as it came over the wire, compressed perhaps
    whole: bool = True  # it was read to its end


class UnreadableError(Exception):
    """A reply that is not in OpenAI's form."""


def client_of(shadow: Destinations) -> openai.OpenAI:
    """A client for the second profile: an ordinary one, with keys of its own, that tries once."""
    settings = shadow.second.configured
    timeout: Json = {} if settings.load_timeout else {"timeout": PATIENCE}
    return shadow.make(settings=settings, max_retries=0, **timeout)


def record_of(job: Job, client: openai.OpenAI) -> Json:
    """What is logged of one call; `journal` has its fields."""
    body: Json = from_json(job.body)
    when = datetime.fromtimestamp(job.ended, timezone.utc).isoformat(timespec="milliseconds")
    about = {"version": VERSION, "time": when, "path": job.path, "model": _name(body.get("model"))}
    about |= {"stream": job.streamed, "request_id": _name(dict(job.headers).get("x-request-id"))}
    try:
        first, reply = _first_outcome(job, client, body)
    except Exception:  # whatever a server sends, or a part of it
        return {"event": "unreadable" if _was_read_whole(job) else "abandoned", **about}
    # After an error in a stream nobody reads on.
    if not (_was_read_whole(job) or (first.failed and job.error is None)):
        return {"event": "abandoned", **about}
    second, answer = _second_outcome(job, client, body)
    first, second = _without_free_names(first, body), _without_free_names(second, body)
    profiles = job.shadow.first.configured
    found = [{"what": one.what, "first": one.a, "shadow": one.b} for one in differences(first, second)]
    return {
        "event": "compared",
        **about,
        "id": _name(reply.get("id")),
        "same": not found,
        "differences": found,
        "first": _side_record(first, _provider(reply) or job.shadow.first.provider.name, profiles.profile),
        "shadow": _side_record(
            second, _provider(answer) or job.shadow.second.provider.name, job.shadow.first.configured.shadow
        ),
    }


def ended_record(left_out: int) -> Json:
    """The last record of a process: how many calls it did not compare, since the record before."""
    when = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {"event": "ended", "version": VERSION, "time": when, "left_out": left_out}


def _was_read_whole(job: Job) -> bool:
    """Whether the caller had all of the reply: read to its end, or to the mark of a stream's."""
    if job.whole or isinstance(job.error, Exception):
        return True
    try:
        return job.error is None and _DONE in _copied_response(job).content[-64:]
    except Exception:  # compressed, and cut
        return False


def _first_outcome(job: Job, client: openai.OpenAI, body: Json) -> OutcomeAndReply:
    if job.error is not None:
        return failure(_callers_error(job.error, job.http), job.seconds), {}
    response = _copied_response(job)
    try:
        reply = _reply(job, response, client)
    except openai.APIError as error:
        return failure(error, job.seconds), {}
    if not isinstance(reply, dict):
        raise UnreadableError
    return outcome(job.path, body, reply, job.seconds), reply


def _copied_response(job: Job) -> Any:
    headers = [(name, value) for name, value in job.headers if job.encoded or name.lower() != "content-encoding"]
    request = job.http.Request("POST", f"http://shadow.invalid{job.path}")
    return job.http.Response(job.status, headers=headers, content=job.content, request=request)


def _callers_error(error: BaseException, http: Any) -> BaseException:
    """What the caller was told of an HTTP library's exception."""
    request = http.Request("POST", "http://shadow.invalid")
    if isinstance(error, http.TimeoutException):
        return openai.APITimeoutError(request=request)
    return openai.APIConnectionError(request=request) if isinstance(error, http.RequestError) else error


def _reply(job: Job, response: Any, client: openai.OpenAI) -> Any:
    """The reply's JSON, a stream's put together. Raises `openai.APIError` as the SDK does."""
    if response.status_code >= 400:
        raise client._make_status_error_from_response(response)
    if not job.streamed or response.headers.get("content-type", "").startswith("application/json"):
        return from_json(response.content)
    try:
        return whole(job.path, response.content)
    except BrokenStreamError as broken:
        raise openai.APIError("", request=response.request, body=broken.error) from None


def _second_outcome(job: Job, client: openai.OpenAI, body: Json) -> OutcomeAndReply:
    """The outcome on the second profile.

    The arguments go as `extra_json`: what only the first profile's server understands is left out for another.
    """
    asked = {name: value for name, value in body.items() if name not in _NOT_COPIED}
    if job.path == "/responses":
        asked["store"] = False  # OpenAI keeps it otherwise
    options: Any = {"extra_json": asked, "security": {"bearer_auth": True}}
    since = perf_counter()
    try:
        reply: Any = client.post(job.path, cast_to=object, body={}, options=options)
    except openai.OpenAIError as error:
        spent = perf_counter() - since
        if not isinstance(error, openai.APIError):
            warn_once("the second profile cannot be used", error)
        return failure(error, spent), {}
    except ValueError:  # the SDK's of a body that is no JSON, or no text
        reply = None
    spent = perf_counter() - since
    if not isinstance(reply, dict):
        return Outcome(spent, UnreadableError.__name__), {}
    return outcome(job.path, body, reply, spent), reply


def _without_free_names(found: Outcome, body: Json) -> Outcome:
    """The outcome without names that a model or a server may have made of the conversation."""
    offered = _offered_arguments(body)
    tools = tuple(_known_call(one, offered) for one in found.tools)
    name = partial(_name, other=OTHER)
    return replace(
        found, tools=tools, model=name(found.model), code=name(found.code), finish_reason=name(found.finish_reason)
    )


def _known_call(call: ToolCall, offered: Mapping[str, frozenset[str]]) -> ToolCall:
    names = offered.get(call.name, frozenset())
    arguments = call.arguments
    if isinstance(arguments, dict):
        unknown = {name: value for name, value in arguments.items() if name not in names}
        arguments = {name: value for name, value in arguments.items() if name in names}
        arguments |= {OTHER: unknown} if unknown else {}
    return replace(call, name=call.name if call.name in offered else OTHER, arguments=arguments)


def _offered_arguments(body: Json) -> dict[str, frozenset[str]]:
    """The tools that a call offers, with their arguments' names."""
    tools = [one.get("function") or one.get("custom") or one for one in body.get("tools") or ()]
    tools += body.get("functions") or ()
    return {
        tool["name"]: frozenset((tool.get("parameters") or {}).get("properties") or ())
        for tool in tools
        if isinstance(tool.get("name"), str)
    }


def _name(value: Any, other: str | None = None) -> str | None:
    """The value, if it looks like a name; else `other`."""
    if value is None:
        return None
    return value if isinstance(value, str) and _NAME.fullmatch(value) else other


def _provider(reply: Json) -> str | None:
    adapter = reply.get("adapter")
    return _name(adapter.get("provider")) if isinstance(adapter, dict) else None


def _side_record(found: Outcome, provider: str, profile: str | None) -> Json:
    """One side of a record: what is zero, false or nothing is left out."""
    fields = {
        name: value for name, value in found.json().items() if value is not None and value != _EMPTY_OUTCOME[name]
    }
    return {"profile": profile, "provider": provider, **fields, "seconds": round(found.seconds, 4)}


_EMPTY_OUTCOME = Outcome(0, "").json()
