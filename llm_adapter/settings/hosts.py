"""Where a server is: every form that people write for a host, brought to one.

Source: ollama/envconfig/config.go Host and ConnectableHost, v0.24.0; ollama-python _client.py _parse_host, v0.6.3.
Where the two differ, Go is right: `ollama.com` is https there, and quotes and bare IPv6 addresses are understood.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import unicodedata
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

_OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{_OPENAI_HOST}/v1"
OLLAMA_PORT = 11434
_CLOUD = "ollama.com"
_V1 = r"/chat/completions|/completions|/embeddings|/responses|(?<=/v1)/models"
_V1_ENDPOINT = f"({_V1})$"
_OLLAMA_ENDPOINT = f"({_V1}|/v1|/api|/api/(chat|generate|embed|tags))$"
_PORTS = {"http": 80, "https": 443}
_NAME = r"[\w.-]+"
_PLAIN_NAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"
# IPv4 in the forms that systems take. Not with a zero before: for some that is octal, and decimal for others.
_NUMBER = r"(0x[0-9a-f]+|0|[1-9][0-9]*)"
_NUMBERS = rf"{_NUMBER}(\.{_NUMBER}){{0,3}}"
_ENDS_IN_NUMBER = r"(.*\.)?(0x[0-9a-f]*|[0-9]+)"  # no name is looked up like that
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # what IDNA takes for a dot, RFC 3490 section 3.1

_IP: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
# IPv6 that a translator or a tunnel turns into IPv4: which network lies behind it, the bits tell, or nothing does.
_TRANSLATED = {
    ipaddress.ip_network("::ffff:0:0/96"): 0,  # RFC 4291, an IPv4 address itself
    ipaddress.ip_network("::ffff:0:0:0/96"): 0,  # RFC 2765
    ipaddress.ip_network("64:ff9b::/96"): 0,  # RFC 6052, NAT64
    ipaddress.ip_network("2002::/16"): 80,  # RFC 3056, 6to4
    ipaddress.ip_network("64:ff9b:1::/48"): None,  # RFC 8215, NAT64 of a local network
    ipaddress.ip_network("2001::/32"): None,  # RFC 4380, Teredo
}


class InvalidHostError(ValueError):
    """A host that cannot be understood."""


class _AddressParts(NamedTuple):
    scheme: str  # "" where none was written
    host: str
    port: int | None
    path: str


def ollama_root(value: str) -> str:
    """The root of an Ollama server, `scheme://host:port[/path]`, without /v1 or /api and without a trailing slash.

    Raises `InvalidHostError`.
    """
    scheme, host, port, path = _address_parts(value)
    if not scheme:
        scheme, port = ("https", port or 443) if host == _CLOUD else ("http", port or OLLAMA_PORT)
    if host == "localhost" and sys.platform == "win32":
        host = "127.0.0.1"  # Ollama listens there alone, and Windows waits two seconds for ::1 first
    return f"{_origin_url(scheme, host, port)}{_without_endpoint(_OLLAMA_ENDPOINT, path)}"


def openai_base_url(value: str) -> str:
    """The base URL of a /v1 server: a scheme added where there is none, an endpoint's path cut off.

    Raises `InvalidHostError`.
    """
    scheme, host, port, path = _address_parts(value)
    if port == OLLAMA_PORT:
        path = f"{_without_endpoint(_OLLAMA_ENDPOINT, path)}/v1"
    scheme = scheme or ("http" if is_local(_bracketed(host)) else "https")
    return f"{_origin_url(scheme, host, port)}{_without_endpoint(_V1_ENDPOINT, path) or '/v1'}"


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine, by its name alone: nothing is looked up."""
    host = hostname(url if "://" in url else f"//{url}")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip(host)
    return address is not None and address.is_loopback


def is_local(authority: str) -> bool:
    """Whether a bare host is a loopback or private address, or a name without a dot: those speak plain http.

    It goes by what is written, in whatever form; no name is looked up.
    """
    host = hostname(f"//{authority}")
    address = _ip(host)
    if address is not None:
        return _is_private_ip(address)
    if not re.fullmatch(_PLAIN_NAME, host) or re.fullmatch(_ENDS_IN_NUMBER, host):
        return False
    return "." not in host or host.endswith((".localhost", ".local", ".internal"))


def is_private(url: str) -> bool:
    """The same of a URL's host."""
    host = hostname(url)
    return bool(host) and is_local(_bracketed(host))


