"""The way to a host: proxies, names, and whether something listens (P14, P27)."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from llm_adapter.devtools.doctor.facts import Attempt, Route
from llm_adapter.settings.hosts import hostname, is_loopback

SECONDS = 2.0  # for a connection, and for a name
_PORTS = {"http": 80, "https": 443}


def route(url: str, trust_env: bool | None, timeout: float = SECONDS) -> Route:
    """How requests to a URL travel, and whether the first hop answers."""
    proxy, variable, why = proxied(url, trust_env)
    host, port = endpoint(proxy or url)
    shown = bare(proxy) if proxy else None
    return Route(f"{host}:{port}", why, shown, variable, tuple(attempts(host, port, timeout)))


def proxied(url: str, trust_env: bool | None) -> tuple[str | None, str | None, str]:
    """The proxy that a request takes, the variable that names it, and why. See `proxies.http_client`."""
    proxies = getproxies()
    scheme = urlsplit(url).scheme
    kind = scheme if scheme in proxies else "all"
    proxy = proxies.get(kind)
    if proxy is None:
        return None, None, "no proxy is set"
    if trust_env is False:
        return None, None, "`trust_env` is false: no proxy"
    if trust_env is None and is_loopback(url):
        return None, None, "no proxy for this machine"
    if proxy_bypass(hostname(url)):
        return None, None, "NO_PROXY names the host"
    return proxy if "://" in proxy else f"http://{proxy}", f"{kind.upper()}_PROXY", "the environment's proxy"


def endpoint(url: str) -> tuple[str, int]:
    """The host and the port of a URL. Raises `ValueError` for what is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host: expected http://host:port/v1")
    return parts.hostname, parts.port or _PORTS.get(parts.scheme, 1080)


def bare(url: str) -> str:
    """A URL without credentials, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def attempts(host: str, port: int, timeout: float = SECONDS) -> list[Attempt]:
    """Connections to a host's addresses in the system's order, up to the first that is there."""
    found = _within(timeout, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if isinstance(found, BaseException):
        return [Attempt(host, f"the name cannot be resolved ({getattr(found, 'strerror', None) or found})")]
    tried: list[Attempt] = []
    for address in list(dict.fromkeys(str(entry[4][0]) for entry in found))[:4]:
        tried.append(_attempt(address, port, timeout))
        if tried[-1].error is None:
            break
    return tried


def _attempt(address: str, port: int, timeout: float) -> Attempt:
    try:
        socket.create_connection((address, port), timeout).close()
    except TimeoutError:
        return Attempt(address, f"no answer in {timeout:g} s")
    except OSError as error:
        return Attempt(address, error.strerror or str(error))
    return Attempt(address)


def _within(seconds: float, action: Callable[[], Any]) -> Any:
    """What the action returns, or its exception. The system's resolver knows no time limit: its thread may be left."""
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put(action())
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=run, daemon=True, name="llm_adapter resolver").start()
    try:
        return answer.get(timeout=seconds)
    except queue.Empty:
        return TimeoutError(f"no answer in {seconds:g} s")
