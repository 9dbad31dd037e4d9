"""`llm-adapter doctor`: thirteen checks of a profile. Facts are gathered without spending tokens, and then judged."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llm_adapter.devtools.doctor import keys, libraries, models, network, servers, telemetry
from llm_adapter.devtools.doctor.facts import CheckResult, Facts, fail
from llm_adapter.devtools.doctor.survey import NO_NAMES, Names, gather_facts
from llm_adapter.devtools.reporting.secrets import masked
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.routing.profile_plan import plan_of
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

# In the order in which they are shown.
CHECKS: dict[str, Callable[[Facts], CheckResult]] = {
    "configuration": network.configuration,
    "address": network.address,
    "network": network.network,
    "server": servers.server,
    "key": keys.keys,
    "models": models.models,
    "capabilities": models.capabilities,
    "context": models.context,
    "keep_alive": models.keep_alive,
    "embeddings": models.embeddings,
    "pace": models.pace,
    "libraries": libraries.libraries,
    "telemetry": telemetry.telemetry,
}
_PROFILE = re.compile(r"\[profiles\.(.+)\]$")
_CODES = {"OK": 0, "WARN": 1, "FAIL": 2}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The results of the checks of one profile, without any key in them."""

    results: Mapping[str, CheckResult]
    profile: str | None = None
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # what was set, to its value and origin

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 for warnings, 2 for failures."""
        return max(_CODES[result.status] for result in self.results.values())

    def json(self) -> dict[str, Any]:
        """The same for programs."""
        checks = [
            {"number": number, "check": name, "status": result.status, "line": result.line, "fix": result.fix}
            for number, (name, result) in enumerate(self.results.items(), 1)
        ]
        about = {"profile": self.profile, "address": self.address, "settings": dict(self.settings)}
        return {**about, "checks": checks, "exit_code": self.exit_code}


def diagnose(
    profile: str | None = None,
    names: Names = NO_NAMES,
    *,
    environ: Mapping[str, str] | None = None,
    otherwise: Callable[[Settings, Mapping[str, str]], Settings | None] | None = None,
    tell: Tell = silent,
) -> Diagnosis:
    """The diagnosis of a profile.

    otherwise: gives what to look at where nothing is configured. tell: is told what is under way.
    """
    environ = os.environ if environ is None else environ
    try:
        settings = Settings.load(environ, profile=profile)
        if settings.routes or settings.fallback:
            plan_of(settings)
        tell("asking the server")
        assumed = otherwise(settings, environ) if otherwise is not None else None
        facts = gather_facts(assumed or settings, environ, names, profile or _profile(settings))
        facts = replace(facts, assumed=assumed is not None)
    except SettingsError as error:
        fix = "mend that setting; `llm-adapter config init` writes a file"
        return Diagnosis({"configuration": fail(masked(str(error), environ=environ), fix)}, profile)
    return diagnosis(facts)


def _profile(settings: Settings) -> str | None:
    """The profile that a file's settings say they are of."""
    origins = (settings.origin(name) for name in type(settings).model_fields)
    return next((found[1] for origin in origins if (found := _PROFILE.search(origin))), None)


def diagnosis(facts: Facts) -> Diagnosis:
    """The diagnosis of a profile of which these facts are known."""

    def clean(text: str) -> str:
        return keys.masked(text, facts, facts.environ)

    results = {name: check(facts) for name, check in CHECKS.items()}
    settings = facts.settings
    return Diagnosis(
        {name: one._replace(line=clean(one.line), fix=one.fix and clean(one.fix)) for name, one in results.items()},
        facts.profile,
        clean(facts.address),
        {
            name: {"value": clean(str(getattr(settings, name))), "from": settings.origin(name)}
            for name in type(settings).model_fields
            if settings.origin(name) != "default"
        },
    )
