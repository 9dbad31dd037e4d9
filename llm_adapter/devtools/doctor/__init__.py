"""`llm-adapter doctor`: thirteen checks of a profile. Facts are gathered, without spending tokens, and then judged."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.devtools.doctor import address, keys, memory, models, process
from llm_adapter.devtools.doctor.facts import Facts, Finding, fail
from llm_adapter.devtools.doctor.gather import NONE, Names, gathered
from llm_adapter.devtools.reporting.secrets import masked
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.settings.settings import Settings, SettingsError

# In the order in which they are shown.
CHECKS: dict[str, Callable[[Facts], Finding]] = {
    "configuration": address.configuration,
    "address": address.address,
    "network": address.network,
    "server": address.server,
    "key": keys.keys,
    "models": models.models,
    "capabilities": models.capabilities,
    "context": memory.context,
    "keep_alive": memory.keep_alive,
    "embeddings": memory.embeddings,
    "pace": memory.pace,
    "libraries": process.libraries,
    "telemetry": process.telemetry,
}
_PROFILE = re.compile(r"\[profiles\.(.+)\]$")
_CODES = {"OK": 0, "WARN": 1, "FAIL": 2}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, without any key in it."""

    findings: Mapping[str, Finding]
    profile: str | None = None
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # what was set, to its value and origin

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 for warnings, 2 for failures."""
        return max(_CODES[finding.status] for finding in self.findings.values())

    def json(self) -> dict[str, Any]:
        """The same for programs."""
        checks = [
            {"number": number, "check": name, "status": finding.status, "line": finding.line, "fix": finding.fix}
            for number, (name, finding) in enumerate(self.findings.items(), 1)
        ]
        shown = {"profile": self.profile, "address": self.address, "settings": dict(self.settings), "checks": checks}
        return {**shown, "exit_code": self.exit_code}


def diagnosed(
    profile: str | None = None,
    names: Names = NONE,
    *,
    environ: Mapping[str, str] | None = None,
    tell: Tell = silent,
) -> Diagnosis:
    """The diagnosis of a profile. tell: is told what is under way."""
    environ = os.environ if environ is None else environ
    try:
        settings = Settings.load(environ, profile=profile)
        tell("asking the server")
        facts = gathered(settings, environ, names, profile or _profile(settings))
    except SettingsError as error:
        return Diagnosis(
            {
                "configuration": fail(
                    masked(str(error), environ=environ), "mend that setting; `llm-adapter config init` writes a file"
                )
            },
            profile,
        )
    return judged(facts)


def _profile(settings: Settings) -> str | None:
    """The profile that a file's settings say they are of."""
    origins = (settings.origin(name) for name in type(settings).model_fields)
    return next((found[1] for origin in origins if (found := _PROFILE.search(origin))), None)


def judged(facts: Facts) -> Diagnosis:
    """The diagnosis of what is known."""

    def clean(text: str) -> str:
        return keys.masked(text, facts, facts.environ)

    findings = {name: check(facts) for name, check in CHECKS.items()}
    settings = facts.settings
    return Diagnosis(
        {
            name: found._replace(line=clean(found.line), fix=found.fix and clean(found.fix))
            for name, found in findings.items()
        },
        facts.profile,
        clean(facts.address),
        {
            name: {"value": clean(str(getattr(settings, name))), "from": settings.origin(name)}
            for name in type(settings).model_fields
            if settings.origin(name) != "default"
        },
    )
