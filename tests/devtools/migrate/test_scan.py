"""`scan`: everything that is planted in the projects is found where it stands, and nothing else is.

Each planted line of `tests/projects` ends in a comment such as `# expect: call chat.completions.create; refused n`.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libcst as cst
import openai
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from libcst.metadata import MetadataWrapper, PositionProvider

from llm_adapter import Settings
from llm_adapter.devtools.migrate.calls import LOCAL, method_of
from llm_adapter.devtools.migrate.findings import RULES, VERDICTS, ScanFinding
from llm_adapter.devtools.migrate.scan import Scan, _adjusted, _file_findings, scan
from llm_adapter.devtools.migrate.sources import Source, sources
from llm_adapter.devtools.migrate.swap_files import planned
from llm_adapter.devtools.migrate.trees import Positions, Unreadable, tree
from llm_adapter.devtools.migrate.verdicts import Target
from llm_adapter.routing.destination import resolve

PROJECTS = Path(__file__).parents[2] / "projects"
EXPECT = re.compile(r"# expect: (.+?)\s*$", re.MULTILINE)
HI = 'messages=[{"role": "user", "content": "Hi"}]'


def target(**settings: Any) -> Target:
    chosen = Settings(**{"provider": "ollama", "models": {"gpt-4o-mini": "qwen3:8b"}, **settings})
    return Target(resolve(None, chosen, {}), str(chosen.provider))


def scanned(code: str, tmp_path: Path, **settings: Any) -> Scan:
    (tmp_path / "code.py").write_text(code, "utf-8")
    return scan([tmp_path], target(**settings))


def call(code: str, tmp_path: Path, **settings: Any) -> ScanFinding:
    """The one call of a line, on a client."""
    return scanned(f"from openai import OpenAI\nclient = OpenAI()\n{code}\n", tmp_path, **settings).calls[0]


def verdicts(found: ScanFinding) -> dict[str, str]:
    return {one.name: one.verdict for one in found.parameters}


# --- the planted projects ---------------------------------------------------------------------------------------------


def planted(project: Path) -> Iterator[str]:
    for source in sources([project]):
        for number, line in enumerate(source.code.splitlines(), 1):
            for items in EXPECT.findall(line):
                yield from (f"{source.path.name}:{source.cell or 0}:{number} {item}" for item in items.split("; "))


def found(project: Path) -> Iterator[str]:
    for one in scan([project], target()).findings:
        where = f"{Path(one.place.path).name}:{one.place.cell}"
        yield f"{where}:{one.place.line} {one.kind} {one.subject}{'' if one.certain else ' likely'}"
        if "verdict" in one.details:
            yield f"{where}:{one.place.line} {one.details['verdict']} {one.subject}"
        told = (part for part in one.parameters if part.verdict in (*VERDICTS, "passed on"))
        yield from (f"{where}:{part.place.line} {part.verdict} {part.name}" for part in told)


@pytest.mark.parametrize("project", sorted(path.name for path in PROJECTS.iterdir()))
def test_projects(project: str) -> None:
    """Nothing is missed, and nothing is found that is not there."""
    expected, told = Counter(planted(PROJECTS / project)), Counter(found(PROJECTS / project))
    assert (sorted((expected - told).elements()), sorted((told - expected).elements())) == ([], [])
    assert expected or project == "lookalike"


def test_all_of_it_is_read() -> None:
    """Cells in other languages and commands without a percent sign are no broken Python."""
    assert scan([PROJECTS], target()).unreadable == {}


def test_every_kind_is_planted() -> None:
    """A rule that no project shows would be a rule that no test holds."""
    kinds = {item.split()[1] for project in PROJECTS.iterdir() for item in planted(project)}
    assert set(RULES) - {"left-out", "passed-on"} - kinds == set()


# --- what becomes of a call -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        ("logit_bias={'1': 5}", {}, "refused"),
        ("logit_bias=bias", {}, "refused"),
        ("logit_bias={}", {}, "accepted"),
        ("logit_bias={'1': 5}", {"unsupported": "warn"}, "left out"),
        ("logit_bias=bias", {"unsupported": "ignore"}, "left out"),
        ("logit_bias={'1': 5}", {"provider": "embedded"}, "honoured"),
        ("n=2", {}, "emulated"),
        ("n=2", {"provider": "openai", "base_url": "http://gpu:8000/v1", "dialect": "vllm"}, "honoured"),
        ("store=True", {}, "ignored"),
        ("tool_choice='required', tools=tools", {}, "emulated"),
        ("extra_body={'keep_alive': '1h'}", {}, "honoured"),
        ("extra_body={'keep_alive': '1h'}", {"provider": "embedded"}, "left out"),
        ("extra_body={'keep_alive': '1h'}", {"provider": "openai"}, "left out"),
        ("seed=seed", {"provider": "openai"}, "honoured"),
        ("extra_body={'made_up': value}", {}, "refused"),
        ("extra_body={'made_up': value}", {"provider": "openai"}, "refused"),
        ("extra_body={'made_up': value}", {"provider": "embedded", "models": {}}, "passed on"),
        ("temperature=3", {"provider": "openai"}, "refused"),
    ],
)
def test_verdicts(tmp_path: Path, arguments: str, settings: dict[str, Any], expected: str) -> None:
    """By the rows that the call itself would go by; the way back by what OpenAI refuses."""
    given = call(f"client.chat.completions.create(model='m', {HI}, {arguments})", tmp_path, **settings)
    assert given.parameters[2].verdict == expected, given.parameters[2]


def test_every_refusal_of_a_call_is_told(tmp_path: Path) -> None:
    """The call itself would stop at the first."""
    code = f"client.chat.completions.create(model='m', {HI}, audio={{}}, made_up=1, n=0, verbosity='low')"
    assert verdicts(call(code, tmp_path)) == {
        "model": "honoured",
        "messages": "honoured",
        **dict.fromkeys(("audio", "made_up", "n", "verbosity"), "refused"),
    }


def test_what_is_not_told_does_not_make_a_refusal(tmp_path: Path) -> None:
    """`tool_choice` needs tools, and reasoning models refuse `max_tokens`: here nobody knows."""
    code = "client.chat.completions.create(model=model, messages=messages, tool_choice='auto', max_tokens=5, **rest)"
    for settings in ({}, {"provider": "openai"}):
        found = call(code, tmp_path, **settings)
        assert set(verdicts(found).values()) <= {"honoured", "accepted"}, verdicts(found)
        assert found.more


def test_a_model_that_is_told_does(tmp_path: Path) -> None:
    code = f"client.chat.completions.create(model='o3', {HI}, max_tokens=5)"
    assert verdicts(call(code, tmp_path, provider="openai"))["max_tokens"] == "refused"


def test_a_model_may_name_its_provider(tmp_path: Path) -> None:
    code = f"client.chat.completions.create(model='openai/gpt-4o', {HI}, logit_bias={{'1': 5}})"
    assert set(verdicts(call(code, tmp_path)).values()) == {"honoured"}  # OpenAI knows them all


@pytest.mark.parametrize(
    "arguments", ["messages=5", "messages=[5]", "messages=[{'role': 'user', 'content': 5}]", "n='x'"]
)
def test_nonsense(tmp_path: Path, arguments: str) -> None:
    """Literals that the call itself would fail with do not stop the scan."""
    assert call(f"client.chat.completions.create(model='m', {arguments})", tmp_path).parameters


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("hard-coded-model", "is qwen3:8b on ollama")),
        ({"models": {}}, ("unmapped-model", 'not mapped: models = { "gpt-4o-mini" = "..." }')),
        ({"models": {"*": "llama3"}}, ("hard-coded-model", "is llama3 on ollama")),
        ({"models": {"x": "gpt-4o-mini"}}, ("hard-coded-model", "is the name that ollama knows")),
        ({"models": {"gpt-4o-mini": "openai/gpt-4o"}}, ("hard-coded-model", "goes to provider 'openai'")),
        ({"provider": "embedded", "models": {}}, ("hard-coded-model", "is whatever model embedded runs")),
        (
            {"provider": "embedded", "models": {"x": "hf:o/r"}},
            ("unmapped-model", 'not mapped: models = { "gpt-4o-mini" = "..." }'),
        ),
        ({"provider": "openai", "models": {}}, ("hard-coded-model", "is asked for by this name on openai")),
    ],
)
def test_models(tmp_path: Path, settings: dict[str, Any], expected: tuple[str, str]) -> None:
    found = scanned("import openai\nMODEL = 'gpt-4o-mini'\n", tmp_path, **settings).findings
    assert [(one.kind, one.message) for one in found] == [expected]


def test_a_key_is_nowhere(tmp_path: Path) -> None:
    """Neither in the findings nor in what is made of them."""
    code = "import openai\nclient = openai.OpenAI(api_key='sk-planted')\nopenai.api_key = 'sk-planted'\n"
    code += "client.chat.completions.create(user='sk-planted', extra_headers={'Authorization': 'Bearer sk-planted'})\n"
    done = scanned(code, tmp_path)
    assert len(done.findings) == 4
    assert "sk-planted" not in str(done.findings) + str(done.json())


# --- the tables -------------------------------------------------------------------------------------------------------


def resources(client: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All methods of the SDK's client that send something."""
    for name in dir(type(client)):
        if name.startswith(("_", "with_")):
            continue
        value = getattr(client, name)
        if isinstance(value, openai.resources.chat.Chat.__mro__[1]):
            yield from resources(value, (*path, name))
        elif callable(value) and path and not isinstance(value, type):
            yield (*path, name)


