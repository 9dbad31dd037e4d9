"""What a suite's file may say, and where its mistakes are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_adapter.comparison import Outcome, ToolCall
from llm_adapter.devtools.endpoints import endpoint_of
from llm_adapter.devtools.parity.fields import Expect, Thresholds
from llm_adapter.devtools.parity.suite import SuiteError, lines, load, parse
from llm_adapter.devtools.parity.thresholds import LIMITS

WHOLE = """
runs: 5
defaults: {model: m, temperature: 0}
thresholds: {tool_agreement: null, judge: 0.5}
prices: {m: {input: 1, output: 2}}
similarity: {model: e, profile: local}
prompts:
  - {name: short, system: Be brief., user: Hi}
  - name: whole
    messages: [{role: user, content: Hi}]
    model: other
    thresholds: {judge: 0.9}
    expect: {finish_reason: stop, tool: [], schema: true}
  - {name: old, prompt: Once}
  - {name: vectors, input: [a, b], dimensions: 3}
  - {name: stateless, input: Hi, instructions: Be brief.}
  - {name: named, input: Hi, endpoint: responses}
"""


def test_a_suite() -> None:
    suite = parse(WHOLE, "s.yaml")
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert [(one.name, one.path, one.body) for one in suite.prompts] == [
        ("short", "/chat/completions", {"model": "m", "temperature": 0, "messages": said}),
        ("whole", "/chat/completions", {"model": "other", "temperature": 0, "messages": said[1:]}),
        ("old", "/completions", {"model": "m", "temperature": 0, "prompt": "Once"}),
        ("vectors", "/embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 3}),
        ("stateless", "/responses", {"model": "m", "temperature": 0, "input": "Hi", "instructions": "Be brief."}),
        ("named", "/responses", {"model": "m", "temperature": 0, "input": "Hi"}),
    ]
    assert (suite.runs, suite.prices["m"].output, suite.similarity and suite.similarity.profile) == (5, 2, "local")
    # Its own over the suite's, and null is a value: it judges nothing.
    assert suite.prompts[1].thresholds == {"tool_agreement": None, "judge": 0.9}
    assert suite.prompts[1].expect == Expect(finish_reason=["stop"], tool=[], schema=True)
    assert [one.name for one in suite.only(["old", "short"]).prompts] == ["short", "old"]


HI = "prompts:\n  - name: hi\n    model: m\n"
MISTAKES = {
    "not YAML": ("prompts: [", "s.yaml, line 1: not valid YAML: "),
    "nothing": ("", "s.yaml: Input should be a valid dictionary"),
    "a list": ("- a", "s.yaml, line 1: Input should be a valid dictionary"),
    "no prompts": ("runs: 3", "s.yaml, line 1: `prompts` is missing"),
    "misspelt": ("run: 3\nprompts: []", "s.yaml, line 1, run: unknown field 'run'; did you mean 'runs'?"),
    "not a number": ("runs: many\n" + HI + "    user: Hi", "s.yaml, line 1, runs: Input should be a valid integer"),
    "too many runs": ("runs: 1000\n" + HI + "    user: Hi", "s.yaml, line 1, runs: Input should be less than or equal"),
    "twice": ("runs: 1\nruns: 2\n" + HI, "s.yaml, line 2, runs: given twice"),
    "twice in a prompt": (HI + "    user: a\n    user: b", "s.yaml, line 5, prompt 'hi', user: given twice"),
    "no name": ("prompts:\n- user: a\n- user: b", "s.yaml, line 2, prompt 1: `name` is missing"),
    "a name again": (
        HI + "    user: a\n  - {name: hi, user: b, model: m}",
        "s.yaml, line 5, prompt 'hi', name: another prompt has this name",
    ),
    "no call": (HI, "s.yaml, line 2, prompt 'hi': a call needs `messages`, `prompt` or `input`"),
    "two calls": (HI + "    messages: []\n    input: a", "prompt 'hi': give one of `messages` and `input`"),
    "two forms": (HI + "    user: a\n    messages: []", "s.yaml, line 4, prompt 'hi', user: `user` is a short form"),
    "system alone": (HI + "    system: a\n    input: a", "line 4, prompt 'hi', system: `system` goes with `user`"),
    "no model": ("prompts:\n- {name: hi, user: a}", "s.yaml, line 2, prompt 'hi': `model` is missing"),
    "no such argument": (
        HI + "    user: a\n    temprature: 1",
        "line 5, prompt 'hi', temprature: /chat/completions does not take 'temprature'; did you mean 'temperature'?",
    ),
    "a field as an argument": (HI + "    user: a\n    expects: {}", "'expects'; did you mean 'expect'?"),
    "of some servers": (HI + "    user: a\n    zzz: 1", "'zzz'; `extra_body` holds what only some servers know"),
    "a default for nobody": (
        "defaults: {dimensions: 3}\n" + HI + "    user: a",
        "s.yaml, line 1, defaults.dimensions: no call takes 'dimensions'",
    ),
    "half a stream": (HI + "    user: a\n    stream: 'on'", "line 5, prompt 'hi', stream: `stream` is true or false"),
    "a stream's threshold": (
        HI + "    user: a\n    thresholds: {first_token: 1}",
        "line 5, prompt 'hi', thresholds.first_token: only streams are judged by it: give `stream: true`",
    ),
    "a stream's threshold for all": (
        "defaults: {stream: true}\nthresholds: {between_pieces: 1}\n" + HI + "    user: a\n    stream: false",
        "s.yaml, line 2, thresholds.between_pieces: only streams are judged by it",
    ),
    "no such expectation": (
        HI + "    user: a\n    expect: {tols: a}",
        "s.yaml, line 5, prompt 'hi', expect.tols: unknown field 'tols'; did you mean 'tool'?",
    ),
    "no such threshold": (
        "thresholds: {error: 0}\n" + HI + "    user: a",
        "s.yaml, line 1, thresholds.error: unknown field 'error'; did you mean 'errors'?",
    ),
    "no rate": (
        HI + "    user: a\n    thresholds: {judge: 2}",
        "line 5, prompt 'hi', thresholds.judge: Input should be less",
    ),
    "no endpoint": (HI + "    user: a\n    endpoint: images", "line 5, prompt 'hi', endpoint: Input should be 'chat'"),
    "half a price": (
        "prices:\n  m: {output: 1}\n" + HI + "    user: a",
        "s.yaml, line 2, prices.m: `input` is missing",
    ),
    "a prompt that is none": ("prompts: [1]", "s.yaml, line 1, prompt 1: Input should be"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    """Each names the file, the line, the prompt and the field."""
    text, told = MISTAKES[name]
    with pytest.raises(SuiteError) as error:
        parse(text, "s.yaml")
    assert told in str(error.value)


def test_an_anchor_is_no_mistake() -> None:
    text = "prompts:\n- &one {name: a, user: Hi, model: m}\n- {<<: *one, name: b}"
    assert [one.body["model"] for one in parse(text, "s.yaml").prompts] == ["m", "m"]


STREAMED = """
defaults: {model: m, stream: true}
thresholds: {first_token_ratio: 2}
prompts:
  - {name: chat, user: Hi}
  - {name: uncounted, user: Hi, stream_options: {include_usage: false}}
  - {name: old, prompt: Once}
  - {name: whole, user: Hi, stream: false, thresholds: {first_token_ratio: null}}
  - {name: vectors, input: a}
  - {name: responses, input: Hi, endpoint: responses}
