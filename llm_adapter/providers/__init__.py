"""The backends that come with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llm_adapter.provider import Provider
from llm_adapter.providers.ollama import Ollama
from llm_adapter.providers.openai import OpenAI
from llm_adapter.translation.forks import begin_in_child

_EMBEDDED = "embedded"


class Providers(Mapping[str, Provider]):
    """The backends by name. The embedded one is imported when it is asked for: most programs have a server."""

    def __init__(self) -> None:
        self._made: dict[str, Provider] = {provider.name: provider for provider in (OpenAI(), Ollama())}
        self._is_child = False  # of a fork: what the embedded one does about it, also where it is made afterwards
        begin_in_child(self._note_fork)

    def __getitem__(self, name: str) -> Provider:
        if name == _EMBEDDED and name not in self._made:
            from llm_adapter.providers.embedded.provider import Embedded

            self._made.setdefault(name, Embedded(in_child=self._is_child))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._made, _EMBEDDED)))

    def __len__(self) -> int:
        return len(self._made.keys() | {_EMBEDDED})

    def _note_fork(self) -> None:
        self._is_child = True


PROVIDERS = Providers()
