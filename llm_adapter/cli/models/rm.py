"""`llm-adapter models rm`."""

from __future__ import annotations

from llm_adapter.cli.options import AsJson, Names, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI


def rm(names: Names, profile: Profile = None, as_json: AsJson = False) -> None:
    """Delete models."""
    deleted = []
    with OpenAI(profile=profile) as client:
        for name in names:
            deleted.append(client.models.delete(name).to_dict())
            if not as_json:
                console().print(f"deleted {name}")
    if as_json:
        print_json(deleted)
