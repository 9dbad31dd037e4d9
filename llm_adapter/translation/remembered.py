"""What a pure function made of a JSON value before: agents send the same tools and forms with every call.

The key is the value itself, as bytes: whatever is different in it, order included, is another value. What is not JSON,
and what is too large to be kept, is made anew. A result is the same object each time, and nobody may change it.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

LIMIT = 256  # values
LARGEST = 1 << 16  # bytes of one

OtherArguments = ParamSpec("OtherArguments")
ResultT = TypeVar("ResultT")


def remembered(
    make: Callable[Concatenate[Any, OtherArguments], ResultT],
) -> Callable[Concatenate[Any, OtherArguments], ResultT]:
    """The function, with a memory. Its first argument is the value; the others are positional, and can be hashed."""
    results: dict[Hashable, ResultT] = {}

    @wraps(make)
    def made(value: Any, /, *others: OtherArguments.args, **named: OtherArguments.kwargs) -> ResultT:
        try:
            # Version 0: the later ones write the same value in several ways.
            key = marshal.dumps(value, 0), others
        except ValueError:
            return make(value, *others, **named)
        if key in results:
            return results[key]
        result = make(value, *others, **named)
        if len(key[0]) <= LARGEST:
            if len(results) >= LIMIT:
                results.clear()
            results[key] = result
        return result

    return made
