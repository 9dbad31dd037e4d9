"""From the SDK's options to a destination and a native request: what `_build_request` decides. No IO.

Knows the SDK's `FinalRequestOptions` (openai-python src/openai/_models.py, v3.52.0) and nothing of HTTP.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from openai import Omit
from openai._models import FinalRequestOptions

from llm_adapter.exchange import Exchange
from llm_adapter.provider import Call, Json, NativeRequest, Report
from llm_adapter.routing.connection import NO_KEY, Connection, ambient_headers, bound
from llm_adapter.routing.destination import destination

if TYPE_CHECKING:
    from llm_adapter.transport.round_trip import RoundTrip

Defaults: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]


def translated(
    connection: Connection, options: FinalRequestOptions, defaults: Defaults = ({}, {})
) -> tuple[FinalRequestOptions, RoundTrip | None]:
    """The options of the first native request, and the round trip that it begins.

    None as the second: the SDK's own way, for a call that needs no translation.
    defaults: the headers and the query that the client adds to every call.
    """
    path = urlsplit(options.url).path
    if options.content is not None or not options.url.startswith("/"):
        return _carried(connection, options)
    body = _body(options)
    asked = body.get("model")
    origin, given = connection, body
    connection, body = destination(origin, given, aliased=not path.startswith("/api/"))  # `client.models` has done it
    if (
        origin.is_openai_itself
        and connection is origin
        and body is given
        and (body is options.json_data or origin.is_unconfigured)
    ):
        return _carried(connection, options)
    if connection.via_model_prefix:
        options = _routed(connection, options, defaults, refreshed=callable(origin.api_key))
    endpoint = connection.provider.endpoint(options.method.upper(), path)
    if endpoint is None and connection.resolved.local_only and connection.provider.name == "ollama":
        from llm_adapter.providers.ollama.local import passed_on_if_local

        endpoint = passed_on_if_local
    if endpoint is None:
        return _carried(connection, _rewritten(connection, options, NativeRequest(options.method, None, body)))
    report = Report(connection.provider.name, asked)
    origin_of_ids = os.urandom(16).hex(), int(time.time())
    call = Call(options.method.upper(), path, body, connection.resolved, *origin_of_ids, report, options.params)
    exchange = Exchange(call, endpoint)
    first = exchange.pending[0] if exchange.pending else NativeRequest(options.method, None, body)
    options = _rewritten(connection, options, first)
    if exchange.passthrough and not exchange.resume_on_error and not _escorted(connection):
        return options, None
    return options, _round_trip(connection, exchange, path)


def _escorted(connection: Connection) -> bool:
    """Whether a call needs a round trip though it is not translated: to start its server, or for a place there."""
    return connection.starter is not None or connection.terms is not None


def _carried(connection: Connection, options: FinalRequestOptions) -> tuple[FinalRequestOptions, RoundTrip | None]:
    """A call that is not translated."""
    if not _escorted(connection):
        return options, None
    return options, _round_trip(connection, None, urlsplit(options.url).path)


def _round_trip(connection: Connection, exchange: Exchange | None, path: str) -> RoundTrip:
    from llm_adapter.transport.round_trip import RoundTrip

    return RoundTrip(connection, exchange, path)


def _body(options: FinalRequestOptions) -> Json:
    """The call's arguments, with `extra_body` merged the way the SDK does it."""
    body = options.json_data
    if options.extra_json:
        return {**(body if isinstance(body, Mapping) else {}), **options.extra_json}
    return body if isinstance(body, dict) else {}


def _rewritten(connection: Connection, options: FinalRequestOptions, native: NativeRequest) -> FinalRequestOptions:
    """The options with which the SDK builds the native request; its headers, timeout and retries stay."""
    changes: dict[str, Any] = {"method": native.method.lower()}
    if native.path is not None:
        changes["url"] = connection.url(native.path)
    elif connection.via_model_prefix:
        changes["url"] = connection.url(options.url.lstrip("/"))
    if native.body or native.path is not None:
        changes |= {"json_data": native.body, "extra_json": None}
    return options.model_copy(update=changes)


def _routed(
    connection: Connection, options: FinalRequestOptions, defaults: Defaults, *, refreshed: bool
) -> FinalRequestOptions:
    """The options of a call that leaves its client's own host: the new host's key goes along, and nothing secret.

    refreshed: the SDK has put a key in the call's headers, from the callable that the client was made with.
    """
    headers, query = defaults
    given = dict(options.headers) if isinstance(options.headers, Mapping) else {}
    if refreshed:
        given = {name: value for name, value in given.items() if name.lower() != "authorization"}
    left = ["OpenAI-Organization", "OpenAI-Project", *bound(headers)]
    if connection.is_third_party:
        left += [name for name, value in ambient_headers(os.environ).items() if headers.get(name) == value]
    own = {**dict.fromkeys(left, Omit()), "Authorization": f"Bearer {connection.api_key or NO_KEY}"}
    params = {**dict.fromkeys(bound(query), Omit()), **options.params}
    return options.model_copy(update={"headers": {**own, **given}, "params": params})
