"""`llm-adapter models ls`."""

from __future__ import annotations

import time
from typing import Any

from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, duration, print_json, print_table, size
from llm_adapter.client.clients import OpenAI


def ls(profile: Profile = None, as_json: AsJson = False) -> None:
    """List the models that the server has."""
    with OpenAI(profile=profile) as client:
        models = list(client.models.list())
        address = client.base_url
    if as_json:
        print_json([model.to_dict() for model in models])
        return
    screen = console()
    if not models:
        screen.print(f"no models at {address}: `llm-adapter models pull NAME` gets one for Ollama")
        return
    rows = [_row(model) for model in models]
    titles = ("name", "size", "modified", "parameters", "quantization", "owner")
    # OpenAI's own list holds nothing but names: empty columns are left out.
    kept = [place for place in range(len(titles)) if any(row[place] for row in rows)]
    print_table(screen, [titles[place] for place in kept], [[row[place] for place in kept] for row in rows])


def _row(model: Any) -> list[str]:
    more: dict[str, Any] = getattr(model, "ollama", None) or {}
    details = more.get("details") or {}
    age = f"{duration(max(time.time() - model.created, 0))} ago" if model.created else ""
    parts = (details.get("parameter_size") or "", details.get("quantization_level") or "")
    return [model.id, size(more.get("size")), age, *parts, more.get("remote_host") or model.owned_by or ""]
