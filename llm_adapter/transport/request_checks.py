"""What is checked of every request where it leaves: of a call's, of those beside it, of retries and of redirects.

The checks are event hooks of the HTTP client, which runs them for each hop, and the rules are an extension of the
request, which the client hands on to the request of a redirect; so a caller's client can serve several of ours.
Source: httpx _client.py _send_handling_redirects and _build_redirect_request, 0.28.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NoReturn
from urllib.parse import urljoin

import openai

from llm_adapter.routing.connection import Connection
from llm_adapter.routing.proxies import proxy_of
from llm_adapter.settings.hosts import hostname, is_openai, is_private, same_origin, without_credentials
from llm_adapter.transport.body import http_library

EXTENSION = "llm_adapter_rules"  # the extension of a request that carries its rules
# What another origin gets to see: any other header may be a credential, whatever its name.
_HARMLESS = frozenset(
    {"host", "accept", "accept-encoding", "accept-language", "connection", "user-agent"}
    | {"content-type", "content-length", "content-encoding", "transfer-encoding"}
)
_KEEPS_METHOD = (307, 308)


def is_harmless(header: str) -> bool:
    """Whether a header of a request cannot be a credential, by its name."""
    return header.lower() in _HARMLESS or header.lower().startswith("x-stainless-")


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What holds for the requests of one call."""

    connection: Connection
    origin: str  # the address that the call's headers are for
    redirects: Literal["sdk", "followed", "refused"]  # as the SDK follows them; at the caller's wish; or not at all


def rules_of(connection: Connection, url: Any, *, follows: bool) -> RequestRules:
    """The rules of a call. url: of its first request. follows: whether the caller said that redirects are followed."""
    configured = connection.configured.configured
    if not configured or is_openai(connection.address):
        return RequestRules(connection, connection.address if configured else str(url), "sdk")
    return RequestRules(connection, connection.address, "followed" if follows else "refused")


def install_checks(client: Any, *, asynchronous: bool) -> None:
    """Have an HTTP client run the checks, once. client: of httpx2, or of a caller's legacy httpx."""
    hooks = client.event_hooks
    if any(getattr(hook, "func", hook) in (_check_request, _acheck_request) for hook in hooks["request"]):
        return
    of_request, of_response = (_acheck_request, _acheck_response) if asynchronous else (_check_request, _check_response)
    client.event_hooks = {
        "request": [*hooks["request"], partial(of_request, client)],
        "response": [of_response, *hooks["response"]],
    }


def _check_request(client: Any, request: Any) -> None:
    """Raises `PermissionDeniedError` where `local_only` forbids the host or the proxy; credentials stay at home."""
    rules: RequestRules | None = request.extensions.get(EXTENSION)
    if rules is None:
        return
    url = str(request.url)
    if rules.connection.resolved.local_only:
        _check_private(request, url, "host")
        if (proxy := proxy_of(client, request.url)) is not None:
            _check_private(request, proxy.url, "proxy")
    if rules.connection.starter is None and not _is_same_server(rules.origin, url):
        for name in list(request.headers.keys()):
            if not is_harmless(name):
                del request.headers[name]


async def _acheck_request(client: Any, request: Any) -> None:
    _check_request(client, request)


def _check_response(response: Any) -> None:
    """Raises `APIStatusError` for a redirect that is not followed."""
    rules: RequestRules | None = response.request.extensions.get(EXTENSION)
    if rules is None or rules.redirects == "sdk" or not response.has_redirect_location:
        return
    source, target = str(response.request.url), urljoin(str(response.request.url), response.headers["location"])
    keeps_method = response.status_code in _KEEPS_METHOD or response.request.method in ("GET", "HEAD")
    if keeps_method and (rules.redirects == "followed" or same_origin(source, target)):
        return
    _raise_redirect(rules.connection, response, source, target, keeps_method=keeps_method)


async def _acheck_response(response: Any) -> None:
    _check_response(response)


def _is_same_server(origin: str, url: str) -> bool:
    """Whether the headers for an address may go to a URL: of the same origin, or from http to https on one host.

    The second is httpx's exception for Authorization (_client.py _is_https_redirect, 0.28.1).
    """
    host = hostname(origin)
    upgraded = same_origin(origin, f"http://{host}") and same_origin(url, f"https://{host}")
    return upgraded or same_origin(origin, url)


def _check_private(request: Any, url: str, what: str) -> None:
    if is_private(url):
        return
    message = (
        f"`local_only` is set, and the {what} {hostname(url)!r} is not known to be private: nothing was sent there. "
        "Names are not looked up: a private host is given by its private address, or by a name without a dot or below "
        ".internal or .local"
    )
    error = {"message": message, "type": "permission_error", "param": None, "code": "local_only"}
    response = http_library(request).Response(403, json={"error": error}, request=request)
    raise openai.PermissionDeniedError(message, response=response, body=error)


def _raise_redirect(connection: Connection, response: Any, source: str, target: str, *, keeps_method: bool) -> NoReturn:
    from llm_adapter.routing.unreachable import change_of_address

    source, target = without_credentials(source), without_credentials(target)
    why = (
        "Redirects are not followed, for prompts and keys go to the configured server alone"
        if keeps_method
        else f"Status {response.status_code} would turn the {response.request.method} into a GET without its content"
    )
    root = target.partition("://")[0] + "://" + target.partition("://")[2].partition("/")[0]
    cure = change_of_address(connection.resolved, root)
    message = f"{source} redirects to {target}. {why}. If that is the right server: {cure}."
    error: Mapping[str, Any] = {"message": message, "type": "api_error", "param": None, "code": "redirect"}
    made = http_library(response).Response(
        response.status_code, headers={"location": target}, json={"error": error}, request=response.request
    )
    raise openai.APIStatusError(message, response=made, body=error)
