"""The seam in the SDK: `OpenAI.__new__` and `AsyncOpenAI.__new__` make an instance of a class of ours.

The names in the SDK stay what they are, so that it makes no difference when a program imported them, and `isinstance`
and mocks go on to work. Once there, the seam is never taken off again, because somebody else may have wrapped it since:
while nothing is installed it passes everything through.

Only the classes for OpenAI are switched. Those that the SDK derives for other services, Azure and Bedrock, are not.
"""

from __future__ import annotations

import functools
import gc
import logging
import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from llm_adapter.installation.active import innermost

_log = logging.getLogger("llm_adapter")
_lock = threading.Lock()
_SWITCHED = "_llm_adapter_switched"  # the mark on a class of the SDK's that has the seam
_MODULE_CLIENT = "_ModuleClient"  # the class behind `openai.chat`


def switch_sdk() -> bool:
    """Put the seam into the SDK of this process. Whether it was not there before."""
    return switch_classes(import_module("openai._client"))  # the package has a variable of this name


def switch_classes(module: ModuleType) -> bool:
    """Put the seam into the classes of the SDK's module `_client`. Whether it was not there before."""
    with _lock:
        new = [sdk for sdk in (module.OpenAI, module.AsyncOpenAI) if _SWITCHED not in vars(sdk)]
        for sdk in new:
            _add_seam(sdk)
    return bool(new)


def _add_seam(sdk: Any) -> None:
    original: Callable[..., None] = sdk.__init__

    def new(cls: Any, *arguments: Any, **options: Any) -> Any:
        return object.__new__(cls if innermost() is None else _class_for(cls, sdk))

    @functools.wraps(original)
    def init(self: Any, *arguments: Any, **options: Any) -> None:
        # Only a subclass that names the SDK's `__init__` outright comes here before ours.
        begin = getattr(type(self), "begin_switched", None)
        if begin is not None and "_connection" not in vars(self):
            begin(self, *arguments, **options)
            return
        if (installed := innermost()) is not None and is_other_service(type(self), sdk):
            from llm_adapter.installation.clients import refuse_other_service

            refuse_other_service(type(self).__name__, str(options.get("base_url") or ""), installed)
        original(self, *arguments, **options)

    # A method of a built-in type: `inspect` would show a function's parameters in the place of a subclass's own.
    sdk.__new__ = staticmethod(new.__call__)  # type: ignore[operator]
    sdk.__init__ = init
    sdk.__signature__ = _OwnSignature()
    setattr(sdk, _SWITCHED, True)


class _OwnSignature:
    """The constructor's signature, for this class alone: on Python 3.10 `inspect` looks no further than `__new__`."""

    def __get__(self, client: Any, owner: Any) -> Any:
        if _SWITCHED not in vars(owner):
            raise AttributeError("__signature__")  # a subclass has one by itself
        from inspect import signature

        found = signature(owner.__init__)
        return found.replace(parameters=list(found.parameters.values())[1:])


def _class_for(cls: Any, sdk: Any) -> Any:
    """The class of ours in the place of one that a program makes a client of."""
    from llm_adapter.installation.clients import switched_class

    if is_other_service(cls, sdk):
        _tell_of_other_service(cls.__name__)
        return cls
    return switched_class(cls)


def is_other_service(cls: Any, sdk: Any) -> bool:
    """Whether it is one of the SDK's own classes for a service that is not OpenAI's, or derived of one."""
    return any(
        one is not sdk and one.__name__ != _MODULE_CLIENT and issubclass(one, sdk)
        for one in cls.__mro__
        if one.__module__.partition(".")[0] == "openai"
    )


@functools.cache
def _tell_of_other_service(name: str) -> None:
    _log.info("%s is a client for a service of its own: it is left as it is", name)


def tell_of_earlier_clients() -> None:
    """Warn of the SDK's clients that were made before: they stay where they are."""
    import openai

    from llm_adapter.settings.errors import warn_caller

    number = sum(
        issubclass(type(one), sdk) and "_connection" not in vars(one) and not is_other_service(type(one), sdk)
        for one in gc.get_objects()
        for sdk in (openai.OpenAI, openai.AsyncOpenAI)
    )
    if number:
        clients = "1 client of the openai SDK was" if number == 1 else f"{number} clients of the openai SDK were"
        warn_caller(f"{clients} made before install(), and will not be switched: install first, or make them anew")
