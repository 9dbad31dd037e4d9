"""What a process hands on to those that it starts: the environment by which their SDK's clients are switched, too.

A client of this package that the program makes itself follows the profile, too, unless it names another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from llm_adapter.installation.active import Installation, add, innermost
from llm_adapter.installation.sdk_classes import switch_classes
from llm_adapter.settings.run_variable import VARIABLE

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

BOOTSTRAP = Path(__file__).parent / "bootstrap"
# Where nothing listens: under `local_only` a program that cannot be switched fails, and asks no name server before.
# With https a proxy sees no prompt either.
NOWHERE = "https://127.0.0.1:1/llm-adapter-local-only/v1"
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
        **({} if installation.given is None else _settings_for_children(settings)),
    }
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        VARIABLE: json.dumps(told),
        # For the program's own clients of this package.
        **({} if installation.profile is None else {"LLM_ADAPTER_PROFILE": installation.profile}),
        **_for_frameworks(settings, environ),
    }


def trust_of_program(command: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variable by which the processes of a project's own program take the project's file, wherever they run.

    The program itself would take it anyway, see `settings.trust`; a child in another folder could not tell.
    """
    from llm_adapter.settings import trust
    from llm_adapter.settings.sources import project_file

    file, said = project_file(), environ.get(trust.VARIABLE, "").strip()
    own = file is not None and any(place.is_relative_to(file.parent) for place in _places(command))
    return {trust.VARIABLE: os.pathsep.join(filter(None, (said, str(file))))} if own and said not in ("0", "1") else {}


def _places(command: list[str]) -> Iterator[Path]:
    """Where the code of a Python program lies: `python app.py` or `python -m package.module`."""
    first, *_ = *command[1:], ""
    if first == "-m" and len(command) > 2:
        name = command[2].partition(".")[0]
        yield from (path for path in (Path.cwd() / name, Path.cwd() / f"{name}.py") if path.exists())
    elif first.endswith(".py"):
        yield Path(os.path.abspath(first))


def _settings_for_children(settings: Settings) -> dict[str, Any]:
    """The settings that were given in code, as JSON; or why they cannot be handed on."""
    from llm_adapter.settings.settings import is_variable

    fields = {name: getattr(settings, name) for name in settings.model_fields_set}
    fields["headers"] = {name: value.get_secret_value() for name, value in settings.headers.items()}
    secret = settings.api_key is not None or not all(map(is_variable, settings.headers.values()))
    problem = "a key does not go to child processes: name an environment variable, as in `api_key_env`"
    try:
        text = "" if secret else json.dumps(fields)
    except TypeError as error:
        secret, problem = True, f"they cannot go to child processes: {error}"
    return {"problem": f"install(settings=...): {problem}, or a profile"} if secret else {"settings": json.loads(text)}


def wait_for_sdk() -> None:
    """What `sitecustomize` does, where another tool's file of that name hides ours: it calls this by an entry point."""
    if os.environ.get(VARIABLE):
        import_module("llm_adapter.installation.bootstrap.sitecustomize")


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
        folder, given = Path(told["folder"]), told.get("settings")
        add(Installation(told["profile"], given, folder, told["takes_all"], told.get("problem")))
