"""The report in its forms: a page that loads nothing and trusts nobody, JUnit, Markdown."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from llm_adapter.cli.parity import show
from llm_adapter.comparison import Outcome, ToolCall
from llm_adapter.devtools.parity.figures import Run, compared, overall
from llm_adapter.devtools.parity.formats import junit, markdown
from llm_adapter.devtools.parity.page import page
from llm_adapter.devtools.parity.report import About, Report, Section
from llm_adapter.devtools.parity.suite import Prompt
from llm_adapter.devtools.parity.thresholds import broken

HOSTILE = "</pre><script>alert(1)</script><img src=http://evil.test/x onerror=y>{{ 7*7 }} & \"'"
NAMES = [
    "plain",
    f"weird {HOSTILE} $x^2$ | `code`\n# new",
    "an emoji 🦙 and 漢字 and a name that is much too long for an axis",
]


def run(seconds: float, text: str = "Hi", **fields: Any) -> Run:
    given = {"choices": 1, "finish_reason": "stop", "characters": len(text), "prompt_tokens": 3, **fields}
    return Run(Outcome(seconds, completion_tokens=2, **given), text, cost=0.001)


FAILED = Run(Outcome(1, error="APIError", code=f"<b>{HOSTILE}"), error=f"it says {HOSTILE}\x1b[31m\x00")
CALLED = run(0.3, "", tools=(ToolCall(f"f<script>{HOSTILE}", {f"<script>{HOSTILE}": HOSTILE}, valid=False),))


def section(name: str, a: list[Run], b: list[Run]) -> Section:
    found = compared(a, b)
    sent = ({"temperature": 0}, {"seed": HOSTILE})
    return Section(Prompt(name, "/chat/completions", {"model": "m"}), a, b, found, broken(found, {}), sent)


def report(*names: str) -> Report:
    kinds = [([run(0.1), run(0.2)], [run(4), run(5, HOSTILE)]), ([run(0.1)], [FAILED]), ([CALLED], [run(0.1)])]
    sections = [section(name, *kinds[place % 3]) for place, name in enumerate(names)]
    whole = overall([(one.a, one.b, one.found) for one in sections])
    sides = (
        About(f"a{HOSTILE}", "http://127.0.0.1:1/v1", "openai", {"m": 0.5}),
        About("b", "in this process", "embedded"),
    )
    return Report(*sides, 2, sections, whole, [f"a note {HOSTILE}"])


class Page(HTMLParser):
    """A page's elements, and whether they are well nested."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def html() -> str:
    return page(report(*NAMES), True)


def test_nothing_is_loaded(html: str) -> None:
    """No address in an attribute or a style, but for those inside the page; and a policy that would stop others."""
    found = Page(html)
    for tag, attributes in found.elements:
        assert tag not in ("script", "link", "iframe", "img", "object", "base", "form", "a"), attributes
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "action", "data") or name.endswith(":href"):
                assert value.startswith("#"), (tag, name, value)
            assert not name.startswith("on")
            assert all(inner.startswith("#") for inner in re.findall(r"url\((.*?)\)", value))
    styles = "".join(re.findall(r"<style.*?</style>", html, re.S))
    assert "@import" not in styles
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", styles)
    policy = next(one["content"] for tag, one in found.elements if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_strangers_texts_are_only_text(html: str) -> None:
    """A reply, an error, a name, a note: each is on the page, and none of it as markup."""
    assert "<script" not in html
    assert "evil.test" in html
    assert "\x1b" not in html
    assert "\x00" not in html
    said = "".join(Page(html).texts)
    for text in (HOSTILE, f"it says {HOSTILE}", f"a note {HOSTILE}", "an emoji 🦙"):
        assert text in said


def test_what_is_asked_to_be_left_out_is() -> None:
    plain = page(report("one"), False)
    assert "<pre>" not in plain
    assert "onerror" in plain  # the note and the side's label have it too
    assert "Hi" not in "".join(Page(plain).texts).replace("High", "")


def test_plots_have_words_and_ids_of_their_own(html: str) -> None:
    """Who does not see a plot reads its figures; and an id means one thing on the page."""
    found = Page(html)
    plots = [attributes for tag, attributes in found.elements if tag == "svg"]
    assert len(plots) == 3
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in plots:
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= set(ids)
    assert "plain: a 150 ms, b 4.50 s" in html
    assert all(
        value[1:] in ids for _, attributes in found.elements for name, value in attributes.items() if name == "href"
    )


def test_a_page_of_nothing_but_errors() -> None:
    whole = report(*NAMES)
    only = [section("e", [FAILED], [FAILED])]
    found = Page(page(Report(whole.a, whole.b, 1, only, overall([(one.a, one.b, one.found) for one in only])), False))
    assert [tag for tag, _ in found.elements if tag == "details"] == ["details"]
    assert "APIError" not in "".join(found.texts)  # it has a line of its own
    assert "it says" in "".join(found.texts)


def test_a_page_of_nothing() -> None:
    whole = report("one")
    assert "every threshold is met by 0 prompts" in page(Report(whole.a, whole.b, 1, [], overall([])), False)


def test_junit() -> None:
    """A test case a prompt; a failure names the thresholds, what differs and the errors."""
    root = ET.fromstring(junit(report(*NAMES), False).encode())
    suite = root[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "2",
        "errors": "0",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [NAMES[0], NAMES[1], NAMES[2]]
    failures = [case.find("failure") for case in cases]
    assert failures[0] is None
    assert failures[1] is not None
    assert str(failures[1].get("message")).startswith("errors 1.00, at most 0.00 wanted (b: <b>")
    assert "b: it says" in str(failures[1].text)
    assert failures[2] is not None
    assert (failures[2].get("type"), "1 of 1 pairs: tools" in str(failures[2].text)) == ("tool_agreement", True)


def test_markdown() -> None:
    """Every row has the cells of the titles, whatever the names are, and nothing in them is markup."""
    text = markdown(report(*NAMES), False)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert (len(rows), len(set(cells))) == (2 + 3 + 1, 1)
    assert rows[1].replace(" ", "") == "|" + "---|" * (cells[0] - 1)
    assert not re.search(r"(?<!\\)<", text)
    assert "**Broken**: " in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_of_any_width(columns: int) -> None:
    screen = Console(width=columns, force_terminal=True, color_system=None, file=io.StringIO(), record=True)
    show(screen, report("one", "two"))
    lines = screen.export_text().splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("prompt"))
    assert lines[first].split()[:2] == ["prompt", "verdict"]
    assert [line.split()[0] for line in lines[first + 1 : first + 4]] == ["one", "two", "all"]
    assert max(map(len, lines[first : first + 4])) <= columns
    assert lines[-1].split()[-2:] == ["2", "prompts"]
