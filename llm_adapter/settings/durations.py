"""How long a model is kept in memory: Ollama's `keep_alive`, as seconds."""

from __future__ import annotations

import re

USUAL = 300.0  # seconds: Ollama's own (envconfig/config.go KeepAlive, v0.24.0)
_PART = re.compile(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(keep_alive: str | float | None) -> float:
    """Seconds of a number or of Go's words ("1h30m"); five minutes of None. Negative: for ever."""
    if keep_alive is None:
        return USUAL
    if not isinstance(keep_alive, str):
        return float(keep_alive)
    sign = -1.0 if keep_alive.startswith("-") else 1.0
    return sign * sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(keep_alive))
