"""`llm-adapter models rm`."""

from __future__ import annotations

from llm_adapter.cli.models.stored import hub_name
from llm_adapter.cli.options import AsJson, Names, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI
from llm_adapter.providers.embedded import hub
from llm_adapter.providers.embedded.names import HubName
from llm_adapter.settings.errors import SettingsError


def rm(names: Names, profile: Profile = None, as_json: AsJson = False) -> None:
    """Delete models of the server; `hf:owner/repo:QUANT` is removed from the hub's cache alone."""
    stored = [(name, hub_name(name)) for name in names]
    deleted = []
    for name, of_hub in stored:
        if of_hub is not None:
            deleted.append({"id": name, "deleted": True, "bytes": _removed(of_hub)})
        else:
            with OpenAI(profile=profile) as client:
                deleted.append(client.models.delete(name).to_dict())
        if not as_json:
            console().print(f"deleted {name}")
    if as_json:
        print_json(deleted)


def _removed(name: HubName) -> int:
    """The bytes that are free again. Raises `SettingsError`."""
    freed = hub.remove(name)
    if not freed:
        known = [str(one.name) for one in hub.cached()]
        raise SettingsError(f"{name} is not in the cache at {hub.root()}, which has {', '.join(known) or 'no models'}")
    return freed
