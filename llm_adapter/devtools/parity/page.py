"""The report as one HTML page with plots: everything is in it, nothing is loaded, and it needs no script.

The text of a model may hold anything: jinja2 escapes all that goes in, but for the plots' SVG, which is made here. It
takes its colours from the page's style. The two sides differ by colour and by shape, so that they stay apart in print
and for the colour-blind.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from llm_adapter.devtools.parity.figures import AGREEMENTS, Agreement, Measured, Run
from llm_adapter.devtools.parity.formats import agreed, money, number, seconds, share, table, times
from llm_adapter.devtools.parity.report import Report, Section
from llm_adapter.devtools.reporting.text import harmless, shortened

_LABEL = 26  # columns of a prompt's name
_WIDTH, _ROW, _REST = 7.6, 0.4, 0.95  # inches: of a plot, and of its height for a prompt and for all else
# What matplotlib is given, and the page's style says: two colours of Okabe and Ito's, and those of text and lines.
_A, _B, _INK, _LINE, _BACK = "#0072b2", "#d55e00", "#010203", "#040506", "#070809"
_STYLES = {_A: "var(--a)", _B: "var(--b)", _INK: "var(--ink)", _LINE: "var(--line)", _BACK: "var(--back)"}
_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar in a prompt's name is one
    "font.size": 9,
    "axes.titlesize": 9,
    "hatch.linewidth": 1.2,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor"), _INK),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.labelcolor"), _LINE),
    "xtick.labelcolor": _INK,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
}
_AGREEMENTS = {
    "everything": "agreement",
    "finish reason": "finish_agreement",
    "tools": "tool_agreement",
    "arguments": "argument_agreement",
}
_FAR = 20  # times; farther apart, latencies are drawn on a logarithmic scale


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot, and the same in words."""

    name: str
    title: str
    description: str
    svg: str


def charts(report: Report) -> list[Chart]:
    """The plots that the figures are enough for."""
    from matplotlib import rc_context

    # What the machine's own fonts lack, the browser's have.
    with warnings.catch_warnings(), rc_context(_LOOK):
        warnings.simplefilter("ignore")
        return [chart for draw in (_agreements, _latencies, _paces, _sizes) for chart in draw(report)]


def _agreements(report: Report) -> Iterator[Chart]:
    """A panel for each thing that runs agree on, a bar for each prompt, and a mark for a's own."""
    kinds = {title: [getattr(one.found, name) for one in report.sections] for title, name in _AGREEMENTS.items()}
    kinds = {title: each for title, each in kinds.items() if any(one.rate is not None for one in each)}
    if not kinds:
        return
    figure, panels = _panels(report.sections, len(kinds))
    for panel, (title, each) in zip(panels, kinds.items(), strict=True):
        known = [(place, one) for place, one in enumerate(each) if one.rate is not None]
        panel.barh([place for place, _ in known], [one.rate for _, one in known], height=0.55, color=_B)
        for place, one in enumerate(each):  # a bar of nothing, and no bar
            if not one.rate:
                panel.text(0.02, place, "–" if one.rate is None else "0 %", va="center", fontsize=8)
        own = [(one.own, place) for place, one in known if one.own is not None]
        panel.plot(*(zip(*own, strict=True) if own else ([], [])), "|", color=_INK, markersize=13, markeredgewidth=2)
        panel.set(title=title, xlim=(0, 1.04), xticks=[0, 0.5, 1], xticklabels=["0", "50 %", "100 %"])
    words = [f"{one.name}: {_in_words(one.found.agreement)}" for one in report.sections]
    yield _chart(figure, "agreement", "How often b agrees with a; the line is a with itself", words)


def _in_words(value: Agreement) -> str:
    return agreed(value) or "not known"


def _latencies(report: Report) -> Iterator[Chart]:
    """Every run's seconds."""
    if not any(run.came for section in report.sections for run in (*section.a, *section.b)):
        return
    figure, (panel,) = _panels(report.sections, 1)
    _times(report, report.sections, panel, "latency", lambda run: run.outcome.seconds)
    _legend(figure, panel)
    yield _chart(figure, "latency", "Latency of every run; the line is the median", _words(report, seconds, "latency"))


