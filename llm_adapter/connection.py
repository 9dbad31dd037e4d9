"""Where a client's requests go and which key goes with them. Pure: the environment is handed in.

Keys go only where they belong. With nothing configured the SDK's own rules hold. A profile that names another host
uses the key named for that host, or none: OPENAI_API_KEY never follows a switch, OLLAMA_API_KEY is for ollama.com.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llm_adapter.dialects import guessed
from llm_adapter.hosts import is_ollama_cloud, is_openai, ollama_root, same_origin
from llm_adapter.provider import Provider
from llm_adapter.providers import PROVIDERS
from llm_adapter.settings import Settings, SettingsError

# The SDK insists on a credential. This one stands for "none": the client takes the header off again.
NO_KEY = "llm-adapter-no-key"
_OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Connection:
    """One resolved destination."""

    provider: Provider
    settings: Settings  # as configured: what a copy of the client is made with
    effective: Settings  # the same with the address in it: what calls see
    base_url: str | None = None  # None: the SDK's own rule
    api_key: Any = field(default=None, repr=False)  # None: the SDK's own rule; a string, or a callable of the caller's
    foreign: bool = False  # the host is not the SDK's own: nothing that is meant for OpenAI goes there
    routed: bool = False  # a model's prefix led here from another destination
    siblings: dict[str, Connection] = field(default_factory=dict, repr=False, compare=False)

    @property
    def plain(self) -> bool:
        """Whether every call goes the SDK's own way, but for provider-only parameters and prefixed models."""
        return self.effective.provider == "openai" and self.effective.dialect == "openai" and not self.settings.models

    @property
    def own_names(self) -> bool:
        """Whether "openai/x" cannot be a model's real name here: it is one on vLLM, and a namespace elsewhere."""
        return self.provider.name != "openai" or self.base_url is None or is_openai(self.base_url)

    def url(self, path: str) -> str:
        """A native path's address: "/api/chat" is below the server's root, "models" below /v1."""
        base = (self.base_url or _OPENAI).rstrip("/")
        return f"{base.removesuffix('/v1')}{path}" if path.startswith("/") else f"{base}/{path}"


def connect(
    settings: Settings, environ: Mapping[str, str], *, base_url: str | None = None, api_key: Any = None
) -> Connection:
    """The destination of a client with these settings and these constructor arguments, which win.

    Raises `SettingsError`.
    """
    if base_url is not None and is_openai(base_url) and settings.provider in ("ollama", "embedded"):
        # The call site itself names OpenAI: no other protocol is spoken there.
        settings = settings.model_copy(update={"provider": "openai", "host": None, "base_url": None})
    provider = provider_of(settings)
    named = base_url or provider.base_url(completed(settings, environ))
    url = named or _sdk_url(environ)
    foreign = settings.configured and not same_origin(url, _sdk_url(environ)) and not is_openai(url)
    key = _key(settings, environ, url, foreign, explicit=api_key, explicit_url=base_url is not None)
    effective = settings.model_copy(update={"base_url": url, "dialect": _dialect(settings, url)})
    return Connection(provider, settings, effective, url if named else None, key, foreign)


def sibling(connection: Connection, name: str) -> Connection:
    """The destination on another provider, for one call whose model names it. Its address and key are its own."""
    if name not in connection.siblings:
        own = dict.fromkeys(("host", "base_url", "dialect", "api_key", "api_key_env"))
        settings = connection.settings.model_copy(update={**own, "provider": name, "models": {}})
        found = connect(settings, os.environ)
        key = found.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY
        url = found.base_url or _sdk_url(os.environ)
        connection.siblings[name] = replace(found, base_url=url, api_key=key, routed=True)
    return connection.siblings[name]


def provider_of(settings: Settings) -> Provider:
    """The provider that the settings name, or the instance that they hold."""
    return PROVIDERS[settings.provider] if isinstance(settings.provider, str) else settings.provider


def completed(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with Ollama's own variable where nothing else names a host. Raises `SettingsError`."""
    host = environ.get("OLLAMA_HOST")
    if settings.provider != "ollama" or settings.host or settings.base_url or not host:
        return settings
    try:
        return settings.model_copy(update={"host": ollama_root(host)}).located({"host": "OLLAMA_HOST"})
    except ValueError as error:
        raise SettingsError(f"{error} (from OLLAMA_HOST)") from None


def _dialect(settings: Settings, url: str) -> Any:
    """The dialect, where the address tells it; None where only the server can."""
    if settings.dialect is not None or settings.provider != "openai":
        return settings.dialect
    return guessed(url) or (None if settings.configured else "openai")


def _sdk_url(environ: Mapping[str, str]) -> str:
    return environ.get("OPENAI_BASE_URL") or _OPENAI


def _key(
    settings: Settings, environ: Mapping[str, str], url: str, foreign: bool, *, explicit: Any, explicit_url: bool
) -> Any:
    if explicit is not None:
        follows_a_switch = foreign and not explicit_url and explicit == environ.get("OPENAI_API_KEY")
        if not follows_a_switch:
            return explicit
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if settings.api_key_env is not None:
        return _from_environment(settings.api_key_env, environ)
    if is_ollama_cloud(url):
        return environ.get("OLLAMA_API_KEY") or NO_KEY
    return NO_KEY if foreign else None


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise SettingsError(f"`api_key_env` names {name}, which is not set: set it, or remove `api_key_env`")
    return environ[name]
