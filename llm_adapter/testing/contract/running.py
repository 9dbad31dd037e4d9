"""The suite without pytest: every check on one client, and what came of each."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import openai

from llm_adapter.settings.errors import near
from llm_adapter.testing.contract import chat, endpoints, refusals, streams, structured, tools, vectors
from llm_adapter.testing.contract.case import Case, Check, Inconclusive, said, short
from llm_adapter.testing.contract.playing import Player

Outcome: TypeAlias = Literal["passed", "failed", "inconclusive", "skipped"]

CHECKS: tuple[Check, ...] = (
    *chat.CHECKS,
    *streams.CHECKS,
    *tools.CHECKS,
    *structured.CHECKS,
    *refusals.CHECKS,
    *vectors.CHECKS,
    *endpoints.CHECKS,
)
NEEDS = tuple(dict.fromkeys(need for check in CHECKS for need in check.needs))


class Result(NamedTuple):
    """What came of one check."""

    name: str
    outcome: Outcome
    line: str = ""  # why it is not passed
    seconds: float = 0.0


class Results(list[Result]):
    """What came of all: as a text it is a table."""

    @property
    def failed(self) -> list[str]:
        return [result.name for result in self if result.outcome == "failed"]

    def __str__(self) -> str:
        width = max((len(result.name) for result in self), default=0)
        rows = [f"{result.name:<{width}}  {result.outcome:<12}  {result.line}".rstrip() for result in self]
        counts = Counter(result.outcome for result in self)
        seconds = sum(result.seconds for result in self)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        return "\n".join([*rows, "", f"{told} in {seconds:.1f} s"])


def run(
    client: Any,
    model: str,
    *,
    embedding_model: str | None = None,
    context: int | None = None,
    options: Mapping[str, Any] | None = None,
    without: Mapping[str, str] | None = None,
    checks: Iterable[Check] = CHECKS,
) -> Results:
    """What came of each check on a client of either colour. An async client is closed at the end.

    context: the model's, in tokens. options: arguments of every chat call. without: checks or needs to leave out, and
    why. Raises ValueError for a name in `without` that is none.
    """
    left_out = known(without or {})
    case = Case(client, model, embedding_model, context, options or {})
    with Player() as player:
        judge = Judge(player)
        return Results([judge(check, case, left_out) for check in checks])


def known(without: Mapping[str, str]) -> Mapping[str, str]:
    """The same, if each name is a check or a need. Raises ValueError."""
    names = [*(check.name for check in CHECKS), *NEEDS]
    for name in without:
        if name not in names:
            raise ValueError(f"`without` names {name!r}, which is no check and no need{near(name, names)}")
    return without


class Judge:
    """Judges one check after the other. A server that is gone is not asked on: each call would take its full time."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._gone: str | None = None

    def __call__(self, check: Check, case: Case, without: Mapping[str, str]) -> Result:
        if (why := _left_out(check, case, without)) is not None:
            return Result(check.name, "skipped", why)
        if self._gone is not None:
            return Result(check.name, "failed", f"not tried: {self._gone}")
        since = time.monotonic()
        outcome, line = self._judged(check, case)
        return Result(check.name, outcome, _masked(line, case.client), time.monotonic() - since)

    def _judged(self, check: Check, case: Case) -> tuple[Outcome, str]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            case = dataclasses.replace(case, told=told)
            try:
                self._player(check.script(case), case.client)
            except Inconclusive as reason:
                return "inconclusive", str(reason)
            except Exception as error:
                line = _line(error)
                self._gone = line if _is_gone(error) else None
                return "failed", f"{line}. What to do: {_cure(check, error)}"
        return "passed", ""


def _left_out(check: Check, case: Case, without: Mapping[str, str]) -> str | None:
    for name in (check.name, *check.needs):
        if name in without:
            return without[name]
    if "embeddings" in check.needs and case.embedding_model is None:
        return "`embedding_model` is not given"
    if "context" in check.needs and case.context is None:
        return "`context`, the model's in tokens, is not given"
    return None


def _line(error: Exception) -> str:
    """What happened, in a line."""
    match error:
        case AssertionError():
            return str(error)
        case openai.APIStatusError():
            return f"expected a reply; came {type(error).__name__} ({error.status_code}): {short(said(error))}"
        case openai.APIError():
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            return f"expected a reply; came {type(error).__name__}: {short(f'{error.message}{cause}')}"
        case AttributeError() | IndexError() | KeyError() | TypeError():
            # The SDK takes any JSON for a reply: fields may be missing.
            return f"the reply is not OpenAI's: {type(error).__name__}: {short(error)}"
        case _:
            return f"expected a reply; came {type(error).__name__}: {short(error)}"


def _cure(check: Check, error: Exception) -> str:
    if _is_gone(error):
        return "start the server, or correct the client's base_url"
    if isinstance(error, openai.NotFoundError) and error.code is None and check.needs:  # it does not have that at all
        return f'{check.cure}; or leave it out: without={{"{check.needs[0]}": "why"}}'
    return check.cure


def _is_gone(error: Exception) -> bool:
    """Whether no further call will be answered. A connection that is lost in a reply is not that."""
    if isinstance(error, openai.APITimeoutError):
        return True
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ == "ConnectError"


def _masked(line: str, client: Any) -> str:
    key = getattr(client, "api_key", None)
    return line.replace(key, "***") if isinstance(key, str) and len(key) >= 8 else line
