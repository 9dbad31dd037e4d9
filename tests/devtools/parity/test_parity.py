"""`llm-adapter parity`, from the suite to the exit code: on two real models, and against a server that deviates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Command, command

from llm_adapter.testing import fake as fakes
from llm_adapter.testing.turns import Turn, disconnect, embedding, error, slow, text, tool_call

__all__ = ["command"]
EXAMPLE = str(Path(__file__).parents[3] / "examples" / "parity.yaml")
SECRET = "hunter2-token"


@pytest.fixture
def fake() -> Iterator[fakes.Fake]:
    with fakes.serving("openai") as server:
        yield server


@pytest.fixture(autouse=True)
def profiles(fake: fakes.Fake) -> None:
    Path("llm_adapter.toml").write_text(
        '[profiles.one]\nprovider = "embedded"\n[profiles.two]\nprovider = "embedded"\n'
        f'[profiles.fake]\nprovider = "openai"\nbase_url = "{fake.base_url}"\ndialect = "openai"\n'
        f'api_key = "{SECRET}"\n'
        '[profiles.nobody]\nprovider = "ollama"\nhost = "127.0.0.1:9"\n',
        encoding="utf-8",
    )


def suite(*prompts: dict[str, Any], **rest: Any) -> str:
    """A suite's file. YAML knows JSON."""
    named = [{"name": f"p{number}", **prompt} for number, prompt in enumerate(prompts, 1)]
    content = {"defaults": {"model": "gpt-4o-mini", "temperature": 0}, "prompts": named, **rest}
    Path("suite.yaml").write_text(json.dumps(content), encoding="utf-8")
    return "suite.yaml"


def figures(result: Any, name: str = "p1") -> Any:
    return next(one for one in result.json["prompts"] if one["name"] == name)["figures"]


def broken(result: Any) -> list[tuple[str, str]]:
    return [(one["prompt"], one["name"]) for one in result.json["broken"]]


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["age"]}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
FRANCE = {"user": "What is the capital of France?"}
PARIS = {"user": "What is the weather in Paris?", "tools": [WEATHER]}
ANA = {"user": "Return JSON for a person named Ana aged 30.", "response_format": FORM}


def test_the_example_agrees_on_two_real_models(command: Command) -> None:
    """Text, a tool call, a structured output, the Responses API, embeddings: all of it runs, and nothing differs."""
    result = command("parity", EXAMPLE, "--a", "one", "--b", "two", "--runs", "2", "--json", "-")
    assert (result.code, result.json["passed"], result.json["notes"]) == (0, True, [])
    assert [one["name"] for one in result.json["prompts"]] == ["capital", "weather", "person", "sky", "animals"]
    for one in result.json["prompts"]:
        assert (one["figures"]["agreement"], one["figures"]["kinds"]) == ({"rate": 1, "own": 1}, {})
        assert [len(one["runs"][side]) for side in "ab"] == [2, 2]
    whole = result.json["overall"]
    assert (whole["tool_agreement"]["rate"], whole["b"]["schema_valid"], whole["b"]["expected"]) == (1, 1, 1)
    assert result.json["a"]["warm_up"].keys() == {"gpt-4o-mini", "text-embedding-3-small"}
    assert figures(result, "weather")["b"]["cost"] == 0


def test_a_table_on_the_screen(command: Command) -> None:
    result = command("parity", EXAMPLE, "--a", "one", "--b", "two", "--runs", "1", "--only", "weather", "--only", "sky")
    titles = " ".join(result.out.splitlines()[3].split())
    assert titles == "prompt verdict same finish tools arguments expected errors latency length tokens cost"
    assert [line.split()[:3] for line in result.out.splitlines()[4:6]] == [
        ["weather", "ok", "100"],
        ["sky", "ok", "100"],
    ]
    assert result.out.splitlines()[-1] == "every threshold is met by 2 prompts"
    assert result.code == 0


