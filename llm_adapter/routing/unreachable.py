"""A server that cannot be reached: what was tried, what may be the reason, and which line to change.

Nothing is changed here: only who runs the server knows its right address.
Source: ollama/docs/faq.mdx, docs/docker.mdx, v0.24.0; docs.docker.com/desktop/features/networking.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from llm_adapter.settings.hosts import OLLAMA_PORT, hostname, is_loopback, is_ollama_cloud
from llm_adapter.settings.settings import Settings

_CONTAINER = ("/.dockerenv", "/run/.containerenv")
_DOCKER_HOST = "host.docker.internal"
# What the systems say where a name is not known.
_UNKNOWN_NAME = ("not known", "getaddrinfo failed", "nodename nor servname", "name resolution", "No address associated")


class Surroundings(NamedTuple):
    """Where this process runs."""

    container: bool = False
    wsl: bool = False


@lru_cache(maxsize=1)
def surroundings() -> Surroundings:
    return surroundings_of(Path("/"), os.environ)


def surroundings_of(root: Path, environ: Mapping[str, str]) -> Surroundings:
    """What the files below `root` and the environment say of this process."""
    container = any((root / name.lstrip("/")).exists() for name in _CONTAINER)
    try:
        kernel = (root / "proc/version").read_text("utf-8", "replace").lower()
    except OSError:
        kernel = ""
    return Surroundings(container or "KUBERNETES_SERVICE_HOST" in environ, "microsoft" in kernel)


def unreachable_message(
    settings: Settings, cause: str, attempts: int, around: Surroundings | None = None
) -> str | None:
    """The message for a connection that was not made; None where the server is not Ollama's.

    settings: with the address in them. cause: the HTTP library's words.
    """
    url = settings.base_url or ""
    if not is_ollama(settings):
        return None
    root = url.removesuffix("/v1")
    times = "" if attempts == 1 else f", {attempts} times"
    return f"Connection error: no server answers at {root} (tried{times}: {cause or 'no connection'}). " + _advice(
        settings, root, cause, around or surroundings()
    )


def change_of_address(settings: Settings, url: str) -> str:
    """The line to change so that calls go to another server. url: without a path. settings: as they are resolved."""
    return _set_to(address_source(settings), url)


def is_ollama(settings: Settings) -> bool:
    """Whether the server is known to be Ollama, on its native API or on its /v1."""
    return settings.provider == "ollama" or settings.dialect == "ollama"


def _advice(settings: Settings, root: str, cause: str, around: Surroundings) -> str:
    host, there = hostname(root), address_source(settings)
    if is_ollama_cloud(root):
        return "Is this machine online, and does it need a proxy (HTTPS_PROXY)?"
    if any(words in cause for words in _UNKNOWN_NAME):
        return f"The name {host!r} is not known here: {_name_advice(settings, host, around)}."
    port = urlsplit(root).port or OLLAMA_PORT
    if not is_loopback(root):
        return (
            "By default Ollama listens to its own machine alone: start it there with OLLAMA_HOST=0.0.0.0, and look "
            f"for a firewall before port {port}."
        )
    if around.container:
        return (
            f"This process runs in a container, where {host} is the container itself. If the server runs on the "
            f"machine around it: {_set_to(there, f'http://{_DOCKER_HOST}:{port}')}, and start the server with "
            f"OLLAMA_HOST=0.0.0.0 (Docker on Linux: also --add-host={_DOCKER_HOST}:host-gateway)."
        )
    if around.wsl:
        return (
            f"This process runs in WSL, where {host} need not be Windows. If the server runs on Windows: start it with "
            f"OLLAMA_HOST=0.0.0.0 and, with the address that `ip route show default` prints, "
            f"{_set_to(there, f'http://ADDRESS:{port}')}; or, for one {host} on both sides, networkingMode=mirrored in "
            ".wslconfig. If it runs in WSL: `ollama serve` starts it."
        )
    return f"`ollama serve` starts it; if it runs elsewhere: {_set_to(there, f'http://HOST:{port}')}."


def _name_advice(settings: Settings, host: str, around: Surroundings) -> str:
    if host == _DOCKER_HOST and around.container:
        return f"start the container with --add-host={_DOCKER_HOST}:host-gateway"
    if host == _DOCKER_HOST:
        return f"it is for processes in a container; {_set_to(address_source(settings), f'http://127.0.0.1:{OLLAMA_PORT}')}"
    return f"correct {address_source(settings).rstrip(',')}"


def address_source(settings: Settings) -> str:
    """The setting or variable that holds the address, and where it is from."""
    field = "host" if settings.provider == "ollama" and settings.origin("base_url") == "default" else "base_url"
    origin = settings.origin(field)
    if origin == "default":
        return "OLLAMA_HOST" if field == "host" else "`base_url`"
    return f"`{field}`" if origin == "argument" else f"`{field}`, from {origin},"


def _set_to(place: str, url: str) -> str:
    if place == "OLLAMA_HOST":
        return f"set OLLAMA_HOST={url}"
    suffix = "/v1" if "base_url" in place else ""
    return f'change {place} to "{url}{suffix}"'
