"""The endpoints that a suite's calls go to, and the arguments that the SDK's methods for them take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import openai
from openai.resources.chat.completions import Completions as Chat
from openai.resources.completions import Completions
from openai.resources.embeddings import Embeddings
from openai.resources.responses import Responses

from llm_adapter.provider import Json

ENDPOINTS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
}
_CLASSES: dict[str, Any] = {
    "/chat/completions": Chat,
    "/completions": Completions,
    "/embeddings": Embeddings,
    "/responses": Responses,
}
_COUNTED = ("/chat/completions", "/completions")
# A prompt's runs have one way, and its keys stay out of a file that is shared.
_NOT_A_SUITES = {"self", "extra_headers", "timeout"}


def method(client: openai.OpenAI, path: str) -> Callable[..., Any]:
    """The SDK's method that makes such a call."""
    resources: dict[str, Any] = {
        "/chat/completions": lambda: client.chat.completions,
        "/completions": lambda: client.completions,
        "/embeddings": lambda: client.embeddings,
        "/responses": lambda: client.responses,
    }
    found: Callable[..., Any] = resources[path]().create
    return found


@cache
def known(path: str) -> frozenset[str]:
    """The names of the arguments that an endpoint's method takes."""
    return frozenset(inspect.signature(_CLASSES[path].create).parameters) - _NOT_A_SUITES


def whole_or_streamed(path: str, body: Json, own: Json) -> Json:
    """The arguments of a call with those that fit its `stream`. own: those that are not a default.

    A stream counts its tokens only where it is asked to; what is left out with the defaults means nothing to others.
    """
    if body.get("stream"):
        counted = {"stream_options": {"include_usage": True}} if path in _COUNTED else {}
        return {**counted, **body}
    return {name: value for name, value in body.items() if name != "stream_options" or name in own}


def endpoint(name: str | None, body: Json) -> str:
    """The path that is named, or that takes these arguments. Raises ValueError."""
    if name is not None:
        return ENDPOINTS[name]
    held = [key for key in ("messages", "prompt", "input") if key in body and (key != "prompt" or "input" not in body)]
    match held:
        case ["messages"]:
            return "/chat/completions"
        case ["prompt"] if not isinstance(body["prompt"], dict):
            return "/completions"
        case ["prompt"]:  # a prompt that is kept at OpenAI
            return "/responses"
        case ["input"]:
            return "/responses" if _responses_own(body) else "/embeddings"
        case []:
            raise ValueError("a call needs `user`, `messages`, `prompt` or `input`")
        case _:
            raise ValueError(f"give one of {' and '.join(f'`{key}`' for key in held)}")


def _responses_own(body: Json) -> bool:
    items = isinstance(body["input"], list) and any(isinstance(item, dict) for item in body["input"])
    return items or bool(body.keys() & (known("/responses") - known("/embeddings")))
