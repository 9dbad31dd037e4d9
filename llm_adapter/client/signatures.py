"""What introspection sees of our constructors: the SDK's parameters, and ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import openai

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def with_sdk_signature(method: MethodT) -> MethodT:
    """Show a method to `inspect.signature` with the SDK's parameters in the place of `**options`, and ours.

    Annotations are read with the names of the module that `__wrapped__` leads to, which is the SDK's.
    """
    base = openai.AsyncOpenAI if method.__qualname__.startswith("Async") else openai.OpenAI
    theirs = getattr(base, method.__name__)
    ours: dict[str, Any] = {"profile": str | None, "settings": Any}
    signature = inspect.signature(theirs)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ours[name]) for name in ours
    ]
    attributes = {
        "__wrapped__": theirs,
        "__annotations__": {**inspect.get_annotations(theirs), **ours},
        "__signature__": signature.replace(parameters=[*signature.parameters.values(), *added]),
    }
    for name, value in attributes.items():
        setattr(method, name, value)
    return method
