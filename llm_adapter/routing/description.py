"""Where a client's calls go and which setting says so, in words for people. No key is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import is_openai

IN_THIS_PROCESS = "this process"


class Destination(NamedTuple):
    """Where calls go."""

    provider: str
    host: str  # with its port, if one is named
    profile: str | None = None

    @property
    def server(self) -> str:
        """Without the profile: "ollama at localhost:11434"."""
        return f"{self.provider} {'in' if self.host == IN_THIS_PROCESS else 'at'} {self.host}"

    def __str__(self) -> str:
        return f"{self.server}, profile {self.profile!r}" if self.profile else self.server


def destination_of(connection: Connection) -> Destination:
    """Where a client's calls go, by its configuration."""
    profile = None if connection.is_programs_own else connection.configured.profile
    if connection.starter is not None:
        return Destination(connection.provider.name, IN_THIS_PROCESS, profile)
    return Destination(connection.provider.name, authority(connection.address), profile)


def destination_at(url: str) -> Destination:
    """Where a client of the SDK's own sends its calls."""
    return Destination("openai" if is_openai(url) else "a /v1 server", authority(url))


def authority(url: str) -> str:
    """The host of a URL with its port, without a user's name."""
    return urlsplit(url).netloc.rpartition("@")[2] or "no host"


def deciding_setting(connection: Connection, environ: Mapping[str, str]) -> str:
    """What the destination comes from: a setting and its source, an argument, a variable, or nothing at all."""
    settings = connection.configured
    if connection.is_programs_own or (not settings.configured and connection.base_url is not None):
        return "`base_url` at the call site"
    for field in ("base_url", "host"):
        if field in settings.model_fields_set:
            return f"`{field}` from {settings.origin(field)}"
    if settings.provider == "ollama" and environ.get("OLLAMA_HOST"):
        return "OLLAMA_HOST"
    if "provider" in settings.model_fields_set and settings.provider != "openai":
        return f"`provider` from {settings.origin('provider')}"
    if environ.get("OPENAI_BASE_URL"):
        return "OPENAI_BASE_URL"
    if "provider" in settings.model_fields_set:
        return f"`provider` from {settings.origin('provider')}"
    return "no other host is configured"
