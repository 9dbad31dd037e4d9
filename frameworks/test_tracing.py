"""Tracers see our clients' calls as they see the SDK's own: span for span, wherever a call goes.

Each is tried in a process of its own (`traced.py`), switched on before anything of llm_adapter is imported, and when
clients have been made and used.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from process import HERE, RUN, run_program

TRACERS = ("opentelemetry", "traceloop", "openinference", "logfire", "langfuse")
CASES = [(tracer, when) for tracer in TRACERS for when in ("before", "after")]
CASES += [("logfire of clients", "after"), ("langsmith of clients", "after")]  # which are given each client
# Where each has the reply's model, and its tokens. What it does not trace it traces for the SDK's own neither.
GEN_AI = ("gen_ai.response.model", "gen_ai.usage.input_tokens")
KEYS = {
    "opentelemetry": GEN_AI,
    "traceloop": GEN_AI,
    "logfire": GEN_AI,
    "openinference": ("llm.model_name embedding.model_name", "llm.token_count.prompt"),
    "langsmith": ("model", "usage"),
    "langfuse": ("langfuse.observation.model.name", "langfuse.observation.usage_details"),
}
MODELS = {
    "dialect": ("tiny", "tiny-embed"),
    "ollama": ("tiny", "tiny-embed"),
    "embedded": ("gpt-4o-mini", "text-embedding-3-small"),  # its replies carry the name that was asked for
}
# What no two calls have in common; and the line that logfire takes for the user's, which is ours in a checkout.
PASSING = re.compile(r"(^|[._])(id|duration|start_time|created|completed_at|lineno|function|filepath|msg)$")
IDS = re.compile(r'(chatcmpl-|cmpl-|resp_|msg_)\w+|"(created|created_at|completed_at|duration)": ?[\d.]+')


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def seen(request, tmp_path_factory):
    """The tracer, when it was switched on, and its spans by client and call."""
    left = tmp_path_factory.mktemp("traced") / "left.txt"
    path = os.pathsep.join(filter(None, (str(HERE / "guard"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "FRAMEWORKS_LEFT": str(left)}
    command = [sys.executable, "-W", "ignore", str(HERE / "traced.py"), *request.param]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert (done.returncode, left.exists()) == (0, False), done.stderr[-4000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"client"')]
    return *request.param, {(line["client"], line["call"]): line["spans"] for line in lines}


def plain(spans, client, call):
    """Those of the SDK's own client."""
    return spans["async plain" if client.startswith("async ") else "plain", call]


def shape(spans):
    return [(one["name"], one["status"], sorted(set(one["events"]))) for one in spans]


def attributes(spans):
    return [
        {name: IDS.sub("", str(value)) for name, value in one["attributes"].items() if not PASSING.search(name)}
        for one in spans
    ]


def test_the_same_spans_as_the_sdks_own(seen):
    """An error is one, too, and a stream that is given up ends its span."""
    _, when, spans = seen
    for (client, call), found in spans.items():
        expected = plain(spans, client, call)
        if when == "after" and call == "raw" and not expected:
            continue  # the SDK's clients keep the method that they had when `with_raw_response` was first used
        assert shape(found) == shape(expected), (client, call)


def test_where_nothing_is_translated_the_spans_are_equal(seen):
    _, when, spans = seen
    for (client, call), found in spans.items():
        expected = plain(spans, client, call)
        if "unconfigured" in client and not (when == "after" and call == "raw" and not expected):
            assert attributes(found) == attributes(expected), (client, call)


def values(spans, keys):
    return [one["attributes"][key] for one in spans for key in keys.split() if key in one["attributes"]]


def test_the_model_that_answered_and_the_tokens(seen):
    """Wherever the spans of the SDK's own client have them."""
    tracer, _, spans = seen
    model, tokens = KEYS[tracer.split()[0]]
    checked = set()
    for (client, call), found in spans.items():
        where = next((name for name in MODELS if name in client), None)
        if where is None or call in ("error", "closed") or not values(plain(spans, client, call), model):
            continue
        assert values(found, model)[-1] == MODELS[where][call == "embeddings"], (client, call)
        if values(plain(spans, client, call), tokens):
            assert all(values(found, tokens) or [None]), (client, call)
        checked.add((where, "async" in client, "installed" in client, call))
    assert len(checked) >= 3 * 2 * 2 * 5


INSTRUMENT = ("--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none")
OTEL = [str(Path(sys.executable).parent / "opentelemetry-instrument"), *INSTRUMENT]


@pytest.mark.parametrize("command", [[*OTEL, *RUN], [*RUN, *OTEL, sys.executable]], ids=["outside", "inside"])
def test_opentelemetry_instrument_and_run(destination, tmp_path, command):
    """One around the other: the calls go where the profile says, are in its report, and each has its spans."""
    destination.script("Hello!", "1, 2, 3", '{"name": "Ana", "age": 30}')
    outcome = run_program(destination, "uses_openai", tmp_path, {}, command=command)
    outcome.check()
    assert (sorted(outcome.cells), outcome.raised) == (["chat", "embeddings", "stream", "structured_output"], {})
    assert len([call for call in outcome.calls if call["calls"]]) == 4
    names = re.findall(r'^    "name": "(.*)",$', outcome.output, re.M)
    assert {"ChatCompletion", "CreateEmbeddings", "openai.chat", "openai.embeddings"} <= set(names)
    assert {"chat gpt-4o-mini", "embeddings text-embedding-3-small"} <= set(names)
