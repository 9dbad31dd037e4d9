"""`llm-adapter models ls`."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from rich.console import Console

from llm_adapter.cli.models.stored import StoredModel, lists_stored, stored_models
from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, duration, print_json, print_table, say, size
from llm_adapter.client.clients import OpenAI
from llm_adapter.settings.settings import Settings


def ls(profile: Profile = None, as_json: AsJson = False) -> None:
    """List the models that the server has; for embedded calls those of a hub's cache and of Ollama's folder, too."""
    settings = Settings.load(profile=profile)
    screen, stored = console(), lists_stored(settings)
    models, address = _of_server(profile) if settings.configured or not stored else ([], "")
    own = list(stored_models(partial(say, console(stderr=True)))) if stored else []
    if as_json:
        print_json([*(model.to_dict() for model in models), *(_stored_object(one) for one in own)])
    elif not models and not own:
        where = "in the hub's cache and in Ollama's folder" if stored else f"at {address}"
        screen.print(f"no models {where}: `llm-adapter models pull NAME` gets one for {_for(stored)}")
    else:
        _print(screen, [*map(_row, models), *(_stored_row(one) for one in own)])


def _of_server(profile: str | None) -> tuple[list[Any], Any]:
    with OpenAI(profile=profile) as client:
        return list(client.models.list()), client.base_url


def _for(stored: bool) -> str:
    return "embedded calls, `hf:owner/repo:QUANT`" if stored else "Ollama"


def _stored_object(one: StoredModel) -> dict[str, Any]:
    return {"id": one.name, "object": "model", "owned_by": one.place, "size": one.size}


def _stored_row(one: StoredModel) -> list[str]:
    return [one.name, size(one.size), "", "", "", one.place]


def _print(screen: Console, rows: list[list[str]]) -> None:
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
