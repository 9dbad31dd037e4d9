"""The figures of a comparison, and the thresholds that they are held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_adapter.comparison import Outcome, ToolCall, cosine
from llm_adapter.devtools.parity.figures import (
    Agreement,
    Compared,
    Run,
    StreamTiming,
    compared,
    measured,
    overall,
    ratio,
)
from llm_adapter.devtools.parity.formats import agreed, money, number, seconds
from llm_adapter.devtools.parity.thresholds import LIMITS, broken


def said(end: str = "stop", *tools: str, seconds: float = 1.0, **fields: Any) -> Run:
    called = tuple(ToolCall(name, {}) for name in tools)
    given = {"choices": 1, "characters": 4, "prompt_tokens": 3, "completion_tokens": 2, **fields}
    return Run(Outcome(seconds, finish_reason=end, tools=called, **given))


ERROR = Run(Outcome(1, error="RateLimitError", code="rate_limit"), error="too many")


def test_pairs_are_all_with_all() -> None:
    """One of three runs of a differs, and one of two of b: two of six pairs agree, and one of a's own three."""
    found = compared([said("stop"), said("stop"), said("length")], [said("stop"), said("content_filter")])
    assert found.finish_agreement == (pytest.approx(2 / 6), pytest.approx(1 / 3))
    assert found.agreement == found.finish_agreement
    assert found.kinds == {"finish_reason": 4}
    assert found.tool_agreement == (None, None)


def test_errors_are_in_no_other_figure() -> None:
    found = compared([said(), said(seconds=3)], [ERROR, said(seconds=4)])
    assert (found.a.errors, found.b.errors, found.b.error_kinds) == (0, 0.5, {"rate_limit": 1})
    assert (found.finish_agreement, found.agreement.rate) == ((1, 1), 0.5)
    assert (found.b.latency, found.latency_ratio, found.b.completion_tokens) == (4, 2, 2)
    assert found.token_ratio == 1


def test_the_pace_is_of_streams_that_came() -> None:
    """Medians of those that say anything; a side that is not streamed has none, and no ratio."""
    paced = [replace(said(), pace=StreamTiming(*pair)) for pair in ((1.0, 0.25), (3.0, None), (None, None))]
    found = compared(paced, [replace(said(), pace=StreamTiming(4.0, 0.5)), replace(ERROR, pace=StreamTiming(9.0, 9.0))])
    assert (found.a.first_token, found.a.between_pieces, found.b.first_token) == (2, 0.25, 4)
    assert (found.first_token_ratio, found.between_pieces_ratio) == (2, 2)
    assert compared([said()], paced).first_token_ratio is None
    whole = overall([([said()], [said()], compared([said()], [said()])), (paced, paced, compared(paced, paced))])
    assert (whole.b.first_token, whole.first_token_ratio, whole.between_pieces_ratio) == (2, 1, 1)


def test_offered_tools_that_nobody_calls_agree() -> None:
    assert compared([said()], [said()], tools=True).tool_agreement.rate == 1


def test_arguments_are_agreed_on_where_the_tools_are() -> None:
    one, other = (Run(Outcome(1, tools=(ToolCall("f", {"a": value}),))) for value in (1, 2))
    found = compared([one], [other])
    assert (found.tool_agreement.rate, found.argument_agreement.rate, found.agreement.rate) == (1, 0, 0)


@pytest.mark.parametrize(
    ("count", "p95"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (40, 38)], ids=lambda value: str(value)
)
def test_percentile(count: int, p95: int) -> None:
    """The smallest time that 95 of 100 runs do not exceed."""
    assert measured([said(seconds=second) for second in range(1, count + 1)]).latency_p95 == p95


def test_what_is_not_known_is_no_sum() -> None:
    runs = [replace(said(), cost=0.5), said(completion_tokens=None)]
    assert (measured(runs).completion_tokens, measured(runs).prompt_tokens, measured(runs).cost) == (None, 6, None)
    assert (ratio(0, 0), ratio(0, 1), ratio(None, 1), ratio(2, 1)) == (1, None, None, 0.5)


