"""The SDK's `create` and `parse` methods without their transform, where that would change nothing.

Skipped: `maybe_transform`, which walks every message and tool against the SDK's TypedDicts: most of a call's CPU, and
more with every turn of a conversation.

Safe, because on JSON's own values it is the identity: no TypedDict of these methods has an alias, and a format is for
dates and files alone. It copies, and so do we. A call with anything else (a generator, bytes, a path, a subclass of
`dict`) goes the SDK's own way; a pydantic model among the messages is made JSON by the SDK's transform, alone. The
methods run the SDK's own code, so that the order of what is sent is the SDK's. Who replaces a method of the SDK's
class, as tracing libraries do, gets the call as it was made.

Proved by tests/client/test_plain_arguments.py. Source: openai-python _utils/_transform.py, v3.54.0.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property, lru_cache, partial, wraps
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import openai
from openai import NOT_GIVEN, NotGiven, Omit
from openai._utils import maybe_transform
from pydantic import BaseModel

from llm_adapter.client.quick_options import quick_post
from llm_adapter.client.sockets import with_refused_sockets
from llm_adapter.provider import Unasked
from llm_adapter.transport.held_reply import RAW

METHODS = ("create", "parse")
_SCALARS = frozenset({str, int, float, bool, type(None)})
_TEXT = frozenset({str})
_OMITTED = frozenset({Omit, NotGiven})
_OF_REPLIES = ("messages", "input")  # where agents append what an earlier call replied: one of the SDK's models
_UNTOUCHED = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
_SDK = str(Path(openai.__file__).parent)


class NotPlainError(Exception):
    """A value is not one of JSON's own."""


def plain_copy(value: Any) -> Any:
    """A copy of a JSON value. Raises NotPlainError for anything else, subclasses of JSON's types among them."""
    kind = type(value)
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            raise NotPlainError
        if _SCALARS.issuperset(map(type, value.values())):
            return value.copy()
        return {name: plain_copy(one) for name, one in value.items()}
    if kind is list:
        return value.copy() if _SCALARS.issuperset(map(type, value)) else [plain_copy(one) for one in value]
    if kind in _SCALARS:
        return value
    raise NotPlainError


def _plain_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """A copy of a call's arguments. Raises NotPlainError."""
    return {
        name: value if type(value) in _OMITTED or name in _UNTOUCHED else _plain_argument(name, value)
        for name, value in arguments.items()
    }


def _plain_argument(name: str, value: Any) -> Any:
    if name in _OF_REPLIES and type(value) is list:
        return [maybe_transform(one, object) if isinstance(one, BaseModel) else plain_copy(one) for one in value]
    return value if isinstance(value, type) else plain_copy(value)  # `parse` makes a schema of a class


def _given(body: dict[str, Any], _: object) -> dict[str, Any]:
    """In the transform's place: like that, it leaves out what is not given."""
    return {name: value for name, value in body.items() if type(value) not in _OMITTED}


def _given_but_encoding(body: dict[str, Any], _: object) -> dict[str, Any]:
    """The same of a call for embeddings whose encoding the SDK chose: any that is quicker is as good."""
    given = _given(body, _)
    if "encoding_format" in given:
        given["encoding_format"] = Unasked(given["encoding_format"])
    return given


def without_transform(function: Any, transform: Callable[..., Any] = _given) -> Any:
    """The SDK's own function with its own code, for which alone the transform's name means another function.

    None where it has no transform. (`parse` has it in a helper.)
    """

    async def awaited(*arguments: Any) -> Any:
        return transform(*arguments)

    own = function.__globals__
    used = {name: own.get(name) for name in function.__code__.co_names if name in own}
    both = {"maybe_transform": transform, "async_maybe_transform": awaited}
    instead: dict[str, Any] = {name: both[name] for name in used if name in both}
    if not instead:
        helpers = {name: without_transform(one, transform) for name, one in used.items() if _is_sdks_own(one)}
        instead = {name: one for name, one in helpers.items() if one is not None}
    if not instead:
        return None
    copied = FunctionType(
        function.__code__, {**own, **instead}, function.__name__, function.__defaults__, function.__closure__
    )
    copied.__kwdefaults__, copied.__qualname__ = function.__kwdefaults__, function.__qualname__
    return copied


