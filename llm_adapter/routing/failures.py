"""Why a request got no answer: the true cause of an HTTP library's error, and the cure that fits it. Pure.

Errors are told apart by their names and by the system's errors behind them, for they are of either HTTP library.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from llm_adapter.routing import unreachable
from llm_adapter.routing.proxies import Proxy
from llm_adapter.routing.unreachable import address_source
from llm_adapter.settings.hosts import hostname, without_credentials
from llm_adapter.settings.settings import Settings

# OpenSSL's words for bytes that are no TLS; Python's for a connection that ended while the two sides shook hands.
_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure", "HTTP_REQUEST")
# A port that wants TLS closes the connection, or answers with a TLS alert, which is no line of HTTP.
_NO_HTTP = ("RemoteProtocolError", "ReadError")


def explained(error: BaseException, url: str, settings: Settings, attempts: int, proxy: Proxy | None) -> str | None:
    """The message for an error of the connection; None where the SDK's own words are all that is known.

    url: of the request that failed. settings: with the address in them.
    """
    reason = _reason(error, url, settings, proxy)
    if reason is not None:
        times = "" if attempts == 1 else f" (tried {attempts} times)"
        start = "Request timed out" if type(error).__name__ == "ConnectTimeout" else "Connection error"
        return f"{start}{times}: {reason}"
    if type(error).__name__ != "ConnectError":
        return None
    return unreachable.unreachable_message(settings, _words(error), attempts)


def _reason(error: BaseException, url: str, settings: Settings, proxy: Proxy | None) -> str | None:
    kind, host = type(error).__name__, hostname(url)
    tls = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if kind == "ProxyError" and proxy is not None:
        return f"the proxy {proxy.shown} refused the way to {host}: {_words(error)}. {proxy.cure(host)}"
    if tls is not None and kind == "ConnectError":
        return _tls_reason(tls, url, settings)
    if kind in ("ConnectError", "ConnectTimeout"):
        if proxy is not None:
            words = _words(error) or "no answer in time"
            return f"the proxy {proxy.shown}, which requests to {host} go through, cannot be reached: {words}. " + (
                proxy.cure(host)
            )
        if any(isinstance(one, socket.gaierror) for one in _causes(error)) and not unreachable.is_ollama(settings):
            return f"the name {host!r} is not known here ({_words(error)}): correct {address_source(settings)}."
    if kind in _NO_HTTP and url.startswith("http://") and proxy is None:
        words = f" ({_words(error)})" if _words(error) else ""
        ended = f"{_root(url)} ended the connection before its answer was complete{words}"
        begun = "incomplete" in words or "complete message body" in words
        if begun or settings.provider == "embedded":
            return f"{ended}: it stopped while it worked on the call, and its log may say why."
        return (
            f"{ended}. Either the server stopped while it worked on the call, which its log says, or it speaks https "
            f"on this port: then {address_source(settings)} has to begin with https://."
        )
    return None


def _tls_reason(error: ssl.SSLError, url: str, settings: Settings) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {_root(url)} is not trusted here: {error.verify_message}. If it is the right server: "
            "SSL_CERT_FILE names a file with the certificate of its authority, or its own; or give the client an "
            "`http_client` whose `verify` is a context that trusts it."
        )
    if any(words in str(error) for words in _NO_TLS):
        return (
            f"{_root(url)} is asked in https, and what answers on this port speaks no TLS. Correct the port or the "
            f"scheme in {address_source(settings)}."
        )
    return (
        f"no TLS connection to {_root(url)} comes about: {_words(error)}. Is this the server's port for https, and "
        "does it accept this client's TLS version and certificate?"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: BaseException) -> str:
    """What the system said: the last of the errors behind this one says most."""
    said = [str(one) for one in _causes(error) if str(one)]
    return said[0] if said and said[0] != "All connection attempts failed" else said[-1] if said else ""


def _root(url: str) -> str:
    scheme, _, rest = without_credentials(url).partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
