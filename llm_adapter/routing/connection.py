"""Where a client's requests go and which key goes with them. Pure: the environment is handed in.

Keys go only where they belong. With nothing configured the SDK's own rules hold. Otherwise:

- A key given to the constructor wins, unless it is only OPENAI_API_KEY passed along (`api_key=os.environ[...]`, as in
  most call sites) and the configuration, not the call site, names another host: that one does not follow the switch.
- Settings' `api_key` and `api_key_env` are for the address that the settings name. Where a constructor's `base_url`
  leads to another origin they stay behind.
- OPENAI_API_KEY, and what else the environment holds for OpenAI, goes where the SDK itself would send it, and never to
  an Ollama server. OLLAMA_API_KEY goes to ollama.com alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llm_adapter.provider import Provider, Started
from llm_adapter.providers import PROVIDERS
from llm_adapter.routing.terms import Terms, terms_of
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import (
    OPENAI_URL,
    hostname,
    is_ollama_cloud,
    is_openai,
    is_private,
    ollama_root,
    same_origin,
)

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

# The SDK insists on a credential. This one stands for "none": the client takes the header off again.
NO_KEY = "llm-adapter-no-key"
_BUILT_IN = ("ollama", "embedded")  # never OpenAI's own servers: no key of OpenAI's is for them
_AMBIENT = {"organization": "OPENAI_ORG_ID", "project": "OPENAI_PROJECT_ID", "admin_api_key": "OPENAI_ADMIN_KEY"}
_SECRET = re.compile("auth|key|token|secret|cookie|credential|passw", re.IGNORECASE)
_PRIVATE = "names are not looked up, give it as a private address, or a name without a dot or below .internal or .local"
# The settings that are about one destination: a call that is led elsewhere does not take them along.
_HOST_FIELDS = (
    *("host", "base_url", "dialect", "api_key", "api_key_env", "max_concurrency"),
    *("connect_timeout", "load_timeout", "first_token_timeout", "idle_timeout"),
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One resolved destination."""

    provider: Provider
    configured: Settings  # as they were configured: what a copy of the client is made with
    resolved: Settings  # the same with the address and the dialect filled in: what calls see
    base_url: str | None = None  # None: the SDK's own rule
    api_key: Any = field(default=None, repr=False)  # None: the SDK's own rule; a string, or a callable of the caller's
    is_third_party: bool = False  # the host is not the one that the SDK would ask: nothing meant for OpenAI goes there
    via_model_prefix: bool = False  # a model's prefix led here from another destination
    starter: Started | None = None  # the provider, if its server starts with the first request
    terms: Terms | None = None  # of waiting, and of how much at once; None: the SDK's own
    siblings: dict[str, Connection] = field(default_factory=dict, repr=False, compare=False)

    @property
    def address(self) -> str:
        """The address of the server's /v1."""
        return self.resolved.base_url or OPENAI_URL

    @property
    def is_openai_itself(self) -> bool:
        """Whether calls go to OpenAI as they are, but for parameters of other providers and models with a prefix."""
        return self.resolved.provider == "openai" and self.resolved.dialect == "openai" and not self.configured.models

    @property
    def is_unconfigured(self) -> bool:
        """Whether only the SDK's own variables name the server: then nothing is known of what it understands."""
        return not self.configured.configured and not self.own_names

    @property
    def own_names(self) -> bool:
        """Whether "openai/x" cannot be a model's real name here: it is one on vLLM, and a namespace elsewhere."""
        return self.provider.name != "openai" or is_openai(self.address)

    def url(self, path: str) -> str:
        """A native path's address: "/api/chat" is below the server's root, "models" below /v1."""
        base = self.address.rstrip("/")
        return f"{base.removesuffix('/v1')}{path}" if path.startswith("/") else f"{base}/{path}"


def connect(
    settings: Settings, environ: Mapping[str, str], *, base_url: str | None = None, api_key: Any = None
) -> Connection:
    """The destination of a client with these settings and these constructor arguments, which win.

    Raises `SettingsError`.
    """
    if settings.left_out is not None and settings.left_out.destination and not base_url:
        raise SettingsError(f"{settings.left_out} Without it, calls would go to OpenAI instead of the file's server.")
    if settings.lost_key and not api_key:
        raise SettingsError("`api_key` stays behind when settings are pickled: give it again, or name `api_key_env`")
    if base_url and settings.configured:
        settings = _settings_at(settings, environ, base_url)
    provider = provider_of(settings)
    named = (
        _provider_base_url(settings, base_url) if base_url else provider.base_url(with_ollama_host(settings, environ))
    )
    url = named or _sdk_url(environ)
    if settings.local_only and not is_private(url):
        raise SettingsError(f"`local_only` is set, and {hostname(url)} is not known to be a private host: {_PRIVATE}")
    foreign = _is_foreign(settings, url, environ)
    if foreign and not base_url and api_key == environ.get("OPENAI_API_KEY"):
        api_key = None
    key = _configured_key(settings, environ, url, foreign, api_key) if settings.configured else api_key
    changes: dict[str, Any] = {"base_url": url, "dialect": _dialect(settings, url)}
    if settings.local_only:
        changes["image_urls"] = "refuse"  # their hosts are messages' own choice
    effective = settings.model_copy(update=changes)
    # Asked once, not for every call: isinstance() with a protocol is slow before Python 3.12.
    starter = provider if isinstance(provider, Started) else None
    shown = url if named else None
    return Connection(provider, settings, effective, shown, key, foreign, starter=starter, terms=terms_of(settings))