def test_reports_are_written(command: Command) -> None:
    """Each in its own form; the table stays on the screen, unless a report is printed."""
    files = {"markdown": "# Parity", "junit": "<?xml", "json": "{", "html": "<!doctype html>"}
    named = [part for name in files for part in (f"--{name}", f"report.{name}")]
    result = command("parity", suite(FRANCE), "--a", "one", "--b", "two", *named)
    assert (result.code, result.out.splitlines()[-1]) == (0, "every threshold is met by 1 prompt")
    assert [Path(f"report.{name}").read_text("utf-8").startswith(begin) for name, begin in files.items()] == [True] * 4
    printed = command("parity", "suite.yaml", "--a", "one", "--b", "two", "--markdown", "-")
    assert printed.out.startswith("# Parity")
    assert "first call of" not in printed.out


def deviates(asked: Any) -> Turn:
    """A server that calls another tool, writes half of an object, and says another thing every second time."""
    said = json.dumps(asked.body)
    if "France" in said:
        return text("Lyon", finish="length" if asked.number % 2 else "stop", usage=(20, 40))
    if "Paris" in said:
        return tool_call("search", {"query": "Paris"})
    return text('{"name": "Ana"') if "Ana" in said else error(500, f"out of memory, with key {SECRET}")


def test_a_server_that_deviates(command: Command, fake: fakes.Fake) -> None:
    fake.on(deviates)
    expect: dict[str, Any] = {"contains": "Paris"}
    prompts = ({**FRANCE, "expect": expect}, {**PARIS, "expect": {"tool": "get_weather"}}, ANA, {"user": "Hello"})
    arguments = ("--a", "one", "--b", "fake", "--runs", "4", "--no-warm-up", "--json", "-")
    result = command("parity", suite(*prompts, prices={"gpt-4o-mini": {"input": 1, "output": 2}}), *arguments)
    assert result.code == 1
    assert broken(result) == [
        ("p1", "expected"),
        ("p2", "expected"),
        ("p2", "tool_agreement"),
        ("p3", "schema_valid"),
        ("p4", "errors"),
    ] or broken(result) == [("p1", "expected"), ("p1", "finish_agreement"), *broken(result)[2:]]
    weather, person, hello = (figures(result, name) for name in ("p2", "p3", "p4"))
    assert (weather["tool_agreement"], weather["kinds"]) == ({"rate": 0, "own": 1}, {"tools": 16})
    assert (person["a"]["schema_valid"], person["b"]["schema_valid"]) == (1, 0)
    assert (hello["b"]["errors"], hello["b"]["error_kinds"], hello["kinds"]) == (
        1,
        {"InternalServerError": 4},
        {"error": 16},
    )
    assert hello["b"]["latency"] is None
    assert figures(result)["b"]["characters"] == 4
    assert SECRET not in result.out


def test_ends_are_counted_in_pairs(command: Command, fake: fakes.Fake) -> None:
    """Two of four replies end otherwise: of sixteen pairs eight agree, and a agrees with itself."""
    fake.script(*(text("Paris", finish=end, usage=(20, 40)) for end in ("stop", "length", "stop", "length")))
    result = command("parity", suite(FRANCE), "--a", "one", "--b", "fake", "--runs", "4", "--no-warm-up", "--json", "-")
    found = figures(result)
    assert (found["finish_agreement"], found["kinds"]) == ({"rate": 0.5, "own": 1}, {"finish_reason": 8})
    assert (found["b"]["completion_tokens"], found["b"]["finish_reasons"]) == (160, {"stop": 2, "length": 2})
    assert result.json["broken"] == [
        {"prompt": "p1", "name": "finish_agreement", "text": "finish_agreement 0.50, at least 0.90 wanted"}
    ]
    # A side that is no surer of itself is not held to more: now the fake is a.
    fake.script(*(text("Paris", finish=end) for end in ("stop", "length", "stop", "length")))
    back = command("parity", "suite.yaml", "--a", "fake", "--b", "one", "--runs", "4", "--no-warm-up", "--json", "-")
    assert figures(back)["finish_agreement"] == {"rate": 0.5, "own": pytest.approx(1 / 3)}
    assert (back.code, back.json["passed"]) == (0, True)


