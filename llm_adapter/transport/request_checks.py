"""What is checked of every request where it leaves: of a call's, of those beside it, of retries and of redirects.

The checks are event hooks of the HTTP client, which runs them for each hop, and the rules are an extension of the
request, which the client hands on to the request of a redirect; so a caller's client can serve several of ours.
Source: httpx _client.py _send_handling_redirects and _build_redirect_request, 0.28.1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, NoReturn
from urllib.parse import urljoin

import openai

from llm_adapter.routing.connection import NO_KEY, Connection, credential_names
from llm_adapter.routing.proxies import proxy_of
from llm_adapter.settings.hosts import hostname, is_openai, is_private, same_origin, without_credentials
from llm_adapter.transport.body import http_library
from llm_adapter.transport.read_limit import response_begun

EXTENSION = "llm_adapter_rules"  # the extension of a request that carries its rules
# What another origin gets to see: any other header may be a credential, whatever its name.
_HARMLESS = frozenset(
    {"host", "accept", "accept-encoding", "accept-language", "connection", "user-agent"}
    | {"content-type", "content-length", "content-encoding", "transfer-encoding"}
)
_KEEPS_METHOD = (307, 308)
_JUDGED = 64  # sets of headers that are remembered for a connection


def is_harmless(header: str) -> bool:
    """Whether a header of a request cannot be a credential, by its name."""
    return header.lower() in _HARMLESS or header.lower().startswith("x-stainless-")


class RequestRules(NamedTuple):
    """What holds for the requests of one call."""

    connection: Connection
    origin: str  # the address that the call's headers are for
    redirects: Literal["sdk", "followed", "refused"]  # as the SDK follows them; at the caller's wish; or not at all
    withheld: tuple[str, ...] = ()  # the names of the call site's credentials that are not sent


def rules_of(connection: Connection, url: Any, follows: bool, withheld: tuple[str, ...] = ()) -> RequestRules:
    """The rules of a call.

    url: of its first request. follows: whether the caller said that redirects are followed. withheld: the names of the
    call site's credentials that are not sent.
    """
    configured = connection.configured.configured
    origin = connection.address if configured else str(url)
    if not configured or is_openai(origin) or connection.is_programs_own:
        return RequestRules(connection, origin, "sdk", withheld)
    return RequestRules(connection, origin, "followed" if follows else "refused", withheld)


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
        why = rules.connection.resolved.why_local
        _check_private(request, url, "host", why)
        if (proxy := proxy_of(client, request.url)) is not None:
            _check_private(request, proxy.url, "proxy", why)
    if rules.connection.starter is not None:
        return
    for name in _kept_back(rules, url, request.headers):
        del request.headers[name]


async def _acheck_request(client: Any, request: Any) -> None:
    _check_request(client, request)


def _check_response(response: Any) -> None:
    """Raises `APIStatusError` for a redirect that is not followed."""
    response_begun(response)
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


def _kept_back(rules: RequestRules, url: str, headers: Any) -> list[str]:
    """The names of the headers that the host of a URL must not see."""
    if not _is_same_server(rules.origin, url):
        return [name for name in headers if not is_harmless(name)]
    if not rules.connection.withholds:
        return []
    # Most calls of a client have the same headers, but for their length.
    judged, key = rules.connection.judged, tuple(pair for pair in headers.raw if pair[0].lower() != b"content-length")
    if key not in judged:
        if len(judged) >= _JUDGED:
            judged.clear()
        judged[key] = _withheld(rules.connection, headers)
    return judged[key]


def _withheld(connection: Connection, headers: Any) -> list[str]:
    """The names of the headers that the caller's HTTP client adds for another host.

    Cookies are those that the server itself has set.
    """
    own = {name.lower(): value for name, value in connection.headers.items()}
    own.setdefault("authorization", f"Bearer {connection.api_key}")
    secret = credential_names(headers, connection.withheld_key)
    return [name for name in secret if name != "cookie" and own.get(name) != headers[name]]


def missing_credentials(response: Any) -> str:
    """What to add to the message of a 401 or 403 that came for want of the call site's credentials; or nothing."""
    request = getattr(response, "_request", None)  # `request` raises where a response was made without one
    rules: RequestRules | None = None if request is None else request.extensions.get(EXTENSION)
    if request is None or rules is None or not rules.connection.withholds or response.status_code not in (401, 403):
        return ""
    if "authorization" in request.headers:
        return ""  # the configuration's own key went along, and is not taken
    names = [f"`{name}`" for name in rules.withheld]
    if rules.connection.withheld_key is not None:
        names.insert(0, "`api_key`")
    if not names and os.environ.get("OPENAI_API_KEY") not in (None, "", NO_KEY):
        names = ["OPENAI_API_KEY"]
    if not names:
        return ""
    return (
        f". Not sent: {', '.join(names)}, which the program has for another host than {hostname(rules.origin)!r}, the "
        'one that the configuration names. The line in the profile `api_key_env = "NAME"` sends the key in the '
        'environment variable NAME, `headers = { "X-Api-Key" = "env:NAME" }` sends it in another header, and '
        "`call_site_key = true` sends what the program gives"
    )


def _is_same_server(origin: str, url: str) -> bool:
    """Whether the headers for an address may go to a URL: of the same origin, or from http to https on one host.

    The second is httpx's exception for Authorization (_client.py _is_https_redirect, 0.28.1).
    """
    host = hostname(origin)
    upgraded = same_origin(origin, f"http://{host}") and same_origin(url, f"https://{host}")
    return upgraded or same_origin(origin, url)


def _check_private(request: Any, url: str, what: str, why: str) -> None:
    if is_private(url):
        return
    message = (
        f"{why}, and the {what} {hostname(url)!r} is not known to be private: nothing was sent there. "
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
