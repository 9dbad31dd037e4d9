"""The figures of a comparison, pure: what the runs of one prompt, or of all, come to.

A model does not agree with itself all of the time. So every run of b is compared with every run of a, and beside that
rate stands a's own: how often two runs of a agree. Shares are 0 to 1; None is a figure that does not apply.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, product
from statistics import fmean, median
from typing import NamedTuple

from llm_adapter.comparison import Outcome, differences
from llm_adapter.provider import Json

_TOOLS = frozenset({"tools"})
_ARGUMENTS = frozenset({"tools", "valid_arguments", "argument_names", "arguments"})


class Agreement(NamedTuple):
    """How often, or how much, two runs agree. own: two of a's; None where a has but one."""

    rate: float | None
    own: float | None


UNKNOWN = Agreement(None, None)


class StreamTiming(NamedTuple):
    """How a streamed reply came, in seconds. A piece is what the server sends at once: a token, as a rule."""

    first: float | None = None  # until the first piece of text, refusal or tool call; thinking is none of these
    between: float | None = None  # from one piece to the next, the mean; None where there is but one


NOT_STREAMED = StreamTiming()  # of a reply that is no stream


@dataclass(frozen=True, slots=True)
class Run:
    """One call on one side."""

    outcome: Outcome
    text: str = ""
    error: str = ""  # the line that explains it
    unmet: tuple[str, ...] = ()  # expectations
    cost: float | None = None
    awaited: bool = False  # an error that was expected
    pace: StreamTiming = NOT_STREAMED

    @property
    def came(self) -> bool:
        return not self.outcome.failed


@dataclass(frozen=True, slots=True)
class Measured:
    """One side's runs."""

    runs: int
    errors: float
    error_kinds: dict[str, int]
    finish_reasons: dict[str, int]
    schema_valid: float | None
    expected: float | None
    empty: float
    refused: float
    latency: float | None  # seconds, the median of the replies that came
    latency_p95: float | None
    first_token: float | None  # seconds; of streams, the medians
    between_pieces: float | None
    characters: float | None  # of a reply's text, the median
    prompt_tokens: int | None  # all runs together
    completion_tokens: int | None
    cost: float | None  # all runs together
    dimensions: int | None
    unmet: dict[str, int]  # the expectations that are not met, and in how many runs


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides' figures, and those between them."""

    a: Measured
    b: Measured
    agreement: Agreement  # of everything that `comparison.differences` looks at
    finish_agreement: Agreement
    tool_agreement: Agreement
    argument_agreement: Agreement
    similarity: Agreement
    judge: float | None
    latency_ratio: float | None  # b's over a's, as all ratios
    first_token_ratio: float | None
    between_pieces_ratio: float | None
    length_ratio: float | None
    token_ratio: float | None
    cost_ratio: float | None
    kinds: dict[str, int]  # what differs, and in how many of the pairs

    def json(self) -> Json:
        return {
            name: value._asdict() if isinstance(value, Agreement) else value for name, value in asdict(self).items()
        }


def compared(
    a: Sequence[Run],
    b: Sequence[Run],
    *,
    asked: bool = False,
    tools: bool = False,
    similarity: Agreement = UNKNOWN,
    judge: float | None = None,
) -> Compared:
    """The figures of one prompt's runs.

    asked: whether anything is expected of a reply; tools: whether some are offered.
    """
    one, other = measured(a, asked), measured(b, asked)
    between = [differences(x.outcome, y.outcome) for x, y in product(a, b)]
    found = [{each.what for each in some} for some in between]
    came = [_kinds(x, y) for x, y in product(a, b) if x.came and y.came]
    own = [_kinds(x, y) for x, y in combinations(a, 2) if x.came and y.came]
    called = tools or any(run.outcome.tools for run in (*a, *b))
    ends = any(run.outcome.finish_reason for run in (*a, *b))
    return Compared(
        one,
        other,
        Agreement(_without(found, None), _without([_kinds(x, y) for x, y in combinations(a, 2)], None)),
        _agreement(came, own, frozenset({"finish_reason"}), ends),
        _agreement(came, own, _TOOLS, called),
        _agreement(came, own, _ARGUMENTS, called),
        similarity,
        judge,
        ratio(one.latency, other.latency),
        ratio(one.first_token, other.first_token),
        ratio(one.between_pieces, other.between_pieces),
        ratio(one.characters, other.characters),
        ratio(_each(one.completion_tokens, a), _each(other.completion_tokens, b)),
        ratio(_each(one.cost, a), _each(other.cost, b)),
        dict(Counter(what for each in found for what in sorted(each))),
    )


