"""pytest -p outcomes: writes the outcome of every test, as JSON, to the file that CONFORMANCE_OUTCOMES names.

{"nodeid": ["passed", ""], "other": ["failed", "the error's last line"]}
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# What a later phase of the same test may still make of its outcome.
_RANK = {"skipped": 0, "xfailed": 0, "passed": 1, "failed": 2}


class Outcomes:
    """Collects reports; under xdist only in the process that gathers them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            outcome: str = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
            self._add(report.nodeid, outcome, _reason(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        # A module skips itself, or cannot be imported: its tests are not there to be reported one by one.
        if report.outcome != "passed":
            self._add(report.nodeid, report.outcome, _reason(report))

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._seen, indent=0, sort_keys=True), "utf-8")

    def _add(self, nodeid: str, outcome: str, reason: str) -> None:
        before = self._seen.get(nodeid)
        if before is None or _RANK[outcome] > _RANK[before[0]]:
            self._seen[nodeid] = (outcome, reason)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if not report.failed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash is not None else str(report.longrepr)).strip().splitlines()
    return lines[0][:300] if lines else ""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(os.environ["CONFORMANCE_OUTCOMES"])), "conformance-outcomes")
