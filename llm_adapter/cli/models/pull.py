"""`llm-adapter models pull` and `push`: transfers, with their progress."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_adapter.cli.models.progress import follow
from llm_adapter.cli.options import AsJson, Name, Names, Profile
from llm_adapter.client.clients import OpenAI

_Insecure = Annotated[bool, typer.Option("--insecure", help="Accept a registry without a valid certificate.")]


def pull(names: Names, insecure: _Insecure = False, profile: Profile = None, as_json: AsJson = False) -> None:
    """Download models from a registry. A pull that was stopped goes on where it was."""
    with OpenAI(profile=profile) as client:
        for name in names:
            follow(
                f"pull {name}",
                client.models.pull(name, insecure=insecure, stream=True),
                as_json=as_json,
                resumable=True,
            )


def push(model: Name, insecure: _Insecure = False, profile: Profile = None, as_json: AsJson = False) -> None:
    """Upload a model to its registry; its name begins with the account: me/model."""
    with OpenAI(profile=profile) as client:
        follow(
            f"push {model}", client.models.push(model, insecure=insecure, stream=True), as_json=as_json, resumable=True
        )
