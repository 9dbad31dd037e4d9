"""Where a client's requests go and which credentials go with them. Pure: the environment is handed in.

With nothing configured the SDK's own rules hold. Otherwise the server is one of these:

- The configuration's, where the call site names none, or OpenAI's own, which frameworks pass as their default. It gets
  the configuration's `api_key`, `api_key_env` and `headers`, and none of the call site's credentials, in whatever way
  they are given: those were meant for another host. `call_site_key` says otherwise.
- The one that both name: it gets the call site's key, or else the configuration's.
- An Ollama of the call site's: an address on Ollama's port, where the configuration is Ollama's and names no host.
- The program's own: any other address at the call site. It is spoken to in plain /v1, with the call site's key, and
  with none of the settings but `local_only` and `trust_env`.

OPENAI_API_KEY, and what else the environment holds for OpenAI, goes where the SDK itself would send it, and never to an
Ollama server. OLLAMA_API_KEY goes to ollama.com alone.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_adapter.provider import Provider, Started
from llm_adapter.providers import PROVIDERS
from llm_adapter.providers.others import other_provider
from llm_adapter.routing.terms import Terms, terms_of
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import (
    OLLAMA_PORT,
    OPENAI_URL,
    InvalidHostError,
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
_SECRET_NAME = re.compile("openai-|.*(auth|key|token|secret|cookie|credential|passw)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"\s*(bearer|basic|token)\s|.*\b(sk|org|proj)-", re.IGNORECASE)
_PRIVATE = "names are not looked up, give it as a private address, or a name without a dot or below .internal or .local"
# The settings that are about one destination: a call that is led elsewhere does not take them along.
_HOST_FIELDS = (
    *("host", "base_url", "dialect", "max_concurrency"),
    *("connect_timeout", "load_timeout", "first_token_timeout", "idle_timeout"),
)
_NO_CREDENTIALS: dict[str, Any] = {"api_key": None, "api_key_env": None, "headers": {}, "call_site_key": False}

_log = logging.getLogger("llm_adapter")


@dataclass(frozen=True, slots=True)
class Connection:
    """One resolved destination."""

    provider: Provider
    configured: Settings  # as they were configured: what a copy of the client is made with
    resolved: Settings  # the same with the address and the dialect filled in: what calls see
    base_url: str | None = None  # None: the SDK's own rule
    api_key: Any = field(default=None, repr=False)  # None: the SDK's own rule; a string, or a callable of the caller's
    is_third_party: bool = False  # the host is not the one that the SDK would ask: nothing meant for OpenAI goes there
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the configuration's for this host
    withholds: bool = False  # the configuration names the host: the call site's credentials are not for it
    withheld_key: Any = field(default=None, repr=False)  # the call site's key, which is not sent
    is_programs_own: bool = False  # the call site names the server, and it is not the configuration's
    via_model_prefix: bool = False  # a model's prefix led here from another destination
    starter: Started | None = None  # the provider, if its server starts with the first request
    terms: Terms | None = None  # of waiting, and of how much at once; None: the SDK's own
    siblings: dict[str, Connection] = field(default_factory=dict, repr=False, compare=False)
    # What was found in headers that were sent before: the names of those that must not leave.
    judged: dict[Any, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def address(self) -> str:
        """The address of the server's /v1."""
        return self.resolved.base_url or OPENAI_URL

    @property
    def has_no_batches(self) -> bool:
        """Whether the server is known to keep no files and to run no batches."""
        dialect = self.resolved.dialect
        return self.resolved.provider in ("ollama", "embedded") or dialect not in (None, "openai")

    @property
    def is_openai_itself(self) -> bool:
        """Whether calls go to OpenAI as they are, but for parameters of other providers and models with a prefix."""
        resolved = self.resolved
        unchanged = not resolved.models and not resolved.options
        return unchanged and resolved.provider == "openai" and resolved.dialect == "openai"

    @property
    def is_unconfigured(self) -> bool:
        """Whether the settings say nothing of the server: then nothing is known of what it understands."""
        return self.is_programs_own or (not self.configured.configured and not self.own_names)

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
    """The destination of a client with these settings and these constructor arguments. See the module.

    Raises `SettingsError`.
    """
    if settings.left_out is not None and settings.left_out.destination and not base_url:
        raise SettingsError(f"{settings.left_out} Without it, calls would go to OpenAI instead of the file's server.")
    if not settings.configured:
        return _connection(settings, settings, base_url or _sdk_url(environ), base_url, api_key)
    named = provider_of(settings).base_url(with_ollama_host(settings, environ))
    if base_url and named and is_openai(base_url) and not is_openai(named):
        _log.info("base_url=%r counts as not given: the configuration names %s", base_url, named)
        base_url = None
    if not base_url:
        return _configured(settings, environ, named or _sdk_url(environ), api_key)
    if same_origin(named or _sdk_url(environ), base_url) or (not named and is_openai(base_url)):
        return _configured(settings, environ, _base_url_for(settings, base_url), api_key, named_by_both=True)
    if _is_ollama_at_call_site(settings, base_url):
        there = settings.model_copy(update={**_NO_CREDENTIALS, "dialect": None})
        found = _configured(there, environ, _base_url_for(settings, base_url), api_key, named_by_both=True)
        return replace(found, configured=settings)
    return _programs_own(settings, environ, base_url, api_key)


