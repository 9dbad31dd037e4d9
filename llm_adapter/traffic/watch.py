"""Watches the calls of every client of the SDK in this process: ours, and those that are the SDK's own.

The methods of the SDK's base classes are wrapped when somebody begins to watch, and stay wrapped: while nobody watches
any more they only ask whether somebody does. `request` is called once for a call, around all attempts, and has its
arguments before anything is translated. `_process_response` gets the reply in OpenAI's form. `_send_request` of the
base class is where each native request leaves, of our clients too, which call it for each.

Source: openai-python src/openai/_base_client.py, v2.45.0 and v3.54.0. tests/traffic/test_watch.py checks it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from openai import AsyncOpenAI, OpenAI
from openai._base_client import AsyncAPIClient, BaseClient, SyncAPIClient

from llm_adapter.routing.description import Destination, destination_at, destination_of
from llm_adapter.traffic.current import (
    EXTENSION,
    HEADER,
    attempt_of,
    current_call,
    mark_request,
    marked_origins,
    note_reply,
)
from llm_adapter.traffic.made import keep_places, when_made
from llm_adapter.traffic.observed import ObservedCall
from llm_adapter.traffic.places import Place, user_place


class Watcher:
    """Who watches. Methods are quick, may be called in any thread, and raise nothing."""

    def client_made(self, client: Any) -> None:
        """A client was made; not a copy that goes where the original goes."""

    def call_begun(self, call: ObservedCall) -> None:
        """A client was called."""

    def call_ended(self, call: ObservedCall) -> None:
        """The call has its reply, all of it, or its error."""


_watchers: tuple[Watcher, ...] = ()


def add_watcher(watcher: Watcher) -> None:
    """Have it told from now on."""
    global _watchers
    wrap_sdk()
    _watchers = (*_watchers, watcher)


def remove_watcher(watcher: Watcher) -> None:
    global _watchers
    _watchers = tuple(one for one in _watchers if one is not watcher)


def tell_made(client: Any) -> None:
    """Tell those who watch of a client that was made."""
    for watcher in _watchers:
        watcher.client_made(client)


def client_kind(client: Any) -> str:
    """The name of a client's class; one of the SDK's own with its package."""
    kind = type(client)
    if kind.__name__ == "_ModuleClient":
        return "client of the module openai"
    is_sdk = not hasattr(client, "_connection") and kind.__module__.partition(".")[0] == "openai"
    return f"openai.{kind.__name__}" if is_sdk else kind.__name__


def client_place(client: Any) -> Place:
    """The line that made a client."""
    origin = getattr(client, "_origin", None)
    found: Place | None = origin.place if origin is not None else getattr(client, "_made_at", None)
    return found or Place("<unknown>", 0)


def client_destination(client: Any) -> Destination:
    """Where a client's calls go."""
    connection = getattr(client, "_connection", None)
    return destination_of(connection) if connection is not None else destination_at(str(client.base_url))


def call_of(request: Any) -> ObservedCall | None:
    """The call that a request of httpx or httpx2 is sent for, while somebody watches."""
    found: ObservedCall | None = request.extensions.get(EXTENSION)
    return found


# --- the calls


@contextmanager
def _observed(client: Any, options: Any) -> Iterator[None]:
    """Watch one call. What a call asks for itself, such as the list of models, is part of it."""
    if not _watchers or current_call.get() is not None:
        yield
        return
    call = _begun(client, options)
    token = current_call.set(call)
    try:
        yield
    except BaseException as error:
        _ended(call, error)
        raise
    finally:
        current_call.reset(token)


def _begun(client: Any, options: Any) -> ObservedCall:
    body = options.json_data if isinstance(options.json_data, Mapping) else {}
    call = ObservedCall(
        client,
        client_kind(client),
        client_place(client),
        user_place(),
        client_destination(client),
        options.method.upper(),
        _path(client, options.url),
        {**body, **(options.extra_json or {})},
        _ended,
    )
    for watcher in _watchers:
        watcher.call_begun(call)
    return call


def _path(client: Any, url: str) -> str:
    """The path below /v1; of an absolute address, what follows the client's own."""
    path = urlsplit(url).path
    return "/" + path.removeprefix(urlsplit(str(client.base_url)).path if "://" in url else "").lstrip("/")


def _ended(call: ObservedCall, error: BaseException | None) -> None:
    if error is not None:
        told = vars(error)  # the HTTP libraries' errors raise where `request` was not set
        status = told.get("status_code")
        call.error = type(error).__name__ + (f" {status}" if status else "")
        if (response := told.get("response")) is not None:
            call.read_headers(response)
        else:
            call.read_request(told.get("request"))
    for watcher in _watchers:
        watcher.call_ended(call)


# --- the SDK's methods


def wrap_sdk() -> None:
    """Wrap the SDK's methods, where they are not: somebody else may have put back what was there before."""
    keep_places()
    if tell_made not in when_made:
        when_made.append(tell_made)
    _wrap(BaseClient, "_build_request", _marking)
    for kind in (SyncAPIClient, AsyncAPIClient):
        _wrap(kind, "request", _watched)
        _wrap(kind, "_send_request", partial(_after, _note_address))
        _wrap(kind, "_process_response", partial(_after, _note_reply))
    for sdk in (OpenAI, AsyncOpenAI):
        # Only where a tracer has put its own there before: that calls the method which the base class had then.
        _wrap(sdk, "request", _watched)


def _wrap(kind: Any, name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    method: Any = getattr(kind, name)
    while method is not None:
        if hasattr(method, "_llm_adapter_watches"):
            return
        method = getattr(method, "__wrapped__", None)
    wrapped: Any = wrapper(getattr(kind, name))
    wrapped._llm_adapter_watches = True
    setattr(kind, name, wrapped)


def _marking(build: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(build)
    def _build_request(client: Any, *arguments: Any, **options: Any) -> Any:
        request = build(client, *arguments, **options)
        if not hasattr(client, "_connection"):  # ours do so themselves
            mark_request(request)
        return request

    return _build_request


def _watched(original: Callable[..., Any]) -> Callable[..., Any]:
    def request(client: Any, cast_to: Any, options: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        with _observed(client, options):
            return original(client, cast_to, options, **more)

    async def async_request(client: Any, cast_to: Any, options: Any, **more: Any) -> Any:
        __tracebackhide__ = True
        with _observed(client, options):
            return await original(client, cast_to, options, **more)

    return functools.wraps(original)(async_request if iscoroutinefunction(original) else request)


def _after(note: Callable[..., None], original: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which is called when `note` was called with the same arguments."""

    def method(*arguments: Any, **options: Any) -> Any:
        note(*arguments, **options)
        return original(*arguments, **options)

    async def async_method(*arguments: Any, **options: Any) -> Any:
        note(*arguments, **options)
        return await original(*arguments, **options)

    return functools.wraps(original)(async_method if iscoroutinefunction(original) else method)


def _note_address(client: Any, request: Any, **more: Any) -> None:
    if (call := call_of(request)) is None:
        return
    netloc = request.url.netloc.decode()
    call.urls.append(f"{request.url.scheme}://{netloc}{request.url.path}")
    if netloc in marked_origins and (attempt := attempt_of(request)) is not None:
        request.headers[HEADER] = attempt


def _note_reply(client: Any, *, response: Any, **more: Any) -> None:
    if not hasattr(client, "_connection"):  # ours do so themselves
        note_reply(response)
