"""`llm-adapter models pull` and `push`: transfers, with their progress."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_adapter.cli.models.progress import follow
from llm_adapter.cli.models.stored import hub_name, pull_from_hub
from llm_adapter.cli.options import AsJson, Name, Names, Profile
from llm_adapter.client.clients import OpenAI
from llm_adapter.settings.settings import Settings

_Insecure = Annotated[bool, typer.Option("--insecure", help="Accept a registry without a valid certificate.")]


def pull(names: Names, insecure: _Insecure = False, profile: Profile = None, as_json: AsJson = False) -> None:
    """Download models: of Ollama's registry to the server, and `hf:owner/repo:QUANT` of a hub to this machine.

    A pull that was stopped goes on where it was.
    """
    stored = [(name, hub_name(name)) for name in names]
    settings = Settings.load(profile=profile)
    for name, of_hub in stored:
        if of_hub is not None:
            pull_from_hub(of_hub, settings, as_json=as_json)
            continue
        with OpenAI(profile=profile) as client:
            transfer = client.models.pull(name, insecure=insecure, stream=True)
            follow(f"pull {name}", transfer, as_json=as_json, resumable=True)


def push(model: Name, insecure: _Insecure = False, profile: Profile = None, as_json: AsJson = False) -> None:
    """Upload a model to its registry; its name begins with the account: me/model."""
    with OpenAI(profile=profile) as client:
        follow(
            f"push {model}", client.models.push(model, insecure=insecure, stream=True), as_json=as_json, resumable=True
        )
