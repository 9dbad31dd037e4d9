"""Who may ask the gateway, judged by a request's headers, before anything of it is read.

A page in a browser can send requests to any address that the browser's machine reaches, and its own name can be made to
point at this machine (DNS rebinding, as in CVE-2024-28224 of Ollama). So without a key the gateway answers under this
machine's own names alone, and it never answers a page that was not allowed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_adapter.serve.replies import error
from llm_adapter.settings.hosts import is_loopback

ANY = "*"
OPEN_PATHS = ("/healthz", "/readyz")  # asked by what watches over processes, which has no key
# What a browser sends to another site without asking it first: Fetch standard, CORS-safelisted request-header.
_FORMS = ("application/x-www-form-urlencoded", "text/plain", "")
_UPLOADS = ("/audio/", "/files", "/images/", "/uploads", "/containers/", "/skills", "/videos")


@dataclass(frozen=True)
class Access:
    """The rules. `hosts` are further names by which clients without a key may call the gateway; "*" allows any."""

    key: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.key is not None and not self.key.strip():
            raise ValueError("the gateway's key is empty: give one, or None for no key")

    def refusal(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        """Why a request is not answered; None: it is. path: below the gateway, with /v1."""
        if self.key is None and not self._is_known_host(headers.get("host", "")):
            return error(403, "This host is not known to the gateway: call it by localhost, or name the host to it.")
        origin = headers.get("origin")
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return error(403, "A page of another site asked: the gateway does not know which.")
        if origin is not None and not self._is_allowed_origin(origin):
            return error(403, "Pages of this origin are not allowed to ask: name it with --allow-origin.")
        if method == "OPTIONS" and origin is not None:  # the question before: browsers send no key with it
            return None
        if path not in OPEN_PATHS and not self._has_key(headers.get("authorization", "")):
            return error(
                401,
                "Incorrect API key provided: it is the gateway's own, and not one of a provider.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return None

    def _is_known_host(self, host: str) -> bool:
        try:
            return ANY in self.hosts or is_loopback(host) or urlsplit(f"//{host}").hostname in self.hosts
        except ValueError:  # it is none
            return False

    def _is_allowed_origin(self, origin: str) -> bool:
        return ANY in self.origins or origin in self.origins

    def _has_key(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return self.key is None or (
            scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.key.strip().encode())
        )


def access(key: str | None, origins: Iterable[str], hosts: Iterable[str]) -> Access:
    return Access(key, tuple(origin.rstrip("/") for origin in origins), tuple(host.lower() for host in hosts))


def media_type(content_type: str) -> str:
    """The type alone, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def unreadable_body(path: str, content_type: str) -> JSONResponse | None:
    """Why a body of this type is not taken; path: below /v1."""
    kind = media_type(content_type)
    if kind in _FORMS or (kind == "multipart/form-data" and not path.startswith(_UPLOADS)):
        return error(
            415, f"Bodies of type {kind or 'unknown'!r} are not taken here: send Content-Type: application/json."
        )
    return None


class AccessMiddleware:
    """Answers what may not go on."""

    def __init__(self, app: ASGIApp, rules: Access) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            refusal = self._rules.refusal(scope["method"], path, Headers(scope=scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
