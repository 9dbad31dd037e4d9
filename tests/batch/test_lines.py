"""The lines of a Batch file: what is one, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_adapter.batch.lines import BadLineError, Line, check, is_error, not_run, read_line, result

CHAT = "/v1/chat/completions"


def line(**changes: Any) -> bytes:
    said = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m", "messages": []}, **changes}
    return json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


BAD = {
    b"{": ("invalid_json_line", None),
    b"[]": ("invalid_json_line", None),
    b"\xff": ("invalid_json_line", None),
    b"[" * 100_000: ("invalid_json_line", None),
    line(custom_id=...): ("missing_required_parameter", "custom_id"),
    line(custom_id=7): ("missing_required_parameter", "custom_id"),
    line(custom_id=""): ("missing_required_parameter", "custom_id"),
    line(method="GET"): ("invalid_method", "method"),
    line(url="/v1/files"): ("invalid_url", "url"),
    line(url=["/v1/files"]): ("invalid_url", "url"),
    line(body=[]): ("invalid_request", "body"),
    line(body={"stream": True}): ("invalid_request", "body.stream"),
}


@pytest.mark.parametrize("data", BAD)
def test_a_line_that_is_none(data: bytes) -> None:
    with pytest.raises(BadLineError) as caught:
        read_line(data, 3)
    assert (caught.value.problem.code, caught.value.problem.param, caught.value.problem.line) == (*BAD[data], 3)


def codes(*lines: bytes, **options: Any) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in check(enumerate(lines, 1), **options).problems]


def test_a_file_that_is_none() -> None:
    other = line(custom_id="b", url="/v1/embeddings")
    assert codes() == [("empty_file", None)]
    assert codes(line(), line(), b"{") == [("duplicate_custom_id", 2), ("invalid_json_line", 3)]
    assert codes(line(), other) == [("url_mismatch", 2)]
    assert codes(line(), endpoint="/v1/embeddings") == [("url_mismatch", 1)]
    assert codes(line(), line(custom_id="b"), most=1) == [("too_many_tasks", None)]


def test_problems_are_told_up_to_a_number() -> None:
    assert len(check((number, b"{") for number in range(1000)).problems) == 100


@given(st.binary())
def test_hostile_lines(data: bytes) -> None:
    found = check([(1, data)])
    assert len(found.problems) == 1 or read_line(data, 1)


def test_ids_are_of_request_and_profile() -> None:
    one = Line(1, "a", CHAT, {"model": "m", "n": 1})
    assert one.result_id("p") == Line(9, "a", CHAT, {"n": 1, "model": "m"}).result_id("p")
    others = (
        Line(1, "b", CHAT, one.body),
        Line(1, "a", "/v1/completions", one.body),
        Line(1, "a", CHAT, {"model": "m"}),
    )
    assert len({one.result_id("p"), one.result_id("q"), *(other.result_id("p") for other in others)}) == 5


def test_what_is_an_error() -> None:
    asked = Line(1, "a", CHAT, {})
    assert not is_error(result(asked, "i", 200, {}, "r"))
    assert is_error(result(asked, "i", 400, {}, "r"))
    assert is_error(not_run(asked, "i", "batch_expired", "too late"))
