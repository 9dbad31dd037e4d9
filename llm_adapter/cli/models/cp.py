"""`llm-adapter models cp`."""

from __future__ import annotations

from typing import Annotated

import typer

from llm_adapter.cli.options import AsJson, Name, Profile
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI


def cp(
    source: Name,
    destination: Annotated[str, typer.Argument(help="The name of the copy.")],
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Copy a model to another name; the copy takes no more space."""
    with OpenAI(profile=profile) as client:
        client.models.copy(source, destination)
    if as_json:
        print_json({"source": source, "destination": destination})
    else:
        console().print(f"{source} is {destination} too")