def test_every_method_of_the_sdk_is_known() -> None:
    """A new resource of the SDK turns this red instead of being missed."""
    methods = list(resources(openai.OpenAI(api_key="k")))
    assert len(methods) > 150
    unknown = {path for path in methods if path[0] not in LOCAL and method_of(path) is None}
    assert unknown == set()


def groups(client: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All resources of the SDK's client that are taken from it."""
    for name in dir(type(client)):
        if not name.startswith(("_", "with_")):
            value = getattr(client, name)
            if isinstance(value, openai.resources.chat.Chat.__mro__[1]):
                yield (*path, name)
                yield from groups(value, (*path, name))


def test_a_resource_is_no_method() -> None:
    """`return client.beta.threads.runs` hands a resource on, and calls nothing."""
    found = [path for path in groups(openai.OpenAI(api_key="k")) if path[:1] != ("admin",)]
    assert len(found) > 60
    named_alike = {"content"}  # a method of files, too
    taken = {path for path in found if method_of(path) and path[-1] not in named_alike}
    assert {path for path in taken if path[:2] != ("beta", "agents")} == set()


def test_positions_are_libcsts() -> None:
    """Our own places are those of LibCST's slower provider, line ends and tabs and all."""
    for code in [path.read_text(encoding="utf-8") for path in PROJECTS.rglob("*.py")] + [
        "if a:\r\n\tb(c)\r\n\r\n(\td . e)",
        "",
        "\f\na",
    ]:
        wrapper = MetadataWrapper(cst.parse_module(code), unsafe_skip_copy=True)
        ours = Positions(wrapper.module)
        theirs = wrapper.resolve(PositionProvider)
        shown = (
            cst.Name,
            cst.Attribute,
            cst.Call,
            cst.Arg,
            cst.SimpleString,
            cst.FunctionDef,
            cst.ImportFrom,
            cst.Param,
        )
        compared = {node: at.start for node, at in theirs.items() if isinstance(node, shown)}
        assert {node: ours[node] for node in compared} == {n: (at.line, at.column + 1) for n, at in compared.items()}


# --- any text ---------------------------------------------------------------------------------------------------------

SPELLED = [
    *(
        "openai",
        "OpenAI",
        "client",
        "self",
        ".",
        "(",
        ")",
        "=",
        "chat.completions.create",
        "import",
        "from",
        "as",
        "**",
    ),
    *(
        "'gpt-4o'",
        "model",
        "{",
        "}",
        ":",
        ",",
        "def f",
        "class A",
        "lambda",
        "await",
        "[",
        "]",
        "f'{",
        "'",
        "with",
        "for",
    ),
    *("in", "return", "@", "os.environ", "'''", "1", "*", "not", "ollama", "é", "\x00", "\ufeff"),
]
WORDS = st.sampled_from([*SPELLED, " ", "\n", "    ", "\t", "\\\n", "# x"])


@given(st.one_of(st.lists(WORDS, max_size=40).map("".join), st.text(max_size=60)))
@effort(max_examples=150)
def test_no_text_stops_a_scan(code: str) -> None:
    survives(code)


def survives(code: str) -> None:
    source = tree(Source(Path("x.py"), None, f"import openai\n{code}"))
    if not isinstance(source, Unreadable):
        assert all(one.place.line > 0 for one in _adjusted(list(_file_findings([source], target()))))


PARTS = st.recursive(
    st.sampled_from(["client", "openai", "OpenAI()", "x", "1", "'gpt-4o'", "None", "{}", "[]"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["chat", "completions", "create", "client", "with_options"])).map(".".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]})(model={two[1]}, **{two[0]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]})[{two[1]}]"),
        st.tuples(inner, inner).map(lambda two: f"[{two[0]}, *[{two[1]}]]"),
        inner.map(lambda one: "{'a': " + one + "}"),
        inner.map(lambda one: f"(lambda client={one}: {one})"),
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["client = ", "x = ", "self.client = ", "return_ = ", "client, x = "]), PARTS),
        max_size=6,
    )
)
@effort(max_examples=150)
def test_no_program_stops_a_scan(lines: list[tuple[str, str]]) -> None:
    """Valid Python of every shape around a client, names that stand for themselves among them."""
    survives("\n".join(map("".join, lines)))


