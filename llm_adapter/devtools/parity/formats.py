"""The report as texts: figures in words and columns, Markdown, JUnit XML, JSON.

Source of the XML: the format that CI systems read, as pytest writes it with --junit-xml (xunit2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from xml.etree import ElementTree as ET

from llm_adapter.devtools.parity.figures import Agreement, Compared, Measured
from llm_adapter.devtools.parity.report import About, Report, Section
from llm_adapter.devtools.parity.thresholds import Broken
from llm_adapter.devtools.reporting.text import harmless, json_text

_Cell = Callable[[Compared], str]


def share(value: float | None) -> str:
    """`67 %`; nothing where it does not apply."""
    return "" if value is None else f"{value:.0%}".replace("%", " %")


def agreed(value: Agreement) -> str:
    """`67 %`, and in brackets a's own where it is not whole."""
    own = "" if value.own in (None, 1) else f" ({share(value.own)})"
    return share(value.rate) + own if value.rate is not None else ""


def number(value: float | None) -> str:
    """Three digits, or all that a whole number has."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def seconds(value: float | None) -> str:
    """`0.4 ms`, `7 ms`, `1.25 s`, `130 s`"""
    if value is None:
        return ""
    if 0.5e-6 < value < 0.95e-3:
        return f"{value * 1000:.1g} ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s" if value < 99.5 else f"{value:.0f} s"


def money(value: float | None) -> str:
    """As many decimals as there are, to a millionth."""
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}×"


def _both(form: Callable[[float | None], str], of: Callable[[Measured], float | None]) -> _Cell:
    """`a -> b`, or one of them where they are the same."""

    def cell(found: Compared) -> str:
        one, other = form(of(found.a)), form(of(found.b))
        return one if one == other else f"{one or '-'} -> {other or '-'}"

    return cell


_CELLS: Mapping[str, _Cell] = {
    "same": lambda found: agreed(found.agreement),
    "finish": lambda found: agreed(found.finish_agreement),
    "tools": lambda found: agreed(found.tool_agreement),
    "arguments": lambda found: agreed(found.argument_agreement),
    "schema": _both(share, lambda side: side.schema_valid),
    "expected": _both(share, lambda side: side.expected),
    "errors": _both(share, lambda side: side.errors),
    "latency": _both(seconds, lambda side: side.latency),
    "first token": _both(seconds, lambda side: side.first_token),
    "between": _both(seconds, lambda side: side.between_pieces),
    "length": _both(number, lambda side: side.characters),
    "tokens": _both(number, lambda side: side.completion_tokens),
    "cost": _both(money, lambda side: side.cost),
    "similarity": lambda found: "" if found.similarity.rate is None else _similarity(found.similarity),
    "judge": lambda found: "" if found.judge is None else f"{found.judge:.2f}",
}
COLUMNS = ("prompt", "verdict", *_CELLS)


def table(report: Report) -> list[list[str]]:
    """The titles, a row for each prompt, and one for all; columns that say nothing are left out."""
    rows = [row(section.name, section.found, section.broken) for section in report.sections]
    rows += [row("all", report.overall)] if len(rows) > 1 else []
    used = [place for place in range(len(COLUMNS)) if place < 2 or any(cells[place] for cells in rows)]
    return [[cells[place] for place in used] for cells in (COLUMNS, *rows)]


def row(name: str, found: Compared, broken: Sequence[Broken] | None = None) -> list[str]:
    """A prompt's cells, or those of all prompts, which have no verdict of their own."""
    verdict = "" if broken is None else "broken" if broken else "ok"
    return [name, verdict, *(cell(found) for cell in _CELLS.values())]


def _similarity(value: Agreement) -> str:
    own = "" if value.own is None or value.own > 0.995 else f" ({value.own:.2f})"
    return f"{value.rate:.2f}{own}"


def as_json(report: Report, texts: bool) -> str:
    """The report as JSON's text."""
    return json_text(report.json(texts=texts)) + "\n"


# What would end a cell, or begin a link, an image, HTML or emphasis: names and errors are strangers' texts.
_MARKS = re.compile(r"([\\`*_{}\[\]<|~#@&!]|(?<!-)>)")
_BREAKS = re.compile(r"\s+")


def markdown(report: Report, texts: bool) -> str:
    """The whole report but the texts, which are too long for a table."""
    titles, *rows = table(report)
    parts = [
        "# Parity",
        "\n".join(_markdown_side(name, side) for name, side in (("a", report.a), ("b", report.b))),
        f"**{'Broken' if report.broken else 'Passed'}**: {report.verdict}; {report.runs} runs of each on both sides.",
        "\n".join(f"| {' | '.join(map(_markdown_cell, cells))} |" for cells in (titles, ["---"] * len(titles), *rows)),
        "Shares in brackets are how often a agrees with itself." if any("(" in "".join(one) for one in rows) else "",
        "\n".join(f"- {markdown_text(name)}: {markdown_text(one.text)}" for name, one in report.broken),
        "\n".join(f"- {markdown_text(note)}" for note in report.notes),
        "The run was stopped early." if report.interrupted else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_text(text: str) -> str:
    """A text on one line that means nothing to Markdown."""
    return _MARKS.sub(r"\\\1", harmless(_BREAKS.sub(" ", text)))


def _markdown_side(name: str, side: About) -> str:
    first = ", ".join(f"{markdown_text(model)} {seconds(taken)}" for model, taken in side.warm_up.items())
    return f"- {name}: {markdown_text(side.title)}" + (f"; first calls: {first}" if first else "")


def _markdown_cell(text: str) -> str:
    return text if text == "---" else markdown_text(text)


# XML 1.0 has no way to say these.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, texts: bool) -> str:
    """The XML's text. texts: of no use here, JUnit shows figures."""
    failures = sum(bool(section.broken) for section in report.sections)
    counts = {"tests": str(len(report.sections)), "failures": str(failures), "errors": "0", "skipped": "0"}
    seconds = sum(map(_total_seconds, report.sections))
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", {"name": "parity", **counts, "time": f"{seconds:.3f}"})
    properties = ET.SubElement(suite, "properties")
    for name, side in (("a", report.a), ("b", report.b)):
        ET.SubElement(properties, "property", {"name": name, "value": _xml_text(side.title)})
    for section in report.sections:
        _test_case(suite, section)
    if report.notes:
        ET.SubElement(suite, "system-out").text = _xml_text("\n".join(report.notes))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _test_case(suite: ET.Element, section: Section) -> None:
    taken = {"classname": "parity", "name": _xml_text(section.name), "time": f"{_total_seconds(section):.3f}"}
    case = ET.SubElement(suite, "testcase", taken)
    if section.broken:
        message = _xml_text("; ".join(one.text for one in section.broken))
        failure = ET.SubElement(case, "failure", {"message": message, "type": section.broken[0].name})
        failure.text = _xml_text("\n".join([*(one.text for one in section.broken), *_details(section)]))


def _details(section: Section) -> list[str]:
    """What differs, and the errors: what somebody who reads a failed job looks for first."""
    kinds = [
        f"differs in {count} of {len(section.a) * len(section.b)} pairs: {what}"
        for what, count in section.found.kinds.items()
    ]
    errors = [
        f"{side}: {run.error}" for side, runs in (("a", section.a), ("b", section.b)) for run in runs if run.error
    ]
    return [*kinds, *dict.fromkeys(errors)]


def _total_seconds(section: Section) -> float:
    return sum(run.outcome.seconds for run in (*section.a, *section.b))


def _xml_text(text: str) -> str:
    return harmless(_FORBIDDEN.sub("\ufffd", text))
