"""`llm-adapter models ps`."""

from __future__ import annotations

import time
from datetime import datetime

from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, duration, print_json, print_table, size
from llm_adapter.client.clients import OpenAI
from llm_adapter.providers.ollama.types import RunningModel

_YEAR = 365 * 86400  # a negative keep_alive is a date some centuries ahead


def ps(profile: Profile = None, as_json: AsJson = False) -> None:
    """List the models that are loaded."""
    with OpenAI(profile=profile) as client:
        running = client.models.ps()
    if as_json:
        print_json([one.to_dict(mode="json") for one in running])
        return
    screen = console()
    if not running:
        screen.print("no model is loaded")
        return
    print_table(screen, ("name", "size", "context", "on", "until"), [_row(one) for one in running])


def _row(one: RunningModel) -> list[str]:
    context = "" if one.context_length is None else str(one.context_length)
    return [one.name or one.model, size(one.size), context, _place(one), _until(one.expires_at)]


def _place(one: RunningModel) -> str:
    share = round(100 * (one.size_vram or 0) / one.size) if one.size else 0
    return {0: "CPU", 100: "GPU"}.get(share, f"{share}% GPU")


def _until(moment: datetime | None) -> str:
    if not isinstance(moment, datetime):  # whatever a server says in its place is kept as it is
        return str(moment or "")
    left = moment.timestamp() - time.time()
    if left > _YEAR:
        return "for ever"
    return f"{duration(left)} from now" if left > 0 else "now"