def test_a_nest_stops_nothing(tmp_path: Path) -> None:
    """Deeper than Python's own stack: the file is told, and the next one is read."""
    (tmp_path / "a.py").write_text("import openai\nx = " + "(" * 5000 + ")" * 5000, encoding="utf-8")
    (tmp_path / "b.py").write_text("import openai\nx = " + "-" * 1500 + "1", encoding="utf-8")
    (tmp_path / "c.py").write_text("import openai\nopenai.OpenAI()" + ".x" * 3000, encoding="utf-8")
    (tmp_path / "d.py").write_text("import openai\nopenai.OpenAI()\n", encoding="utf-8")
    done = scan([tmp_path], target())
    assert done.files == 4
    assert {Path(one.place.path).name for one in done.findings} >= {"d.py"}


# What is no Python that can be read, and what is said of it.
UNREADABLE: dict[str, tuple[str, bytes, str]] = {
    "a codec of no text": ("a.py", b"# coding: rot13\nimport openai\n", "unknown encoding: rot13"),
    "another codec": ("a.py", b"# coding: hex\nimport openai\n", "unknown encoding: hex"),
    "an unknown codec": ("a.py", b"# coding: nonsense\nimport openai\n", "unknown encoding: nonsense"),
    "a codec that refuses all": ("a.py", b"# coding: undefined\nimport openai\n", "undefined"),
    "other bytes": ("a.py", b"import openai # \xff\n", "encoding"),
    "UTF-16": ("a.py", "import openai".encode("utf-16"), "encoding"),
    "a NUL": ("a.py", b"import openai\n\0\n", "it is not Python"),
    "a chain": ("a.py", b"import openai\nx = openai" + b".x" * 20_000, "nested too deeply"),
    "a chain of calls": ("a.py", b"import openai\nx = a" + b".f(1, 2)" * 1_100, "nested too deeply"),
    "signs": ("a.py", b"import openai\nx = " + b"-" * 20_000 + b"1", "nested too deeply"),
    "lambdas": ("a.py", b"import openai\nx = " + b"lambda: " * 2_000 + b"1", "nested too deeply"),
    "a chain in a string": ("a.py", b"import openai\nx = f'{" + b"-" * 2_000 + b"1}'", "nested too deeply"),
    "brackets": ("a.py", b"import openai\nx = " + b"(" * 20_000, "nested too deeply"),
    "an empty notebook": ("a.ipynb", b"", "it is empty"),
    "no notebook": ("a.ipynb", b"null", "it is no notebook"),
    "a notebook of brackets": ("a.ipynb", b"[" * 100_000, "nested too deeply"),
    "a notebook of cells that are none": ("a.ipynb", b'{"worksheets": [{"cells": 5}]}', "TypeError while it was read"),
    "a notebook in UTF-16": ("a.ipynb", '{"cells": []}'.encode("utf-16"), "utf-8"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_no_file_stops_the_others(name: str, tmp_path: Path) -> None:
    """Neither a scan nor a swap."""
    file, data, said = UNREADABLE[name]
    (tmp_path / file).write_bytes(data)
    (tmp_path / "b.py").write_text("from openai import OpenAI\nOpenAI()\n", encoding="utf-8")
    done = scan([tmp_path], target())
    assert said in "".join(done.unreadable.values())
    assert {Path(one.place.path).name for one in done.findings} == {"b.py"}
    plan = planned([tmp_path])
    assert [change.path.name for change in plan.changes] == ["b.py"]
    assert len(plan.failed) + len(plan.by_hand) == 1 or "openai" not in data.decode("utf-8", "replace")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are a Unix's")
def test_what_is_no_file(tmp_path: Path) -> None:
    """A loop of folders, a link to itself, a pipe, a folder with a file's name, a device without an end."""
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "self.py").symlink_to("self.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "b.py").write_text("import openai\nopenai.OpenAI()\n", encoding="utf-8")
    done = scan([tmp_path, tmp_path / "loop"], target())
    assert (done.files, len(done.unreadable)) == (1, 0)
    assert "more than 20000000 bytes" in str(scan([tmp_path / "zero.py"], target()).unreadable)


def test_long_and_flat_is_not_deep(tmp_path: Path) -> None:
    """Data, tables in prompts, and statements one after the other."""
    table = "|" + "---|" * 600
    values = ", ".join(["-1.5"] * 600)
    lines = "x = a.b - 1\n" * 600
    done = scanned(f'from openai import OpenAI\nx = ask(f"""{table}{{x}}""", [{values}])\n{lines}OpenAI()\n', tmp_path)
    assert not done.unreadable
    assert done.findings


def test_a_long_file_is_told(tmp_path: Path) -> None:
    """A parser needs a gigabyte for each million characters of generated data."""
    done = scanned("import openai\n" + "x = [1]\n" * 260_000, tmp_path)
    assert "too many to parse" in str(done.unreadable)


def test_a_fault_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of is told with its file; the others are scanned."""

    def fail(tree: Any, names: Any) -> Iterator[ScanFinding]:
        if tree.path.endswith("a.py"):
            raise TypeError("planted")
        return iter(())

    monkeypatch.setattr("llm_adapter.devtools.migrate.scan._FINDERS", (fail,))
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("import openai\nopenai.OpenAI()\n", "utf-8")
    done = scan([tmp_path], target())
    assert list(done.unreadable.values()) == ["the scan failed, please report it: TypeError: planted"]
    assert [Path(one.place.path).name for one in done.findings] == ["b.py"]


@pytest.mark.parametrize(
    "literal", ["'\x00'", r"'\N{no such letter}'", r"'\d'", "9" * 5000, "-" + "9" * 5000, "b'x'", "'a' b'c'"]
)
def test_literals_that_python_would_not_take(literal: str) -> None:
    survives(
        f"client = openai.OpenAI(base_url={literal})\nclient.embeddings.create(model={literal}, input=[{literal}])"
    )
