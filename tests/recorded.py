"""The recorded exchanges of real servers (tests/recordings), as cases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_adapter import Call, Settings

RECORDINGS = Path(__file__).parent / "recordings"
SERVERS = ("ollama-0.24.0", "ollama-0.32.15", "ollama-0.32.15-jinja")


@dataclass(frozen=True)
class Exchange:
    """One request and what a real server answered."""

    path: str
    request: Any
    status: int
    body: str
    method: str = "POST"

    @property
    def streamed(self) -> bool:
        return isinstance(self.request, dict) and self.request.get("stream") is True


@dataclass(frozen=True)
class Case:
    """The same wish on the native API and on Ollama's /v1."""

    server: str
    intent: str
    native: Exchange
    v1: Exchange

    def __str__(self) -> str:
        return f"{self.server}-{self.intent}"


def exchanges(server: str, intent: str, side: str) -> list[Exchange]:
    """One side of a recording."""
    recording = json.loads((RECORDINGS / server / f"{intent}.json").read_text("utf-8"))
    return [
        Exchange(one["path"], one["request"], one["status"], one["body"], one["method"])
        for one in recording.get(side) or []
    ]


def natives(path: str, *, status: int = 200) -> list[tuple[str, Exchange]]:
    """Every native exchange on a path, with its name."""
    return [
        (f"{server}-{file.stem}-{place}", one)
        for server in SERVERS
        for file in sorted((RECORDINGS / server).glob("*.json"))
        for place, one in enumerate(exchanges(server, file.stem, "native"))
        if one.path == path and one.status == status and one.method == "POST"
    ]


def pairs(v1_path: str, intents: list[str]) -> list[Case]:
    """The first exchange of both sides, where a server has both."""
    found = []
    for server in SERVERS:
        for intent in intents:
            if (RECORDINGS / server / f"{intent}.json").exists():
                native, v1 = exchanges(server, intent, "native"), exchanges(server, intent, "v1")
                v1 = [
                    one for one in v1 if one.path == v1_path and one.streamed == (native[0].streamed if native else 0)
                ]
                if native and v1:
                    found.append(Case(server, intent, native[0], v1[0]))
    return found


def call(path: str, body: dict[str, Any], **settings: Any) -> Call:
    """A call of the translation alone, with a fixed id and time."""
    return Call("POST", path, body, Settings(provider="ollama", **settings), "0" * 32, 1_700_000_000)
