"""The report as one page: everything is in it, nothing is loaded, and it needs no script.

A model's text is a stranger's: jinja2 escapes all that goes in, and only the plots' SVG, made here, goes in as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_adapter.devtools.parity.charts import charts
from llm_adapter.devtools.parity.figures import AGREEMENTS, Run
from llm_adapter.devtools.parity.report import Report, Section
from llm_adapter.devtools.parity.tables import agreed, money, number, seconds, share, table, times
from llm_adapter.devtools.reporting.text import harmless

# A page may be opened from a mail or a CI system's files: whatever got in, a browser is to run and load nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(report: Report, texts: bool) -> str:
    """The page's HTML. texts: whether the replies' texts and the arguments are in it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(share=share, agreed=agreed, number=number, seconds=seconds, money=money, times=times)
    environment.filters["harmless"] = harmless
    plots = [(chart.title, Markup(chart.svg)) for chart in charts(report)]  # noqa: S704 - no stranger's markup in it
    titles, *rows = table(report)
    return environment.get_template("page.html").render(
        report=report,
        plots=plots,
        titles=titles,
        rows=[[*cells[:2], *map(_unbroken, cells[2:])] for cells in rows],
        sections=[_section(section, texts) for section in report.sections],
        texts=texts,
        policy=_POLICY,
    )


def _unbroken(cell: str) -> str:
    """A cell that ends its line nowhere but between a's figure and b's."""
    return cell.replace(" ", "\N{NO-BREAK SPACE}").replace("->\N{NO-BREAK SPACE}", "-> ")


def _section(section: Section, texts: bool) -> dict[str, Any]:
    found = section.found
    sides = (("a", found.a, section.a, section.sent[0]), ("b", found.b, section.b, section.sent[1]))
    return {
        "name": section.name,
        "path": section.prompt.path,
        "streamed": section.prompt.streamed,
        "broken": section.broken,
        "found": found,
        "agreements": [(name.replace("_", " "), getattr(found, name)) for name in AGREEMENTS],
        "pairs": len(section.a) * len(section.b),
        "sides": sides,
        "texts": _texts(sides) if texts else {},
        "runs": [_run(name, place, run, texts) for name, _, runs, _ in sides for place, run in enumerate(runs, 1)],
    }


def _texts(sides: Sequence[tuple[str, Any, Sequence[Run], Any]]) -> dict[tuple[str, str], list[int]]:
    """The runs that say each text, by side and text."""
    said: dict[tuple[str, str], list[int]] = {}
    for name, _, runs, _ in sides:
        for place, run in enumerate(runs, 1):
            if run.text:
                said.setdefault((name, run.text), []).append(place)
    return said


def _run(side: str, place: int, run: Run, texts: bool) -> dict[str, Any]:
    calls = [_call(call.name, call.arguments) if texts else call.signature for call in run.outcome.tools]
    return {
        "side": side,
        "place": place,
        "outcome": run.outcome,
        "pace": run.pace,
        "tools": [(told, call.valid) for told, call in zip(calls, run.outcome.tools, strict=True)],
        "unmet": ", ".join(run.unmet),
        "error": run.error or run.outcome.error or "",
    }


def _call(name: str, arguments: Any) -> str:
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{name} {told}"
