"""`llm-adapter parity`: the same calls on two profiles, and how their replies compare."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import openai
import typer
from rich.console import Console

from llm_adapter.cli.options import SECONDS, Timeout, matching_profiles
from llm_adapter.cli.screen import call_status, console, print_table, say

if TYPE_CHECKING:  # the command line starts without what only this command needs
    from llm_adapter.devtools.parity.report import Report
    from llm_adapter.devtools.parity.suite import Suite

_WRITERS = {
    "markdown": ("formats", "markdown"),
    "junit": ("formats", "junit"),
    "json": ("formats", "as_json"),
    "html": ("page", "page"),
}


_Side = partial(typer.Option, autocompletion=matching_profiles)
A = Annotated[
    str,
    _Side(help="The profile or provider where the calls run now; NAME:MODEL uses one model for all of them."),
]
B = Annotated[str, _Side(help="The profile or provider where they are to run, in the same form.")]
Runs = Annotated[int | None, typer.Option(min=1, max=100, help="How often each prompt is called on each side.")]
Only = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Run this prompt alone; may be given several times.")
]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="How many pairs of calls run at the same time.")]
JudgeName = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION",
        help="A function that is given a call's arguments and both texts, and returns 0 to 1.",
    ),
]
WarmUp = Annotated[bool, typer.Option(help="Call each model once before; these calls are not counted.")]
Retries = Annotated[
    int, typer.Option(min=0, max=10, help="How often the SDK repeats a failed call; its own default is 2.")
]
Texts = Annotated[bool, typer.Option("--texts", help="Put the replies' texts into the JSON and the HTML page.")]
_File = partial(typer.Option, metavar="FILE")
MarkdownFile = Annotated[
    Path | None, _File(help="Write a Markdown table to this file; - is standard output, here and below.")
]
JunitFile = Annotated[Path | None, _File(help="Write JUnit XML, with a test case for each prompt.")]
JsonFile = Annotated[Path | None, _File(help="Write everything as JSON.")]
HtmlFile = Annotated[Path | None, _File(help="Write one HTML page with plots.")]


def parity(
    suite: Annotated[
        Path,
        typer.Argument(
            help="The calls: a YAML file, or a .jsonl file with lines of the Batch API.", metavar="SUITE.yaml"
        ),
    ],
    a: A,
    b: B,
    runs: Runs = None,
    only: Only = None,
    jobs: Jobs = 1,
    judge: JudgeName = None,
    warm_up: WarmUp = True,
    retries: Retries = 0,
    timeout: Timeout = SECONDS,
    markdown: MarkdownFile = None,
    junit: JunitFile = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    texts: Texts = False,
) -> None:
    """Make the same calls on two profiles, several times each, and compare the replies' structure, never their words.

    Exits with 1 if a threshold is broken.
    """
    files = {"markdown": markdown, "junit": junit, "json": json, "html": html}
    _check_files(suite, {name: file for name, file in files.items() if file is not None})
    chosen = _suite(suite, runs, only or [])
    report = _compared(chosen, a, b, judge, jobs, warm_up, timeout=timeout, max_retries=retries)
    for name, file in files.items():
        if file is not None:
            _write(file, _report_writer(name)(report, texts))
    if not any(str(file) == "-" for file in files.values()):
        show(console(), report)
    raise typer.Exit(130 if report.interrupted else bool(report.broken))


def _check_files(suite: Path, files: dict[str, Path]) -> None:
    """Fail now, and not after an hour of calls, where the reports cannot be written."""
    needed = [*(["yaml"] if suite.suffix != ".jsonl" else []), *(["jinja2", "matplotlib"] if "html" in files else [])]
    if any(find_spec(module) is None for module in needed):
        raise openai.OpenAIError("parity needs the extra `parity`: pip install 'llm_adapter[parity]'")
    if sum(str(file) == "-" for file in files.values()) > 1:
        raise typer.BadParameter("only one report can go to standard output", param_hint="-")
    for name, file in files.items():
        if not file.parent.is_dir() or file.is_dir():
            raise typer.BadParameter(f"{file} cannot be written: no such folder", param_hint=f"--{name}")


def _suite(file: Path, runs: int | None, only: list[str]) -> Suite:
    from dataclasses import replace

    from llm_adapter.devtools.parity.suite import SuiteError, load

    try:
        suite = load(file)
        suite = suite.only(only)
    except SuiteError as error:
        raise typer.BadParameter(str(error), param_hint="SUITE.yaml") from None
    return suite if runs is None else replace(suite, runs=runs)


def _compared(
    suite: Suite, a: str, b: str, judge: str | None, jobs: int, warm_up: bool, *, timeout: float, max_retries: int
) -> Report:
    from llm_adapter.client.clients import OpenAI
    from llm_adapter.devtools.parity.runner import compare
    from llm_adapter.devtools.parity.scores import Similar
    from llm_adapter.devtools.parity.scores import judge as named
    from llm_adapter.devtools.parity.sides import side

    try:
        scored = None if judge is None else named(judge)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--judge") from None
    with ExitStack() as stack:
        sides = [side(name, suite.prices, timeout=timeout, max_retries=max_retries) for name in (a, b)]
        for one in sides:
            stack.enter_context(one.client)
        similar = None
        if suite.similarity is not None:
            similar = Similar(stack.enter_context(OpenAI(profile=suite.similarity.profile)), suite.similarity.model)
        tell = stack.enter_context(call_status())
        return compare(suite, *sides, jobs=jobs, warm_up=warm_up, similar=similar, judge=scored, tell=tell)


def _report_writer(name: str) -> Callable[[Report, bool], str]:
    """What makes a report's text; each loads only what it needs."""
    module, function = _WRITERS[name]
    write: Callable[[Report, bool], str] = getattr(import_module(f"llm_adapter.devtools.parity.{module}"), function)
    return write


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        print(text, end="")
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise openai.OpenAIError(f"{file} cannot be written: {error.strerror}") from None


def show(screen: Console, report: Report) -> None:
    """The table, what is broken, and the verdict."""
    from llm_adapter.devtools.parity.formats import seconds, table

    screen.print(f"a  {report.a.title}\nb  {report.b.title}\n", style="bold")
    titles, *rows = table(report)
    print_table(screen, titles, rows)
    for side, about in (("a", report.a), ("b", report.b)):
        for model, taken in about.warm_up.items():
            say(screen, f"first call of {model} on {side}: {seconds(taken)}", "dim")
    screen.print()
    for name, one in report.broken:
        say(screen, f"{name}: {one.text}", "red")
    for note in report.notes:
        say(screen, note, "yellow")
    if report.interrupted:
        say(screen, "The run was stopped: the figures are of the calls that were made until then.", "yellow")
    say(screen, report.verdict, "bold red" if report.broken else "bold green")
