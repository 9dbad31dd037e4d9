"""A fake's script and state, for whichever driver carries the bytes: a server on loopback, or a mock in the process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_adapter.testing import personas
from llm_adapter.testing.log import Log, masked
from llm_adapter.testing.personas.persona import Model, Persona
from llm_adapter.testing.personas.wire import Answer, Asked
from llm_adapter.testing.turns import HELLO, Failure, Turn, text

if TYPE_CHECKING:
    from llm_adapter import Settings

Matcher: TypeAlias = Callable[[Asked], "Turn | str | None"]


class Scripted(Log):
    """Answers requests in the manner of a persona, out of a script.

    Turns are used up one by one, by calls of a model alone. Without any script every call gets a friendly text. A
    script that has no turn left answers 400 and says so: a loop that asks once too often is a finding.
    """

    def __init__(
        self,
        persona: str | Persona = "openai",
        *,
        models: Iterable[str | Model] | Mapping[str, Iterable[str]] | None = None,
        context: int | None = None,
        library: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._given: dict[str, Any] = {"models": models, "context": context, "library": library}
        self._persona = personas.persona(persona, **self._given)
        self._lock = threading.RLock()  # a matcher may add to the script
        self._matchers: list[Matcher] = []
        self._turns: list[Turn] = []
        self._scripted = self._repeat = self._repeated = False
        self.overrun = 0  # calls that came when the script had ended
        self._problem: Exception | None = None  # the first that a matcher raised

    # --- the script ---

    def script(self, *turns: Turn | str, repeat: bool = False) -> None:
        """Puts turns at the end of the script; a string is a text. repeat: its last turn answers all that follows."""
        with self._lock:
            self._turns += [_turn(one) for one in turns]
            self._scripted, self._repeat, self._repeated = True, repeat, False

    def on(self, matcher: Matcher) -> Matcher:
        """Asks this first: a turn or a text answers the call, None leaves it to the others, and then to the script."""
        self._matchers.append(matcher)
        return matcher

    @property
    def unused(self) -> tuple[Turn, ...]:
        """Scripted turns that no call has asked for."""
        return () if self._repeated else tuple(self._turns)

    def assert_all_used(self) -> None:
        """Every scripted turn was asked for, and no call came when there was none left."""
        left = "".join(f"\n  {_short(turn)}" for turn in self.unused)
        assert not self.unused, f"{len(self.unused)} scripted turns were not asked for:{left}{self._came()}"
        self.assert_sufficed()

    def assert_sufficed(self) -> None:
        """The script had a turn for every call, and no matcher has failed."""
        if self._problem is not None:
            raise AssertionError(f"a matcher failed{self._came()}") from self._problem
        assert not self.overrun, f"{self.overrun} calls came when the script had ended{self._came()}"

    # --- the server that it plays ---

    @property
    def persona(self) -> Persona:
        return self._persona

    @persona.setter
    def persona(self, persona: str | Persona) -> None:
        self._persona = personas.persona(persona, **self._given)

    @property
    def models(self) -> tuple[Model, ...] | None:
        """The models that the server has; None: any that is asked for."""
        return self._persona.models

    @models.setter
    def models(self, models: Iterable[str | Model] | Mapping[str, Iterable[str]] | None) -> None:
        self._given["models"] = models
        self.persona = self._persona.having(models=None)

    @property
    def context(self) -> int | None:
        """Tokens that a prompt may have; None: any number."""
        return self._persona.context

    @context.setter
    def context(self, tokens: int | None) -> None:
        self._given["context"] = tokens
        self._persona = self._persona.having(context=tokens)

    # --- answering ---

    def answer(self, method: str, path: str, headers: Iterable[tuple[str, str]], data: bytes) -> Answer:
        """What goes back for a request. path: with /v1 or /api, and without a query. Threads may ask side by side."""
        given = list(headers)
        with self._lock:
            asked = Asked(
                method,
                path,
                _decoded(data),
                masked(given),
                any(name.lower() in ("authorization", "api-key") for name, _ in given),
                len(self.requests) + 1,
                time(),
            )
            settled = personas.settled(self._persona, asked)
            found = settled or personas.answer(self._persona, asked, self._next(asked))
            self.noted(asked, found.status, spoken=settled is None)
            self._persona = personas.after(self._persona, asked, found)
            return found

    def _next(self, asked: Asked) -> Turn:
        try:
            matched = next((turn for matcher in self._matchers if (turn := matcher(asked)) is not None), None)
        except Exception as problem:
            self._problem = self._problem or problem
            return _failed(f"a matcher raised {problem!r}", "matcher_failed")
        if matched is not None:
            return _turn(matched)
        if not self._scripted:
            return HELLO
        if not self._turns:
            self.overrun += 1
            words = f"the script has no turn left for {asked.method} {asked.path}, request {asked.number}"
            return _failed(words, "script_ended")
        if self._repeat and len(self._turns) == 1:
            self._repeated = True
            return self._turns[0]
        return self._turns.pop(0)

    # --- for llm_adapter's clients ---

    def settings_at(self, root: str, **fields: Any) -> Settings:
        """Settings that send llm_adapter's clients to this fake, where it is reached at `root`."""
        from llm_adapter import Settings

        if self._persona.dialect == "ollama":
            return Settings(**{"provider": "ollama", "host": root, **fields})
        base = {"provider": "openai", "base_url": f"{root}/v1", "dialect": self._persona.dialect, "api_key": "fake"}
        return Settings(**{**base, **fields})


def _turn(given: Turn | str) -> Turn:
    return text(given) if isinstance(given, str) else given


def _failed(words: str, code: str) -> Turn:
    """An answer about the fake itself, with a status that no client tries again."""
    return Turn(failure=Failure(f"fake_llm: {words}", 400, code, "invalid_request_error"))


def _short(turn: Turn) -> str:
    empty = Turn()
    fields = [name for name in Turn.__slots__ if getattr(turn, name) != getattr(empty, name)]
    return f"turn({', '.join(f'{name}={getattr(turn, name)!r}' for name in fields)})"[:200]


def _decoded(data: bytes) -> Any:
    """The JSON of a body; None, where there is none that can be read."""
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None
