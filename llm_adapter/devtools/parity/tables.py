"""The figures in columns, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from llm_adapter.devtools.parity.figures import Agreement, Compared, Measured
from llm_adapter.devtools.parity.report import Report
from llm_adapter.devtools.parity.thresholds import Broken

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