"""


def test_streams() -> None:
    """A stream is asked to count its tokens, where no prompt says otherwise; vectors have none."""
    counted = {"include_usage": True}
    asked = [(one.name, one.streamed, one.body.get("stream_options")) for one in parse(STREAMED, "s.yaml").prompts]
    assert asked == [
        ("chat", True, counted),
        ("uncounted", True, {"include_usage": False}),
        ("old", True, counted),
        ("whole", False, None),
        ("vectors", False, None),
        ("responses", True, None),
    ]


def test_options_of_streams_are_for_streams() -> None:
    """As a default they do not reach a call that is not streamed, which a server would refuse for them."""
    text = "defaults: {stream_options: {include_usage: true}}\n" + HI + "    user: a"
    assert "stream_options" not in parse(text, "s.yaml").prompts[0].body


CALL = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
BATCH = {"custom_id": "hi", "method": "POST", "url": "/v1/chat/completions", "body": {**CALL, "stream": True}}
TAPED = {"method": "POST", "path": "/chat/completions", "request": CALL, "status": 200, "reply": {}}


def test_lines_of_the_batch_api_and_of_cassettes(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(
        "\n".join(map(json.dumps, (BATCH, TAPED, {"method": "GET", "path": "/models"}))) + "\n", encoding="utf-8"
    )
    assert [(one.name, one.path, one.body) for one in load(file).prompts] == [
        ("hi", "/chat/completions", {**CALL, "stream": True, "stream_options": {"include_usage": True}}),
        ("line 2", "/chat/completions", CALL),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "s.jsonl: it has no calls to make"),
        ("{", "s.jsonl, line 1: not JSON"),
        ("\n[]", "s.jsonl, line 2: a line of the Batch API has `url`"),
        (json.dumps({**BATCH, "url": "/v1/images"}), "s.jsonl, line 1: '/v1/images' is none of /chat/completions"),
        (json.dumps({**BATCH, "body": {}}), "`body` with a `model`"),
        (f"{json.dumps(BATCH)}\n{json.dumps(BATCH)}", "two lines have the same `custom_id`"),
    ],
)
def test_mistakes_in_lines(text: str, told: str) -> None:
    with pytest.raises(SuiteError) as error:
        lines(text, "s.jsonl")
    assert told in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe")
    for name, told in (("s.yaml", "it is not UTF-8"), ("t.yaml", "No such file")):
        with pytest.raises(SuiteError, match=told):
            load(tmp_path / name)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"input": [{"role": "user", "content": "Hi"}]}, "/responses"),
        ({"prompt": {"id": "pmpt_1"}}, "/responses"),
        ({"prompt": {"id": "pmpt_1"}, "input": "Hi"}, "/responses"),
        ({"input": [1, 2]}, "/embeddings"),
    ],
)
def test_the_arguments_tell_the_endpoint(body: Any, path: str) -> None:
    assert endpoint_of(body) == path


def test_every_limit_can_be_given() -> None:
    assert Thresholds.model_fields.keys() == LIMITS.keys()


CALLED = Outcome(1, choices=1, finish_reason="tool_calls", tools=(ToolCall("f", {"a": 1, "b": 2}),))
SAID = Outcome(1, choices=1, finish_reason="stop", characters=5, schema_valid=False)
FAILED = Outcome(1, error="RateLimitError", code="rate_limit")
EXPECTATIONS: list[tuple[dict[str, Any], Outcome, tuple[str, ...]]] = [
    ({}, SAID, ()),
    ({"finish_reason": ["stop", "length"]}, SAID, ()),
    ({"finish_reason": "length"}, SAID, ("finish_reason",)),
    ({"tool": "f", "arguments": {"a": 1}}, CALLED, ()),
    ({"tool": ["f", "f"], "arguments": {"a": 2}}, CALLED, ("arguments", "tool")),
    ({"tool": []}, CALLED, ("tool",)),
    ({"tool": []}, SAID, ()),
    ({"schema": True}, SAID, ("schema",)),
    ({"schema": True}, CALLED, ("schema",)),
    ({"min_length": 5, "max_length": 5}, SAID, ()),
    ({"min_length": 6}, SAID, ("min_length",)),
    ({"max_length": 4}, SAID, ("max_length",)),
    ({"contains": ["HELL", "o"]}, SAID, ()),
    ({"contains": "bye"}, SAID, ("contains",)),
    ({"refusal": True}, SAID, ("refusal",)),
    ({"dimensions": 3, "vectors": 1}, Outcome(1, vectors=1, dimensions=3), ()),
    ({"dimensions": 4}, Outcome(1, vectors=1, dimensions=3), ("dimensions",)),
    ({"error": "rate_limit"}, FAILED, ()),
    ({"error": "RateLimitError"}, FAILED, ()),
    ({"error": "NotFoundError"}, FAILED, ("error",)),
    ({"error": "rate_limit"}, SAID, ("error",)),
    ({"tool": "f"}, FAILED, ()),
]


@pytest.mark.parametrize(("given", "found", "unmet"), EXPECTATIONS)
def test_expectations(given: Any, found: Outcome, unmet: tuple[str, ...]) -> None:
    """An error that nobody expected is counted as an error, and not once more."""
    assert Expect(**given).unmet(found, "Hello") == unmet
