"""Progress of a pull, a push or a create: lines of the server in, `PullProgress` out. No IO, no clock.

Ollama counts every layer from 0 to 100 by itself, tells of a layer when it comes to it, and writes an error as a line
of a stream that began with 200. Source: ollama/server/images.go PullModel, download.go, routes.go PullHandler,
v0.24.0; recordings: manage, pull_unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.types import PullProgress
from llm_adapter.translation.errors import server_refusal

WINDOW = 10.0  # seconds that the rate is measured over
_ALMOST = 99.9  # a layer may be complete before the next, larger one is told of
# What the registry's 404 becomes (images.go, v0.24.0), and a name that none can have.
_ABSENT = ("file does not exist", "invalid model name", "model name is invalid")


class Progress:
    """The state of one transfer."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}  # completed and total bytes
        self._held: dict[str, int] = {}  # bytes that were there when a layer was first told of: resumed, or its own
        self._percent = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self.done = False

    def feed(self, line: Mapping[str, Any], now: float) -> PullProgress:
        """The progress after one line. now: seconds of any clock. Raises `Rejected` for an error line."""
        if line.get("error"):
            raise failure(line["error"])
        status = str(line.get("status") or "")
        layer = line.get("digest") if line.get("total") else None
        if layer is not None:
            self._count(str(layer), _bytes(line.get("completed")), _bytes(line["total"]))
        self.done = self.done or status == "success"
        completed = sum(done for done, _ in self._layers.values())
        total = sum(size for _, size in self._layers.values())
        reached = 100.0 if self.done else min(100 * completed / total, _ALMOST) if total else 0.0
        self._percent = max(self._percent, reached)
        rate = self._rate(now, completed - sum(self._held.values()))
        return PullProgress(
            status=status,
            phase=self._phase(layer is not None),
            completed=completed,
            total=total,
            percent=self._percent,
            rate=rate,
            eta=(total - completed) / rate if rate else None,
            digest=None if layer is None else str(layer),
        )

    def finish(self) -> None:
        """Raises `Rejected` where the end of the lines is not the end of the work."""
        if not self.done:
            raise Rejected("the connection ended before the work was complete", status=502, kind="api_error")

    def _count(self, layer: str, completed: int, total: int) -> None:
        before, size = self._layers.get(layer, (0, 0))
        size = max(size, total)
        completed = min(max(before, completed), size)  # a part that is fetched anew is counted down for a moment
        self._held.setdefault(layer, completed)
        self._layers[layer] = completed, size

    def _phase(self, transferring: bool) -> Any:
        if self.done:
            return "done"
        return "transferring" if transferring else "finishing" if self._layers else "waiting"

    def _rate(self, now: float, moved: int) -> float | None:
        self._samples.append((now, moved))
        while len(self._samples) > 2 and self._samples[0][0] < now - WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        return (moved - before) / (now - since) if now > since and moved > before else None


def failure(error: Any) -> Rejected:
    """The refusal of an error line."""
    refusal = server_refusal(500, error if isinstance(error, str) else str(error), {})
    if any(phrase in str(error) for phrase in _ABSENT):
        return Rejected(
            f"no such model: {error}", param="model", code="model_not_found", status=404, kind="not_found_error"
        )
    return refusal


def outcome(lines: bytes) -> Rejected | None:
    """What came of a whole stream of lines; None for success."""
    progress = Progress()
    try:
        for line in lines.split(b"\n"):
            if parsed := read(line):
                progress.feed(parsed, 0)
        progress.finish()
    except Rejected as refusal:
        return refusal
    return None


def read(line: bytes) -> dict[str, Any]:
    """A line's object; an empty one for anything else."""
    try:
        parsed = from_json(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _bytes(count: Any) -> int:
    return max(int(count), 0) if isinstance(count, (int, float)) else 0
