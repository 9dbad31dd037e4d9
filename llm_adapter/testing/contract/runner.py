"""Every check on one client, and what came of each. This needs no pytest."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import openai

from llm_adapter.devtools.reporting.secrets import masked
from llm_adapter.settings.errors import near
from llm_adapter.testing.contract import chat, embeddings, endpoints, errors, streams, structured_output, tools
from llm_adapter.testing.contract.case import Case, Check, Inconclusive, another_error, excerpt
from llm_adapter.testing.contract.player import Player

Outcome: TypeAlias = Literal["passed", "failed", "inconclusive", "skipped"]

CHECKS: tuple[Check, ...] = (
    *chat.CHECKS,
    *streams.CHECKS,
    *tools.CHECKS,
    *structured_output.CHECKS,
    *errors.CHECKS,
    *embeddings.CHECKS,
    *endpoints.CHECKS,
)
# What nearly every program relies on, in the order in which `llm-adapter verify` tries it.
_EVERYDAY = (
    *("models", "reply_text", "stream_finish", "usage", "stream_usage", "tool_call", "tool_choice_named"),
    *("json_schema", "embedding_order", "overlong_prompt"),
)
_BY_NAME = {check.name: check for check in CHECKS}
EVERYDAY: tuple[Check, ...] = tuple(_BY_NAME[name] for name in _EVERYDAY)
NEEDS = tuple(dict.fromkeys(need for check in CHECKS for need in check.needs))


class Result(NamedTuple):
    """What came of one check."""

    name: str
    outcome: Outcome
    line: str = ""  # why it is not passed: what was expected, and what came
    seconds: float = 0.0
    asks: str = ""  # what has to hold
    cure: str = ""  # of a failure: what the server has to do

    @property
    def advice(self) -> str:
        """The line, and what to do."""
        return f"{self.line}. What to do: {self.cure}" if self.cure else self.line


class Results(list[Result]):
    """What came of all. As a text it is a table, with what to do about the failures."""

    @property
    def failed(self) -> list[str]:
        return [result.name for result in self if result.outcome == "failed"]

    def __str__(self) -> str:
        width = max((len(result.name) for result in self), default=0)
        rows = [f"{one.name:<{width}}  {one.outcome:<12}  {one.advice}".rstrip() for one in self]
        return "\n".join([*rows, "", self.summary])

    @property
    def summary(self) -> str:
        """How many passed, failed and so on, and the seconds of all."""
        counts = Counter(result.outcome for result in self)
        shown = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        return f"{shown} in {sum(result.seconds for result in self):.1f} s"


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
    """What came of each check on a client, sync or async. An async client is closed at the end.

    context: the model's, in tokens. options: arguments of every chat call. without: checks or needs to leave out, and
    why. Raises ValueError for a name in `without` that is none.
    """
    left_out = checked_names(without or {})
    case = Case(client, model, embedding_model, context, options or {})
    with Player() as player:
        judge = Judge(player)
        return Results([judge(check, case, left_out) for check in checks])


def checked_names(without: Mapping[str, str]) -> Mapping[str, str]:
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
            return Result(check.name, "skipped", why, asks=check.asks)
        since = time.monotonic()
        outcome, line, cure = self._outcome(check, case)
        line = masked(line, [getattr(case.client, "api_key", None)], os.environ)
        return Result(check.name, outcome, line, time.monotonic() - since, check.asks, cure)

    def _outcome(self, check: Check, case: Case) -> tuple[Outcome, str, str]:
        if self._gone is not None:
            return "failed", f"not tried: {self._gone}", ""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            case = dataclasses.replace(case, warned=warned)
            try:
                self._player(check.script(case), case.client)
            except Inconclusive as reason:
                return "inconclusive", str(reason), ""
            except Exception as error:
                line = _line(error)
                self._gone = line if _is_gone(error) else None
                return "failed", line, _cure(check, error)
        return "passed", "", ""


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
            return f"expected a reply; came {excerpt(another_error(error))}"
        case openai.APIError():
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            return f"expected a reply; came {type(error).__name__}: {excerpt(f'{error.message}{cause}')}"
        case AttributeError() | IndexError() | KeyError() | TypeError():
            # The SDK takes any JSON for a reply: fields may be missing.
            return f"the reply is not OpenAI's: {type(error).__name__}: {excerpt(error)}"
        case _:
            return f"expected a reply; came {type(error).__name__}: {excerpt(error)}"


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
