"""From the SDK's options to a destination and a native request: what `_build_request` decides. No IO.

Knows the SDK's `FinalRequestOptions` (openai-python src/openai/_models.py, v3.52.0) and nothing of HTTP.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openai import Omit
from openai._models import FinalRequestOptions

from llm_adapter.connection import NO_KEY, Connection, connect, sibling
from llm_adapter.exchange import Exchange
from llm_adapter.provider import Call, Json, NativeRequest, Started
from llm_adapter.providers import PROVIDERS
from llm_adapter.settings import Settings

if TYPE_CHECKING:
    from llm_adapter.transport import RoundTrip

# The constructor arguments with which the SDK brings its own destination; it is left alone then.
_ELSEWHERE = ("provider", "workload_identity", "data_residency")
_PREFIXES = tuple(f"{name}{mark}" for name in PROVIDERS for mark in "/:")


def resolve(profile: str | None, settings: Settings | None, options: Mapping[str, Any]) -> Connection:
    """The destination of a client from its constructor's arguments and the configuration. Raises `SettingsError`."""
    if any(options.get(name) is not None for name in _ELSEWHERE):
        return connect(Settings(), os.environ)
    if settings is None:
        settings = Settings.load(profile=profile)
    base_url = options.get("base_url")
    given = str(base_url) if base_url is not None and not _is_not_given(base_url) else None
    return connect(settings, os.environ, base_url=given, api_key=options.get("api_key"))


def _is_not_given(value: Any) -> bool:
    return type(value).__name__ in ("NotGiven", "Omit")


def translated(connection: Connection, options: FinalRequestOptions) -> tuple[FinalRequestOptions, RoundTrip | None]:
    """The options of the first native request, and the round trip that it begins.

    None as the second: the SDK's own way, for a call that needs no translation.
    """
    path = urlsplit(options.url).path
    if options.content is not None or options.files or not options.url.startswith("/"):
        return _started(connection, options)
    body = _body(options)
    if connection.plain and body is options.json_data and not _prefixed(body):
        return options, None
    connection, body = _destination(connection, body)
    endpoint = connection.provider.endpoint(options.method.upper(), path)
    if endpoint is None:
        return _started(connection, _rewritten(connection, options, NativeRequest(options.method, None, body)))
    call = Call(options.method.upper(), path, body, connection.effective, uuid.uuid4().hex, int(time.time()))
    exchange = Exchange(call, endpoint)
    first = exchange.pending[0] if exchange.pending else NativeRequest(options.method, None, body)
    options = _rewritten(connection, options, first)
    if exchange.untouched and not isinstance(connection.provider, Started):
        return options, None
    return options, _round_trip(connection, exchange, path)


def _started(connection: Connection, options: FinalRequestOptions) -> tuple[FinalRequestOptions, RoundTrip | None]:
    """A call that is not translated; its server may still have to be started."""
    if not isinstance(connection.provider, Started):
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


def _prefixed(body: Json) -> bool:
    model = body.get("model")
    return isinstance(model, str) and model.startswith(_PREFIXES)


def _destination(connection: Connection, body: Json) -> tuple[Connection, Json]:
    """Where the call's model lives, and the body with the model's real name.

    "ollama/x", "ollama:x" and "openai/x" name a provider; any other prefix is part of the name, for tags contain ":"
    and names "/". A prefix of the provider in use is only taken off where no model's name can begin with it.
    """
    model = body.get("model")
    if not isinstance(model, str):
        return connection, body
    name = connection.settings.model(model)
    if name.startswith(_PREFIXES):
        prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
        other = prefix[:-1]
        if other != connection.provider.name:
            connection, name = sibling(connection, other), name.removeprefix(prefix)
        elif connection.own_names:
            name = name.removeprefix(prefix)
    return connection, body if name == model else {**body, "model": name}


def _rewritten(connection: Connection, options: FinalRequestOptions, native: NativeRequest) -> FinalRequestOptions:
    """The options with which the SDK builds the native request; its headers, timeout and retries stay."""
    changes: dict[str, Any] = {"method": native.method.lower()}
    if native.path is not None:
        changes["url"] = connection.url(native.path)
        changes["params"] = {}
    elif connection.routed:
        changes["url"] = connection.url(options.url.lstrip("/"))
    if native.body or native.path is not None:
        changes |= {"json_data": native.body, "extra_json": None}
    if connection.routed:
        changes["headers"] = _routed_headers(connection, options)
    return options.model_copy(update=changes)


def _routed_headers(connection: Connection, options: FinalRequestOptions) -> dict[str, Any]:
    given = options.headers if isinstance(options.headers, Mapping) else {}
    own = {"Authorization": f"Bearer {connection.api_key or NO_KEY}"}
    drop = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()} if connection.foreign else {}
    return {**own, **drop, **given}
