"""What a process hands on to those that it starts: the environment by which their SDK's clients are switched, too.

The variable holds the profile's name and the folder of the configuration, and never a key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from llm_adapter.installation.active import Installation, add, innermost
from llm_adapter.installation.sdk_classes import switch_classes

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

VARIABLE = "_LLM_ADAPTER_RUN"  # beginning otherwise, it would be taken for a setting
BOOTSTRAP = Path(__file__).parent / "bootstrap"
# Where nothing is listening: under `local_only` a program that cannot be switched fails instead of leaving.
NOWHERE = "http://llm-adapter.invalid/v1"
# With one of these and OPENAI_API_KEY the SDK does not know which service `openai.chat` is for.
_OF_AZURE = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_ENDPOINT")


def variables(installation: Installation, environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The variables that have a program, and those that it starts, switched. settings: those of the profile.

    Raises `SettingsError` for settings that cannot be used.
    """
    places = [str(BOOTSTRAP), *(one for one in environ.get("PYTHONPATH", "").split(os.pathsep) if one)]
    told = {
        "profile": installation.profile,
        "folder": str(installation.folder or Path.cwd()),
        "takes_all": installation.takes_all,
        "local_only": settings.local_only,
    }
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        VARIABLE: json.dumps(told),
        **_for_frameworks(settings, environ),
    }


def _for_frameworks(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What programs ask for, or send on their own, beside their clients, unless the user decided on it."""
    from llm_adapter.routing.connection import NO_KEY, connect
    from llm_adapter.settings.hosts import OPENAI_URL, is_private

    chosen: dict[str, str] = {}
    if settings.left_out is not None or connect(settings, environ).is_third_party:
        # Frameworks insist on a key before they make a client; the Agents SDK sends OpenAI its traces, with prompts.
        chosen = {"OPENAI_AGENTS_DISABLE_TRACING": "1"}
        if not any(environ.get(name) for name in _OF_AZURE):
            chosen["OPENAI_API_KEY"] = NO_KEY
    chosen = {name: value for name, value in chosen.items() if not environ.get(name)}
    if settings.local_only and not is_private(environ.get("OPENAI_BASE_URL") or OPENAI_URL):
        chosen["OPENAI_BASE_URL"] = NOWHERE
    return chosen


def switch_by_environment(module: ModuleType) -> None:
    """Switch the SDK's classes as the process was told by the one that started it.

    module: the SDK's `_client`, of which the rest of the package is not imported yet.
    """
    told = json.loads(os.environ[VARIABLE])
    switch_classes(module)
    if innermost() is None:
        add(Installation(told["profile"], folder=Path(told["folder"]), takes_all=told["takes_all"]))
