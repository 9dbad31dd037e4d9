"""From the SDK's options to a destination and a native request: what happens in `_build_request`. No IO.

Knows the SDK's `FinalRequestOptions` (openai-python src/openai/_models.py, v3.52.0) and nothing of HTTP.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from openai import Omit
from openai._models import FinalRequestOptions

from llm_adapter.exchange import Exchange
from llm_adapter.provider import Call, Endpoint, Flow, Json, NativeRequest, Rejected, Report
from llm_adapter.routing.connection import NO_KEY, Connection, ambient_headers, credential_names
from llm_adapter.routing.destination import destination, names_provider
from llm_adapter.routing.privacy import asks_for_privacy, private, refusal_of_host, without_privacy
from llm_adapter.settings.errors import warn_caller
from llm_adapter.settings.hosts import hostname, is_openai, is_private
from llm_adapter.translation.addresses import refusal_of_addresses

if TYPE_CHECKING:
    from llm_adapter.transport.round_trip import RoundTrip

_WITH_REASONING = ("/chat/completions", "/completions")

Defaults: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
Translated: TypeAlias = "tuple[Connection, FinalRequestOptions, RoundTrip]"


_BATCH_ROOTS = ("/files", "/batches")


def async_client(connection: Connection) -> Any:
    """A client of its own for the connection's server."""
    given = {"base_url": connection.base_url, "api_key": connection.api_key}
    return make_async_client(settings=connection.configured, **(given if connection.provider.name == "openai" else {}))


make_async_client: Any = None  # the class AsyncOpenAI, set by `clients`, which imports this module


def translate_call(connection: Connection, options: FinalRequestOptions, defaults: Defaults = ({}, {})) -> Translated:
    """Where the call goes, the options of its first native request, and the round trip that it begins.

    defaults: the headers and the query that the client adds to every call.
    """
    path = urlsplit(options.url).path
    if options.content is not None or not options.url.startswith("/"):
        return _untranslated(connection, options)
    body = arguments(options)
    if asks_for_privacy(body):
        connection, body = private(connection), without_privacy(body)
        options = options.model_copy(update={"json_data": body, "extra_json": None})
    asked = body.get("model")
    origin, given = connection, body
    # Aliases of native paths are resolved by `client.models`.
    connection, body = destination(origin, given, aliased=not path.startswith("/api/"))
    unchanged = body is given and (body is options.json_data or origin.is_unconfigured)
    if unchanged and connection is origin and origin.is_openai_itself and origin.resolved.image_urls != "refuse":
        return _untranslated(connection, options)
    report = Report(connection.provider.name, asked)
    if connection.via_model_prefix:
        _tell_of_prefix(origin, connection, asked, report)
        options = _options_for_other_host(connection, options, defaults, refreshed=callable(origin.api_key))
    endpoint = _endpoint(connection, options.method.upper(), path, body)
    if endpoint is None:
        same_path = NativeRequest(options.method, None, body)
        return _untranslated(connection, _native_options(connection, options, same_path))
    origin_of_ids = os.urandom(16).hex(), int(time.time())
    call = Call(
        *(options.method.upper(), path, body, connection.resolved, *origin_of_ids, report, options.params),
        files=options.files,
    )
    exchange = Exchange(call, endpoint)
    # Where nothing is asked yet, this request is never sent: megabytes of images would be encoded for nothing.
    unsent = NativeRequest(options.method, None, {"model": asked} if body else None)
    first = exchange.pending[0] if exchange.pending else unsent
    if options.files:  # a form, which only the SDK can build: where something is asked before it, it is sent later
        first = NativeRequest(options.method, None, body) if first is unsent or first.path is not None else first
    options = _native_options(connection, options, first)
    return connection, options, _round_trip(connection, exchange, path)


def _tell_of_prefix(origin: Connection, connection: Connection, model: Any, report: Report) -> None:
    """Say that a model's prefix leads a call away; no warning where the configuration gave the prefix to the name."""
    if is_openai(origin.address) or (connection.provider.name != "openai" and is_private(connection.address)):
        return
    report.note("changed", "provider")
    if names_provider(model):
        warn_caller(
            f"model {model!r}: its prefix leads this call away from the configured server, to "
            f"{hostname(connection.address)}; `local_only = true` forbids it"
        )


def prefixed_model(options: FinalRequestOptions) -> Json:
    """The arguments of a call whose model may name a provider; nothing of one that only manages models."""
    if options.content is not None or not options.url.startswith("/") or options.url.startswith("/api/"):
        return {}
    return arguments(options)


