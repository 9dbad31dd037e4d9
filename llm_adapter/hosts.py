"""Where a server is: every form that people write for a host, brought to one.

Source: ollama/envconfig/config.go Host and ConnectableHost, v0.24.0; ollama-python _client.py _parse_host, v0.6.3.
Where the two differ, Go is right: `ollama.com` is https there, and quotes and bare IPv6 addresses are understood.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

OLLAMA_PORT = 11434
_CLOUD = "ollama.com"
_SUFFIXES = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models", "/chat", "/v1", "/api")
_PORTS = {"http": 80, "https": 443}


class InvalidHostError(ValueError):
    """A host that cannot be understood."""


def ollama_root(value: str) -> str:
    """The root of an Ollama server, `scheme://host:port[/path]`, without /v1 or /api and without a trailing slash.

    Raises `InvalidHostError`.
    """
    text = value.strip().strip("'\"").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority, value)
    if not scheme:
        scheme, port = ("https", port or 443) if host == _CLOUD else ("http", port or OLLAMA_PORT)
    if scheme not in _PORTS:
        raise InvalidHostError(f"{value!r} is not a server's address: expected http:// or https://, not {scheme}://")
    port = port or _PORTS[scheme]
    shown = "" if port == _PORTS[scheme] else f":{port}"
    return f"{scheme}://{_bracketed(host)}{shown}{_without_endpoint(slash + path)}"


def openai_base_url(value: str) -> str:
    """The base URL of a /v1 server: a scheme added where there is none, an endpoint's path cut off.

    Raises `InvalidHostError`.
    """
    text = value.strip().strip("'\"").strip()
    if "://" not in text:
        text = f"{'http' if is_local(text) else 'https'}://{text}"
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority, value)
    if scheme not in _PORTS:
        raise InvalidHostError(f"{value!r} is not a server's address: expected http:// or https://, not {scheme}://")
    path = _without_endpoint(slash + path, keep="/v1")
    return f"{scheme}://{_bracketed(host)}{f':{port}' if port else ''}{path or '/v1'}"


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine, by its name alone: nothing is looked up."""
    host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(authority: str) -> bool:
    """Whether a bare host is a loopback or private address, or a name without a dot: those speak plain http."""
    host = urlsplit(f"//{authority}").hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return address.is_private or address.is_unspecified


def is_openai(url: str) -> bool:
    """Whether the host belongs to OpenAI."""
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def is_ollama_cloud(url: str) -> bool:
    """Whether the host is Ollama's own cloud, over https: the only place that OLLAMA_API_KEY is for."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and (host == _CLOUD or host.endswith(f".{_CLOUD}"))


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs name the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _host_and_port(authority: str, value: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise InvalidHostError("a host with a user name or password in it is refused: use `api_key` or `api_key_env`")
    bare = authority.strip("[]")
    if authority.count(":") > 1 and "]" not in authority:  # a bare IPv6 address
        host, port = bare, ""
    elif authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise InvalidHostError(f"{value!r} is not a server's address: {port!r} is not a port")
    return _connectable(host), int(port) if port else None


def _connectable(host: str) -> str:
    # A server binds to these; a client cannot connect to them everywhere (envconfig.ConnectableHost, v0.24.0).
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_endpoint(path: str, keep: str = "") -> str:
    path = path.rstrip("/")
    for suffix in _SUFFIXES:
        if suffix != keep and path.endswith(suffix):
            return _without_endpoint(path.removesuffix(suffix), keep)
    return path
