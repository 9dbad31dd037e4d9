"""What users test their own migration with: pytest fixtures, a fake server, cassettes, checks. The extra `testing`.

pytest finds the fixtures by itself (`llm_adapter.testing.plugin`); nothing here is loaded by the library, and a name is
loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_adapter.testing.cassettes import Cassette, CassetteError, CassetteWarning, cassette
    from llm_adapter.testing.fake import Fake, serving
    from llm_adapter.testing.live import LiveOllama
    from llm_adapter.testing.mock import Mock
    from llm_adapter.testing.network import Guard
    from llm_adapter.testing.personas import PERSONAS, answer, persona
    from llm_adapter.testing.personas.persona import Model, Persona
    from llm_adapter.testing.personas.wire import Answer, Piece, ServerRequest
    from llm_adapter.testing.personas.wire import ServerRequest as Asked
    from llm_adapter.testing.portable import Finding, assert_portable, findings
    from llm_adapter.testing.turns import (
        ToolCall,
        Turn,
        Usage,
        choices,
        disconnect,
        embedding,
        error,
        json_text,
        reply,
        slow,
        text,
        thinking,
        tool_call,
        tool_calls,
    )

__all__ = [
    "PERSONAS",
    "Answer",
    "Asked",
    "Cassette",
    "CassetteError",
    "CassetteWarning",
    "Fake",
    "Finding",
    "Guard",
    "LiveOllama",
    "Mock",
    "Model",
    "Persona",
    "Piece",
    "ServerRequest",
    "ToolCall",
    "Turn",
    "Usage",
    "answer",
    "assert_portable",
    "cassette",
    "choices",
    "disconnect",
    "embedding",
    "error",
    "findings",
    "json_text",
    "persona",
    "reply",
    "serving",
    "slow",
    "text",
    "thinking",
    "tool_call",
    "tool_calls",
]

# Where each public name lives.
_HOMES = {
    "cassettes": ("Cassette", "CassetteError", "CassetteWarning", "cassette"),
    "fake": ("Fake", "serving"),
    "live": ("LiveOllama",),
    "mock": ("Mock",),
    "network": ("Guard",),
    "personas": ("PERSONAS", "answer", "persona"),
    "personas.persona": ("Model", "Persona"),
    "personas.wire": ("Answer", "Piece", "ServerRequest"),
    "portable": ("Finding", "assert_portable", "findings"),
    "turns": (
        "ToolCall",
        "Turn",
        "Usage",
        "choices",
        "disconnect",
        "embedding",
        "error",
        "json_text",
        "reply",
        "slow",
        "text",
        "thinking",
        "tool_call",
        "tool_calls",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    own = "ServerRequest" if name == "Asked" else name  # an older name of the same class
    if own not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOME[own]}"), own)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
