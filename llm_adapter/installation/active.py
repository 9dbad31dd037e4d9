"""What is installed: which profile the SDK's clients are switched to. The innermost `install()` counts.

It holds for the whole process: a variable of the context would not reach the program's threads, whose calls would go
to OpenAI without a word.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

_lock = threading.Lock()
_installs: tuple[Installation, ...] = ()


@dataclass(frozen=True, eq=False)
class Installation:
    """One `install()` in force. As a context manager it ends with its block."""

    profile: str | None = None
    given: Settings | None = None  # instead of what files and the environment say
    folder: Path | None = None  # from which the project's file is looked for
    takes_all: bool = False  # also clients to which the program gives the address of a server of its own

    def settings(self) -> Settings:
        """The settings for a client that is made now. Raises `SettingsError`, also where nothing is configured."""
        from llm_adapter.settings.errors import SettingsError
        from llm_adapter.settings.settings import Settings

        found = self.given or Settings.at(self.folder, profile=self.profile)
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
    _forget_module_client()


def _forget_module_client() -> None:
    """Have the client behind `openai.chat` made anew by its next use."""
    forget = getattr(sys.modules.get("openai"), "_reset_client", None)
    if forget is not None:
        forget()