def sibling(connection: Connection, name: str) -> Connection:
    """The destination on another provider, for one call whose model names it. Its address and key are its own."""
    if name not in connection.siblings:
        settings = _settings_for_provider(connection.configured, name)
        found = connect(settings, os.environ)
        key = found.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY
        url = found.base_url or _sdk_url(os.environ)
        connection.siblings[name] = replace(found, base_url=url, api_key=key, via_model_prefix=True)
    return connection.siblings[name]


def provider_of(settings: Settings) -> Provider:
    """The provider that the settings name, or the instance that they hold."""
    return PROVIDERS[settings.provider] if isinstance(settings.provider, str) else settings.provider


def with_ollama_host(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with Ollama's own variable where nothing else names a host. Raises `SettingsError`."""
    host = environ.get("OLLAMA_HOST")
    if settings.provider != "ollama" or settings.host or settings.base_url or not host:
        return settings
    try:
        return settings.model_copy(update={"host": ollama_root(host)}).with_origins({"host": "OLLAMA_HOST"})
    except ValueError as error:
        raise SettingsError(f"{error} (from OLLAMA_HOST)") from None


def ambient_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment adds to every request to OpenAI. Source: openai-python _client_auth.py, v3.52.0."""
    lines = (line.partition(":") for line in environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n"))
    return {name.strip(): value.strip() for name, colon, value in lines if colon}


def without_ambient_credentials(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The constructor's arguments that a foreign host may see: not what the environment holds for OpenAI.

    A copy of a client hands everything on as an argument, so values are compared with the environment's.
    """
    ambient = ambient_headers(environ)
    key = None if options.get("base_url") else environ.get("OPENAI_API_KEY")
    given = options.get("default_headers") or {}
    headers = {
        name: value for name, value in given.items() if ambient.get(name) != value and not (key and key in str(value))
    }
    own = {name: options.get(name) for name, variable in _AMBIENT.items()}
    own = {name: None if value == environ.get(_AMBIENT[name]) else value for name, value in own.items()}
    return {**own, "default_headers": headers}


def credential_names(names: Iterable[str]) -> list[str]:
    """Of the names of headers or parameters, those that hold credentials: they stay with the host they are for."""
    return [name for name in names if _SECRET.search(name) or name.lower().startswith("openai-")]


def _settings_for_provider(settings: Settings, provider: str) -> Settings:
    """The settings for another provider, without the address, the key and the model names of the configured one."""
    return settings.model_copy(update={**dict.fromkeys(_HOST_FIELDS), "provider": provider, "models": {}})


def _settings_at(settings: Settings, environ: Mapping[str, str], base_url: str) -> Settings:
    """The settings for an address that the call site names; key and dialect of the configured one stay behind."""
    own = provider_of(settings).base_url(with_ollama_host(settings, environ)) or _sdk_url(environ)
    if same_origin(own, base_url):
        return settings
    if settings.provider == "embedded" or is_openai(base_url):
        # The call site names the server: OpenAI's protocol is spoken with it, and no server is started in this process.
        return _settings_for_provider(settings, "openai")
    return settings.model_copy(update={"dialect": None, "api_key": None, "api_key_env": None})


def _provider_base_url(settings: Settings, base_url: str) -> str:
    """A call site's address in the form that the provider needs, or as it is where it cannot be parsed."""
    if settings.provider != "ollama":
        return base_url
    try:
        return f"{ollama_root(base_url)}/v1"
    except ValueError:
        return base_url


def _is_foreign(settings: Settings, url: str, environ: Mapping[str, str]) -> bool:
    if not settings.configured or is_openai(url):
        return False
    return settings.provider in _BUILT_IN or not same_origin(url, _sdk_url(environ))


def _dialect(settings: Settings, url: str) -> Any:
    """The dialect, where the address tells it; None where only the server can."""
    if not settings.configured:
        return "openai"
    if settings.dialect is not None or settings.provider != "openai":
        return settings.dialect
    from llm_adapter.providers.v1.dialects import guessed

    return guessed(url)


def _sdk_url(environ: Mapping[str, str]) -> str:
    return environ.get("OPENAI_BASE_URL") or OPENAI_URL


def _configured_key(settings: Settings, environ: Mapping[str, str], url: str, foreign: bool, explicit: Any) -> Any:
    """The key for a configured destination; None leaves it to the SDK."""
    if explicit and explicit != NO_KEY:
        return explicit
    if settings.api_key is not None:
        return settings.api_key.get_secret_value().strip()
    if settings.api_key_env is not None:
        return _key_from_variable(settings, environ)
    if foreign and is_ollama_cloud(url):
        return (environ.get("OLLAMA_API_KEY") or NO_KEY).strip()
    return NO_KEY if foreign else None


def _key_from_variable(settings: Settings, environ: Mapping[str, str]) -> str:
    name = settings.api_key_env or ""
    key = environ.get(name, "").strip()
    if not key:
        # A name in small letters may well be a key in the wrong place: it is not shown.
        shown = name if name.isupper() else "a variable"
        raise SettingsError(
            f"`api_key_env` names {shown}, which is not set: set it, or remove `api_key_env` "
            f"(from {settings.origin('api_key_env')})"
        )
    return key