def _has_encoding(arguments: dict[str, Any]) -> bool:
    """Whether the encoding of embeddings matters: it is given, or the caller reads the response's own bytes."""
    given = type(arguments.get("encoding_format", NOT_GIVEN)) not in _OMITTED
    return given or RAW in {name.lower() for name in arguments.get("extra_headers") or ()}


def _is_sdks_own(function: Any) -> bool:
    return type(function) is FunctionType and function.__code__.co_filename.startswith(_SDK)


def _quick_method(base: type, name: str) -> Any:
    """The method of a subclass of the SDK's class `base`; None where there is nothing to skip."""
    known: Any = getattr(base, name, None)
    inner: Any = inspect.unwrap(known) if _is_sdks_own(known) else None
    quick = without_transform(inner) if _is_sdks_own(inner) else None
    if quick is None:
        return None
    quicker = without_transform(inner, _given_but_encoding) if "encoding_format" in inner.__kwdefaults__ else quick
    required = {one.name for one in inspect.signature(inner).parameters.values() if one.default is one.empty} - {"self"}

    def chosen(positional: Any, arguments: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
        theirs = getattr(base, name)
        if theirs is known and not positional and required <= arguments.keys():
            try:
                return quick if _has_encoding(arguments) else quicker, _plain_arguments(arguments)
            except (NotPlainError, RecursionError):
                pass
        return theirs, arguments

    @wraps(known)
    def method(self: Any, *positional: Any, **arguments: Any) -> Any:
        function, arguments = chosen(positional, arguments)
        return function(self, *positional, **arguments)

    @wraps(known)
    async def amethod(self: Any, *positional: Any, **arguments: Any) -> Any:
        function, arguments = chosen(positional, arguments)
        return await function(self, *positional, **arguments)

    made: Any = amethod if inspect.iscoroutinefunction(known) else method
    # As deep as the SDK's own: LangSmith takes a method for async if it is, or what it wraps.
    made.__wrapped__ = getattr(known, "__wrapped__", known)
    return made


@lru_cache(maxsize=64)
def _quick_kind(base: type) -> Any:
    """A subclass of one of the SDK's resource classes. It looks like its base to whoever inspects it."""

    def initialise(self: Any, client: Any) -> None:
        base.__init__(self, client)  # type: ignore[misc]
        self._post = partial(quick_post, client, self._post)

    methods = {name: method for name in METHODS if (method := _quick_method(base, name)) is not None}
    seen = {"__module__": base.__module__, "__doc__": base.__doc__, "__init__": initialise}
    return type(base.__name__, (base,), {**seen, **methods})


def quick(resource: Any) -> Any:
    """The same resource of a client, with methods that skip the transform where it changes nothing."""
    kind: Any = type(resource)
    return _quick_kind(kind)(resource._client)


def _quick_chat(chat: Any) -> Any:
    chat.completions = quick(chat.completions)
    return chat


class QuickResources:
    """A base class before the SDK's client: resources whose methods are quick, and whose sockets may be refused.

    For type checkers they are the SDK's own.
    """

    if not TYPE_CHECKING:

        @cached_property
        def chat(self):
            return _quick_chat(super().chat)

        @cached_property
        def beta(self):
            beta = super().beta
            _quick_chat(beta.chat)
            return with_refused_sockets(beta, "beta")

        @cached_property
        def completions(self):
            return quick(super().completions)

        @cached_property
        def embeddings(self):
            return quick(super().embeddings)

        @cached_property
        def responses(self):
            return with_refused_sockets(quick(super().responses), "responses")

        @cached_property
        def realtime(self):
            return with_refused_sockets(super().realtime, "realtime")

        @cached_property
        def live(self):
            return with_refused_sockets(super().live, "live")
