"""The SDK's options of a request that posts JSON: a copy of others instead of a model that is built anew.

Skipped: `FinalRequestOptions.construct`, which copies the default of every field deeply.

Safe, because the fields are those that `post` gives, and its defaults are no more than empty dictionaries, which are
made anew. Who replaces `post` of a client, or of the SDK's classes, gets the call; who replaces `request` gets it with
the arguments that `post` would give, in the same places.

Proved by tests/client/test_quick_options.py. Source: openai-python _base_client.py post and _models.py, v3.54.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
from openai._models import FinalRequestOptions
from openai._utils import strip_not_given

_POSTS = (openai.OpenAI.post, openai.AsyncOpenAI.post)
_EMPTY = FinalRequestOptions.construct(method="post", url="", json_data=None, content=None, files=None)
_DEFAULTS = {name: value for name, value in vars(_EMPTY).items() if isinstance(value, dict)}
_KNOWN = frozenset({"body", "options", "cast_to", "stream", "stream_cls"})  # of what `post` takes


def options_of(path: str, body: dict[str, Any], given: dict[str, Any]) -> FinalRequestOptions:
    """What `post` makes of a path, a body and further options."""
    options = _EMPTY.model_copy()
    fresh = {name: value.copy() for name, value in _DEFAULTS.items()}
    stripped = {name: strip_not_given(value) for name, value in given.items()}
    vars(options).update({**fresh, **stripped, "url": path, "json_data": body})
    options.__pydantic_fields_set__.update(given)
    return options


def quick_post(client: Any, post: Callable[..., Any], path: str, **arguments: Any) -> Any:
    """`client.post`, sync or async. post: that method, as a resource of the client knows it."""
    body, given = arguments.get("body"), arguments.get("options")
    known = type(client).post in _POSTS and "post" not in vars(client)
    if not known or type(body) is not dict or type(given) is not dict or not arguments.keys() <= _KNOWN:
        return post(path, **arguments)
    # As `post` calls it: a tracer that wraps `request` reads its arguments by their places.
    stream, stream_cls = arguments.get("stream", False), arguments.get("stream_cls")
    return client.request(arguments["cast_to"], options_of(path, body, given), stream=stream, stream_cls=stream_cls)
