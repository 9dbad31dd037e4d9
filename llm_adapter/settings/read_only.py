"""Dictionaries and lists that cannot be changed: settings are shared by clients, threads and caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("settings cannot be changed: make others, with `Settings(...)` or `model_copy(update=...)`")


class ReadOnlyDict(dict[str, Any]):
    """A dictionary that cannot be changed. It is compared, copied, dumped and written as JSON as any other."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ReadOnlyList(list[Any]):
    """The same of a list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


def read_only(value: Any) -> Any:
    """The value with dictionaries and lists that cannot be changed, all the way down."""
    if isinstance(value, Mapping):
        return ReadOnlyDict({name: read_only(one) for name, one in value.items()})
    return ReadOnlyList(map(read_only, value)) if isinstance(value, list) else value
