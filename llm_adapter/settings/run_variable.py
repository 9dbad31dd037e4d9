"""The variable by which `llm-adapter run` and `install()` tell child processes what they are switched to.

It is JSON: the profile's name and the folder of the configuration, or settings, and never a key. A module of its own,
because it is needed while the SDK is being imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "_LLM_ADAPTER_RUN"  # beginning otherwise, it would be taken for a setting


def folder_of_run(environ: Mapping[str, str]) -> Path | None:
    """The folder where the program was switched: its child processes have the same configuration, wherever they run."""
    told = environ.get(VARIABLE)
    return Path(json.loads(told)["folder"]) if told else None
