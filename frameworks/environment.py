"""One virtual environment a row, the tests in it, and a table: what `run.py` and `versions.py` share.

An environment is kept between runs, below the git-ignored `.frameworks`, and brought up to date by each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
ROOT = HERE.parent
KEPT = ROOT / ".frameworks"
_VERSION = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"


@dataclass(frozen=True)
class Row:
    """What is installed beside the checkout, which file tests it, and whose versions the table shows."""

    requires: str  # requirements, separated by spaces
    tests: str
    shown: tuple[str, ...]
    also: tuple[str, ...] = ()  # tests of this repository, which have a conftest of their own


@dataclass(frozen=True)
class Result:
    versions: tuple[str, ...]
    passed: int
    failed: int


def main(rows: Mapping[str, Row], heads: Sequence[str]) -> int:
    """Run the rows that the command line names, or all; the exit status."""
    names = sys.argv[1:] or list(rows)
    if unknown := [name for name in names if name not in rows]:
        print(f"unknown: {', '.join(unknown)}; expected some of {', '.join(rows)}", file=sys.stderr)
        return 2
    results = {name: measured(name, rows[name]) for name in names}
    print(table([*heads, "passed", "failed"], results))
    return int(any(result.failed or not result.passed for result in results.values()))


def measured(name: str, row: Row) -> Result:
    """The counts of one row; an environment that cannot be made counts as one failure."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    python = KEPT / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        install(python, row.requires)
    except subprocess.CalledProcessError as error:
        print(error.stdout, file=sys.stderr)
        return Result(("-",) * len(row.shown), 0, 1)
    counts = [run(python, [HERE / row.tests])]
    if row.also:
        counts.append(run(python, _files(row.also)))
    passed, failed = (sum(column) for column in zip(*counts, strict=True))
    return Result(tuple(version(python, one) for one in row.shown), passed, failed)


def _files(patterns: Iterable[str]) -> list[Path]:
    """The files of these patterns. A pattern that finds none is one of a test that has moved."""
    found = {pattern: sorted(ROOT.glob(pattern)) for pattern in patterns}
    if empty := [pattern for pattern, files in found.items() if not files]:
        raise SystemExit(f"there are no such tests: {', '.join(empty)}")
    return [file for files in found.values() for file in files]


def install(python: Path, requires: str) -> None:
    """Make the environment if need be, and bring it up to date. Raises `CalledProcessError`."""
    uv = shutil.which("uv")
    folder = str(python.parent.parent)
    # An environment that uv made has no pip in it, and is of no use where uv is gone.
    unusable = not python.exists() or not (uv or list(python.parent.parent.glob("[Ll]ib/**/site-packages/pip")))
    if unusable:
        shutil.rmtree(folder, ignore_errors=True)
        _run_command([uv, "venv", "--python", sys.executable, folder] if uv else [sys.executable, "-m", "venv", folder])
    # Exact: what was a dependency, and is none any more, goes. pip cannot do that.
    pip = [uv, "pip", "install", "--exact", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    _run_command([*pip, "--upgrade", "--editable", f"{ROOT}[embedded,cli]", *requires.split(), "pytest"])


def _run_command(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")


def run(python: Path, tests: Iterable[Path]) -> tuple[int, int]:
    """How many tests passed and failed. What failed is printed."""
    report = python.parent.parent / "report.xml"
    report.unlink(missing_ok=True)
    # The frameworks' own warnings are not ours to judge; something that the adapter leaves out is a failure.
    warnings = ["-W", "default", "-W", "error::llm_adapter.AdapterWarning"]
    pytest = [str(python), "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *warnings]
    done = subprocess.run(
        [*pytest, f"--junitxml={report}", *map(str, tests)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    if not report.exists():
        return 0, 1
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    total, failures, errors, skipped = (int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped"))
    failed = max(failures + errors, int(done.returncode != 0))
    return max(total - failures - errors - skipped, 0), failed


def version(python: Path, distribution: str) -> str:
    done = subprocess.run([str(python), "-c", _VERSION, distribution], capture_output=True, encoding="utf-8")
    return done.stdout.strip() or "-"


def table(heads: Sequence[str], results: Mapping[str, Result]) -> str:
    """The results in Markdown."""
    rows = [[name, *one.versions, str(one.passed), str(one.failed)] for name, one in results.items()]
    widths = [max(len(row[place]) for row in [list(heads), *rows]) for place in range(len(heads))]
    return "\n".join(_table_row(row, widths) for row in [list(heads), ["-" * width for width in widths], *rows])


def _table_row(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