def _paces(report: Report) -> Iterator[Chart]:
    """When every stream's first token came, and how far apart its pieces."""
    sections = [one for one in report.sections if _paced(one)]
    if not sections:
        return
    figure, panels = _panels(sections, 2)
    _times(report, sections, panels[0], "first_token", lambda run: run.pace.first)
    _times(report, sections, panels[1], "between_pieces", lambda run: run.pace.between)
    for panel, title in zip(panels, ("to the first token", "between two pieces"), strict=True):
        panel.set_title(title)
        panel.tick_params(axis="x", labelsize=8)
    _legend(figure, panels[0])
    words = _words(report, seconds, "first_token", sections)
    yield _chart(figure, "pace", "Pace of every stream; the line is the median", words)


def _paced(section: Section) -> bool:
    return not (section.found.a.first_token is None and section.found.b.first_token is None)


def _times(
    report: Report, sections: Sequence[Section], panel: Any, middle: str, of: Callable[[Run], float | None]
) -> None:
    """Seconds of every run, and the median of each side."""
    known: list[float] = []
    for name, colour, shape, shift in (("a", _A, "o", -0.17), ("b", _B, "D", 0.17)):
        points = [
            (taken, place + shift)
            for place, section in enumerate(sections)
            for run in getattr(section, name)
            if run.came and (taken := of(run)) is not None
        ]
        x, y = zip(*points, strict=True) if points else ((), ())
        known += x
        panel.plot(x, y, shape, color=colour, markersize=5, alpha=0.8, markeredgecolor=_BACK, label=_side(report, name))
        middles = [getattr(getattr(section.found, name), middle) for section in sections]
        marks = [(value, place + shift) for place, value in enumerate(middles) if value is not None]
        panel.plot(
            *(zip(*marks, strict=True) if marks else ([], [])), "|", color=colour, markersize=13, markeredgewidth=2
        )
    _scale(panel, known, wide=middle == "latency")


def _scale(panel: Any, times: Sequence[float], *, wide: bool) -> None:
    """The axis of times: from nothing, or in powers where they are far apart."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if times and max(times) > _FAR * max(min(times), 1e-4):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide else (1, 3)))
        panel.xaxis.set_minor_formatter(NullFormatter())
    else:
        panel.set_xlim(left=0)
        panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.xaxis.set_major_formatter(_formatted(seconds))


def _sizes(report: Report) -> Iterator[Chart]:
    """Bars for the lengths, the tokens and the cost of a reply."""
    kinds: dict[str, tuple[Callable[[float | None], str], Callable[[Measured], float | None]]] = {
        "characters of a reply": (number, lambda side: side.characters),
        "completion tokens, all runs": (number, lambda side: side.completion_tokens),
        "cost, all runs": (money, lambda side: side.cost),
    }
    drawn = {title: way for title, way in kinds.items() if any(any(_values(report, name, way[1])) for name in "ab")}
    if not drawn:
        return
    figure, panels = _panels(report.sections, len(drawn))
    for panel, (title, (form, of)) in zip(panels, drawn.items(), strict=True):
        for name, colour, shift, hatch in (("a", _A, -0.2, ""), ("b", _B, 0.2, "///")):
            values = [value or 0 for value in _values(report, name, of)]
            places = [place + shift for place in range(len(values))]
            look = {"color": colour, "hatch": hatch, "edgecolor": _BACK, "linewidth": 0}
            panel.barh(places, values, height=0.36, label=_side(report, name), **look)
        panel.set_title(title)
        panel.set_xlim(left=0)
        panel.locator_params(axis="x", nbins=3)
        panel.xaxis.set_major_formatter(_formatted(form))
    _legend(figure, panels[0])
    title = ", ".join(drawn)
    yield _chart(figure, "size", title[0].upper() + title[1:], _words(report, number, "characters"))


def _formatted(form: Callable[[float | None], str]) -> Callable[[float, int], str]:
    return lambda value, _: form(value)


def _values(report: Report, name: str, of: Callable[[Measured], float | None]) -> list[float | None]:
    return [of(getattr(section.found, name)) for section in report.sections]


def _side(report: Report, name: str) -> str:
    return f"{name}: {shortened(getattr(report, name).label, _LABEL)}"


def _words(
    report: Report, form: Callable[[float | None], str], of: str, sections: Sequence[Section] | None = None
) -> list[str]:
    """`capital: a 7 ms, b 9 ms`"""
    chosen = report.sections if sections is None else sections
    values = [(section.name, *(getattr(getattr(section.found, side), of) for side in "ab")) for section in chosen]
    return [f"{name}: a {form(a) or 'none'}, b {form(b) or 'none'}" for name, a, b in values]


def _panels(sections: Sequence[Section], count: int) -> tuple[Any, list[Any]]:
    """A figure of so many panels side by side, with the prompts from above down."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _ROW * len(sections) + _REST), layout="constrained")
    figure.patch.set_visible(False)
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    panels[0].set_yticks(range(len(sections)), [shortened(one.name, _LABEL) for one in sections])
    panels[0].set_ylim(len(sections) - 0.45, -0.55)
    for panel in panels:
        panel.patch.set_visible(False)
        panel.grid(axis="x", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(length=0)
    return figure, panels


def _legend(figure: Any, panel: Any) -> None:
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)


