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
    """From now on every client knows the line that made it: at once, or as soon as the SDK is imported."""
    if _PACKAGE in sys.modules:
        _wrap(sys.modules[f"{_PACKAGE}._base_client"])
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport:
    """Finds the SDK as everybody does, and wraps it when it is imported. It is in force until then."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _wrap(sys.modules[f"{_PACKAGE}._base_client"])

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _wrap(base_client: Any) -> None:
    kind = base_client.BaseClient
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
