"""The classes that a switched program's clients are made of: ours, with the rules for programs that did not choose us.

The profile wins over what the call site says of OpenAI: no address, OpenAI's own, or that of OPENAI_BASE_URL, and with
it the region, the organization and the key. Another address is that of a server of the program's own: such a client is
left alone, but for `local_only`.
"""

from __future__ import annotations

import logging
import os
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any

import openai

from llm_adapter.client import clients
from llm_adapter.installation.active import Installation, innermost
from llm_adapter.routing.connection import connect
from llm_adapter.routing.destination import DESTINATION_ARGUMENTS
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import is_private, same_origin, without_credentials
from llm_adapter.settings.settings import Settings

_log = logging.getLogger("llm_adapter")
_FOR_OPENAI = ("workload_identity", "data_residency")
_KEPT = ("local_only", "trust_env")  # the settings that hold for a server of the program's own, too
_OURS = {"profile", "settings", "_copy_of", "_made_of"}
# Our arguments for the client that is made next. The constructors of a program's subclasses need not take them.
_beside: ContextVar[dict[str, Any] | None] = ContextVar("beside", default=None)


@contextmanager
def _handed_over(ours: Mapping[str, Any], installation: Installation) -> Iterator[None]:
    token = _beside.set({**ours, "_installation": installation})
    try:
        yield
    finally:
        _beside.reset(token)


class _Switched:
    """What the sync and the async client share; a base class before ours."""

    _ours: dict[str, Any]  # until it is made: the arguments of ours, for a client that is made of another one
    _known_as: type  # the class that the program asked for
    _installation: Installation  # whose rules hold, in a copy too

    def __new__(cls, *arguments: Any, **options: Any) -> Any:  # noqa: ARG004 - the constructor's
        made = object.__new__(cls)
        if (ours := _beside.get()) is not None:
            made._ours = ours
            _beside.set(None)  # it is for this client, and not for one that its constructor makes
        return made

    def __init__(self, **options: Any) -> None:
        ours = vars(self).pop("_ours", {})
        self._installation = ours.pop("_installation", None) or innermost() or Installation()
        if not (ours or options.keys() & _OURS):
            ours["settings"], options = _destination(self._installation, options)
        super().__init__(**options, **ours)

    begin_switched = __init__

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As one of the class that the program knows, by whose name pickle finds it again."""
        found = super().__reduce_ex__(protocol)
        if isinstance(found, str):
            return found
        made, arguments, *others = found
        # Wrapped, for pickle holds `__newobj__` to the object's very class.
        return partial(made), tuple(self._known_as if one is type(self) else one for one in arguments), *others

    def copy(self, **options: Any) -> Any:
        if options.keys() & _OURS or not any(map(_is_given, map(options.get, DESTINATION_ARGUMENTS))):
            return super().copy(**options)  # type: ignore[misc]
        connection: Any = self._connection  # type: ignore[attr-defined]
        key = connection.withheld_key or (None if connection.withholds else connection.api_key)
        given = {name: value for name, value in options.items() if _is_given(value)}
        settings, given = _destination(self._installation, given, key)
        return self._new_client(None, settings, given)  # type: ignore[attr-defined]

    with_options = copy

    def _copy_of(self, copy: Callable[..., Any], options: dict[str, Any], extra: Mapping[str, Any]) -> Any:
        def copy_with_ours_beside(*, _extra_kwargs: dict[str, Any], **options: Any) -> Any:
            ours = {name: _extra_kwargs.pop(name) for name in _OURS if name in _extra_kwargs}
            with _handed_over(ours, self._installation):
                return copy(_extra_kwargs=_extra_kwargs, **options)

        return super()._copy_of(copy_with_ours_beside, options, extra)  # type: ignore[misc]

    def _instance(self, options: dict[str, Any]) -> Any:
        ours = {name: options.pop(name) for name in _OURS if name in options}
        with _handed_over(ours, self._installation):
            return super()._instance(options)  # type: ignore[misc]


class OpenAI(_Switched, clients.OpenAI):
    """`openai.OpenAI` in a switched program."""

    _known_as = openai.OpenAI


class AsyncOpenAI(_Switched, clients.AsyncOpenAI):
    """`openai.AsyncOpenAI` in a switched program."""

    _known_as = openai.AsyncOpenAI


# What stands in a program's logs and messages is the name that the program knows.
OpenAI.__module__ = AsyncOpenAI.__module__ = "openai"


class _OfInstance:
    """An attribute that the SDK's client behind `openai.chat` keeps in a variable of the SDK: here it is its own."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, client: Any, owner: type | None = None) -> Any:
        if client is None:
            return self
        return vars(client).get(self._name)

    def __set__(self, client: Any, value: Any) -> None:
        vars(client)[self._name] = value


