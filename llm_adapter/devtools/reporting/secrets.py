"""No key is shown, wherever a text comes from: servers repeat keys in their errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_LIKE_A_KEY = re.compile(r"\b(sk|hf|gsk|xai)[-_][A-Za-z0-9_-]{8,}")
_SECRET_NAMES = re.compile("(KEY|TOKEN|SECRET|PASSWORD)$")
_SHORTEST = 8  # characters: shorter values stand in for a key, such as "ollama", and are ordinary words


def masked(text: str, secrets: Iterable[str | None] = (), environ: Mapping[str, str] = {}) -> str:
    """The text with `***` for the secrets, for the keys of the environment, and for what looks like a key."""
    values = {*secrets, *(value for name, value in environ.items() if _SECRET_NAMES.search(name))}
    for value in sorted((one for one in values if one and len(one) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(value, "***")
    return _LIKE_A_KEY.sub("***", text)
