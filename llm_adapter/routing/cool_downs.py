"""Servers that are left alone for a while, since they could not be reached: what the whole process knows of them.

Not among what is forgotten when a server cannot be reached, for that is what begins it.
"""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic

from llm_adapter.translation.process_cache import ForkSafeLock, register_cache

_until: dict[Hashable, tuple[float, str]] = register_cache({})  # to the end, by the clock `monotonic`, and the reason
_lock = ForkSafeLock()


def begin(key: Hashable, seconds: float, reason: str) -> bool:
    """Begin a cool-down, or make one that is under way last longer. Whether it has begun now.

    key: a server's address, alone or with a model.
    """
    now = monotonic()
    with _lock:
        for other in [one for one, (end, _) in _until.items() if end <= now]:
            del _until[other]
        began = key not in _until
        end, _ = _until.get(key, (now, reason))
        _until[key] = max(end, now + seconds), reason
    return began


def reason(key: Hashable) -> str | None:
    """Why a server is left alone now; None: it is not."""
    end, why = _until.get(key, (0.0, ""))
    return why if end > monotonic() else None


def end(key: Hashable) -> None:
    """The server has answered."""
    if key in _until:
        with _lock:
            _until.pop(key, None)
