"""The report as Markdown: a table for a pull request's comment."""

from __future__ import annotations

import re

from llm_adapter.devtools.parity.report import About, Report
from llm_adapter.devtools.parity.tables import seconds, table
from llm_adapter.devtools.reporting.text import harmless

# What would end a cell, or begin a link, an image, HTML or emphasis: names and errors are strangers' texts.
_MARKS = re.compile(r"([\\`*_{}\[\]<|~#@&!]|(?<!-)>)")
_BREAKS = re.compile(r"\s+")


def markdown(report: Report, texts: bool) -> str:
    """The whole report but the texts, which are too long for a table."""
    titles, *rows = table(report)
    parts = [
        "# Parity",
        "\n".join(_side(name, side) for name, side in (("a", report.a), ("b", report.b))),
        f"**{'Broken' if report.broken else 'Passed'}**: {report.verdict}; {report.runs} runs of each on both sides.",
        "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (titles, ["---"] * len(titles), *rows)),
        "Shares in brackets are how often a agrees with itself." if any("(" in "".join(one) for one in rows) else "",
        "\n".join(f"- {escaped(name)}: {escaped(one.text)}" for name, one in report.broken),
        "\n".join(f"- {escaped(note)}" for note in report.notes),
        "The run was stopped early." if report.interrupted else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """A text on one line that means nothing to Markdown."""
    return _MARKS.sub(r"\\\1", harmless(_BREAKS.sub(" ", text)))


def _side(name: str, side: About) -> str:
    first = ", ".join(f"{escaped(model)} {seconds(taken)}" for model, taken in side.warm_up.items())
    return f"- {name}: {escaped(side.title)}" + (f"; first calls: {first}" if first else "")


def _cell(text: str) -> str:
    return text if text == "---" else escaped(text)
