"""Dialects of /v1: what a server that is not OpenAI wants said differently, as rows.

Sources: the recordings of ollama 0.24.0 and 0.32.15; llama.cpp tools/server/server-common.cpp and server-schema.cpp
(006639c3); vllm entrypoints/openai/chat_completion/protocol.py (002032ee); lmstudio-ai/docs openai-compat.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from llm_adapter.hosts import is_loopback, is_openai
from llm_adapter.provider import Json, Rejected
from llm_adapter.rows import AdapterWarning

# What only Ollama's native API understands; `extra_body` is where a call site puts them.
OLLAMA_ONLY = frozenset(
    {"keep_alive", "options", "think", "truncate", "shift", "raw", "template", "context", "num_ctx"}
)
# Sampling options that OpenAI does not have, by the names Ollama and llama.cpp give them.
SAMPLERS = frozenset(
    {
        "top_k",
        "min_p",
        "typical_p",
        "repeat_last_n",
        "repeat_penalty",
        "num_keep",
        "num_predict",
        "num_batch",
        "num_gpu",
    }
    | {"main_gpu", "use_mmap", "num_thread", "draft_num_predict"}
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server wants its requests, and what its replies need."""

    name: str
    rename: Mapping[str, str] = field(default_factory=dict)  # OpenAI's parameter to this server's
    roles: Mapping[str, str] = field(default_factory=dict)  # OpenAI's role to this server's
    understands: frozenset[str] = frozenset()  # of the provider-only parameters
    chooses: bool = True  # `tool_choice` may name a tool; "none" is no invitation to call one
    repaired: bool = True  # replies need both spellings of reasoning, sound tool calls, and an end

    def body(self, body: Json) -> Json:
        """The request's body as this server wants it; the same object when nothing changes."""
        stripped = (OLLAMA_ONLY | SAMPLERS).intersection(body) - self.understands
        renamed = {name: self.rename[name] for name in self.rename if name in body}
        if stripped:
            _warn(self.name, stripped)
        if stripped or renamed:
            body = {renamed.get(name, name): value for name, value in body.items() if name not in stripped}
        messages = body.get("messages")
        if self.roles and isinstance(messages, list) and any(_role(message) in self.roles for message in messages):
            body = {**body, "messages": [self._message(message) for message in messages]}
        return body if self.chooses else _chosen(body)

    def _message(self, message: Any) -> Any:
        role = self.roles.get(_role(message))
        return message if role is None else {**message, "role": role}


_LOCAL = {"rename": {"max_completion_tokens": "max_tokens"}, "roles": {"developer": "system"}}

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai", repaired=False),
        Dialect("ollama", **_LOCAL),  # type: ignore[arg-type]
        Dialect(
            "llamacpp",
            chooses=False,
            understands=frozenset({"top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty"}),
            **_LOCAL,  # type: ignore[arg-type]
        ),
        Dialect("vllm", roles={"developer": "system"}, understands=frozenset({"top_k", "min_p"})),
        Dialect("lmstudio", understands=frozenset({"top_k", "repeat_penalty"}), **_LOCAL),  # type: ignore[arg-type]
    )
}

# Ports that belong to one kind of server; 8000 and 8080 belong to anybody.
_PORTS = {11434: "ollama", 1234: "lmstudio"}
_OWNERS = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "library": "ollama",
    "organization_owner": "lmstudio",
    "openai": "openai",
}


def guessed(url: str) -> str | None:
    """The dialect, where the address alone tells it."""
    if is_openai(url):
        return "openai"
    return _PORTS.get(urlsplit(url).port or 0) if is_loopback(url) else None


def recognised(models: Any) -> str:
    """The dialect of a server by its reply to GET /v1/models; "openai" when it says nothing."""
    data = models.get("data") if isinstance(models, dict) else None
    owners = [model.get("owned_by") for model in data or [] if isinstance(model, dict)]
    return next((_OWNERS[owner] for owner in owners if owner in _OWNERS), "openai")


_warned: set[tuple[str, frozenset[str]]] = set()


def _warn(dialect: str, names: frozenset[str]) -> None:
    """One warning for each set of parameters: a call site in a loop says it once."""
    if (dialect, names) not in _warned:
        _warned.add((dialect, names))
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        warnings.warn(
            f"left out on a {dialect} /v1 server, which does not know it: {listed}", AdapterWarning, stacklevel=2
        )


_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def _chosen(body: Json) -> Json:
    """The body for a server that knows the choices "auto" and "required" alone. Raises `Rejected`.

    llama.cpp reads an object as "auto", and at "none" shows the model its tools, whose call then comes as text.
    Source: measured on llama.cpp of 2026-10; common/chat.cpp common_chat_tool_choice_parse_oaicompat.
    """
    match body.get("tool_choice"):
        case "none":
            return {name: value for name, value in body.items() if name not in _OF_TOOLS}
        case {"type": "function", "function": {"name": str() as name}}:
            return {**_offered(body, [name]), "tool_choice": "required", "parallel_tool_calls": False}
        case {"type": "allowed_tools", "allowed_tools": {"mode": str() as mode, "tools": list() as allowed}}:
            return {**_offered(body, [_tool_name(tool) for tool in allowed]), "tool_choice": mode}
        case {}:
            raise Rejected(
                "`tool_choice` must name a function, or functions", param="tool_choice", code="invalid_value"
            )
    return body


def _offered(body: Json, names: list[Any]) -> Json:
    """The body with the named tools alone."""
    tools = {_tool_name(tool): tool for tool in body.get("tools") or ()}
    if missing := [name for name in names if name not in tools]:
        raise Rejected(
            f"`tool_choice` names {missing[0]!r}, which is not among `tools`", param="tool_choice", code="invalid_value"
        )
    return {**body, "tools": [tools[name] for name in names]}


def _tool_name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None
