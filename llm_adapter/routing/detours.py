"""Answers that are not the server's own: a redirect on the way, a proxy's refusal, a port that wants https. Pure.

The call has not arrived then, and what such an answer says is not about it: a redirected POST comes as a GET to the new
address (RFC 9110, 15.4), where a 404 speaks of a missing endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from llm_adapter.provider import Rejected
from llm_adapter.routing.proxies import Proxy
from llm_adapter.routing.unreachable import address_source, change_of_address
from llm_adapter.settings.hosts import hostname, without_credentials
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.unavailable import is_openais

# What proxies answer for themselves: 407 is never a server's (RFC 9110), the others may be.
_OF_A_PROXY = frozenset({403, 407, 502, 503, 504})
# Go's net/http server.go and nginx's ngx_http_special_response.c, to plain http on their https port.
_WANTS_HTTPS = (b"client sent an http request to an https server", b"plain http request was sent to https port")


def redirected(response: Any, settings: Settings, untranslated: str | None) -> Rejected | None:
    """The refusal of a call that lost its content at a redirect, with the redirect's status.

    untranslated: the path of a call that goes to the server as it is. To one that is none of OpenAI's a program posts
    what it likes, and may be sent on to the result, as browsers are after a form. For a call of OpenAI's the new
    address has no result: what answers 200 there is the page of a login, or the list of what was to be created.
    """
    if response.is_success and untranslated is not None and not is_openais(untranslated):
        return None
    for hop, following in pairwise([*response.history, response]):
        method, now = hop.request.method, following.request.method
        if method != now:
            source, target = (without_credentials(str(one.request.url)) for one in (hop, following))
            message = (
                f"{source} redirects to {target}. Status {hop.status_code} turned the {method} into a {now} without "
                f"its content. If that is the right server: {change_of_address(settings, _root(target))}."
            )
            return _refusal(hop.status_code, message, "redirect")
    return None


def may_be_a_detour(status: int, proxy: Proxy | None) -> bool:
    """Whether a response has to be read to know whose it is."""
    return status == 400 or (proxy is not None and status in _OF_A_PROXY)


def answered_on_the_way(response: Any, proxy: Proxy | None, settings: Settings) -> Rejected | None:
    """The refusal, where it was the proxy that answered, or a port that wants https. The response has been read."""
    url, status, body = str(response.request.url), response.status_code, response.content
    if status == 400 and any(phrase in body[:1000].lower() for phrase in _WANTS_HTTPS):
        message = f"{_root(url)} speaks https on this port: {address_source(settings)} has to begin with https://"
        return _refusal(status, message, "wrong_scheme")
    if proxy is None or status not in _OF_A_PROXY or (status != 407 and _is_json(response.headers)):
        return None
    words = body[:200].decode("utf-8", "replace").strip() if status == 407 or not _is_html(body) else ""
    said = f"{status} {response.reason_phrase}".strip() + (f": {words}" if words else "")
    who = "the proxy" if status == 407 else "the server or, more likely, the proxy"
    message = f"{who} {proxy.shown} answered {said}. {proxy.cure(hostname(url))}"
    return _refusal(status, message, "proxy_error")


def _refusal(status: int, message: str, code: str) -> Rejected:
    return Rejected(message, status=status, code=code, kind="api_error")


def _is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "")


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


def _root(url: str) -> str:
    scheme, separator, rest = without_credentials(url).partition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}"
