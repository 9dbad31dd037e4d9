"""The models that embedded calls may name and no server has: those of a hub's cache, and of Ollama's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from llm_adapter.cli.models.progress import showing
from llm_adapter.cli.screen import console, say, size
from llm_adapter.management.transfers import Line
from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded import hub, ollama_store
from llm_adapter.providers.embedded.names import HUB, OLLAMA, HubName, is_projector, parse
from llm_adapter.providers.ollama.progress import Progress
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings


class StoredModel(NamedTuple):
    """A model on this machine."""

    name: str  # as a call or a profile may name it: "hf:owner/repo:Q4_K_M", "ollama:qwen3:8b"
    size: int  # bytes
    place: str
    file: Path  # the first of its files


def hub_name(name: str) -> HubName | None:
    """A hub's model; None for a name that is a server's. Raises `SettingsError` for one of Ollama's folder."""
    if name.startswith(OLLAMA):
        own = name.removeprefix(OLLAMA)
        raise SettingsError(
            f"{name}: Ollama's folder is only read here. Ollama itself gets and deletes its models: "
            f"`ollama pull {own}`, `ollama rm {own}`"
        )
    found = parse(name) if name.startswith(HUB) else None
    return found if isinstance(found, HubName) else None


def stored_models(tell: Callable[[str], None]) -> Iterator[StoredModel]:
    """All of them. tell: is told of a folder that may not be read."""
    for one in hub.cached():
        yield StoredModel(str(one.name), one.size, f"the hub's cache, {hub.root()}", one.parts[0])
    try:
        names = sorted(set(ollama_store.pulled()), key=ollama_store.named)
    except SettingsError as error:
        tell(str(error))
        return
    for name in names:
        try:
            found = ollama_store.find(name)
        except (SettingsError, Rejected):  # a model of Ollama's cloud, or one that is not whole
            continue
        files = (found.file, *found.adapters, *([found.projector] if found.projector else ()))
        total = sum(one.stat().st_size for one in files)
        yield StoredModel(ollama_store.named(name), total, "Ollama's folder", found.file)


def lists_stored(settings: Settings) -> bool:
    """Whether calls may name stored models, or nothing says where they go."""
    elsewhere = settings.configured or os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    return settings.provider == "embedded" or not elsewhere


def pull_from_hub(name: HubName, settings: Settings, *, as_json: bool) -> hub.HubModel:
    """Download a model into the hub's cache, with its progress; one that is there is only checked."""
    if (found := hub.find(name)) is not None:
        if not as_json:
            say(console(), f"{name} is in the cache already: {size(found.size)} at {found.parts[0]}")
        return found
    if settings.local_only:
        raise SettingsError(f"{name} is not in the cache at {hub.root()}, and {settings.why_local}")
    progress = Progress()
    with showing(f"pull {name}", as_json=as_json, resumable=True) as show:

        def tell(line: Line) -> None:
            show(progress.feed(line, monotonic()))

        tell({"status": "asking the hub"})
        model = hub.download(name, lambda piece: tell(_line(name, piece)))
        tell({"status": "success"})
    return model


def _line(name: HubName, piece: hub.Progress) -> Line:
    """The progress of a model, in the form of Ollama's lines. Its projector comes after it, and counts by itself."""
    return {
        "status": f"downloading {piece.file}",
        "digest": piece.file if is_projector(piece.file) else str(name),
        "total": piece.total,
        "completed": piece.completed,
    }