def test_all_prompts_together() -> None:
    """Sides are counted by their runs, what is between them by the prompts."""
    first = ([said()], [said()])
    second = ([said(), said()], [said("length"), ERROR])
    whole = overall([(a, b, compared(a, b, asked=a is first[0])) for a, b in (first, second)])
    assert (whole.a.runs, whole.b.errors, whole.finish_agreement.rate) == (3, pytest.approx(1 / 3), 0.5)
    assert (whole.a.expected, whole.b.expected) == (1, 1)
    assert whole.kinds == {"finish_reason": 2, "error": 2}


RUNS = st.lists(
    st.builds(
        said,
        st.sampled_from(["stop", "length"]),
        *([st.sampled_from(["f", "g"])] * 1),
        seconds=st.floats(0.001, 10),
        schema_valid=st.sampled_from([None, True, False]),
        characters=st.integers(0, 9),
    )
    | st.just(ERROR),
    min_size=1,
    max_size=4,
)


def rates(found: Compared) -> list[float | None]:
    return [
        one.rate for one in (found.agreement, found.finish_agreement, found.tool_agreement, found.argument_agreement)
    ]


@given(RUNS, RUNS)
def test_agreement_is_symmetric(a: list[Run], b: list[Run]) -> None:
    there, back = compared(a, b), compared(b, a)
    assert rates(there) == pytest.approx(rates(back))
    assert (there.a, there.b, there.kinds) == (back.b, back.a, back.kinds)
    assert all(rate is None or 0 <= rate <= 1 for rate in rates(there))


@given(RUNS)
def test_a_side_like_the_other_agrees_with_it_fully(runs: list[Run]) -> None:
    """Where each side says one thing, b has the figures of a, and no threshold breaks but for errors."""
    same = [runs[0]] * 3
    found = compared(same, same)
    assert {rate for rate in rates(found) if rate is not None} <= {1.0}
    assert (found.a, found.kinds) == (found.b, {})
    names = {one.name for one in broken(found, dict.fromkeys(LIMITS.keys() - {"latency"}, None))}
    assert names == set()
    assert {one.name for one in broken(found, {})} <= {"errors", "schema_valid"}


@given(RUNS, RUNS)
def test_a_is_never_worse_than_itself(a: list[Run], b: list[Run]) -> None:
    """A side held against itself meets every limit on agreement, however unsure it is."""
    found = compared(a, a)
    agreements = dict.fromkeys(("finish_agreement", "tool_agreement", "argument_agreement", "agreement"), 1.0)
    assert not {one.name for one in broken(found, agreements)} & agreements.keys()


SAME = compared([said()] * 3, [said()] * 3, tools=True)


def but(**changes: Any) -> Compared:
    return replace(SAME, **changes)


def b(**changes: Any) -> Compared:
    return replace(SAME, b=replace(SAME.b, **changes))


