"""Where a client's calls go, and where a single call goes, by the constructor's arguments, settings and model names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_adapter.provider import Json
from llm_adapter.providers import PROVIDERS
from llm_adapter.routing.connection import Connection, connect, sibling
from llm_adapter.routing.listed_models import is_listed, is_unasked
from llm_adapter.settings.errors import SettingsError

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

# With one of these constructor arguments the SDK chooses the destination by itself, and we leave it alone.
_OWN_DESTINATION = ("provider", "workload_identity", "data_residency")
DESTINATION_ARGUMENTS = (*_OWN_DESTINATION, "base_url")
_PREFIXES = tuple(f"{name}{mark}" for name in PROVIDERS for mark in "/:")


def resolve(profile: str | None, settings: Settings | None, options: Mapping[str, Any]) -> Connection:
    """The destination of a client from its constructor's arguments and the configuration. Raises `SettingsError`."""
    from llm_adapter.settings.settings import Settings  # with the first client: importing the package stays cheap

    if any(options.get(name) is not None for name in _OWN_DESTINATION):
        return connect(Settings(), os.environ)
    if settings is None:
        settings = Settings.load(profile=profile)
    elif profile is not None:
        raise SettingsError("give `profile` or `settings`, not both: Settings.load(profile=...) makes one of the other")
    if not isinstance(settings.unsupported, str):
        from llm_adapter.routing.policies import check_policy_names  # few profiles have a table

        check_policy_names(settings)
    base_url = options.get("base_url")
    given = str(base_url) if base_url is not None and not _is_not_given(base_url) else None
    connection = connect(settings, os.environ, base_url=given, api_key=options.get("api_key"))
    if settings.configured and not connection.is_programs_own:
        from llm_adapter.routing.unread import tell_unread

        tell_unread(connection)
    return connection


def _is_not_given(value: Any) -> bool:
    return type(value).__name__ in ("NotGiven", "Omit")


def destination(connection: Connection, body: Json, *, aliased: bool = True) -> tuple[Connection, Json]:
    """Where the call's model lives, and the body with the model's real name.

    "ollama/x", "ollama:x" and "openai/x" name a provider; any other prefix is part of the name, for tags contain ":"
    and names "/". The prefix of the provider in use is only taken off where no model's name can begin with it; the rest
    is a name of the server's own, to which the alias "*" does not apply. A name that the server is known to list stays
    there. aliased: whether `models` is looked up, and the prefix of another provider heeded: who manages models manages
    those of one server.
    """
    model = body.get("model")
    if not isinstance(model, str) or connection.is_programs_own:
        return connection, body
    name = _real_name(connection, model) if aliased else model
    if name.startswith(_PREFIXES) and not _is_stored_here(connection, name):
        prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
        other = prefix[:-1]
        if other != connection.provider.name:
            if aliased and not is_listed(connection, name):
                connection, name = sibling(connection, other), name.removeprefix(prefix)
        elif connection.own_names:
            name = name.removeprefix(prefix)
    return connection, body if name == model else {**body, "model": name}


def is_to_be_looked_up(connection: Connection, body: Json) -> bool:
    """Whether the server has to be asked for its models before it is known where the call goes."""
    model = body.get("model")
    if not isinstance(model, str) or connection.is_programs_own:
        return False
    name = _real_name(connection, model)
    own = connection.provider.name
    elsewhere = name.startswith(_PREFIXES) and not name.startswith((f"{own}/", f"{own}:"))
    elsewhere = elsewhere and not _is_stored_here(connection, name)
    return elsewhere and is_unasked(connection)


def _is_stored_here(connection: Connection, name: str) -> bool:
    """Whether the name is one of the profile's own models, which the embedded llama.cpp takes from Ollama's folder."""
    settings = connection.configured
    own = (*settings.models.values(), settings.model_path, settings.embedding_model_path)
    return connection.provider.name == "embedded" and name.startswith("ollama:") and name in own


def names_provider(model: Any) -> bool:
    """Whether a model's name begins with a provider's."""
    return isinstance(model, str) and model.startswith(_PREFIXES)


def _real_name(connection: Connection, model: str) -> str:
    """The name that `models` gives for the name at the call site."""
    own = connection.provider.name
    named = model.startswith(_PREFIXES) and model.startswith((f"{own}/", f"{own}:")) and connection.own_names
    return connection.configured.alias(model) if named else connection.configured.model(model)
