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

from llm_adapter.connection import NO_KEY, Connection, ambient_headers, bound, connect, sibling
from llm_adapter.exchange import Exchange
from llm_adapter.provider import Call, Json, NativeRequest, Report, SettingsError
from llm_adapter.providers import PROVIDERS

if TYPE_CHECKING:
    from llm_adapter.settings import Settings
    from llm_adapter.transport import RoundTrip

# The constructor arguments with which the SDK brings its own destination; it is left alone then.
_ELSEWHERE = ("provider", "workload_identity", "data_residency")
Defaults: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
_PREFIXES = tuple(f"{name}{mark}" for name in PROVIDERS for mark in "/:")


def resolve(profile: str | None, settings: Settings | None, options: Mapping[str, Any]) -> Connection:
    """The destination of a client from its constructor's arguments and the configuration. Raises `SettingsError`."""
    from llm_adapter.settings import Settings  # with the first client: importing the package does not pay for it

    if any(options.get(name) is not None for name in _ELSEWHERE):
        return connect(Settings(), os.environ)
    if settings is None:
        settings = Settings.load(profile=profile)
    elif profile is not None:
        raise SettingsError("give `profile` or `settings`, not both: Settings.load(profile=...) makes one of the other")
    base_url = options.get("base_url")
    given = str(base_url) if base_url is not None and not _is_not_given(base_url) else None
    return connect(settings, os.environ, base_url=given, api_key=options.get("api_key"))


def _is_not_given(value: Any) -> bool:
    return type(value).__name__ in ("NotGiven", "Omit")


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
    if origin.plain and connection is origin and body is given and (body is options.json_data or origin.unknown):
        return _carried(connection, options)
    if connection.routed:
        options = _routed(connection, options, defaults, refreshed=callable(origin.api_key))
    endpoint = connection.provider.endpoint(options.method.upper(), path)
    if endpoint is None and connection.effective.local_only and connection.provider.name == "ollama":
        from llm_adapter.providers.ollama.local import carried

        endpoint = carried
    if endpoint is None:
        return _carried(connection, _rewritten(connection, options, NativeRequest(options.method, None, body)))
    report = Report(connection.provider.name, asked)
    origin_of_ids = os.urandom(16).hex(), int(time.time())
    call = Call(options.method.upper(), path, body, connection.effective, *origin_of_ids, report, options.params)
    exchange = Exchange(call, endpoint)
    first = exchange.pending[0] if exchange.pending else NativeRequest(options.method, None, body)
    options = _rewritten(connection, options, first)
    if exchange.untouched and not exchange.explained and not _escorted(connection):
        return options, None
    return options, _round_trip(connection, exchange, path)


def _escorted(connection: Connection) -> bool:
    """Whether a call needs a round trip though it is not translated: to start its server, or for a place there."""
    return connection.started is not None or connection.terms is not None


def _carried(connection: Connection, options: FinalRequestOptions) -> tuple[FinalRequestOptions, RoundTrip | None]:
    """A call that is not translated."""
    if not _escorted(connection):
        return options, None
    return options, _round_trip(connection, None, urlsplit(options.url).path)


def _round_trip(connection: Connection, exchange: Exchange | None, path: str) -> RoundTrip:
    from llm_adapter.transport import RoundTrip

    return RoundTrip(connection, exchange, path)


def _body(options: FinalRequestOptions) -> Json:
    """The call's arguments, with `extra_body` merged the way the SDK does it."""
    body = options.json_data
    if options.extra_json:
        return {**(body if isinstance(body, Mapping) else {}), **options.extra_json}
    return body if isinstance(body, dict) else {}


def destination(connection: Connection, body: Json, *, aliased: bool = True) -> tuple[Connection, Json]:
    """Where the call's model lives, and the body with the model's real name.

    "ollama/x", "ollama:x" and "openai/x" name a provider; any other prefix is part of the name, for tags contain ":"
    and names "/". A prefix of the provider in use is only taken off where no model's name can begin with it;
    what is left is the server's own name, which "*" does not mean. aliased: whether the name may be one of `models`.
    """
    model = body.get("model")
    if not isinstance(model, str):
        return connection, body
    name = _meant(connection, model) if aliased else model
    if name.startswith(_PREFIXES):
        prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
        other = prefix[:-1]
        if other != connection.provider.name:
            connection, name = sibling(connection, other), name.removeprefix(prefix)
        elif connection.own_names:
            name = name.removeprefix(prefix)
    return connection, body if name == model else {**body, "model": name}


def _meant(connection: Connection, model: str) -> str:
    """The name that `models` gives a call site's."""
    own = connection.provider.name
    named = model.startswith(_PREFIXES) and model.startswith((f"{own}/", f"{own}:")) and connection.own_names
    return connection.settings.alias(model) if named else connection.settings.model(model)


def _rewritten(connection: Connection, options: FinalRequestOptions, native: NativeRequest) -> FinalRequestOptions:
    """The options with which the SDK builds the native request; its headers, timeout and retries stay."""
    changes: dict[str, Any] = {"method": native.method.lower()}
    if native.path is not None:
        changes["url"] = connection.url(native.path)
    elif connection.routed:
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
    if connection.foreign:
        left += [name for name, value in ambient_headers(os.environ).items() if headers.get(name) == value]
    own = {**dict.fromkeys(left, Omit()), "Authorization": f"Bearer {connection.api_key or NO_KEY}"}
    params = {**dict.fromkeys(bound(query), Omit()), **options.params}
    return options.model_copy(update={"headers": {**own, **given}, "params": params})
