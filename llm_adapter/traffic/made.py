"""Notes where each client of the SDK's own is made, without waiting for the SDK or for our clients to be imported."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from llm_adapter.traffic.places import user_place

_PACKAGE = "openai"
when_made: list[Callable[[Any], None]] = []  # asked for each new client


def keep_places() -> None:
    """From now on every client knows the line that made it."""
    when_imported(_wrap)


def when_imported(action: Callable[[], None]) -> None:
    """Do this at once where the SDK is imported, and else as soon as it is."""
    if hasattr(sys.modules.get(_PACKAGE), "OpenAI"):  # the whole of it, and not only its beginning
        action()
        return
    waiting = next((finder for finder in sys.meta_path if isinstance(finder, _AfterImport)), None)
    if waiting is None:
        sys.meta_path.insert(0, waiting := _AfterImport())
    waiting.actions.append(action)


class _AfterImport:
    """Finds the SDK as everybody does, and acts when it is imported. It is in force until then."""

    def __init__(self) -> None:
        self.actions: list[Callable[[], None]] = []

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                for action in self.actions:
                    action()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _wrap() -> None:
    kind: Any = sys.modules[f"{_PACKAGE}._base_client"].BaseClient
    if "_made_at" in vars(kind):
        return
    original = kind.__init__

    @functools.wraps(original)
    def made(client: Any, *arguments: Any, **options: Any) -> None:
        original(client, *arguments, **options)
        if not hasattr(client, "_origin"):  # ours know their own place, and tell of themselves
            client._made_at = user_place()
            for tell in when_made:
                tell(client)

    kind._made_at = None
    kind.__init__ = made
