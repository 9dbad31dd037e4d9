"""What the setting `provider` may say: a provider of this package, one that an installed package brings, or a place.

A package brings a provider by an entry point in the group `llm_adapter.providers`; a place is `package.module:Name`.
Nothing is imported here: that happens when a client is made.
"""

from __future__ import annotations

import re

PROVIDER_NAMES = ("openai", "ollama", "embedded")
GROUP = "llm_adapter.providers"
_PLACE = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*"


def is_place(name: str) -> bool:
    """Whether it says where a provider is: "package.module:Name"."""
    return re.fullmatch(_PLACE, name) is not None


def installed_providers() -> dict[str, list[str]]:
    """The providers that installed packages bring, each with its places: more than one, if several have the name."""
    from importlib.metadata import entry_points  # costs some milliseconds, and few programs ask

    places: dict[str, list[str]] = {}
    for found in entry_points(group=GROUP):
        if found.name not in PROVIDER_NAMES and found.value not in places.setdefault(found.name, []):
            places[found.name].append(found.value)
    return places