def measured(runs: Sequence[Run], asked: bool = False) -> Measured:
    """The figures of one side."""
    outcomes = [run.outcome for run in runs]
    came = [run.outcome for run in runs if run.came]
    seconds = sorted(one.seconds for one in came)
    lengths = {one.dimensions for one in came if one.dimensions}
    return Measured(
        runs=len(runs),
        errors=_share(runs, lambda run: not (run.came or run.awaited)) or 0.0,
        error_kinds=dict(Counter(str(one.code or one.error) for one in outcomes if one.failed)),
        finish_reasons=dict(Counter(str(one.finish_reason) for one in came if one.finish_reason)),
        schema_valid=_share((one for one in came if one.schema_valid is not None), lambda one: bool(one.schema_valid)),
        expected=_share((run for run in runs if run.came or run.unmet), lambda run: not run.unmet) if asked else None,
        empty=_share(came, lambda one: one.empty) or 0.0,
        refused=_share(came, lambda one: one.refused) or 0.0,
        latency=median(seconds) if seconds else None,
        latency_p95=seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
        first_token=_middle(run.pace.first for run in runs if run.came),
        between_pieces=_middle(run.pace.between for run in runs if run.came),
        characters=median(one.characters for one in came) if came and not any(one.vectors for one in came) else None,
        prompt_tokens=_sum([one.prompt_tokens for one in came]),
        completion_tokens=_sum([one.completion_tokens for one in came if not one.vectors]),
        cost=_cost([run.cost for run in runs if run.came]),
        dimensions=lengths.pop() if len(lengths) == 1 else None,
        unmet=dict(Counter(name for run in runs for name in run.unmet)),
    )


def overall(prompts: Sequence[tuple[Sequence[Run], Sequence[Run], Compared]]) -> Compared:
    """The figures of all prompts: a side's are of all its runs, those between the sides are the prompts' mean."""
    each = [found for _, _, found in prompts]
    a = measured([run for runs, _, _ in prompts for run in runs])
    b = measured([run for _, runs, _ in prompts for run in runs])
    agreements = {name: _mean_agreement([getattr(one, name) for one in each]) for name in AGREEMENTS}
    return Compared(
        a=replace(a, expected=_expected([one.a for one in each])),
        b=replace(b, expected=_expected([one.b for one in each])),
        **agreements,
        judge=_mean(one.judge for one in each),
        latency_ratio=_middle(one.latency_ratio for one in each),
        first_token_ratio=_middle(one.first_token_ratio for one in each),
        between_pieces_ratio=_middle(one.between_pieces_ratio for one in each),
        length_ratio=_middle(one.length_ratio for one in each),
        token_ratio=ratio(a.completion_tokens, b.completion_tokens),
        cost_ratio=ratio(a.cost, b.cost),
        kinds=dict(sum((Counter(one.kinds) for one in each), Counter[str]())),
    )


AGREEMENTS = ("agreement", "finish_agreement", "tool_agreement", "argument_agreement", "similarity")


def ratio(a: float | None, b: float | None) -> float | None:
    """b over a. Nothing over nothing is the same; something over nothing is not known."""
    if a is None or b is None or (a == 0 and b != 0):
        return None
    return b / a if a else 1.0


def _expected(each: Sequence[Measured]) -> float | None:
    """The share of runs that are as expected, of the prompts that expect anything."""
    asked = [(one.expected, one.runs) for one in each if one.expected is not None]
    total = sum(runs for _, runs in asked)
    return sum(share * runs for share, runs in asked) / total if total else None


def _kinds(x: Run, y: Run) -> set[str]:
    return {one.what for one in differences(x.outcome, y.outcome)}


def _agreement(
    between: Sequence[set[str]], own: Sequence[set[str]], breaks: frozenset[str], applies: bool
) -> Agreement:
    return Agreement(_without(between, breaks), _without(own, breaks)) if applies else UNKNOWN


def _without(pairs: Sequence[set[str]], breaks: frozenset[str] | None) -> float | None:
    """The share of pairs without such a difference; None for any."""
    return _share(pairs, lambda found: not (found if breaks is None else found & breaks))


def _share(items: Iterable[object], holds: Callable[..., bool]) -> float | None:
    judged = [bool(holds(item)) for item in items]
    return sum(judged) / len(judged) if judged else None


def _sum(counts: Sequence[int | None]) -> int | None:
    """A sum of which a part is not known is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if counts and len(known) == len(counts) else None


def _cost(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if costs and len(known) == len(costs) else None


def _each(total: float | None, runs: Sequence[Run]) -> float | None:
    """For one reply: a side may have had fewer."""
    came = sum(run.came for run in runs)
    return total / came if total is not None and came else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _mean_agreement(each: Sequence[Agreement]) -> Agreement:
    return Agreement(_mean(one.rate for one in each), _mean(one.own for one in each))