HALF = Agreement(0.5, 1.0)
THRESHOLDS: list[tuple[Compared, dict[str, float | None], list[str]]] = [
    (SAME, {}, []),
    (b(errors=0.25), {}, ["errors 0.25, at most 0.00 wanted"]),
    (b(errors=0.25), {"errors": 0.25}, []),
    (b(errors=0.25), {"errors": None}, []),
    (replace(SAME, a=replace(SAME.a, errors=1.0)), {}, ["errors 1.00, at most 0.00 wanted"]),
    (b(errors=1.0, error_kinds={"gone": 3}), {}, ["errors 1.00, at most 0.00 wanted (b: gone)"]),
    (b(schema_valid=0.5), {}, ["schema_valid 0.50, at least 1.00 wanted"]),
    (b(schema_valid=0.5), {"schema_valid": 0.5}, []),
    (b(expected=0.5, unmet={"tool": 1}), {}, ["expected 0.50, at least 1.00 wanted (unmet: tool)"]),
    (b(empty=0.5), {}, ["empty 0.50, at most 0.00 wanted"]),
    (replace(b(empty=0.5), a=replace(SAME.a, empty=0.5)), {}, []),
    (b(refused=1.0), {"refused": 0.5}, ["refused 1.00, at most 0.50 wanted"]),
    (but(finish_agreement=HALF), {}, ["finish_agreement 0.50, at least 0.90 wanted"]),
    (but(tool_agreement=HALF), {}, ["tool_agreement 0.50, at least 0.90 wanted"]),
    (but(tool_agreement=Agreement(0.45, 0.5)), {}, []),
    (
        but(tool_agreement=Agreement(0.4, 0.5)),
        {},
        ["tool_agreement 0.40, at least 0.45 wanted (0.90 of a's own 0.50)"],
    ),
    (but(argument_agreement=HALF, agreement=HALF), {}, []),
    (but(argument_agreement=HALF), {"argument_agreement": 0.6}, ["argument_agreement 0.50, at least 0.60 wanted"]),
    (but(agreement=HALF), {"agreement": 0.5}, []),
    (but(similarity=Agreement(0.8, None)), {"similarity": 0.9}, ["similarity 0.80, at least 0.90 wanted"]),
    (SAME, {"similarity": 0.9}, ["similarity is not known"]),
    (b(characters=0), {"similarity": 0.9}, []),
    (SAME, {"judge": 0.5}, ["judge is not known"]),
    (but(judge=0.5), {"judge": 0.5}, []),
    (b(latency=2.0), {"latency": 1.5}, ["latency 2.00, at most 1.50 wanted"]),
    (but(latency_ratio=3.0), {"latency_ratio": 2}, ["latency_ratio 3.00, at most 2.00 wanted"]),
    (b(first_token=0.4), {"first_token": 0.3}, ["first_token 0.40, at most 0.30 wanted"]),
    (SAME, {"first_token": 0.3, "first_token_ratio": 2, "between_pieces": 0.1, "between_pieces_ratio": 2}, []),
    (replace(SAME, a=replace(SAME.a, first_token=0.1)), {"first_token_ratio": 2}, ["first_token_ratio is not known"]),
    (b(between_pieces=0.2), {"between_pieces": 0.1}, ["between_pieces 0.20, at most 0.10 wanted"]),
    (but(between_pieces_ratio=3.0), {"between_pieces_ratio": 2}, ["between_pieces_ratio 3.00, at most 2.00 wanted"]),
    (but(length_ratio=0.4), {"length_ratio": 2}, ["length_ratio 0.40, within 0.50 and 2.00 wanted"]),
    (but(length_ratio=0.5), {"length_ratio": 2}, []),
    (but(token_ratio=1.5), {"token_ratio": 1.5}, []),
    (but(cost_ratio=None), {"cost_ratio": 1}, ["cost_ratio is not known"]),
    (but(cost_ratio=2.0), {"cost_ratio": 1}, ["cost_ratio 2.00, at most 1.00 wanted"]),
]


@pytest.mark.parametrize(("found", "limits", "told"), THRESHOLDS)
def test_thresholds(found: Compared, limits: dict[str, float | None], told: list[str]) -> None:
    assert [one.text for one in broken(found, limits)] == told


def test_every_limit_is_tried() -> None:
    assert {text.split()[0] for _, _, told in THRESHOLDS for text in told} >= LIMITS.keys() - {
        "agreement",
        "token_ratio",
    }


def test_cells() -> None:
    assert [seconds(value) for value in (None, 0.0, 0.00043, 0.0071, 0.9996, 1.254, 130.2)] == [
        "",
        "0 ms",
        "0.4 ms",
        "7 ms",
        "1.00 s",
        "1.25 s",
        "130 s",
    ]
    assert [money(value) for value in (None, 0, 0.000027, 12.5)] == ["", "0", "0.000027", "12.5"]
    assert [number(value) for value in (None, 0, 12, 1234.5, 0.12345)] == ["", "0", "12", "1234", "0.123"]
    assert [agreed(Agreement(*pair)) for pair in ((None, 1), (0.5, 1), (0.5, 0.25), (1, None))] == [
        "",
        "50 %",
        "50 % (25 %)",
        "100 %",
    ]


def test_cosine() -> None:
    assert [cosine(one, other) for one, other in (([1.0, 0.0], [0.0, 2.0]), ([1.0], [3.0]), ([0.0], [1.0]))] == [
        0,
        1,
        0,
    ]
