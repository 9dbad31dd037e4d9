"""Requests that differ in their JSON alone: the SDK builds the first two, the others are made like them.

Skipped: merging the headers, the address and the query of the SDK's client, of the HTTP client and of the call, which
takes longer than sending the request.

Safe, because everything that the SDK reads there is the key of a template, and because a template is used only after it
gave exactly the request that the SDK built for another body. Clients and HTTP clients of a caller's own class, forms,
queries, cookies and other bodies go the SDK's own way.

Proved by tests/client/test_request_templates.py. Source: openai-python _base_client.py _build_request, v3.54.0; httpx2
_client.py build_request and _models.py Request, 2.16.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import openai
from openai._utils import get_async_library
from openai._utils._json import openapi_dumps

LIMIT = 64  # templates a client: who sends other headers with every call gains nothing
_PACKAGES = frozenset({"openai", "llm_adapter", "httpx", "httpx2", "typing", "builtins"})
# What a test, or somebody with a reason, may have replaced on one client.
_METHODS = frozenset({"_build_headers", "_auth_headers", "_validate_headers", "_prepare_url", "platform_headers"})
_log = logging.getLogger("openai._base_client")


@dataclass(slots=True)
class Template:
    """A request without its body. proven: it gave a request that the SDK built, too; None: not tried yet."""

    kind: Any
    method: str
    url: Any
    headers: Any
    timeout: Mapping[str, Any]
    proven: bool | None = None

    @classmethod
    def of(cls, request: Any) -> Template:
        """The template of a request that the SDK has built and nobody has changed."""
        headers, timeout = type(request.headers)(request.headers), dict(request.extensions["timeout"])
        return cls(type(request), request.method, request.url, headers, timeout)

    def request(self, body: Any) -> Any:
        """A request with this body."""
        content = openapi_dumps(body)
        body = sys.modules[self.kind.__module__.partition(".")[0]].ByteStream(content)
        extensions = {"timeout": dict(self.timeout)}
        request = self.kind(self.method, self.url, headers=self.headers, stream=body, extensions=extensions)
        request.headers["Content-Length"] = str(len(content))
        request.read()
        return request


class RequestTemplates:
    """The templates of one client, and of its copies."""

    def __init__(self) -> None:
        self._templates: dict[Hashable, Template] = {}

    def request(self, client: Any, options: Any, retries_taken: int, build: Callable[..., Any]) -> Any:
        """The request that `build`, which is the SDK's own way, would give."""
        key = _key(client, options, retries_taken)
        try:
            template = None if key is None else self._templates.get(key)
        except TypeError:  # something of the caller's cannot be hashed
            key = template = None
        if template is not None and template.proven:
            return template.request(options.json_data)
        built = build(options, retries_taken=retries_taken)
        if template is not None and template.proven is None:
            template.proven = is_same(template.request(options.json_data), built)
        elif template is None and key is not None and built.extensions.keys() == {"timeout"}:
            if len(self._templates) >= LIMIT:
                self._templates.clear()
            self._templates[key] = Template.of(built)
        return built


def is_same(request: Any, other: Any) -> bool:
    """Whether two requests are sent alike, byte for byte."""
    return _sent(request) == _sent(other)


def _sent(request: Any) -> tuple[Any, ...]:
    content = getattr(request, "_content", None)
    return type(request), request.method, request.url, request.headers.raw, request.extensions, content


def _key(client: Any, options: Any, retries_taken: int) -> Hashable:
    """All that a request is made of but its body; None for what is not the common shape."""
    http: Any = client._client
    kinds: tuple[Any, ...] = type(client), type(http)
    if (
        type(options.json_data) is not dict
        or options.method.lower() != "post"
        or (options.files or options.content is not None or options.extra_json is not None)
        or (options.params or client._custom_query or http.params or http.cookies)
        or not all(map(_is_ordinary, kinds))
        or not vars(client).keys().isdisjoint(_METHODS)
        or client._idempotency_header is not None
        or getattr(client, "_provider_runtime", None) is not None
        or _log.isEnabledFor(logging.DEBUG)  # the SDK tells of what it builds
    ):
        return None
    given = options.headers if isinstance(options.headers, Mapping) else {}
    timeout = client.timeout if isinstance(options.timeout, openai.NotGiven) else options.timeout
    security = getattr(options, "security", None) or {}
    return (
        *(options.url, client._base_url if options.url.startswith("/") else None, retries_taken),
        *(tuple(given.items()), tuple(security.items())),
        *(client.api_key, client.admin_api_key, client.organization, client.project),
        *(tuple(client._custom_headers.items()), client._connection.is_third_party, tuple(http.headers.raw)),
        tuple(timeout.as_dict().items()) if hasattr(timeout, "as_dict") else timeout,
        get_async_library() if isinstance(client, openai.AsyncOpenAI) else None,
    )


@lru_cache(maxsize=64)
def _is_ordinary(kind: type) -> bool:
    """Whether a class and its bases are the libraries' own, with no method of a caller's."""
    return all(base.__module__.partition(".")[0] in _PACKAGES for base in kind.__mro__)
