"""GET of an address that a message names, with nothing of the caller's: no key, header, cookie or proxy.

A host's name is resolved once, every address that comes back has to be public, and the connection goes to one of these
addresses: a name that resolves to another address later gains nothing. TLS is checked against the name. Redirects are
followed by hand, and each is checked the same way. Bytes, types, redirects and the time for all of it are limited.
Blocks: clients run it outside the event loop.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

from llm_adapter.provider import Fetch, NativeReply, Rejected
from llm_adapter.transport.fetch.addresses import is_public
from llm_adapter.transport.fetch.connection import Deadline, PinnedConnection
from llm_adapter.transport.time_limit import OutOfTime, within

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

AT_ONCE = 4  # addresses of one call
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9._:-]+")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Object stores give these for what was uploaded without a type; their first bytes say what they are.
_UNTYPED = ("", "application/octet-stream", "binary/octet-stream")
_SAFE = "%/:=&?~+!$,;'@()*[]|"
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "llm_adapter", "Connection": "close"}


class FetchError(Exception):
    """Why an address was not fetched, as the end of a sentence. It says nothing of what the address answered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may cost."""

    size: int = 20 << 20  # bytes
    seconds: float = 10.0  # for all of it, redirects included
    redirects: int = 3
    ports: frozenset[int] = frozenset(_PORTS.values())


class FetchTarget(NamedTuple):
    """One checked URL in its parts."""

    scheme: str
    host: str
    port: int
    path: str  # with the query
    named: bool  # the settings name this host: it may be a private one


def resolved_addresses(host: str, port: int) -> list[str]:
    """What a name resolves to, in the system's order. Odd spellings of numbers ("127.1") are understood here too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """TLS as the SDK's HTTP client trusts it: the system's authorities, or SSL_CERT_FILE's, and certifi's."""
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context