def with_own_credentials(
    connection: Connection, options: FinalRequestOptions, defaults: Defaults
) -> tuple[FinalRequestOptions, list[str]]:
    """The options with the headers that the configuration has for the host, and without the call's credentials.

    The latter only where the configuration names the host; also the names of what is left out.
    """
    headers = dict(options.headers) if isinstance(options.headers, Mapping) else {}
    if not (connection.headers or (connection.withholds and (headers or options.params))):
        return options, []
    params = dict(options.params)
    withheld: list[str] = []
    if connection.withholds:
        own = f"Bearer {connection.api_key}"
        for values in (headers, params):
            names = credential_names(values, connection.withheld_key)
            secret = [name for name in names if not (values[name] == own or isinstance(values[name], Omit))]
            withheld += secret
            for name in secret:
                del values[name]
    given = {name.lower() for name in (*headers, *defaults[0])}
    configured = {name: value for name, value in connection.headers.items() if name.lower() not in given}
    return options.model_copy(update={"headers": {**headers, **configured}, "params": params}), withheld


def _endpoint(connection: Connection, method: str, path: str, body: Json) -> Endpoint | None:
    """What translates the call, or refuses it; None hands it on as it is."""
    refusal = refusal_of_host(connection) or refusal_of_addresses(body, connection.resolved)
    if refusal is not None:
        return partial(_refused, refusal)
    if connection.is_programs_own:
        return None
    if path.startswith(_BATCH_ROOTS) and connection.has_no_batches:
        from llm_adapter.batch.resources import endpoint as batch_endpoint

        return batch_endpoint(method, path, partial(async_client, connection))
    endpoint = connection.provider.endpoint(method, path)
    if endpoint is not None and path in _WITH_REASONING and connection.resolved.reasoning_fields != "both":
        from llm_adapter.translation.reasoning import with_reasoning_fields

        return with_reasoning_fields(endpoint)
    if endpoint is None and connection.resolved.local_only and connection.provider.name == "ollama":
        from llm_adapter.providers.ollama.local import passed_on_if_local

        return passed_on_if_local
    return endpoint


def _refused(refusal: Rejected, call: Call) -> Flow:
    yield from ()
    raise refusal


def _untranslated(connection: Connection, options: FinalRequestOptions) -> Translated:
    """A call that goes to the server's own /v1 as it is."""
    return connection, options, _round_trip(connection, None, urlsplit(options.url).path)


def _round_trip(connection: Connection, exchange: Exchange | None, path: str) -> RoundTrip:
    from llm_adapter.transport.round_trip import RoundTrip

    return RoundTrip(connection, exchange, path)


def arguments(options: FinalRequestOptions) -> Json:
    """The call's arguments, with `extra_body` merged the way the SDK does it."""
    body = options.json_data
    if options.extra_json:
        return {**(body if isinstance(body, Mapping) else {}), **options.extra_json}
    return body if isinstance(body, dict) else {}


def _native_options(connection: Connection, options: FinalRequestOptions, native: NativeRequest) -> FinalRequestOptions:
    """The options with which the SDK builds the native request; its headers, timeout and retries stay."""
    changes: dict[str, Any] = {"method": native.method.lower()}
    if native.path is not None:
        changes["url"] = connection.url(native.path)
    elif connection.via_model_prefix:
        changes["url"] = connection.url(options.url.lstrip("/"))
    if native.body or native.path is not None:
        changes |= {"json_data": native.body, "extra_json": None}
    return options.model_copy(update=changes)


def _options_for_other_host(
    connection: Connection, options: FinalRequestOptions, defaults: Defaults, *, refreshed: bool
) -> FinalRequestOptions:
    """The options of a call that a model's prefix leads to another host: that host's key, and no other secret.

    refreshed: the client was made with a callable as its key, and the SDK has put what it gave into the headers.
    """
    headers, query = defaults
    given = dict(options.headers) if isinstance(options.headers, Mapping) else {}
    if refreshed:
        given = {name: value for name, value in given.items() if name.lower() != "authorization"}
    left = ["OpenAI-Organization", "OpenAI-Project", *credential_names(headers)]
    if connection.is_third_party:
        left += [name for name, value in ambient_headers(os.environ).items() if headers.get(name) == value]
    own = {**dict.fromkeys(left, Omit()), "Authorization": f"Bearer {connection.api_key or NO_KEY}"}
    params = {**dict.fromkeys(credential_names(query), Omit()), **options.params}
    return options.model_copy(update={"headers": {**own, **given}, "params": params})