def _chart(figure: Any, name: str, title: str, words: list[str]) -> Chart:
    data = io.BytesIO()
    figure.savefig(data, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    description = "; ".join(words)
    return Chart(name, title, description, _inline(data.getvalue(), name, title, description))


def _inline(data: bytes, name: str, title: str, description: str) -> str:
    """matplotlib's SVG as a part of a page: without namespaces, with ids of its own, with the page's colours."""
    root = ET.fromstring(data)  # noqa: S314 - matplotlib wrote it just now
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        for key, value in list(node.attrib.items()):
            del node.attrib[key]
            node.set(key.rpartition("}")[2], _attribute(key.rpartition("}")[2], value, name))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    for place, (kind, text) in enumerate((("title", title), ("desc", description))):
        node = ET.Element(kind, {"id": f"{name}-{kind}"})
        node.text = text
        root.insert(place, node)
    return ET.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    value = value.replace("url(#", f"url(#{name}-")
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    for colour, style in _STYLES.items():
        value = value.replace(colour, style)
    return value


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
        errors=_errors(report.sections),
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


def _errors(sections: Sequence[Section]) -> list[tuple[str, str, str]]:
    """Each error's message once for each side, with the prompts that had it: the side, the prompts, the message."""
    found: dict[tuple[str, str], list[str]] = {}
    for section in sections:
        for name, runs in (("a", section.a), ("b", section.b)):
            for message in dict.fromkeys(run.error or run.outcome.error or "" for run in runs):
                if message:
                    found.setdefault((name, message), []).append(section.name)
    return [(side, ", ".join(prompts), message) for (side, message), prompts in found.items()]


def _texts(sides: Sequence[tuple[str, Any, Sequence[Run], Any]]) -> dict[tuple[str, str], list[int]]:
    """The runs that say each text, by side and text."""
    said: dict[tuple[str, str], list[int]] = {}
    for name, _, runs, _ in sides:
        for place, run in enumerate(runs, 1):
            if run.text:
                said.setdefault((name, run.text), []).append(place)
    return said


def _run(side: str, place: int, run: Run, texts: bool) -> dict[str, Any]:
    calls = [_call_text(call.name, call.arguments) if texts else call.signature for call in run.outcome.tools]
    return {
        "side": side,
        "place": place,
        "outcome": run.outcome,
        "pace": run.pace,
        "tools": [(text, call.valid) for text, call in zip(calls, run.outcome.tools, strict=True)],
        "unmet": ", ".join(run.unmet),
        "error": run.error or run.outcome.error or "",
    }


def _call_text(name: str, arguments: Any) -> str:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{name} {text}"