class Fetcher:
    """`fetcher(url)`: the reply to one GET. Raises `FetchError`."""

    def __init__(
        self,
        limits: Limits = Limits(),
        *,
        resolve: Resolve = resolved_addresses,
        allowed: Callable[[str], bool] = is_public,
        context: Callable[[], ssl.SSLContext] = trusted,
    ) -> None:
        self._limits = limits
        self._resolve = resolve
        self._allowed = allowed
        self._context = context

    def all(self, fetch: Fetch) -> list[NativeReply]:
        """The replies to several GETs in their order. Raises `Rejected` for the first that fails."""
        one = partial(self._or_rejected, hosts=fetch.hosts)
        if len(fetch.urls) == 1:
            return [one(fetch.urls[0])]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, fetch.urls))

    def _or_rejected(self, url: str, hosts: Collection[str]) -> NativeReply:
        try:
            return self(url, hosts)
        except FetchError as error:
            raise Rejected(
                f"the image at {url_without_secrets(url)} was not fetched: {error}",
                param="messages",
                code="image_fetch_failed",
            ) from None

    def __call__(self, url: str, hosts: Collection[str] = ()) -> NativeReply:
        """hosts: names that may be private ones, as `host` or, for another port than a web server's, `host:port`."""
        deadline = Deadline(self._limits.seconds)
        for _ in range(self._limits.redirects + 1):
            try:
                reply = self._get(fetch_target(url, hosts, self._limits.ports), deadline)
            except TimeoutError:
                raise FetchError(f"it took more than {self._limits.seconds:g} seconds") from None
            except ssl.SSLCertVerificationError as error:
                raise FetchError(f"its certificate is not good: {error.verify_message}") from None
            except (OSError, http.client.HTTPException) as error:
                raise FetchError(f"the connection failed ({type(error).__name__})") from None
            if isinstance(reply, NativeReply):
                return reply
            url = _redirect_url(url, reply)
        raise FetchError(f"it redirects more than {self._limits.redirects} times")

    def _get(self, target: FetchTarget, deadline: Deadline) -> NativeReply | str:
        """The reply, or where it redirects to."""
        connection = self._connected(target, deadline)
        try:
            connection.request("GET", target.path, headers=_HEADERS)
            with connection.getresponse() as response:
                location = response.headers.get("Location")
                if response.status in _REDIRECTS and location:
                    return location
                return NativeReply(response.status, dict(response.headers.items()), self._body(response))
        finally:
            connection.close()

    def _connected(self, target: FetchTarget, deadline: Deadline) -> PinnedConnection:
        """A connection to the first address that answers, all of them checked before."""
        found = self._resolved(target, deadline)
        if not found:
            raise FetchError("its host has no address")
        if not target.named and not all(self._allowed(address) for address in found):
            raise FetchError(
                "its host is not on the public internet; `image_hosts` in the profile can name it all the same"
            )
        context = self._context() if target.scheme == "https" else None
        for place, address in enumerate(found):
            connection = PinnedConnection(target.host, target.port, address, context, deadline)
            try:
                connection.reach(deadline.left() / (len(found) - place))
            except ssl.SSLError:
                raise
            except OSError:
                if place == len(found) - 1:
                    raise
            else:
                return connection
        raise AssertionError("the last address raises")

    def _resolved(self, target: FetchTarget, deadline: Deadline) -> Sequence[str]:
        """The addresses of a host. The system's resolver has no time limit, so it runs in a thread of its own."""
        seconds = deadline.left()
        try:
            return within(seconds, partial(self._resolve, target.host, target.port))
        except OutOfTime:
            raise TimeoutError from None
        except (OSError, UnicodeError):
            raise FetchError("its host's name cannot be resolved") from None

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The body of a success, an image and not too long."""
        if response.status != 200:
            raise FetchError(f"the server answered {response.status}")
        kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if not (kind.startswith("image/") or kind in _UNTYPED):
            raise FetchError(f"it is of type {kind[:60]!r}, not an image")
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise FetchError("it is compressed, though that was not asked for")
        length = response.length
        if length is not None and length > self._limits.size:
            raise FetchError(f"it is larger than {self._limits.size} bytes")
        body = bytearray()
        while piece := response.read(1 << 16):
            body += piece
            if len(body) > self._limits.size:
                raise FetchError(f"it is larger than {self._limits.size} bytes")
        if length is not None and len(body) < length:
            raise FetchError("it ended before it was complete")
        return bytes(body)


def fetch_target(url: str, hosts: Collection[str] = (), ports: Collection[int] = (80, 443)) -> FetchTarget:
    """A URL's parts, if it may be asked for at all. Raises `FetchError`."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode("ascii").lower().rstrip(".")
        path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    except (ValueError, UnicodeError):
        raise FetchError("it is not a valid URL") from None
    if parts.scheme not in _PORTS:
        raise FetchError("only http and https can be fetched")
    if not _HOST.fullmatch(host):
        raise FetchError("it names no valid host")
    if "@" in parts.netloc:
        raise FetchError("a URL with a user's name or password in it is not fetched")
    port = port or _PORTS[parts.scheme]
    usual = port in ports
    names = {name.lower() for name in hosts}
    named = f"{host}:{port}" in names or f"[{host}]:{port}" in names or (usual and host in names)
    if not usual and not named:
        raise FetchError(f"port {port} is not a web server's; `image_hosts` in the profile can name the host with it")
    return FetchTarget(parts.scheme, host, port, path, named)


def url_without_secrets(url: str) -> str:
    """A URL as an error may show it: without the query, which often signs it."""
    bare = re.sub(r"//[^/@]*@", "//", url.partition("?")[0].partition("#")[0])
    return repr(bare if len(bare) <= 100 else f"{bare[:100]}...")


def _redirect_url(url: str, location: str) -> str:
    try:
        following = urljoin(url, location)
    except ValueError:
        raise FetchError("it redirects to something that is not a valid URL") from None
    if url.lower().startswith("https:") and not following.lower().startswith("https:"):
        raise FetchError("it redirects from https to something less")
    return following


@lru_cache(maxsize=1)
def shared_fetcher() -> Fetcher:
    """The fetcher of all clients."""
    return Fetcher()
