"""Whether cassettes are recorded in this run: what `--llm-record` says, or else the environment. It imports nothing."""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, TypeAlias, get_args

Mode: TypeAlias = Literal["none", "once", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
OPTION = "--llm-record"

asked: list[Mode] = []  # what the running pytest was given; the last one decides: pytest can run inside a test


class Chosen(NamedTuple):
    """A mode, and who chose it: to be told where nothing is recorded because of it."""

    mode: Mode
    why: str = ""
    own: bool = False  # the cassette's own mode, which the option does not change

    def to(self, mode: Mode) -> str:
        """How another mode is chosen."""
        return f'mode="{mode}"' if self.own or "PYTEST_CURRENT_TEST" not in os.environ else f"pytest {OPTION} {mode}"


def chosen(given: Mode | None) -> Chosen:
    """The mode of a cassette. given: the cassette's own. Raises ValueError for one that is unknown."""
    if given is not None:
        if given not in MODES:
            raise ValueError(f"unknown mode {given!r} of a cassette: expected one of {', '.join(MODES)}")
        return Chosen(given, f'its mode is "{given}"', own=True)
    if asked:
        return Chosen(asked[-1], f"{OPTION} is {asked[-1]}")
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return Chosen("none", "the variable CI is set, and there cassettes are only replayed")
    return Chosen("once")