def _ip(host: str) -> _IP | None:
    """The IP address that a host is, also as one number, in hexadecimal or with parts left out; None for a name."""
    try:
        if re.fullmatch(_NUMBERS, host):
            return ipaddress.IPv4Address(socket.inet_aton(host))
        return ipaddress.ip_address(host)
    except (ValueError, OSError):
        return None


def _is_private_ip(address: _IP) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        unscoped = ipaddress.IPv6Address(int(address))
        for network, shift in _TRANSLATED.items():
            if unscoped in network:
                return shift is not None and _is_private_ip(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
    return address.is_private or address.is_unspecified


def is_openai(url: str) -> bool:
    """Whether the host belongs to OpenAI."""
    host = hostname(url)
    return host == _OPENAI_HOST or host.endswith(f".{_OPENAI_HOST}")


def is_ollama_cloud(url: str) -> bool:
    """Whether the host is Ollama's own cloud, over https: the only place that OLLAMA_API_KEY is for."""
    scheme, host, _ = _origin(url)
    return scheme == "https" and (host == _CLOUD or host.endswith(f".{_CLOUD}"))


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs name the same scheme, host and port."""
    return _origin(one) == _origin(other)


def hostname(url: str) -> str:
    """The host of a URL, in lower case, as it is looked up; nothing where it has none."""
    return _origin(url)[1]


def without_credentials(url: str) -> str:
    """A URL as a message may show it: without a user's name, a password, a query or a fragment."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


@lru_cache(maxsize=256)  # asked several times for each call
def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, _looked_up(parts.hostname or ""), parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # the SDK has its own words for what is no URL at all
        return url, "", None


def _looked_up(host: str) -> str:
    """The form of a host that is looked up: wide digits and letters as plain ones, and no dot at its end."""
    plain = host if host.isascii() else unicodedata.normalize("NFKC", host.translate(_DOTS)).lower()
    return plain.removesuffix(".") if plain != "." else plain


def _address_parts(value: str) -> _AddressParts:
    """The parts of what was written. An error shows the value only where no key can be in it."""
    text = value.strip().strip("'\"").strip()
    scheme, separator, rest = text.partition("://") if "://" in text else ("", "", text)
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise InvalidHostError(
            "an address with a user name or password in it is refused. For Basic authentication write the address "
            'without them, and `headers = { Authorization = "env:NAME" }`, where the environment variable NAME holds '
            "`Basic ` and the base64 of user:password; for a key write `api_key` or `api_key_env`"
        )
    if "?" in rest or "#" in rest:
        raise InvalidHostError("an address with a query or fragment in it is refused: give only scheme, host and path")
    if separator and scheme.lower() not in _PORTS:
        raise InvalidHostError(f"{value!r} is not a server's address: expected http:// or https://, not {scheme}://")
    host, port = _host_and_port(authority, value)
    if not separator and host in _PORTS:
        raise InvalidHostError(f"{value!r} is not a server's address: expected {host}:// with two slashes")
    return _AddressParts(scheme.lower(), _connectable(host), port, slash + path)


def _host_and_port(authority: str, value: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
    elif authority.count(":") > 1:  # a bare IPv6 address
        host, port = authority, ""
    else:
        host, colon, port = authority.partition(":")
        port = colon + port
    if not _is_host(host):
        raise InvalidHostError(f"{value!r} is not a server's address: expected host, host:port or a URL")
    if port in ("", ":"):
        return host.lower(), None
    number = port.removeprefix(":")
    if not (port[0] == ":" and number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise InvalidHostError(f"{value!r} is not a server's address: {number!r} is not a port")
    return host.lower(), int(number)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return host == "" or re.fullmatch(_NAME, host) is not None
    try:
        return ipaddress.IPv6Address(host) is not None
    except ValueError:
        return False


def _connectable(host: str) -> str:
    # A server binds to these; a client cannot connect to them everywhere (envconfig.ConnectableHost, v0.24.0).
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _origin_url(scheme: str, host: str, port: int | None) -> str:
    shown = "" if port in (None, _PORTS[scheme]) else f":{port}"
    return f"{scheme}://{_bracketed(host)}{shown}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_endpoint(endpoint: str, path: str) -> str:
    """A path without the endpoint at its end, and without a trailing slash."""
    path = path.rstrip("/")
    shorter = re.sub(endpoint, "", path)
    return path if shorter == path else _without_endpoint(endpoint, shorter)