class _ModuleClientState:
    """What the client behind `openai.chat` has of its own.

    The profile's key must not become `openai.api_key`, nor one that the program puts there be sent to the profile's
    host. Where the program changes one of those variables, the client is made anew in its place.
    """

    api_key = clients.OpenAI.api_key
    base_url = clients.OpenAI.base_url
    admin_api_key = _OfInstance()
    organization = _OfInstance()
    project = _OfInstance()
    _custom_headers = _OfInstance()
    _custom_query = _OfInstance()
    _client = _OfInstance()
    _variables: tuple[Any, ...]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._variables = _module_variables()

    def _prepare_options(self, options: Any) -> Any:
        if self._variables != (now := _module_variables()):
            arguments = dict(zip(_MODULE_VARIABLES, now, strict=True))
            _ModuleClientState.__init__(self, **arguments, _enforce_credentials=False)
        return super()._prepare_options(options)  # type: ignore[misc]


_MODULE_VARIABLES = (
    *("api_key", "admin_api_key", "organization", "project", "base_url"),
    *("timeout", "max_retries", "default_headers", "default_query", "http_client"),
)


def _module_variables() -> tuple[Any, ...]:
    return tuple(getattr(openai, name) for name in _MODULE_VARIABLES)


class _Derived:
    """A base class before a program's own: what that does when a class is derived of it is not done once more."""

    def __init_subclass__(cls, **options: Any) -> None:
        pass


@cache
def switched_class(cls: Any) -> Any:
    """The class in the place of the SDK's, or of a subclass of it; a class of this package stays as it is."""
    if issubclass(cls, (clients.OpenAI, clients.AsyncOpenAI)):
        return cls
    base = OpenAI if issubclass(cls, openai.OpenAI) else AsyncOpenAI
    if cls in (openai.OpenAI, openai.AsyncOpenAI):
        return base
    first = (_ModuleClientState,) if issubclass(cls, openai._ModuleClient) else ()
    names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")} | {"_known_as": cls}
    return types.new_class(cls.__name__, (_Derived, *first, cls, base), exec_body=lambda space: space.update(names))


def refuse_other_service(kind: str, url: str, installation: Installation) -> None:
    """Raise `SettingsError` where `local_only` forbids a client for a service of its own."""
    if installation.settings().local_only and not is_private(url):
        raise SettingsError(
            f"`local_only` is set, and {kind} is a client for a service that is not known to be private"
        )


def _destination(installation: Installation, options: dict[str, Any], key: Any = None) -> tuple[Settings, Any]:
    """The settings for a client with these arguments, and the arguments without what was meant for OpenAI.

    key: the one that the program gave to the client that this one is made of.
    """
    if options.get("provider") is not None:  # the SDK's way to other services
        refuse_other_service(f"one with provider={options['provider']!r}", "", installation)
        return Settings(), options
    settings = installation.settings()
    url = str(options.get("base_url") or "") if _is_given(options.get("base_url")) else ""
    if url and (installation.takes_all or same_origin(url, os.environ.get("OPENAI_BASE_URL", ""))):
        options, url = {**options, "base_url": None}, ""
    found = connect(settings, os.environ, base_url=url or None, api_key=options.get("api_key"))
    if found.is_programs_own:
        _tell_of_own_server(without_credentials(url))
        kept = {name: getattr(settings, name) for name in _KEPT if name in settings.model_fields_set}
        # With nothing configured the SDK itself reads the key of the environment.
        key = options.get("api_key") or key or (os.environ.get("OPENAI_API_KEY") if kept else None)
        return Settings(**kept), {**options, "api_key": key}
    if found.is_third_party:
        options = {name: value for name, value in options.items() if name not in _FOR_OPENAI}
    return settings, options


@cache
def _tell_of_own_server(url: str) -> None:
    _log.info("the program gives a client the address %s: it is left alone; `llm-adapter run --all` takes it too", url)


def _is_given(value: Any) -> bool:
    return value is not None and type(value).__name__ not in ("NotGiven", "Omit")
