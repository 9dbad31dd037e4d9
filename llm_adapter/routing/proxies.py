"""No proxy for this machine: HTTP_PROXY is for the network, and one that does not answer must not cut off localhost.

Where there is a proxy, `proxy_of` says which, for errors that name it and for what `local_only` forbids.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any, NamedTuple
from urllib.request import getproxies

from llm_adapter.routing.connection import Connection
from llm_adapter.routing.late_certificates import late_context
from llm_adapter.settings.hosts import hostname, is_loopback, same_origin

# httpx's "mounts": a host without a proxy, whatever the environment says.
_DIRECT = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")


def http_client(connection: Connection, kind: type[Any]) -> Any:
    """An HTTP client that reaches this machine without a proxy, or None where the SDK's own is as good.

    A client for a remote host gets one too: a model's prefix can lead its calls to a server on this machine.
    kind: the SDK's class of HTTP clients, sync or async.
    """
    trust_env, url = connection.configured.trust_env, connection.address
    options: dict[str, Any] = {}
    if url.startswith("http://"):
        options["verify"] = late_context(kind, trust_env=trust_env is not False)
    if trust_env is False:
        return kind(trust_env=False, **options)
    if trust_env or not getproxies():
        return kind(**options) if options else None
    try:
        return kind(mounts=dict.fromkeys((*_DIRECT, *_own(url))), **options)
    except (ImportError, ValueError):  # a proxy that needs more than is installed: socks5h://
        if not is_loopback(url):
            raise
        return kind(trust_env=False, **options)


def kind_of_http_client(connection: Connection) -> Hashable:
    """What the HTTP client for a destination depends on: clients of one kind can share theirs.

    The environment is read as the HTTP client would read it: a program may change it meanwhile.
    """
    trust_env = connection.configured.trust_env
    if trust_env is False:
        return False
    own = _own(connection.address) if trust_env is None else None
    certificates = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return own, certificates, *sorted(getproxies().items())


def _own(url: str) -> tuple[str, ...]:
    """The pattern of the client's own host, where it is another name of this machine."""
    return (f"all://{hostname(url)}",) if is_loopback(url) and ":" not in hostname(url) else ()


class Proxy(NamedTuple):
    """The proxy that a request takes."""

    url: str  # without credentials
    variable: str | None  # the environment's variable that names it; None: the caller's own HTTP client has it

    @property
    def shown(self) -> str:
        return f"{self.url} ({self.variable or 'of the `http_client`'})"

    def cure(self, host: str) -> str:
        """What keeps a host's requests from the proxy, as a sentence."""
        if self.variable is None:
            return f"If {host} needs no proxy, give the `http_client` none for it; or correct the proxy's address."
        return (
            f"If {host} needs no proxy, set NO_PROXY={host}, or `trust_env = false` in the profile; "
            f"or correct {self.variable}."
        )


def proxy_of(client: Any, url: Any) -> Proxy | None:
    """The proxy through which an HTTP client sends requests to a URL.

    The client is asked, not the environment: a caller's own has rules of its own. httpx keeps the proxy to itself
    (httpx2 _transports/default.py HTTPTransport, httpcore2 http_proxy.py HTTPProxy, 2.16), so None may be ignorance.
    """
    try:
        transport = client._transport_for_url(url)
        proxy = transport._pool._proxy_url
        scheme, host, port = proxy.scheme.decode(), proxy.host.decode(), proxy.port
    except AttributeError:
        return None
    shown = f"{scheme}://{host}" + (f":{port}" if port else "")
    names = (kind for kind, value in getproxies().items() if same_origin(_with_scheme(value), shown))
    kind = next(names, None)
    return Proxy(shown, f"{kind.upper()}_PROXY" if kind else None)


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"
