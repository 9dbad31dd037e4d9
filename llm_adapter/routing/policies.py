"""The names in a table of `unsupported`: those of parameters and of settings that follow the policy."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import chain

from llm_adapter.providers.ollama.parameters import CHAT, COMPLETIONS, EMBEDDINGS
from llm_adapter.providers.v1.parameters import FIELDS, ROWS
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

# A name that is no parameter's may be one of a server's own; one that is so near to a parameter's is misspelt.
_NEAR = 0.85


def check_policy_names(settings: Settings) -> None:
    """Raises `SettingsError` for a misspelt name: its policy would hold for nothing."""
    if isinstance(settings.unsupported, str):
        return
    known = _known_names()
    for name in settings.unsupported.keys() - known - {"*"}:
        meant = get_close_matches(name, known, n=1, cutoff=_NEAR)
        if meant:
            origin = settings.origin("unsupported")
            raise SettingsError(
                f"`unsupported` names {name!r}, which is no parameter; did you mean {meant[0]!r}? (from {origin})",
                ("unsupported",),
            )


def _known_names() -> set[str]:
    tables = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, *chain.from_iterable(one.values() for one in ROWS.values()))
    fields = chain.from_iterable(one.values() for one in FIELDS.values())
    return {*Settings.model_fields, *chain.from_iterable(tables), *chain.from_iterable(fields)}