def _configured(
    settings: Settings, environ: Mapping[str, str], url: str, api_key: Any, *, named_by_both: bool = False
) -> Connection:
    """The configuration's server. named_by_both: by the call site too."""
    foreign = _is_foreign(settings, url, environ)
    given = api_key if api_key != NO_KEY else None
    withholds = foreign and not named_by_both and not settings.call_site_key
    if settings.left_behind and (withholds or not given):
        raise SettingsError(
            f"{settings.left_behind} stays behind when settings are pickled: give it again, or name an environment "
            "variable, as in `api_key_env`"
        )
    key = _configured_key(settings, environ, url, foreign, None if withholds else given)
    named = named_by_both or provider_of(settings).base_url(settings) is not None
    found = _connection(settings, settings, url, url if named else None, key)
    headers = _headers(settings, environ)
    if any(name.lower() == "authorization" for name in headers):
        found = replace(found, api_key=NO_KEY)
    withheld = given if withholds else None
    return replace(found, is_third_party=foreign, headers=headers, withholds=withholds, withheld_key=withheld)


def _programs_own(settings: Settings, environ: Mapping[str, str], url: str, api_key: Any) -> Connection:
    """A server that the program names, and the configuration does not."""
    kept = {name: getattr(settings, name) for name in ("local_only", "trust_env") if name in settings.model_fields_set}
    foreign = not is_openai(url) and not same_origin(url, _sdk_url(environ))
    key = (api_key or NO_KEY) if foreign else api_key
    plain = type(settings)(**kept)
    return replace(_connection(settings, plain, url, url, key), is_third_party=foreign, is_programs_own=True)


def _connection(configured: Settings, settings: Settings, url: str, shown: str | None, key: Any) -> Connection:
    """settings: those that hold there. shown: what the SDK is told. Raises `SettingsError`."""
    if configured.local_only and not is_private(url):
        raise SettingsError(
            f"{configured.why_local}, and {hostname(url)} is not known to be a private host: {_PRIVATE}"
        )
    plain = configured is not settings or not settings.configured
    changes: dict[str, Any] = {"base_url": url, "dialect": "openai" if plain else _dialect(settings, url)}
    if configured.local_only:
        changes["image_urls"] = "refuse"  # their hosts are messages' own choice
    provider = provider_of(settings)
    # Asked once, not for every call: isinstance() with a protocol is slow before Python 3.12.
    starter = provider if isinstance(provider, Started) else None
    resolved = settings.model_copy(update=changes)
    return Connection(provider, configured, resolved, shown, key, starter=starter, terms=terms_of(settings))


