"""`OpenAI` and `AsyncOpenAI`: the SDK's classes with eight hooks. Only this folder knows the SDK's inside.

`_prepare_options`         the server is asked whether a name with a provider's prefix is one of its models
`_build_request`           a call's options become a native request, inside the SDK's retry loop
`_idempotency_key`         for speed alone: none is made where no header carries it
`_send_request`            the native response becomes an OpenAI one; the only IO of a request
`_make_status_error`       a 401 or 403 says which credentials were not sent
`_process_response`        a whole reply becomes its object, faster; a stream's errors name the next profile
`_process_response_data`   for speed alone: strict validation where it holds, the SDK's own way where it does not
`_make_sse_decoder`        for speed alone: events of the common shape are cut out faster

Source: openai-python src/openai/_base_client.py and _client.py, v3.52.0. tests/client/test_contract.py checks it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import openai

from llm_adapter.client import pickling, requests
from llm_adapter.client.chunk_stream import quickened
from llm_adapter.client.event_decoder import EventDecoder
from llm_adapter.client.http_clients import HttpClients, closed_client
from llm_adapter.client.plain_arguments import QuickResources
from llm_adapter.client.quick_replies import strictly_validated, whole_reply
from llm_adapter.client.reply_fields import with_attributes, with_report
from llm_adapter.client.request_templates import RequestTemplates
from llm_adapter.client.requests import prefixed_model, translate_call, with_own_credentials
from llm_adapter.client.signatures import with_sdk_signature
from llm_adapter.routing.connection import NO_KEY, Connection, connect, credential_names, without_ambient_credentials
from llm_adapter.routing.description import destination_of
from llm_adapter.routing.destination import DESTINATION_ARGUMENTS, is_to_be_looked_up, resolve
from llm_adapter.routing.listed_models import remember
from llm_adapter.routing.proxies import http_client
from llm_adapter.settings.hosts import OPENAI_URL
from llm_adapter.settings.sources import REPORT_VARIABLE, VERBOSE_VARIABLE
from llm_adapter.traffic.current import mark_request, note_reply
from llm_adapter.traffic.origin import ClientOrigin
from llm_adapter.traffic.places import user_place
from llm_adapter.transport.native_requests import EXTENSION
from llm_adapter.transport.request_checks import EXTENSION as RULES
from llm_adapter.transport.request_checks import install_checks, missing_credentials, rules_of
from llm_adapter.transport.round_trip import REPORT, RoundTrip, arun, run

if TYPE_CHECKING:
    import httpx2
    from openai._models import FinalRequestOptions
    from typing_extensions import Self, Unpack

    from llm_adapter.client.arguments import AsyncClientOptions, AsyncCopyOptions, ClientOptions, CopyOptions
    from llm_adapter.client.other_profiles import OtherProfiles
    from llm_adapter.management.models import AsyncModels, Models
    from llm_adapter.routing.profile_plan import Destination
    from llm_adapter.settings.settings import Settings
    from llm_adapter.shadow.selection import Shadow

ResponseT = TypeVar("ResponseT")

pickling.register()
if os.environ.get(REPORT_VARIABLE) or os.environ.get(VERBOSE_VARIABLE):
    from llm_adapter.traffic.report import begin

    begin(os.environ)


class _ClientBase(QuickResources, pickling.OfThisProcess):
    """What the sync and the async client share; a base class before the SDK's."""

    _client: Any  # the HTTP client
    _connection: Connection
    _origin: ClientOrigin  # where it was made; shared by copies that go where this client goes
    _given: frozenset[str]  # the arguments that are the caller's own, in a copy too
    _withheld: tuple[str, ...] = ()  # the names of headers and parameters of the caller's that no call is sent with
    _http_clients: HttpClients  # shared with the clients that are made of this one for other destinations
    _templates: RequestTemplates
    _borrows: bool = False  # the HTTP client belongs to the client that this one was made of
    _shadow: Shadow | None = None  # who gets a share of the calls, too
    _others: OtherProfiles | None = None  # where calls may go by `routes` and `fallback`

    def _sdk_arguments(self, profile: str | None, settings: Settings | None, options: dict[str, Any]) -> dict[str, Any]:
        """Find the destination; the arguments for the SDK's constructor."""
        if options.get("base_url") == "":  # which says nothing
            options["base_url"] = None
        original: _ClientBase | None = options.pop("_copy_of", None)  # with whose destination a copy is made
        inherited = _inherited(original, options)
        self._connection = connection = inherited or resolve(profile, settings, options)
        origin = original._origin if original is not None and inherited is not None else options.pop("_origin", None)
        self._origin = origin or ClientOrigin(user_place())
        self._given, self._templates = _given(options), RequestTemplates()
        self._share_http_clients(options.pop("_made_of", None))
        if connection.resolved.shadow is not None:
            from llm_adapter.shadow.selection import shadow_of

            self._shadow = shadow_of(connection, OpenAI)
        configured = connection.configured
        if (configured.routes or configured.fallback) and not connection.is_programs_own:
            from llm_adapter.client.other_profiles import OtherProfiles

            self._others = OtherProfiles(configured, self._client_of)
        if connection.base_url is not None:
            options["base_url"] = connection.base_url
        elif not any(map(options.get, DESTINATION_ARGUMENTS)) and os.environ.get("OPENAI_BASE_URL") == "":
            # Which the SDK takes for an address.
            options["base_url"] = OPENAI_URL
        if connection.withholds:
            options["websocket_base_url"] = None  # the call site's: the configuration's key would go there
        if connection.api_key is not None or options.get("api_key") == NO_KEY:
            options["api_key"] = connection.api_key
        if options.get("http_client") is None:
            options["http_client"] = self._http_client()
        return options

    def _share_http_clients(self, maker: _ClientBase | None) -> None:
        """Use those of the client that this one is made of, or have some of one's own."""
        if maker is not None:
            self._http_clients, self._borrows = maker._http_clients, True
        else:
            self._http_clients = HttpClients(asynchronous=isinstance(self, openai.AsyncOpenAI))

    def _http_client(self) -> Any:
        """The HTTP client for the destination; None: the SDK makes one."""
        shared = self._http_clients.find(self._connection)
        return http_client(self._connection, self._http_clients.kind) if shared is None else shared

    def _open_again(self) -> None:
        """Have HTTP clients of one's own when the shared one was closed by the client that it belongs to."""
        if self._borrows and self._client.is_closed and "http_client" not in self._given:
            self._borrows = False
            self._share_http_clients(None)
            made = self._http_client() or self._http_clients.kind()
            self._client = self._http_clients.keep(self._connection, made)
            install_checks(self._client, asynchronous=isinstance(self, openai.AsyncOpenAI))

    def _to_close(self) -> list[Any]:
        """The HTTP clients that end with this client. One that is borrowed is given back, and goes on for others."""
        if self._borrows:
            self._borrows, self._client = False, closed_client(self._client)
            self._share_http_clients(None)
            return []
        others = [one for one in self._http_clients.remove() if one is not self._client]
        return [*others, self._client]

    def _made(self, options: Mapping[str, Any]) -> None:
        """Finish what the SDK's constructor made."""
        if options.get("http_client") is None:
            self._client = self._http_clients.keep(self._connection, self._client)
        install_checks(self._client, asynchronous=isinstance(self, openai.AsyncOpenAI))
        self._drop_ambient_credentials(options)
        self._withhold_credentials()
        self._origin.tell_made(self)

    def __repr__(self) -> str:
        """Where the client's calls go. No key is in it."""
        connection = vars(self).get("_connection")  # there is none where the constructor raised
        where = f": {destination_of(connection)}" if connection is not None else ""
        return f"<{type(self).__name__}{where}>"

    def _drop_ambient_credentials(self, options: Mapping[str, Any]) -> None:
        """Take away what the SDK read from the environment for OpenAI, when the host is another one."""
        if self._connection.is_third_party:
            own = without_ambient_credentials(options, os.environ)
            self._custom_headers = own.pop("default_headers")
            for name, value in own.items():
                setattr(self, name, value)

    def _withhold_credentials(self) -> None:
        """Take away what the caller gave for another host, when the configuration names the host."""
        connection, names = self._connection, set(self._withheld)
        if not connection.withholds:
            return
        for attribute in ("_custom_headers", "_custom_query"):
            given = getattr(self, attribute)
            names |= (secret := set(credential_names(given, connection.withheld_key)))
            setattr(self, attribute, {name: value for name, value in given.items() if name not in secret})
        for attribute in ("organization", "project", "admin_api_key"):
            if getattr(self, attribute) is not None:
                names.add(attribute)
                setattr(self, attribute, None)
        self._withheld = tuple(sorted(names))

    @property
    def api_key(self) -> str:
        """The key that is sent. One that was given for another host than the configuration's is not kept."""
        return cast("str", vars(self)["api_key"])

    @api_key.setter
    def api_key(self, key: str) -> None:
        vars(self)["api_key"] = self._connection.api_key if self._connection.withholds else key

    @property
    def settings(self) -> Settings:
        """The settings in force, as they were configured."""
        return self._connection.configured

    @property
    def base_url(self) -> httpx2.URL:
        return cast("httpx2.URL", super().base_url)  # type: ignore[misc]

    @base_url.setter
    def base_url(self, url: httpx2.URL | str) -> None:
        """Go to another host from now on. A key that the configuration chose for the old one does not follow."""
        if self.settings.configured:
            key = self._connection.withheld_key or (self.api_key if "api_key" in self._given else None)
            self._connection = connect(self.settings, os.environ, base_url=str(url), api_key=key)
            self.api_key = self._connection.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY
            self._drop_ambient_credentials({**vars(self), "default_headers": self._custom_headers, "base_url": url})
            self._withhold_credentials()
            url = self._connection.base_url or url
        else:
            self._connection = connect(self.settings, os.environ, base_url=str(url), api_key=self._connection.api_key)
        self._origin = ClientOrigin(user_place())
        super(_ClientBase, type(self)).base_url.fset(self, url)  # type: ignore[misc]

    def platform_headers(self) -> dict[str, str]:
        headers = cast("dict[str, str]", super().platform_headers())  # type: ignore[misc]
        # All but the language tell OpenAI about the machine; no other server asked for that.
        return {"X-Stainless-Lang": headers["X-Stainless-Lang"]} if self._connection.is_third_party else headers

    def _build_request(self, options: FinalRequestOptions, *, retries_taken: int = 0) -> httpx2.Request:
        self._open_again()
        if not self._origin.announced:
            self._origin.announce(type(self).__name__, self._connection)
        if self._others is not None and (routed := self._others.routed(self._connection, options)) is not None:
            return cast("httpx2.Request", self._others.build_routed(routed, options, retries_taken))
        parser = options.post_parser
        if callable(parser):  # .parse() builds its reply anew, from a dictionary: what we add to it is one again then
            options.post_parser = lambda reply: with_attributes(parser(reply))
        asked = options
        defaults = self._custom_headers, self._custom_query  # type: ignore[attr-defined]
        connection, options, trip = translate_call(self._connection, options, defaults)
        options, withheld = with_own_credentials(connection, options, defaults)
        request = self._templates.request(self, options, retries_taken, self._built)
        follows = self._follows_redirects(options)
        request.extensions[RULES] = rules_of(connection, request.url, follows, (*self._withheld, *withheld))
        request.extensions[EXTENSION] = trip
        mark_request(request)
        trip.attempts = retries_taken + 1
        trip.last = retries_taken >= options.get_max_retries(self.max_retries)  # type: ignore[attr-defined]
        if self._shadow is not None:
            self._shadow.sample(self, asked, request, retries_taken)
        if self._others is not None:
            self._others.keep(asked, request)
        return cast("httpx2.Request", request)

    def _idempotency_key(self) -> str:
        """The SDK makes a random one for each call, and sends it in no header: one that says so is as good."""
        sent = self._idempotency_header  # type: ignore[attr-defined]
        return cast("str", super()._idempotency_key()) if sent else "not-sent"  # type: ignore[misc]

    def _built(self, options: FinalRequestOptions, *, retries_taken: int) -> Any:
        """The request as the SDK builds it, without the key that stands for none, and one that a subclass adds."""
        request = super()._build_request(options, retries_taken=retries_taken)  # type: ignore[misc]
        if request.headers.get("authorization") == f"Bearer {NO_KEY}":
            del request.headers["authorization"]
        if self._connection.withholds and request.url.query:
            for name in credential_names(request.url.params, self._connection.withheld_key):
                request.url = request.url.copy_remove_param(name)
        return request

    def _model_list_call(self, options: FinalRequestOptions) -> dict[str, Any] | None:
        """The call that asks the server for its models, where it has to be known first which names it has."""
        if not is_to_be_looked_up(self._connection, prefixed_model(options)):
            return None
        return {"path": "/models", "cast_to": object, "options": {"max_retries": 0}}

    def _follows_redirects(self, options: FinalRequestOptions) -> bool:
        """Whether the caller said so, for the call or by an HTTP client. The SDK's own kind does without being told."""
        if options.follow_redirects is not None:
            return options.follow_redirects
        client: Any = self._client
        own = isinstance(client, (openai.DefaultHttpxClient, openai.DefaultAsyncHttpxClient))
        return "http_client" in self._given and not own and bool(client.follow_redirects)

    def _make_status_error(self, err_msg: str, *, body: object, response: httpx2.Response) -> openai.APIStatusError:
        message = f"{err_msg}{missing_credentials(response)}"
        if self._others is not None:
            message += self._others.failures(response)
        error = super()._make_status_error(message, body=body, response=response)  # type: ignore[misc]
        return cast("openai.APIStatusError", error)

    def _make_sse_decoder(self) -> Any:
        return EventDecoder(super()._make_sse_decoder())  # type: ignore[misc]

    def _process_response_data(self, *, data: object, cast_to: type[ResponseT], response: httpx2.Response) -> ResponseT:
        reply: Any = None
        report = response.extensions.get(REPORT)
        if not self._strict_response_validation:  # type: ignore[attr-defined]
            reply = strictly_validated(data, cast_to)
            if reply is not None and report is None and not reply.__pydantic_extra__:
                return cast("ResponseT", reply)  # nearly every chunk: it has nothing of ours
        if reply is None:
            reply = super()._process_response_data(data=data, cast_to=cast_to, response=response)  # type: ignore[misc]
        if report is not None:
            with_report(reply, report)
        return cast("ResponseT", with_attributes(reply))

    def _client_of(self, to: Destination) -> Any:
        """The client for another profile that calls go to; not of a subclass, whose constructor is the program's."""
        kind = AsyncOpenAI if isinstance(self, openai.AsyncOpenAI) else OpenAI
        return self._new_client(None, to.connection.configured, {"_origin": self._origin}, kind)

    def _new_client(
        self, profile: str | None, settings: Settings | None, options: dict[str, Any], kind: Any = None
    ) -> Any:
        """A client for another destination that keeps what is not about the destination. kind: its class."""
        kept: dict[str, Any] = {"timeout": self.timeout, "max_retries": self.max_retries}  # type: ignore[attr-defined]
        if "http_client" in self._given:
            kept["http_client"] = self._client
        if options.get("http_client") is None:
            kept["_made_of"] = self
        for name, mine in (("default_headers", self._custom_headers), ("default_query", self._custom_query)):  # type: ignore[attr-defined]
            own = {key: value for key, value in mine.items() if key not in credential_names(mine)}
            instead = options.pop(f"set_{name}", None)
            kept[name] = instead if instead is not None else {**own, **(options.pop(name, None) or {})}
        arguments = {"profile": profile, "settings": settings, **kept, **options}
        return self._instance(arguments) if kind is None else kind(**arguments)

    def _instance(self, options: dict[str, Any]) -> Any:
        """A client of the same class."""
        return type(self)(**options)

    def _copy_of(self, copy: Callable[..., Any], options: dict[str, Any], extra: Mapping[str, Any]) -> Any:
        """The SDK's copy. It keeps the destination, or else no key that the configuration chose for it."""
        given = self._given | _given(options)
        kept: dict[str, Any] = {"_copy_of": self}
        if any(options.get(name) for name in DESTINATION_ARGUMENTS):
            kept = {}
            if self.settings.configured and not _given(options) & {"api_key"}:
                own = None if "api_key" in given else NO_KEY
                options["api_key"] = self._connection.withheld_key or own
        copied = copy(_extra_kwargs={"settings": self.settings, **kept, **extra}, **options)
        copied._given, copied._templates = given, self._templates
        if options.get("http_client") is None:  # then the SDK's copy has the same one, and closes it, too
            copied._http_clients, copied._borrows = self._http_clients, self._borrows
        return copied