def test_slow_replies_and_the_first_call(command: Command, fake: fakes.Fake) -> None:
    """A cold start is told apart, and a threshold for latency is only there when it is asked for."""
    fake.script(slow(0.3, text("Paris")), slow(0.06, text("Paris")), repeat=True)
    arguments = ("--a", "one", "--b", "fake", "--runs", "2", "--json", "-")
    result = command("parity", suite({**FRANCE, "thresholds": {"latency": 0.05}}), *arguments)
    assert result.json["b"]["warm_up"]["gpt-4o-mini"] >= 0.3
    assert 0.06 <= figures(result)["b"]["latency"] < 0.3
    assert (broken(result), result.code) == ([("p1", "latency")], 1)


def test_prices(command: Command, fake: fakes.Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the call sites' name or the server's; what runs on this machine costs nothing."""
    monkeypatch.setattr("llm_adapter.devtools.parity.sides.is_local", lambda host: False)
    fake.script(text("Paris", usage=(1000, 500)), repeat=True)
    priced = suite(FRANCE, {"model": "other", **FRANCE}, prices={"gpt-4o-mini": {"input": 2, "output": 4}})
    result = command("parity", priced, "--a", "fake", "--b", "fake", "--runs", "3", "--json", "-")
    assert figures(result)["b"]["cost"] == pytest.approx(3 * (1000 * 2 + 500 * 4) / 1e6)
    assert (figures(result)["cost_ratio"], figures(result, "p2")["b"]["cost"]) == (1, None)


def test_texts_are_only_where_they_are_asked_for(command: Command, fake: fakes.Fake) -> None:
    fake.script(text("a secret word"), repeat=True)
    arguments = ("parity", suite(FRANCE), "--a", "fake", "--b", "fake", "--json", "-", "--html", "page.html")
    assert "secret word" not in command(*arguments).out + Path("page.html").read_text(encoding="utf-8")
    with_texts = command(*arguments, "--texts")
    assert with_texts.json["prompts"][0]["runs"]["a"][0]["text"] == "a secret word"
    assert "a secret word" in Path("page.html").read_text(encoding="utf-8")


def test_similarity_beside_as_own(command: Command, fake: fakes.Fake) -> None:
    """A model that says two things is as near to another as to itself."""
    near = {"similarity": {"model": "text-embedding-3-small", "profile": "fake"}}
    fake.on(lambda asked: embedding([[1, 0], [0, 1]]) if asked.path.endswith("/embeddings") else None)
    fake.script(*map(text, ("One", "One", "Two", "Two")))
    arguments = ("--a", "fake", "--b", "fake", "--runs", "2", "--no-warm-up", "--json", "-")
    result = command("parity", suite(FRANCE, thresholds={"similarity": 0.9}, **near), *arguments)
    # Runs take turns: a says One and Two, b One and Two.
    assert figures(result)["similarity"] == {"rate": 0.5, "own": 0}
    assert result.code == 0


def test_no_embeddings_is_told(command: Command, fake: fakes.Fake) -> None:
    fake.on(lambda asked: error(404, "no such model") if asked.path.endswith("/embeddings") else None)
    near = {"similarity": {"model": "e", "profile": "fake"}}
    arguments = ("--a", "one", "--b", "two", "--runs", "1", "--json", "-")
    result = command("parity", suite(FRANCE, thresholds={"similarity": 0.5}, **near), *arguments)
    assert result.json["broken"][0]["text"] == "similarity is not known"
    assert "no such model" in result.json["notes"][0]
    assert result.code == 1


JUDGE = (
    "def score(prompt, a, b):\n    return 1.0 if prompt['messages'] and 'Paris' in a and 'Paris' in b else {wrong}\n"
)


def test_a_judge(command: Command, fake: fakes.Fake) -> None:
    Path("judging.py").write_text(JUDGE.format(wrong=0.25), encoding="utf-8")
    fake.script(text("Paris"), text("Lyon"))
    arguments = ("--a", "one", "--b", "fake", "--runs", "2", "--no-warm-up", "--judge", "judging:score", "--json", "-")
    result = command("parity", suite(FRANCE, thresholds={"judge": 0.7}), *arguments)
    assert (figures(result)["judge"], broken(result)) == (0.625, [("p1", "judge")])


def test_dimensions_are_told(command: Command, fake: fakes.Fake) -> None:
    """Other vectors are no broken threshold, for every other model has others; that they are is said."""
    fake.script(embedding([0.6, 0.8]), repeat=True)
    prompt = {"model": "text-embedding-3-small", "input": "A dog"}
    result = command("parity", suite(prompt, defaults={}), "--a", "one", "--b", "fake", "--json", "-")
    assert (result.code, figures(result)["kinds"]) == (0, {"dimensions": 9})
    assert result.json["notes"] == [
        "p1: 96 dimensions are 2 on b: an index that was built with a's has to be built anew"
    ]


def test_nobody_is_told_once(command: Command) -> None:
    told = command.mistake("parity", suite(FRANCE, PARIS), "--a", "one", "--b", "nobody")
    assert told.startswith("nobody: no connection to http://127.0.0.1:9")
    assert told.count("127.0.0.1:9") == 1


def test_a_server_that_goes_away_is_an_error_of_a_call(command: Command, fake: fakes.Fake) -> None:
    fake.script(text("Paris"), disconnect())
    arguments = ("--a", "one", "--b", "fake", "--runs", "2", "--no-warm-up", "--json", "-")
    result = command("parity", suite(FRANCE), *arguments)
    assert (figures(result)["b"]["errors"], result.code) == (0.5, 1)


def test_an_error_that_is_expected_is_none(command: Command, fake: fakes.Fake) -> None:
    fake.script(error(400, "too long", code="context_length_exceeded"), repeat=True)
    prompt = {**FRANCE, "expect": {"error": "context_length_exceeded"}}
    result = command("parity", suite(prompt), "--a", "fake", "--b", "fake", "--json", "-")
    assert (figures(result)["b"]["errors"], result.code) == (0, 0)
    back = command("parity", "suite.yaml", "--a", "fake", "--b", "one", "--json", "-")
    assert broken(back) == [("p1", "expected")]


def test_a_model_for_one_side(command: Command, fake: fakes.Fake) -> None:
    """`NAME:MODEL` is a profile, or a provider, with one model for all but embeddings."""
    prompts = (FRANCE, {"model": "text-embedding-3-small", "input": "A dog"})
    result = command(
        "parity", suite(*prompts), "--a", "embedded:any", "--b", "fake:qwen3:8b", "--runs", "1", "--json", "-"
    )
    assert {asked.body["model"] for asked in fake.requests if asked.body} == {"qwen3:8b", "text-embedding-3-small"}
    assert (result.json["a"]["provider"], result.json["b"]["label"]) == ("embedded", "fake:qwen3:8b")


def test_jobs(command: Command, fake: fakes.Fake) -> None:
    """Pairs side by side: eight take no longer than the two that one after the other would."""
    fake.script(slow(0.15, text("Paris")), repeat=True)
    arguments = ("--a", "fake", "--b", "fake", "--runs", "4", "--no-warm-up", "--jobs", "8", "--json", "-")
    started = time.monotonic()
    result = command("parity", suite(FRANCE, PARIS), *arguments)
    assert time.monotonic() - started < 16 * 0.15
    assert [len(one["runs"][side]) for one in result.json["prompts"] for side in "ab"] == [4, 4, 4, 4]


def test_interrupted(command: Command, fake: fakes.Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: what was done is reported, and the exit code is the shells'."""
    from llm_adapter.devtools.parity.sides import Side

    asked, ask = [], Side.ask

    def stopped(side: Side, prompt: Any) -> Any:
        asked.append(prompt.name)
        if len(asked) > 3:
            raise KeyboardInterrupt
        return ask(side, prompt)

    monkeypatch.setattr(Side, "ask", stopped)
    arguments = ("--a", "one", "--b", "two", "--no-warm-up", "--json", "-")
    result = command("parity", suite(FRANCE, PARIS), *arguments)
    assert (result.code, result.json["interrupted"], result.json["notes"]) == (130, True, ["not run: p2"])
    assert [len(one["runs"]["a"]) for one in result.json["prompts"]] == [1]


MISTAKES = {
    "no file": (("nothing.yaml", "--a", "one", "--b", "two"), "nothing.yaml cannot be read"),
    "no such prompt": (
        ("suite.yaml", "--a", "one", "--b", "two", "--only", "p9"),
        "no prompt is named 'p9'; there are p1",
    ),
    "no folder": (("suite.yaml", "--a", "one", "--b", "two", "--html", "no/page.html"), "no such folder"),
    "two to stdout": (("suite.yaml", "--a", "one", "--b", "two", "--html", "-", "--json", "-"), "only one report"),
    "no judge": (("suite.yaml", "--a", "one", "--b", "two", "--judge", "nothing:here"), "cannot be imported"),
    "half a judge": (("suite.yaml", "--a", "one", "--b", "two", "--judge", "nothing"), "module:function"),
    "no runs": (("suite.yaml", "--a", "one", "--b", "two", "--runs", "0"), "--runs"),
    "one side": (("suite.yaml", "--a", "one"), "--b"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(command: Command, name: str, fake: fakes.Fake) -> None:
    """Exit code 2, and nothing was asked."""
    suite(FRANCE)
    arguments, told = MISTAKES[name]
    assert told in " ".join(command.mistake("parity", *arguments, code=2).replace("│", " ").split())
    assert fake.requests == []


def test_errors_of_the_profiles_and_the_judge(command: Command) -> None:
    assert "unknown profile 'on'; did you mean" not in command.mistake(
        "parity", suite(FRANCE), "--a", "on", "--b", "two"
    )
    Path("judging_wrongly.py").write_text(JUDGE.format(wrong="7"), encoding="utf-8")
    arguments = ("--a", "one", "--b", "two", "--judge", "judging_wrongly:score")
    told = command.mistake("parity", suite({"user": "Hello"}), *arguments)
    assert "the judge gave 7 for 'p1': a score is a number from 0 to 1" in told


def test_without_the_extra(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_adapter.cli.parity.find_spec", lambda name: None)
    told = command.mistake("parity", suite(FRANCE), "--a", "one", "--b", "two")
    assert told == "parity needs the extra `parity`: pip install 'llm_adapter[parity]'\n"


def test_the_page_has_an_errors_message_with_its_cure(command: Command, tmp_path: Path) -> None:
    """Above the runs, once for each side, and whole: what helps stands at a message's end."""
    with fakes.serving("ollama@0.32", context=512) as small:
        configured = (
            f'[profiles.small]\nprovider = "ollama"\nhost = "{small.url}"\n[profiles.tiny]\nprovider = "embedded"\n'
        )
        Path("llm_adapter.toml").write_text(configured, "utf-8")
        body = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "word " * 2000}]}
        lines = [
            json.dumps({"custom_id": name, "url": "/v1/chat/completions", "body": body}) for name in ("one", "two")
        ]
        Path("suite.jsonl").write_text("\n".join(lines), "utf-8")
        command("parity", "suite.jsonl", "--a", "tiny", "--b", "small", "--runs", "1", "--html", "page.html")
    html = Path("page.html").read_text("utf-8")
    above = html[html.index("<h2>Errors</h2>") : html.index("<h2>Prompts</h2>")]
    assert above.count("<li>") == html.count('<strong class="b">b</strong> one, two: ') + above.count('class="a"') == 2
    assert "`num_ctx = 4096` in the profile loads the model with more" in above
