"""The report as JUnit's XML: a test case a prompt, a failure where a threshold is broken.

Source: the format that CI systems read, as pytest's own --junit-xml writes it (xunit2).
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from llm_adapter.devtools.parity.report import Report, Section

# XML 1.0 has no way to say these.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, texts: bool) -> str:
    """The XML's text. texts: of no use here, JUnit shows figures."""
    failures = sum(bool(section.broken) for section in report.sections)
    counts = {"tests": str(len(report.sections)), "failures": str(failures), "errors": "0", "skipped": "0"}
    seconds = sum(map(_seconds, report.sections))
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", {"name": "parity", **counts, "time": f"{seconds:.3f}"})
    properties = ET.SubElement(suite, "properties")
    for name, side in (("a", report.a), ("b", report.b)):
        ET.SubElement(properties, "property", {"name": name, "value": _clean(side.title)})
    for section in report.sections:
        _case(suite, section)
    if report.notes:
        ET.SubElement(suite, "system-out").text = _clean("\n".join(report.notes))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, section: Section) -> None:
    taken = {"classname": "parity", "name": _clean(section.name), "time": f"{_seconds(section):.3f}"}
    case = ET.SubElement(suite, "testcase", taken)
    if section.broken:
        message = _clean("; ".join(one.text for one in section.broken))
        failure = ET.SubElement(case, "failure", {"message": message, "type": section.broken[0].name})
        failure.text = _clean("\n".join([*(one.text for one in section.broken), *_details(section)]))


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


def _seconds(section: Section) -> float:
    return sum(run.outcome.seconds for run in (*section.a, *section.b))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
