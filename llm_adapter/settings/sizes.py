"""Amounts of memory, as people write and read them."""

from __future__ import annotations

import re

_BYTES = r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_of(text: str) -> int | None:
    """The bytes of "8GB", "512 MB" or "1000"; None where it is no amount. "GiB" is 1024 to the third."""
    found = re.fullmatch(_BYTES, text.strip(), re.IGNORECASE)
    if found is None:
        return None
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " "))


def size_text(count: float) -> str:
    """A number of bytes as hubs and Ollama show it: decimal units."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
