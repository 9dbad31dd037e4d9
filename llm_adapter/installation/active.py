"""What is installed: which profile the SDK's clients are switched to. The innermost `install()` counts.

It holds for the whole process: a variable of the context would not reach the program's threads, whose calls would go
to OpenAI without a word.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

_lock = threading.Lock()
_installs: tuple[Installation, ...] = ()


@dataclass(frozen=True, eq=False)
class Installation:
    """One `install()` in force. As a context manager it ends with its block."""

    profile: str | None = None
    given: Settings | Mapping[str, Any] | None = None  # instead of what files and the environment say
    folder: Path | None = None  # from which the project's file is looked for
    takes_all: bool = False  # also clients to which the program gives the address of a server of its own
    problem: str | None = None  # why no client can be made, in a child process
    # The variables of the environment that it sets, each to its value before.
    replaced: dict[str, str | None] = field(default_factory=dict)

    def settings(self, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings for a client that is made now. environ: os.environ by default.

        Raises `SettingsError`, also where nothing is configured.
        """
        from llm_adapter.settings.errors import SettingsError
        from llm_adapter.settings.settings import Settings

        if self.problem is not None:
            raise SettingsError(self.problem)
        if self.given is None:
            found = Settings.at(self.folder, environ, profile=self.profile)
        else:
            found = self.given if isinstance(self.given, Settings) else Settings(**self.given)
        if not found.configured and found.left_out is None:
            raise SettingsError(
                "nothing is configured, so that there is nothing to switch to: name a profile, or write one with "
                "`llm-adapter config init`"
            )
        return found

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self in _installs:
            remove(self)


def innermost() -> Installation | None:
    """What new clients are switched to, or None."""
    return _installs[-1] if _installs else None


def add(installation: Installation) -> None:
    """Switch new clients to this from now on."""
    global _installs
    with _lock:
        _installs = (*_installs, installation)
    _forget_module_client()


def remove(installation: Installation) -> None:
    """Switch new clients to this no more."""
    global _installs
    with _lock:
        _installs = tuple(one for one in _installs if one is not installation)
    for name, before in installation.replaced.items():
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
    _forget_module_client()


def _forget_module_client() -> None:
    """Have the client behind `openai.chat` made anew by its next use."""
    forget = getattr(sys.modules.get("openai"), "_reset_client", None)
    if forget is not None:
        forget()
