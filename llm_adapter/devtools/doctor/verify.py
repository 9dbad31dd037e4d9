"""`llm-adapter verify`: what works on a profile, and what worked on another one and does not work here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_adapter.devtools.doctor import deep, keys, probes
from llm_adapter.devtools.doctor.gather import NONE, Names, gathered
from llm_adapter.devtools.doctor.probes import Row, Subject
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.settings.settings import Settings

PROBES: dict[str, Callable[[Subject], str]] = {
    "list": probes.models,
    "chat": probes.hello,
    "stream": probes.stream,
    "usage": probes.usage,
    "tools": probes.tool_call,
    "tool_choice": probes.tool_choice,
    "structured output": probes.schema,
    "embeddings": probes.embedding,
    "overflow": probes.overflow,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """One profile's rows."""

    profile: str | None
    address: str
    model: str | None
    embedding_model: str | None
    rows: list[Row]

    @property
    def works(self) -> bool:
        return all(row.outcome in ("pass", "skipped") for row in self.rows)

    def json(self) -> dict[str, Any]:
        about = {"profile": self.profile, "address": self.address, "model": self.model}
        return {**about, "embedding_model": self.embedding_model, "rows": [row._asdict() for row in self.rows]}


def verified(
    profile: str | None = None,
    names: Names = NONE,
    *,
    timeout: float = deep.SECONDS,
    environ: Mapping[str, str] | None = None,
    tell: Tell = silent,
) -> Verified:
    """The probes on one profile. Raises `SettingsError`."""
    environ = os.environ if environ is None else environ
    facts = gathered(Settings.load(environ, profile=profile), environ, names, profile)
    rows = deep.probe(facts, names, probes=PROBES, timeout=timeout, tell=tell)
    clean = [row._replace(line=keys.masked(row.line, facts, environ)) for row in rows]
    asked = (deep.model(facts, names, embedding=kind) for kind in (False, True))
    chat, embedding = (name and facts.settings.model(name) for name in asked)
    return Verified(profile or environ.get("LLM_ADAPTER_PROFILE"), facts.address, chat, embedding, clean)


def regressions(there: list[Row], here: list[Row]) -> list[str]:
    """What passes there, and does not here. A model that is missing here is one; what could not be tried is none."""
    passed = {row.name for row in there if row.outcome == "pass"}
    kept = {row.name for row in here if row.outcome == "pass" or (row.outcome == "skipped" and row.name == "overflow")}
    return [row.name for row in here if row.name in passed - kept]
