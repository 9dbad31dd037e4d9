"""Servers that are left alone for a while, since they could not be reached: what the whole process knows of them.

When the time is over, one call tries the server again; the others leave it alone until that call knows more.
Not among what is forgotten when a server cannot be reached, for that is what begins it.
"""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic
from typing import NamedTuple

from llm_adapter.translation.forks import ForkSafeLock
from llm_adapter.translation.process_cache import register_cache

_KEPT = 600.0  # seconds after its end that a cool-down is kept for the call that tries again


class _CoolDown(NamedTuple):
    end: float  # by the clock `monotonic`
    reason: str
    is_tried: bool = False  # a call tries the server now


_cool_downs: dict[Hashable, _CoolDown] = register_cache({})
_lock = ForkSafeLock()


def begin(key: Hashable, seconds: float, reason: str) -> bool:
    """Begin a cool-down, or make one that is under way last longer. Whether it has begun now.

    key: a server's address, alone or with a model.
    """
    now = monotonic()
    with _lock:
        for other in [one for one, found in _cool_downs.items() if found.end <= now - _KEPT]:
            del _cool_downs[other]
        last = _cool_downs.get(key)
        began = last is None or last.end <= now or last.is_tried
        _cool_downs[key] = _CoolDown(now + seconds if began or last is None else max(last.end, now + seconds), reason)
    return began


def reason(key: Hashable) -> str | None:
    """Why a server is left alone now; None: it is not."""
    found = _cool_downs.get(key)
    return None if found is None or found.end <= monotonic() else found.reason


def may_try(key: Hashable, seconds: float) -> bool:
    """Whether a call may try a server whose cool-down is over: the first one that asks, and again after `seconds`."""
    with _lock:
        found, now = _cool_downs.get(key), monotonic()
        if found is None or found.end > now:
            return False
        _cool_downs[key] = found._replace(end=now + seconds, is_tried=True)
        return True


def end(key: Hashable) -> None:
    """The server has answered."""
    if key in _cool_downs:
        with _lock:
            _cool_downs.pop(key, None)