def _inherited(original: _ClientBase | None, options: Mapping[str, Any]) -> Connection | None:
    """The destination of a client that is copied, with the copy's key where that is not the configuration's alone."""
    if original is None:
        return None
    found, key = original._connection, options.get("api_key")
    if found.withholds:
        given = key not in (None, NO_KEY, found.api_key)
        return replace(found, withheld_key=key) if given else found
    return replace(found, api_key=key, base_url=options.get("base_url"))


def _given(options: Mapping[str, Any]) -> frozenset[str]:
    """Of the arguments that a copy hands on as its own, those that a caller gave."""
    return frozenset(name for name in ("api_key", "http_client") if options.get(name) not in (None, NO_KEY))


class OpenAI(_ClientBase, openai.OpenAI):
    """`openai.OpenAI`, on whatever the configuration names.

    profile: a profile's name. settings: a `Settings` value, instead of what files and the environment say. All other
    arguments are the SDK's and win over configuration. Raises `SettingsError` for configuration that cannot be used.
    """

    @with_sdk_signature
    def __init__(
        self, *, profile: str | None = None, settings: Settings | None = None, **options: Unpack[ClientOptions]
    ) -> None:
        given: dict[str, Any] = dict(options)
        super().__init__(**self._sdk_arguments(profile, settings, dict(given)))
        self._made(given)

    @with_sdk_signature
    def copy(
        self,
        *,
        profile: str | None = None,
        settings: Settings | None = None,
        _extra_kwargs: Mapping[str, Any] = {},
        **options: Unpack[CopyOptions],
    ) -> Self:
        """The same client with other options; with `profile` or `settings`, for another destination."""
        if profile is not None or settings is not None:
            return cast("Self", self._new_client(profile, settings, dict(options)))
        return cast("Self", self._copy_of(super().copy, dict(options), _extra_kwargs))

    with_options = copy

    def close(self) -> None:
        """Close the HTTP client, and those that were made for other destinations; not one that another client made."""
        for client in self._to_close():
            client.close()

    @cached_property
    def models(self) -> Models:
        """OpenAI's three calls, and those of the `ollama` package, in its idiom: see `management`."""
        from llm_adapter.management.models import Models

        return Models(self)

    def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        if self._others is not None and (routed := self._others.routed(self._connection, options)) is not None:
            return cast("FinalRequestOptions", routed[0]._prepare_options(options))
        if (call := self._model_list_call(options)) is not None:
            reply = None
            with suppress(openai.OpenAIError):
                reply = self.get(**call)
            remember(self._connection, reply)
        return super()._prepare_options(options)

    def _process_response(self, *, response: httpx2.Response, **kwargs: Any) -> Any:
        note_reply(response)
        reply = whole_reply(self, response=response, **kwargs)
        if reply is None:
            reply = quickened(super()._process_response(response=response, **kwargs))
        return reply if self._others is None else self._others.named_next(reply, response)

    def _send_request(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        if self._others is None:
            return self._send_own(request, stream=stream, **kwargs)
        return cast("httpx2.Response", self._others.send(self, request, stream=stream, **kwargs))

    def _send_own(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        """Send it to the client's own server."""
        sample = None if self._shadow is None else self._shadow.sample_of(request)
        if sample is None:
            return self._round_trip(request, stream=stream, **kwargs)
        with sample:
            return cast("httpx2.Response", sample.watched(self._round_trip(request, stream=stream, **kwargs)))

    def _round_trip(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        trip: RoundTrip | None = request.extensions.get(EXTENSION)
        if trip is None:
            return super()._send_request(request, stream=stream, **kwargs)
        with trip:
            steps = trip.steps(self._client, request, stream=stream)
            send = trip.sending(super()._send_request, asynchronous=False)
            return cast("httpx2.Response", run(steps, send, trip.terms, **kwargs))


class AsyncOpenAI(_ClientBase, openai.AsyncOpenAI):
    """`openai.AsyncOpenAI`, on whatever the configuration names. See `OpenAI`."""

    @with_sdk_signature
    def __init__(
        self, *, profile: str | None = None, settings: Settings | None = None, **options: Unpack[AsyncClientOptions]
    ) -> None:
        given: dict[str, Any] = dict(options)
        super().__init__(**self._sdk_arguments(profile, settings, dict(given)))
        self._made(given)

    @with_sdk_signature
    def copy(
        self,
        *,
        profile: str | None = None,
        settings: Settings | None = None,
        _extra_kwargs: Mapping[str, Any] = {},
        **options: Unpack[AsyncCopyOptions],
    ) -> Self:
        """The same client with other options; with `profile` or `settings`, for another destination."""
        if profile is not None or settings is not None:
            return cast("Self", self._new_client(profile, settings, dict(options)))
        return cast("Self", self._copy_of(super().copy, dict(options), _extra_kwargs))

    with_options = copy

    async def close(self) -> None:
        """See `OpenAI.close`."""
        for client in self._to_close():
            await client.aclose()

    @cached_property
    def models(self) -> AsyncModels:
        from llm_adapter.management.models import AsyncModels

        return AsyncModels(self)

    async def _prepare_options(self, options: FinalRequestOptions) -> FinalRequestOptions:
        if self._others is not None and (routed := self._others.routed(self._connection, options)) is not None:
            return cast("FinalRequestOptions", await routed[0]._prepare_options(options))
        if (call := self._model_list_call(options)) is not None:
            reply = None
            with suppress(openai.OpenAIError):
                reply = await self.get(**call)
            remember(self._connection, reply)
        return await super()._prepare_options(options)

    async def _process_response(self, *, response: httpx2.Response, **kwargs: Any) -> Any:
        note_reply(response)
        reply = whole_reply(self, response=response, **kwargs)
        if reply is None:
            reply = quickened(await super()._process_response(response=response, **kwargs))
        return reply if self._others is None else self._others.named_next(reply, response)

    async def _send_request(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        if self._others is None:
            return await self._send_own(request, stream=stream, **kwargs)
        return cast("httpx2.Response", await self._others.asend(self, request, stream=stream, **kwargs))

    async def _send_own(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        """Send it to the client's own server."""
        sample = None if self._shadow is None else self._shadow.sample_of(request)
        if sample is None:
            return await self._round_trip(request, stream=stream, **kwargs)
        with sample:
            return cast("httpx2.Response", sample.watched(await self._round_trip(request, stream=stream, **kwargs)))

    async def _round_trip(self, request: httpx2.Request, *, stream: bool, **kwargs: Any) -> httpx2.Response:
        trip: RoundTrip | None = request.extensions.get(EXTENSION)
        if trip is None:
            return await super()._send_request(request, stream=stream, **kwargs)
        with trip:
            steps = trip.steps(self._client, request, stream=stream)
            send = trip.sending(super()._send_request, asynchronous=True)
            return cast("httpx2.Response", await arun(steps, send, trip.terms, **kwargs))


requests.make_async_client = AsyncOpenAI