def sibling(connection: Connection, name: str) -> Connection:
    """The destination on another provider, for one call whose model names it. Its address and key are its own."""
    if name not in connection.siblings:
        settings = _settings_for_provider(connection.configured, name)
        if connection.resolved.local_only:  # for one call, it may be
            origin = connection.resolved.origin("local_only")
            settings = settings.model_copy(update={"local_only": True}).with_origins({"local_only": origin})
        found = connect(settings, os.environ)
        key = found.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY
        url = found.base_url or _sdk_url(os.environ)
        connection.siblings[name] = replace(found, base_url=url, api_key=key, via_model_prefix=True)
    return connection.siblings[name]


def provider_of(settings: Settings) -> Provider:
    """The provider that the settings name, or the instance that they hold. Raises `SettingsError`."""
    if not isinstance(settings.provider, str):
        return settings.provider
    return PROVIDERS.get(settings.provider) or other_provider(settings.provider)


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


def credential_names(values: Mapping[str, Any], key: Any = None) -> list[str]:
    """Of headers or parameters, the names of those that hold credentials: they stay with the host they are for.

    key: one that is a credential under any name.
    """
    return [name for name, value in values.items() if _is_credential(name, str(value), key)]


def _is_credential(name: str, value: str, key: Any) -> bool:
    if name.lower() == "idempotency-key":
        return False
    known = isinstance(key, str) and key not in ("", NO_KEY) and key in value
    return known or bool(_SECRET_NAME.match(name) or _SECRET_VALUE.match(value))


def _settings_for_provider(settings: Settings, provider: str) -> Settings:
    """The settings for another provider, without the address, the key and the model names of the configured one."""
    changes = {**dict.fromkeys(_HOST_FIELDS), **_NO_CREDENTIALS, "provider": provider, "models": {}}
    return settings.model_copy(update=changes)


def _is_ollama_at_call_site(settings: Settings, base_url: str) -> bool:
    """Whether a call site's address is Ollama's, to which the settings only say that Ollama is spoken."""
    if settings.provider != "ollama" or settings.host or settings.base_url:
        return False
    try:
        return urlsplit(ollama_root(base_url)).port == OLLAMA_PORT
    except InvalidHostError:
        return False


def _base_url_for(settings: Settings, base_url: str) -> str:
    """A call site's address in the form that the provider needs, or as it is where it cannot be parsed."""
    if settings.provider != "ollama":
        return base_url
    try:
        return f"{ollama_root(base_url)}/v1"
    except InvalidHostError:
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
    if explicit:
        return explicit
    if settings.api_key is not None:
        return settings.api_key.get_secret_value().strip()
    if settings.api_key_env is not None:
        return _variable(settings, environ, settings.api_key_env, "api_key_env")
    if foreign and is_ollama_cloud(url):
        return (environ.get("OLLAMA_API_KEY") or NO_KEY).strip()
    return NO_KEY if foreign else None


def _headers(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The headers for the configuration's host, their values read. Raises `SettingsError`."""
    # Older SDKs tell headers apart by the case of their names, and would send a key of their own beside this one.
    written = {
        "Authorization" if name.lower() == "authorization" else name: value.get_secret_value().strip()
        for name, value in settings.headers.items()
    }
    return {
        name: _variable(settings, environ, value[4:].strip(), "headers") if value[:4].lower() == "env:" else value
        for name, value in written.items()
    }


def _variable(settings: Settings, environ: Mapping[str, str], name: str, field: str) -> str:
    """The value of the environment variable that a field names. Raises `SettingsError`."""
    value = environ.get(name, "").strip()
    if not value:
        # A name in small letters may well be a key in the wrong place: it is not shown.
        shown = name if name.isupper() else "a variable"
        raise SettingsError(
            f"`{field}` names {shown}, which is not set: set it, or remove `{field}` (from {settings.origin(field)})"
        )
    return value
